"""What a call of any ufunc promises: out, where, dtype, casting, order, broadcasting, types, subclasses, methods."""

import functools
import pickle

import numpy as np
import pandas
import pytest

from cases import FLOATS, HALVES, assert_same_bits, each_case, each_float

SMALL_INTEGERS = (np.bool_, np.int8, np.uint8, np.int16, np.uint16)
WIDE_INTEGERS = (np.int32, np.uint32, np.int64, np.uint64)
REFUSED = (
    np.ones(3, np.longdouble),
    np.ones(3, np.complex64),
    np.ones(3, np.complex128),
    np.array(["1", "2", "3"]),
    np.array([b"1", b"2", b"3"]),
    np.array([1, 2.0, None], object),
    np.ones(3, "datetime64[s]"),
    np.ones(3, "timedelta64[s]"),
    np.ones(3, [("a", np.float32)]),
)


def both(case):
    """Return the public function and the ufunc with the default parameters."""
    return (case.public, case.raw)


# ---- What they are.


@each_case
def test_is_a_ufunc(case):
    ufunc = case.ufunc
    assert isinstance(ufunc, np.ufunc)
    assert (ufunc.nin, ufunc.nout, ufunc.signature) == (case.arrays + len(case.row.parameters), 1, None)
    assert ufunc.__name__ == case.name.replace(".", "_")
    assert ufunc.identity is None
    if not case.row.parameters:
        assert case.function is ufunc


@each_case
def test_types(case):
    types = [text for text in case.ufunc.types if set(text) & set("efd")]
    nin = case.ufunc.nin
    half_with_numbers = ["e" * case.arrays + "f" * len(case.defaults) + "->e"] if case.defaults else []
    bool_as_float = ["?->f"] if case.keeps_integers else []
    assert types == [*bool_as_float, "e" * nin + "->e", *half_with_numbers, "f" * nin + "->f", "d" * nin + "->d"]
    assert (len(types) < case.ufunc.ntypes) == case.keeps_integers


@each_case
def test_pickle(case):
    for thing in (case.ufunc,) if case.row.is_learned else (case.function, case.ufunc):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            assert pickle.loads(pickle.dumps(thing, protocol)) is thing


# ---- out.


@each_float
@each_case
def test_out(case, dtype):
    arrays = case.inputs((5, 7), dtype)
    expected = case.public(*arrays)
    for call in both(case):
        for as_given in (lambda out: out, lambda out: (out,)):
            out = np.full((5, 7), 99, dtype)
            assert call(*arrays, out=as_given(out)) is out
            assert_same_bits(out, expected)
        assert_same_bits(call(*arrays, out=None), expected)


@each_case
def test_out_of_a_wider_type(case):
    arrays = case.inputs(9)
    out = np.zeros(9, np.float64)
    assert case.public(*arrays, out=out) is out
    assert_same_bits(out, case.public(*arrays).astype(np.float64))


@each_case
def test_out_of_a_narrower_type(case):
    arrays = case.inputs(9, np.float64)
    out = np.zeros(9, np.float32)
    assert case.public(*arrays, out=out) is out
    assert_same_bits(out, case.public(*arrays).astype(np.float32))


@each_case
@pytest.mark.parametrize(
    ("out", "error"),
    [
        (np.full(4, 99, np.float32), ValueError),
        (np.full((3, 1), 99, np.float32), ValueError),
        (np.full((), 99, np.float32), ValueError),
        (np.full(3, 99, np.int64), TypeError),
        (np.full(3, True), TypeError),
        ([99.0] * 3, TypeError),
        ("out", TypeError),
    ],
    ids=["longer", "two-dimensional", "0-d", "integers", "bool", "list", "text"],
)
def test_bad_out_is_untouched(case, out, error):
    before = np.array(out)
    for call in both(case):
        with pytest.raises(error):
            call(*case.inputs(3), out=out)
        assert np.array_equal(out, before)


@each_case
def test_bad_arguments_leave_out_untouched(case):
    for call in both(case):
        for bad in REFUSED:
            out = np.full(3, 99, np.float32)
            with pytest.raises(TypeError):
                call(*case.same_inputs(bad), out=out)
            assert np.all(out == 99)


