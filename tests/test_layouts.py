"""Any memory: strides, byte order, alignment, overlap, page borders. The bits never depend on it."""

from pathlib import Path

import numpy as np
import pytest

import fastact
import processes
import sampling
from cases import CASES, FLOATS, HALVES, assert_same_bits, each_case, each_float

LENGTHS = (1, 7, 64, 1000, 1025, 5000, 140_001)


def unaligned(array):
    """Return a copy that begins one byte beside where it should."""
    memory = np.empty(array.nbytes + 1, np.uint8)
    copy = memory[1:].view(array.dtype) if array.itemsize == 1 else np.ndarray(array.shape, array.dtype, memory, 1)
    copy[...] = array
    assert not copy.flags.aligned or array.size == 0
    return copy


def spaced(array, step):
    """Return a copy with gaps."""
    copy = np.zeros(array.shape[0] * abs(step), array.dtype)[::step]
    copy[...] = array
    return copy


def field(array):
    """Return a copy as the field of a packed record: strides that are no multiple of the size."""
    records = np.zeros(array.shape, [("tag", np.int8), ("value", array.dtype)])
    records["value"] = array
    return records["value"]


LAYOUTS = {
    "step 2": lambda array: spaced(array, 2),
    "step 3": lambda array: spaced(array, 3),
    "step -1": lambda array: spaced(array, -1),
    "step -2": lambda array: spaced(array, -2),
    "far apart": lambda array: spaced(array, 1025),
    "byte-swapped": lambda array: array.astype(array.dtype.newbyteorder()),
    "unaligned": unaligned,
    "field": field,
}


def long_enough(layout):
    return [n for n in LENGTHS if layout != "far apart" or n <= 5000]


def native(array):
    return array.astype(array.dtype.newbyteorder("="))


@each_float
@each_case
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_of_inputs(case, dtype, layout):
    for n in long_enough(layout):
        arrays = case.inputs(n, dtype)
        expected = case.public(*arrays)
        placed = tuple(LAYOUTS[layout](array) for array in arrays)
        for call in (case.public, case.raw):
            assert_same_bits(call(*placed), expected)
            if case.arrays == 2:
                assert_same_bits(call(placed[0], arrays[1]), expected)
                assert_same_bits(call(arrays[0], placed[1]), expected)


@each_float
@each_case
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_of_output(case, dtype, layout):
    for n in long_enough(layout):
        arrays = case.inputs(n, dtype)
        expected = case.public(*arrays)
        out = LAYOUTS[layout](np.full(n, 99, dtype))
        for call in (case.public, case.raw):
            out[...] = 99
            assert call(*arrays, out=out) is out
            assert_same_bits(native(out), expected)
            placed = tuple(LAYOUTS[layout](array) for array in arrays)
            out[...] = 99
            call(*placed, out=out)
            assert_same_bits(native(out), expected)


@each_float
@each_case
def test_gaps_are_not_written(case, dtype):
    for n in (5, 1500, 140_000):
        memory = np.full(3 * n, 99, dtype)
        case.public(*case.inputs(n, dtype), out=memory[1::3])
        assert np.all(memory[0::3] == 99)
        assert np.all(memory[2::3] == 99)


@each_float
@each_case
def test_two_dimensions(case, dtype):
    """Transposed, Fortran's order, sub-rectangles, rows reversed, mixed."""
    views = (
        lambda table: table.T,
        np.asfortranarray,
        lambda table: table[2:-3, 1:-2],
        lambda table: table[::-1, ::2],
        lambda table: table[:, 3],
        lambda table: table[5],
        lambda table: np.swapaxes(table.reshape(10, 4, 50), 0, 2),
    )
    tables = case.inputs((40, 50), dtype)
    for view in views:
        given = tuple(view(table) for table in tables)
        copies = tuple(np.ascontiguousarray(array) for array in given)
        expected = case.public(*copies)
        for call in (case.public, case.raw):
            assert_same_bits(call(*given), expected)
            assert_same_bits(call(*given[:-1], copies[-1]), expected)
            out = np.zeros(expected.shape[::-1], dtype).T
            call(*given, out=out)
            assert_same_bits(out, expected)


@each_float
@each_case
def test_zero_strides(case, dtype):
    for n in (3, 1000, 140_000):
        scalars = case.inputs(1, dtype)
        expected = np.full(n, case.public(*scalars)[0])
        repeated = tuple(np.broadcast_to(scalar, n) for scalar in scalars)
        for call in (case.public, case.raw):
            assert_same_bits(call(*repeated), expected)
        if case.arrays == 2:
            dy, x = case.inputs(n, dtype)
            assert_same_bits(case.public(dy[0], x), case.public(np.full(n, dy[0]), x))
            assert_same_bits(case.public(dy, x[:1]), case.public(dy, np.full(n, x[0])))