@each_case
def test_read_only(case):
    arrays = case.inputs(300)
    expected = case.public(*arrays)
    for array in arrays:
        array.flags.writeable = False
    out = np.full(300, 99, np.float32)
    for call in both(case):
        assert_same_bits(call(*arrays), expected)
    out.flags.writeable = False
    for call in both(case):
        with pytest.raises(ValueError, match="read-only|not writeable"):
            call(*arrays, out=out)
    assert np.all(out == 99)


@each_float
@each_case
def test_in_place(case, dtype):
    for n in (1, 7, 1000, 200_000):
        expected = case.public(*case.inputs(n, dtype))
        for call in both(case):
            for k in range(case.arrays):
                arrays = case.inputs(n, dtype)
                assert call(*arrays, out=arrays[k]) is arrays[k]
                assert_same_bits(arrays[k], expected)


# ---- where, dtype, casting, order.

MASKS = {
    "alternate": lambda n: np.arange(n) % 2 == 0,
    "runs": lambda n: np.arange(n) // 37 % 2 == 0,
    "random": lambda n: np.random.default_rng(3).random(n) < 0.5,
    "none": lambda n: np.zeros(n, bool),
    "all": lambda n: np.ones(n, bool),
}


@each_float
@each_case
@pytest.mark.parametrize("mask", MASKS)
def test_where(case, dtype, mask):
    for n in (1, 300, 150_000):
        arrays = case.inputs(n, dtype)
        where = MASKS[mask](n)
        expected = np.where(where, case.public(*arrays), dtype.type(99))
        for call in both(case):
            out = np.full(n, 99, dtype)
            assert call(*arrays, out=out, where=where) is out
            assert_same_bits(out, expected)


@each_case
def test_where_of_a_row_and_of_a_scalar(case):
    arrays = case.inputs((4, 6))
    where = np.array([True, False, True, True, False, False])
    out = np.full((4, 6), 99, np.float32)
    case.public(*arrays, out=out, where=where)
    assert_same_bits(out, np.where(where, case.public(*arrays), np.float32(99)))
    case.public(*arrays, out=out, where=False)
    assert_same_bits(out, np.where(where, case.public(*arrays), np.float32(99)))


@each_case
def test_dtype(case):
    arrays = case.inputs(20)
    wide = case.inputs(20, np.float64)
    widened = case.public(*(array.astype(np.float64) for array in arrays))
    for call in both(case):
        assert call(*arrays, dtype=np.float64).dtype == np.float64
        assert call(*wide, dtype=np.float32).dtype == np.float32
        assert call(*arrays, dtype=np.float32).dtype == np.float32
    np.testing.assert_allclose(case.public(*arrays, dtype=np.float64), widened, rtol=1e-7)
    narrowed = case.public(*(array.astype(np.float32) for array in wide))
    assert_same_bits(case.public(*wide, dtype=np.float32), narrowed)


@each_case
def test_dtype_that_is_not_computed(case):
    for dtype in (np.longdouble, np.complex128, np.dtype("U1"), np.dtype(object)):
        with pytest.raises(TypeError):
            case.public(*case.inputs(3), dtype=dtype)
    if not case.keeps_integers:
        with pytest.raises(TypeError):
            case.public(*case.inputs(3), dtype=np.int32)


@each_case
def test_casting(case):
    wide = case.inputs(3, np.float64)
    for call in both(case):
        for casting in ("no", "equiv", "safe"):
            with pytest.raises(TypeError):
                call(*wide, dtype=np.float32, casting=casting)
        assert_same_bits(call(*wide, dtype=np.float32, casting="unsafe"), call(*wide, dtype=np.float32))
        out = np.zeros(3, np.int64)
        assert call(*wide, out=out, casting="unsafe") is out
        assert np.array_equal(out, call(*wide).astype(np.int64))


@each_case
def test_order(case):
    arrays = case.inputs((3, 4, 5))
    fortran = tuple(np.asfortranarray(array) for array in arrays)
    for call in both(case):
        expected = call(*arrays)
        for given in (arrays, fortran):
            assert call(*given, order="C").flags.c_contiguous
            assert call(*given, order="F").flags.f_contiguous
            for order in "CFAK":
                assert_same_bits(call(*given, order=order), expected)
        assert call(*fortran).flags.f_contiguous
        assert call(*fortran, order="A").flags.f_contiguous


@each_case
def test_unknown_keyword(case):
    for call in both(case):
        with pytest.raises(TypeError, match="nonsense"):
            call(*case.inputs(3), nonsense=1)


@each_case
def test_number_of_arguments(case):
    with pytest.raises(TypeError):
        case.function()
    with pytest.raises(TypeError):
        case.public(*case.inputs(3), *[np.ones(3)] * 6)


# ---- Shapes.


@each_float
@each_case
def test_broadcasting(case, dtype):
    column = case.inputs((4, 1), dtype)[0]
    row = case.inputs((3, 1, 5), dtype, seed=1)[0]
    arrays = (column, row)[: case.arrays]
    expected = case.public(*(np.array(array) for array in np.broadcast_arrays(*arrays)))
    for call in both(case):
        assert_same_bits(call(*arrays), expected)
        out = np.zeros((2, *expected.shape), dtype)
        call(*arrays, out=out)
        assert_same_bits(out, np.array(np.broadcast_to(expected, out.shape)))


@each_case
def test_shapes_that_do_not_fit(case):
    if case.arrays == 2:
        with pytest.raises(ValueError, match="broadcast"):
            case.public(np.ones(3), np.ones(4))


@each_float
@each_case
def test_zero_dimensions(case, dtype):
    numbers = case.inputs((), dtype)
    expected = case.public(*(np.array([number]) for number in numbers))[0]
    for given in (numbers, tuple(dtype.type(number) for number in numbers)):
        for call in both(case):
            result = call(*given)
            assert type(result) is dtype.type
            assert_same_bits(result, expected)
            out = np.zeros((), dtype)
            assert call(*given, out=out) is out
            assert_same_bits(out, expected)
            assert type(call(*given, out=...)) is np.ndarray


@each_float
@each_case
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 0)])
def test_empty(case, dtype, shape):
    for call in both(case):
        result = call(*case.inputs(shape, dtype))
        assert result.shape == shape
        assert result.dtype == dtype


@each_case
def test_many_dimensions(case):
    shape = (2,) * 10
    arrays = case.inputs(shape)
    expected = case.public(*(array.ravel() for array in arrays)).reshape(shape)
    assert_same_bits(case.public(*arrays), expected)
    axes = tuple(reversed(range(10)))
    assert_same_bits(case.public(*(array.transpose(axes) for array in arrays)), np.array(expected.transpose(axes)))


# ---- Types of the input.


@each_case
def test_python_numbers(case):
    assert type(case.public(*case.same_inputs(0.5))) is np.float64
    assert type(case.public(*case.same_inputs(True))) is np.float32
    assert type(case.public(*case.same_inputs(2))) is (np.int64 if case.keeps_integers else np.float64)
    as_list = case.public(*case.same_inputs([0.5, -1.5]))
    assert_same_bits(as_list, case.public(*case.same_inputs(np.array([0.5, -1.5]))))
    nested = case.public(*case.same_inputs([(1.0, 2.0), (3.0, 4.0)]))
    assert nested.shape == (2, 2)


@each_float
@each_case
def test_python_numbers_are_weak(case, dtype):
    """A number takes the precision of the array beside it."""
    x = case.inputs(50, dtype)[0]
    if case.arrays == 2:
        assert_same_bits(case.public(0.3, x), case.public(np.full(50, 0.3, dtype), x))
        assert_same_bits(case.public(x, 0.3), case.public(x, np.full(50, 0.3, dtype)))
        assert_same_bits(case.public(3, x), case.public(np.full(50, 3, dtype), x))
    assert case.public(*case.same_inputs(x)).dtype == dtype


@each_case
def test_huge_python_numbers(case):
    """A number too large for float32 is infinite there, without a warning (a function takes any int, too)."""
    numbers = (3.5e38, -1e300, 10**30, 10**400, -(10**400)) if case.row.parameters else ()
    for number in numbers:
        infinite = np.float32(np.inf if number > 0 else -np.inf) if abs(number) > 10**38 else np.float32(number)
        if case.arrays == 2:
            expected = case.public(np.full(4, infinite), np.ones(4, np.float32))
            assert_same_bits(case.public(number, np.ones(4, np.float32)), expected)
        assert np.ndim(case.public(*case.same_inputs(number))) == 0
    assert np.ndim(case.public(*case.same_inputs(-1e300))) == 0