# ---- Large arrays of rows, which are one call for fastact, and many for NumPy.

ROWS = {
    "rows with gaps": lambda table: table[:, :300],
    "rows reversed": lambda table: table[::-1, 299::-1],
    "every second": lambda table: table[:, ::2],
    "planes": lambda table: table.reshape(10, 22, 310)[:, 2:-2, :291],
    "rows turned": lambda table: np.swapaxes(table.reshape(10, 22, 310)[..., :300], 0, 1),
    "columns": lambda table: table[:, 5:306].T,
    "one row": lambda table: np.broadcast_to(table[3], (220, 310)),
    "one column": lambda table: np.broadcast_to(table[:, :1], (220, 300)),
    "short rows": lambda table: table.reshape(-1, 31)[:, :30],
}


@each_float
@each_case
@pytest.mark.parametrize("layout", ROWS)
def test_large_arrays_of_rows(case, dtype, layout):
    tables = case.inputs((220, 310), dtype)
    given = tuple(ROWS[layout](table) for table in tables)
    copies = tuple(np.ascontiguousarray(array) for array in given)
    expected = case.public(*copies)
    for call in {case.public, case.raw} if case.row.parameters else {case.public}:
        for threads in (1, 3):
            with fastact.threads(threads):
                result = call(*given)
            assert_same_bits(result, expected)
            # NumPy's order of axes.
            assert result.strides == np.add(given[0], given[-1]).strides
        assert_same_bits(call(*given[:-1], copies[-1]), expected)
        for out in (np.empty(expected.shape, dtype), np.empty(expected.shape[::-1], dtype).T):
            assert call(*given, out=out) is out
            assert_same_bits(np.ascontiguousarray(out), expected)
    wide = np.full((*expected.shape[:-1], 2 * expected.shape[-1]), 99, dtype)
    assert case.public(*given, out=wide[..., ::2]).base is wide
    assert_same_bits(np.ascontiguousarray(wide[..., ::2]), expected)
    assert np.all(wide[..., 1::2] == 99)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("name", ["relu", "grad.silu", "leaky_relu"])
def test_large_arrays_of_rows_of_16_bits(name, dtype):
    case = next(case for case in CASES if case.name == name)
    given = tuple(table[:, :300] for table in case.inputs((220, 310), dtype))
    expected = case.public(*(array.copy() for array in given))
    assert_same_bits(case.public(*given), expected)
    assert_same_bits(case.raw(*given), expected)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_large_arrays_of_16_bits_with_parameters_of_32(dtype):
    """An array of parameters counts for the result's type, as in NumPy, whatever the layout."""
    x = np.random.default_rng(0).standard_normal((220, 310)).astype(dtype)
    for weight in (np.full((220, 1), 0.25, np.float32), np.full((220, 1), 0.25, dtype)):
        result = fastact.ufuncs.leaky_relu(x[:, :300], weight)
        assert result.dtype == np.result_type(x, weight)
        assert_same_bits(result, fastact.ufuncs.leaky_relu(x[:, :300].copy(), np.repeat(weight, 300, axis=1)))


@each_float
@pytest.mark.parametrize("name", ["elu", "grad.leaky_relu", "softplus"])
def test_channels_with_parameters_of_their_own(name, dtype):
    case = next(case for case in CASES if case.name == name)
    planes = case.inputs((5, 8, 20, 31), dtype)
    parameters = np.linspace(0.5, 2, 8).astype(dtype)[:, np.newaxis, np.newaxis]
    for part in (slice(None), slice(0, 25)):
        arrays = [array[..., part] for array in planes]
        expected = [
            case.public(
                *(np.ascontiguousarray(array[:, channel]) for array in arrays), float(parameters[channel, 0, 0])
            )
            for channel in range(8)
        ]
        assert_same_bits(np.ascontiguousarray(case.public(*arrays, parameters)), np.stack(expected, axis=1))