@each_case
@pytest.mark.parametrize("dtype", SMALL_INTEGERS + WIDE_INTEGERS)
def test_integers(case, dtype):
    x = np.array([0, 1, 5, 7, 100, 3, 2, 90], dtype)
    if np.dtype(dtype).kind == "i":
        x[4:] *= -1
    floating = np.float32 if dtype in SMALL_INTEGERS else np.float64
    keeps = case.keeps_integers and dtype is not np.bool_
    expected = case.public(*case.same_inputs(x.astype(floating))).astype(dtype if keeps else floating)
    assert_same_bits(case.public(*case.same_inputs(x)), expected)
    assert_same_bits(case.public(*case.same_inputs(x[::-1])), expected[::-1].copy())
    assert_same_bits(case.public(*case.same_inputs(np.tile(x, 30_000))), np.tile(expected, 30_000))


@each_case
def test_extreme_integers(case):
    """The largest and the smallest of a type, which no float holds."""
    for dtype in (np.int8, np.uint8, np.int16, np.uint16, *WIDE_INTEGERS):
        info = np.iinfo(dtype)
        x = np.array([info.min, info.max, info.max - 1], dtype)
        result = case.public(*case.same_inputs(x))
        if case.keeps_integers:
            assert result.dtype == dtype
            top = case.public(*case.same_inputs(np.array([1e30])))[0]
            assert list(result) == [max(int(v), 0) if case.name != "identity" else int(v) for v in x] or (
                np.isfinite(top) and list(result) == [min(max(int(v), 0), int(top)) for v in x]
            )
        else:
            assert np.all(np.isfinite(result)) or case.row.parameters


@each_case
def test_integer_types_of_one_size(case):
    """All of C's: of long and long long, one is NumPy's int64, and ``dtype=`` may ask for either."""
    if not case.keeps_integers:
        return
    x = np.arange(-3, 9)
    for name in ("intc", "uintc", "long", "ulong", "longlong", "ulonglong"):
        result = case.ufunc(*case.same_inputs(abs(x)), dtype=name, casting="unsafe")
        assert result.dtype.char == np.dtype(name).char
        assert_same_bits(case.ufunc(*case.same_inputs(abs(x).astype(name))), result)


@each_case
@pytest.mark.parametrize("bad", [*REFUSED, "text", None, Ellipsis, 1j], ids=repr)
def test_types_that_are_refused(case, bad):
    arguments = case.same_inputs(bad)
    for call in (case.public, case.ufunc):
        rest = case.parameters_as(np.float64) if call is case.ufunc else ()
        with pytest.raises(TypeError):
            call(*arguments, *rest)


@each_case
def test_messages_name_the_argument(case):
    """A function says which argument is wrong, what it was and what it may be. A ufunc's message is NumPy's."""
    if not case.row.parameters:
        return
    for k, name in enumerate(case.array_names):
        arguments = [np.ones(3, np.float32)] * case.arrays
        arguments[k] = "text"
        with pytest.raises(TypeError, match=rf"{case.name}\(\): {name} must be .*float64, got 'str'"):
            case.public(*arguments)


# ---- Subclasses and other containers.


class Labelled(np.ndarray):
    """An array with a label that results inherit."""

    def __array_finalize__(self, source):
        self.label = getattr(source, "label", None)


@each_case
def test_subclass(case):
    arrays = tuple(array.view(Labelled) for array in case.inputs(30))
    for array in arrays:
        array.label = "mine"
    expected = case.public(*case.inputs(30))
    for call in both(case):
        result = call(*arrays)
        assert type(result) is Labelled
        assert_same_bits(result.view(np.ndarray), expected)
        assert type(call(*arrays, subok=False)) is np.ndarray


class Wrapped(np.lib.mixins.NDArrayOperatorsMixin):
    """A container that takes part through __array_ufunc__."""

    def __init__(self, values):
        self.values = values
        self.dtype = values.dtype

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        unwrapped = (value.values if isinstance(value, Wrapped) else value for value in inputs)
        return Wrapped(getattr(ufunc, method)(*unwrapped, **options))


@each_case
def test_array_ufunc(case):
    arrays = case.inputs(30)
    result = case.public(*(Wrapped(array) for array in arrays))
    assert type(result) is Wrapped
    assert_same_bits(result.values, case.public(*arrays))


class Convertible:
    """Something with __array__ only."""

    def __array__(self, dtype=None, copy=None):
        return np.array([0.5, -1.5, 3.0], np.float32)


@each_case
def test_array_interface(case):
    thing = Convertible()
    expected = case.public(*case.same_inputs(np.asarray(thing)))
    assert_same_bits(case.public(*case.same_inputs(thing)), expected)


@each_case
def test_masked_array(case):
    mask = np.arange(30) % 3 == 0
    arrays = tuple(np.ma.array(array, mask=mask) for array in case.inputs(30))
    result = case.public(*arrays)
    assert type(result) is np.ma.MaskedArray
    assert np.array_equal(result.mask, mask)
    assert_same_bits(result.data[~mask], case.public(*case.inputs(30))[~mask])


@each_case
def test_matrix(case):
    with pytest.warns(PendingDeprecationWarning):
        arrays = tuple(np.matrix(array) for array in case.inputs((3, 4)))
    result = case.public(*arrays)
    assert type(result) is np.matrix
    assert_same_bits(np.asarray(result), case.public(*case.inputs((3, 4))))


@each_float
@each_case
def test_pandas_series(case, dtype):
    index = pandas.Index(range(100, 130), name="row")
    arrays = tuple(pandas.Series(array, index=index, name="x") for array in case.inputs(30, dtype))
    result = case.public(*arrays)
    assert isinstance(result, pandas.Series)
    assert result.index.equals(index)
    assert_same_bits(result.to_numpy(), case.public(*case.inputs(30, dtype)))


@each_case
def test_pandas_frame(case):
    arrays = tuple(pandas.DataFrame(array, columns=list("abc")) for array in case.inputs((5, 3)))
    result = case.public(*arrays)
    assert isinstance(result, pandas.DataFrame)
    assert list(result.columns) == list("abc")
    assert_same_bits(np.ascontiguousarray(result.to_numpy()), case.public(*case.inputs((5, 3))))


# ---- The ufunc's methods.


def binary_only(case):
    """Return whether the ufunc has two operands: only then there are reductions."""
    return case.ufunc.nin == 2


@each_float
@each_case
def test_reduce_and_accumulate(case, dtype):
    values = (np.random.default_rng(5).uniform(0.5, 1.5, 400) * np.sign(np.arange(400) % 7 - 1.5)).astype(dtype)
    if not binary_only(case):
        with pytest.raises(ValueError, match="binary"):
            case.ufunc.reduce(values)
        return
    folded = functools.reduce(case.ufunc, values)
    assert_same_bits(case.ufunc.reduce(values), folded)
    steps = case.ufunc.accumulate(values)
    assert_same_bits(steps[-1], folded)
    assert_same_bits(steps[10], functools.reduce(case.ufunc, values[:11]))
    table = values.reshape(20, 20)
    by_columns = np.array([functools.reduce(case.ufunc, table[:, k]) for k in range(20)])
    assert_same_bits(case.ufunc.reduce(table, axis=0), by_columns)
    assert_same_bits(case.ufunc.reduceat(values, [0, 100])[0], functools.reduce(case.ufunc, values[:100]))
    with pytest.raises(ValueError, match="identity"):
        case.ufunc.reduce(values[:0])


@each_case
def test_large_accumulate(case):
    """Long enough for threads: every element depends on the one before."""
    if binary_only(case):
        values = np.random.default_rng(6).uniform(0.5, 1.5, 140_000).astype(np.float32)
        pieces = case.ufunc.accumulate(values)
        again = values[0]
        for value in values[1:70_000]:
            again = case.ufunc(again, value)
        assert_same_bits(pieces[69_999], again)


@each_float
@each_case
def test_outer(case, dtype):
    if binary_only(case):
        left, right = case.inputs(6, dtype)[0], case.inputs(9, dtype, seed=1)[0]
        expected = np.array([[case.ufunc(a, b) for b in right] for a in left])
        assert_same_bits(case.ufunc.outer(left, right), expected)


@each_float
@each_case
def test_at(case, dtype):
    if case.ufunc.nin > 2:
        return
    values = case.inputs(20, dtype)[0]
    expected = values.copy()
    rest = case.inputs(3, dtype, seed=1)[:1] if binary_only(case) else ()
    for k, index in enumerate((2, 5, 2)):
        expected[index] = case.ufunc(expected[index], *(operand[k] for operand in rest))
    case.ufunc.at(values, [2, 5, 2], *rest)
    assert_same_bits(values, expected)


def test_every_floating_type_is_in_the_table():
    assert [dtype.itemsize for dtype in FLOATS + HALVES] == [4, 8, 2, 2]