@each_float
@each_case
def test_large_arrays_of_rows_that_overlap(case, dtype):
    """The result is as if the inputs had been copied first."""
    for source, target in (
        (np.s_[:, :-10], np.s_[:, 10:]),
        (np.s_[:, 10:], np.s_[:, :-10]),
        (np.s_[:-1, 5:], np.s_[1:, :-5]),
        (np.s_[:, 5:300], np.s_[:, 5:300]),
        (np.s_[:, ::-1], np.s_[:, :]),
    ):
        for position in range(case.arrays):
            arrays = [array[source] for array in case.inputs((220, 310), dtype, seed=1)]
            table = case.inputs((220, 310), dtype)[0]
            arrays[position] = table[source]
            expected = case.public(*(array.copy() for array in arrays))
            case.public(*arrays, out=table[target])
            assert_same_bits(np.ascontiguousarray(table[target]), expected)
    # Rows that are left to NumPy.
    for source, target in ((np.s_[:, :30], np.s_[:, 1:]), (np.s_[1:, 1:], np.s_[:-1, :30])):
        arrays = [array[source] for array in case.inputs((2200, 31), dtype)]
        expected = case.public(*(array.copy() for array in arrays))
        narrow = case.inputs((2200, 31), dtype)[-1]
        case.public(*arrays[:-1], narrow[source], out=narrow[target])
        assert_same_bits(np.ascontiguousarray(narrow[target]), expected)
    square = case.inputs((200, 200), dtype)
    expected = case.public(*(array.T.copy() for array in square))
    case.public(*(array.T for array in square), out=square[0])
    assert_same_bits(square[0], expected)


def test_errors_of_large_arrays_of_rows_are_numpys():
    """So is what a call may have besides arrays and an output."""
    x = np.ones((200, 310), np.float32)[:, :300]
    frozen = np.zeros((200, 300), np.float32)
    frozen.flags.writeable = False
    for arguments, options in (
        ((x,), {"out": np.zeros((200, 299), np.float32)}),
        ((x, np.zeros(300, np.float32)), {}),
        ((x,), {"out": frozen}),
        ((x, x, x), {}),
        ((x,), {"dtype": "i4"}),
        ((x,), {"out": x, "axis": 0}),
        ((), {"out": x}),
    ):
        with pytest.raises((TypeError, ValueError)) as ours:
            fastact.relu(*arguments, **options)
        with pytest.raises((TypeError, ValueError)) as numpys:
            np.negative(*arguments, **options)
        assert type(ours.value) is type(numpys.value)
        assert "relu" in str(ours.value) or str(ours.value) == str(numpys.value)
    assert not frozen.any()
    with pytest.raises(ValueError, match="broadcast"):
        fastact.elu(x, np.ones(299, np.float32))
    np.testing.assert_array_equal(fastact.relu(x, out=np.zeros((3, 200, 300), np.float32)), np.ones((3, 200, 300)))
    np.testing.assert_array_equal(fastact.relu(x, where=x > 1, out=np.zeros_like(x)), np.zeros((200, 300)))
    assert fastact.relu(x, out=(np.zeros((200, 300)),)).dtype == np.float64
    assert isinstance(fastact.relu(np.ma.array(x, mask=x > 0)), np.ma.MaskedArray)


SHARED = """
import os
import numpy as np
import fastact

x = np.ones((1000, 1010), np.float32)[:, :1000]
threads = len(os.listdir("/proc/self/task"))
with fastact.threads(2):
    fastact.relu(x)
print(len(os.listdir("/proc/self/task")) - threads)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts the threads of Linux")
def test_large_arrays_of_rows_are_shared_out_over_threads():
    assert processes.output_of(SHARED, FASTACT_BACKEND="cython").split() == ["1"]


# ---- Overlap.


def overlaps(n):
    """Return (input, output) slices of one piece of memory of 3*n elements."""
    return (
        (slice(0, n), slice(1, n + 1)),
        (slice(1, n + 1), slice(0, n)),
        (slice(0, n), slice(n // 2, n // 2 + n)),
        (slice(n // 2, n // 2 + n), slice(0, n)),
        (slice(0, n), slice(n - 1, None, -1) if n > 0 else slice(0, 0)),
        (slice(0, n), slice(0, 2 * n, 2)),
        (slice(0, 2 * n, 2), slice(0, n)),
        (slice(0, 3 * n, 3), slice(1, 1 + 2 * n, 2)),
        (slice(17, 17 + n), slice(0, n)) if n > 17 else (slice(0, n), slice(0, n)),
    )


@each_float
@each_case
@pytest.mark.parametrize("n", [1, 5, 100, 3000, 132_000])
def test_overlap(case, dtype, n):
    """The result is as if the input had been copied first."""
    some, others = case.inputs(1009, dtype)[0], case.inputs(n, dtype, seed=1)
    for source, target in overlaps(n):
        for call in {case.public, case.raw} if case.row.parameters else {case.public}:
            for position in range(case.arrays):
                memory = np.resize(some, 3 * n + 1)
                arrays = list(others)
                arrays[position] = memory[source]
                expected = case.public(*(array.copy() for array in arrays))
                call(*arrays, out=memory[target])
                assert_same_bits(memory[target].copy(), expected)


@each_float
@each_case
def test_operands_that_are_one_array(case, dtype):
    for n in (10, 150_000):
        x = case.inputs(n, dtype)[0]
        expected = case.public(*(x.copy() for _ in range(case.arrays)))
        assert_same_bits(case.public(*case.same_inputs(x)), expected)
        assert_same_bits(case.public(*case.same_inputs(x), out=x), expected)


# ---- Positions.


def hard_values(dtype):
    """Return 70 values of all kinds in an order without pattern."""
    info = sampling.finfo(dtype)
    special = np.array([0, -0.0, np.inf, -np.inf, np.nan, info.max, -info.max, *([info.smallest_subnormal] * 3)], dtype)
    special = np.concatenate([special, -3 * special[-3:], sampling.around([-90, 90], dtype)[::20]])
    moderate = np.linspace(-30, 30, 70 - len(special)).astype(dtype)
    return np.random.default_rng(8).permutation(np.concatenate([special, moderate]))


@each_float
@each_case
def test_bits_do_not_depend_on_position_or_length(case, dtype):
    values = hard_values(dtype)
    single = np.array([case.public(*case.same_inputs(values[k : k + 1]))[0] for k in range(70)])
    memory = np.zeros(70 + 20, dtype)
    for n in range(71):
        first = n % 17
        placed = memory[first : first + n]
        placed[...] = values[:n]
        assert_same_bits(case.public(*case.same_inputs(placed)), single[:n])
        assert_same_bits(case.public(*case.same_inputs(values[70 - n :])), single[70 - n :])
    assert np.isnan(single).any() or (case.is_gradient and case.row.kinks)
    assert len(np.unique(single)) > 3 or case.row.ulp_gradient == 0


@each_float
@each_case
def test_bits_do_not_depend_on_packing(case, dtype):
    values = hard_values(dtype)
    expected = case.public(*case.same_inputs(values))
    for n in range(71):
        for place in LAYOUTS.values():
            placed = place(values[:n])
            assert_same_bits(case.public(*case.same_inputs(placed)), expected[:n])
    numbers = np.array([case.public(*case.same_inputs(value)) for value in values])
    assert_same_bits(numbers, expected)


@each_float
@each_case
def test_bits_do_not_depend_on_whether_parameters_are_arrays(case, dtype):
    if case.row.parameters:
        values = hard_values(dtype)
        arrays = case.same_inputs(values)
        numbers = case.parameters_as(dtype)
        expected = case.public(*arrays, *map(float, numbers))
        for n in range(1, 71):
            columns = [np.full(n, number) for number in numbers]
            assert_same_bits(case.public(*(array[:n] for array in arrays), *columns), expected[:n])


BEYOND_CACHES = 2**26


def computed_in_pieces(case, *inputs):
    pieces = zip(*(np.array_split(array, array.nbytes // 2**20) for array in inputs), strict=True)
    return np.concatenate([case.public(*piece) for piece in pieces])


@pytest.mark.parametrize("dtype", FLOATS + HALVES, ids=str)
@pytest.mark.parametrize("name", ["relu", "grad.silu"])
def test_arrays_beyond_the_caches(name, dtype):
    """They are written past the caches, by whole cache lines: wherever these begin, and nothing beside the array."""
    case = next(case for case in CASES if case.name == name)
    n = BEYOND_CACHES // dtype.itemsize // (case.arrays + 1) + 137
    inputs = case.inputs(10_007, dtype)
    inputs = [np.resize(array, n + 5)[5:] for array in inputs]
    expected = computed_in_pieces(case, *inputs)
    margin = 64 // dtype.itemsize
    memory = np.empty(n + 3 * margin, dtype)
    for first in (margin, margin + 1, 2 * margin - 3):
        memory[:] = 77
        out = memory[first : first + n]
        assert case.public(*inputs, out=out) is out
        assert_same_bits(out, expected)
        assert (memory[:first] == 77).all()
        assert (memory[first + n :] == 77).all()


def test_page_borders():
    """No kernel reads or writes beside its operands: a wrong access would end the process."""
    checked = int(processes.output_of("import guard; guard.main()"))
    assert checked == len(CASES) * len(FLOATS + HALVES) * 2 * 70


def test_page_borders_of_other_functions():
    """Gradients, losses, weights, statistics and fused functions read and write nothing beyond their arrays."""
    assert int(processes.output_of("import guard_functions; guard_functions.main()")) > 5000


def test_the_guard_page_bites():
    """The test of the test: one element too many ends the process."""
    code = """
import numpy as np, guard
page = guard.GuardedPage()
array = page.array(4, np.dtype(np.float32), True)
print(np.lib.stride_tricks.as_strided(array, (5,)).sum())
"""
    ended = processes.run("-c", code)
    assert ended.returncode < 0
    assert not ended.stdout
