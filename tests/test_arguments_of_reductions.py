"""Wrong arguments, other libraries' numbers, flags and docstrings of reductions."""

import doctest
import inspect
import warnings
from decimal import Decimal
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from numpy.exceptions import AxisError

import fastact
import floating
from cases import assert_same_bits, each_dtype
from families import ALONG, FUNCTIONS, GRADIENTS, INF, MAPS, NAMES, NAN, each_function, each_map, normal
from fastact import grad, preprocess


@each_map
def test_wrong_output(name):
    x = normal((4, 6, 5), np.float32)
    function = MAPS[name]
    readonly = np.empty_like(x)
    readonly.flags.writeable = False
    for out, kind in (
        (np.empty((4, 6)), ValueError),
        (np.empty(x.shape, np.float64), TypeError),
        (np.empty(x.shape, np.int32), TypeError),
        ([1.0], TypeError),
        (readonly, ValueError),
    ):
        with pytest.raises(kind, match=r"^\w+\(\): out must"):
            function(x, out=out)


@pytest.mark.parametrize("name", [*ALONG, "logsumexp", "moments"])
def test_wrong_axes(name):
    function = FUNCTIONS[name]
    x = normal((3, 4), np.float32)
    for axis in (2, -3, (0, 5)):
        with pytest.raises(AxisError, match="axis"):
            function(x, axis=axis)
    with pytest.raises(ValueError, match="axis must not name an axis twice"):
        function(x, axis=(0, -2))
    with pytest.raises(TypeError, match="axis must be an int or a tuple"):
        function(x, axis=0.5)
    scalar = np.float32(2)
    for axis in (0, -1):
        function(scalar, axis=axis)
    with pytest.raises(AxisError):
        function(scalar, axis=1)


def test_running_statistics_of_16_bits():
    """What is given in 16 bits is read, and moved towards the batch's statistics in float64, rounded once."""
    bfloat16 = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed").bfloat16
    x = normal((8, 6, 10), np.float32)
    for dtype in (np.float16, bfloat16):
        mean, var = np.arange(6).astype(dtype), np.arange(1, 7).astype(dtype)
        wide_mean, wide_var = mean.astype(np.float64), var.astype(np.float64)
        assert_same_bits(fastact.batch_norm(x, mean, var), fastact.batch_norm(x, wide_mean, wide_var))
        fastact.batch_norm(x, mean, var, training=True)
        fastact.batch_norm(x, wide_mean, wide_var, training=True)
        assert mean.dtype == var.dtype == dtype
        assert_same_bits(mean.astype(np.float64), wide_mean.astype(dtype).astype(np.float64))
        assert_same_bits(var.astype(np.float64), wide_var.astype(dtype).astype(np.float64))


def wrong_batch_norm_arguments():
    ones = np.ones(6, np.float32)
    readonly = ones.copy()
    readonly.flags.writeable = False
    return {
        "zero-size batch": ({"x": np.zeros((0, 6), np.float32)}, "x must have more than one element a channel"),
        "one element": ({"x": np.zeros((1, 6), np.float32)}, "x must have more than one element a channel"),
        "weight": ({"weight": np.ones(5)}, "weight must have shape"),
        "bias": ({"bias": np.ones((1, 6))}, "bias must have shape"),
        "running_mean": ({"running_mean": np.ones(7)}, "running_mean must have shape"),
        "running_var": ({"running_var": np.ones((6, 1))}, "running_var must have shape"),
        "read-only": ({"running_var": readonly}, "running_var must be writeable"),
        "eps": ({"eps": -1e-9}, "eps must be at least 0"),
        "eps NaN": ({"eps": NAN}, "eps must be at least 0"),
        "momentum above": ({"momentum": 1.5}, "momentum must be between 0 and 1"),
        "momentum below": ({"momentum": -0.1}, "momentum must be between 0 and 1"),
        "momentum NaN": ({"momentum": NAN}, "momentum must be between 0 and 1"),
        "activation": ({"activation": "elu"}, "activation must be one of"),
        "out": ({"out": np.empty((4, 5), np.float32)}, "out must have shape"),
    }


@pytest.mark.parametrize("case", wrong_batch_norm_arguments())
def test_wrong_batch_norm_arguments(case):
    """A ValueError that names the argument; the running arrays and out are as before."""
    wrong, message = wrong_batch_norm_arguments()[case]
    arguments = {
        "x": normal((4, 6), np.float32), "running_mean": np.full(6, 7, np.float32), "running_var": np.full(6, 8.0),
        "training": True, "out": np.full((4, 6), 9, np.float32) if "x" not in wrong else None,
    } | wrong  # fmt: skip
    before = {name: value.copy() for name, value in arguments.items() if isinstance(value, np.ndarray)}
    with pytest.raises(ValueError, match=message):
        fastact.batch_norm(**arguments)
    for name, value in before.items():
        np.testing.assert_array_equal(arguments[name], value)


def test_more_wrong_arguments():
    x = normal((4, 6), np.float32)
    for call, kind, message in (
        (lambda: fastact.batch_norm(x), ValueError, "running_mean must be given"),
        (lambda: fastact.batch_norm(x, np.zeros(6)), ValueError, "running_var must be given"),
        (lambda: fastact.batch_norm(x, [0.0] * 6, None, training=True), TypeError, "running_mean must be an ndarray"),
        (lambda: fastact.batch_norm(x, ["a"] * 6, np.ones(6)), TypeError, "running_mean must be"),
        (lambda: fastact.batch_norm(x, np.zeros(6), [1.0] * 5), ValueError, r"running_var must have shape \(6,\)"),
        (lambda: fastact.batch_norm(x, np.zeros(6, int), np.ones(6), training=True), TypeError, "running_mean"),
        (lambda: fastact.batch_norm(x, np.zeros(6, np.longdouble), np.ones(6)), TypeError, "running_mean must be"),
        (lambda: fastact.batch_norm(x, None, np.ones(6, np.longdouble), training=True), TypeError, "running_var must"),
        (lambda: fastact.batch_norm(x[0], np.zeros(6), np.ones(6)), AxisError, "axis"),
        (lambda: fastact.batch_norm(x, training=True, axis=(0, 1)), TypeError, "axis must be an int"),
        (lambda: fastact.batch_norm(x, training=True, activation=3), TypeError, "activation must be a name"),
        (lambda: fastact.batch_norm(x, training=True, eps="a"), TypeError, "eps must be a real number"),
        (lambda: fastact.layer_norm(x, np.ones(4)), ValueError, "weight must have shape"),
        (lambda: fastact.layer_norm(x, eps=-1), ValueError, "eps must be at least 0"),
        (lambda: fastact.rms_norm(x, np.ones((6, 1))), ValueError, "weight must have shape"),
        (lambda: fastact.rms_norm(x, eps=-1), ValueError, "eps must be at least 0"),
        (lambda: fastact.group_norm(x, 4), ValueError, "num_groups must divide"),
        (lambda: fastact.group_norm(x, 0), ValueError, "num_groups must divide"),
        (lambda: fastact.group_norm(x, 2.0), TypeError, "num_groups must be an int"),
        (lambda: fastact.group_norm(x, np.timedelta64(2)), TypeError, "num_groups must be an int"),
        (lambda: fastact.normalize(x, -1), ValueError, "p must be at least 0"),
        (lambda: fastact.moments(x, correction="1"), TypeError, "correction must be a real number"),
        (lambda: fastact.l1_penalty(x, None), TypeError, "lam must be a real number"),
        (lambda: fastact.l2_penalty(x, np.ones(2)), TypeError, "lam must be a real number"),
        (lambda: fastact.l2_penalty(x, np.complex64(1)), TypeError, "lam must be a real number"),
        (lambda: fastact.cross_entropy(x, [0] * 4, ignore_index=None), TypeError, "ignore_index must be an int"),
        (lambda: fastact.cross_entropy(x, [0] * 4, reduction=["sum"]), ValueError, "reduction must be"),
        (lambda: fastact.cross_entropy(x, np.array([0, 1, 2, 2**64 - 100], ">u8")), ValueError, f"got {2**64 - 100}"),
        (lambda: fastact.cross_entropy(x, [0, -100, 6, -1]), ValueError, "target must be .* 5 or -100, got 6"),
        (lambda: fastact.cross_entropy(x[0], -7), ValueError, "target must be .* 5 or -100, got -7"),
        (lambda: fastact.cross_entropy(x, [6, 6, -1, 9], ignore_index=6), ValueError, "from 0 to 5 or 6, got -1"),
        (lambda: grad.softmax(x[0], x), ValueError, "dy must have the shape of y"),
        (lambda: grad.batch_norm(x, x, None, np.ones(6), None), TypeError, "var must be an array of one number a"),
        (lambda: fastact.batch_norm_inverse(x, None, np.ones(6)), TypeError, "mean must be an array of one number a"),
        (lambda: grad.batch_norm(x[0], x, None, np.ones(6), np.ones(6)), ValueError, "dy must have the shape of x"),
        (lambda: grad.batch_norm(x, x, None, np.ones(5), np.ones(6)), ValueError, "mean must have shape"),
        (lambda: fastact.binary_cross_entropy_with_logits(x, x[0]), ValueError, "target must have the shape"),
    ):
        with pytest.raises(kind, match=message):
            call()


@each_dtype
def test_infinite_eps(dtype):
    """Results are 0, and not (x - mean) times what memory happens to hold."""
    x = normal((4, 6), dtype)
    for function in (
        fastact.layer_norm,
        fastact.rms_norm,
        fastact.normalize,
        partial(fastact.batch_norm, training=True),
        partial(fastact.batch_norm, running_mean=np.zeros(6), running_var=np.ones(6)),
        partial(fastact.group_norm, num_groups=2),
        fastact.instance_norm,
        preprocess.standardize,
        partial(grad.layer_norm, x, weight=None),
    ):
        for array in (x, np.asfortranarray(x)):
            function(array)  # leaves its factors there
            result = function(array, eps=INF)
            np.testing.assert_allclose(result[0] if isinstance(result, tuple) else result, 0.0, atol=1e-150)


RAGGED = [[1.0, 2.0], [3.0]]
NUMBERS = {
    "eps": (
        fastact.layer_norm, fastact.rms_norm, fastact.normalize, partial(fastact.normalize, p=3.0),
        partial(fastact.batch_norm, training=True), partial(fastact.instance_norm, axis=0),
        partial(fastact.group_norm, num_groups=2), partial(fastact.batch_norm_inverse, mean=np.ones(6), var=np.ones(6)),
        partial(grad.layer_norm, np.ones((4, 6)), weight=None), partial(grad.rms_norm, np.ones((4, 6)), weight=None),
        partial(grad.batch_norm, np.ones((4, 6)), weight=None, mean=np.ones(6), var=np.ones(6)),
    ),
    "correction": (fastact.moments,),
}  # fmt: skip


def assert_same_results(results, others):
    pairs = (each if isinstance(each, tuple) else (each,) for each in (results, others))
    for result, other in zip(*pairs, strict=True):
        np.testing.assert_array_equal(result, other)


@pytest.mark.parametrize("number", [Decimal("0.5"), Fraction(1, 2), np.array(0.5), np.float16(0.5)], ids=repr)
def test_numbers_of_other_libraries(number):
    x = normal((4, 6), np.float32)
    for name, functions in NUMBERS.items():
        for function in functions:
            assert_same_results(function(x, **{name: number}), function(x, **{name: 0.5}))


def test_numbers_beyond_float():
    """They are infinite; what is no number is named."""
    x = normal((4, 6), np.float32)
    for name, functions in NUMBERS.items():
        for function in functions:
            for number in (10**400, Fraction(10**400)):
                assert_same_results(function(x, **{name: number}), function(x, **{name: INF}))
            for wrong in (RAGGED, [0.5], Decimal("sNaN"), np.timedelta64(1), np.ma.masked, np.ma.array(0.5, mask=True)):
                with pytest.raises(TypeError, match=f"{name} must be a real number"):
                    function(x, **{name: wrong})


def test_return_stats_without_a_truth_value():
    """It is looked at before anything is written."""
    x, out, running = normal((4, 6), np.float32), np.full((4, 6), 9, np.float32), np.full(6, 7.0)
    with pytest.raises(ValueError, match="truth value"):
        fastact.batch_norm(x, running, running.copy(), training=True, out=out, return_stats=np.ones(2))
    assert (out == 9).all()
    assert (running == 7).all()


@pytest.mark.parametrize("name", [*MAPS, "logsumexp", "moments"])
def test_a_ragged_list_is_named(name):
    """NumPy refuses to make an array of it, and does not say of which argument."""
    function = MAPS.get(name, FUNCTIONS.get(name))
    with pytest.raises(ValueError, match=r"^\w+\(\): [xy] must be an array .*, got 'list'"):
        function(RAGGED)


def test_other_ragged_lists_are_named():
    x, channels = normal((4, 6), np.float32), np.ones(6)
    for name, call in (
        ("weight", lambda: fastact.layer_norm(x, RAGGED)),
        ("bias", lambda: fastact.batch_norm(x, channels, channels, bias=RAGGED)),
        ("mean", lambda: fastact.batch_norm_inverse(x, RAGGED, channels)),
        ("dy", lambda: grad.softmax(RAGGED, x)),
        ("weight", lambda: grad.rms_norm(x, x, RAGGED)),
        ("w", lambda: fastact.l1_penalty(RAGGED, 1.0)),
        ("logits", lambda: fastact.cross_entropy(RAGGED, [0, 0])),
        ("target", lambda: fastact.cross_entropy(x, RAGGED)),
        ("target", lambda: grad.cross_entropy(x, RAGGED)),
        ("target", lambda: fastact.binary_cross_entropy_with_logits(x, RAGGED)),
    ):
        with pytest.raises(ValueError, match=rf"^[\w.]+\(\): {name} must be an array .*, got 'list'"):
            call()


def test_masked_elements_are_refused():
    """A mask would be lost; where nothing is masked, there is none to lose."""
    x, mask = normal((4, 6), np.float32), np.arange(24).reshape(4, 6) % 5 == 0
    masked, row, targets = np.ma.array(x, mask=mask), np.ma.array(np.ones(6), mask=mask[0]), np.zeros(4, int)
    bits = fastact.dropout_mask(24, 0.5)
    calls = [
        *[("[xy]", partial(function, masked)) for function in MAPS.values()],
        *[("x", partial(function, masked)) for function in (fastact.logsumexp, fastact.moments, fastact.dropout)],
        *[("w", partial(function, masked, 1.0)) for function in (fastact.l1_penalty, grad.l2_penalty)],
        ("weight", lambda: fastact.layer_norm(x, row)),
        ("bias", lambda: fastact.batch_norm(x, training=True, bias=row)),
        ("dy", lambda: grad.softmax(masked, x)),
        ("dy and x", lambda: grad.glu(masked[:, :3], x)),
        ("x", lambda: grad.prelu(x, masked, 0.5)),
        ("x", lambda: fastact.apply_mask(masked, bits, 0.5)),
        ("mask", lambda: fastact.apply_mask(x, np.ma.array(bits, mask=[1, 0, 0]), 0.5)),
        ("running_mean", lambda: fastact.batch_norm(x, row, np.ones(6))),
        ("running_var", lambda: fastact.batch_norm(x, np.ones(6), row, training=True)),
        ("target", lambda: fastact.cross_entropy(x, np.ma.array(targets, mask=mask[:, 0]))),
        ("x", lambda: preprocess.standardize(masked)),
        ("x", lambda: preprocess.quantize_linear(masked, 0.5)),
        ("images", lambda: preprocess.image_to_tensor(np.ma.array(np.ones((2, 3, 1), "u1"), mask=mask[:2, :3, None]))),
    ]
    for name, call in calls:
        with pytest.raises(TypeError, match=rf"^[\w.]+\(\): {name} must be .*, got a masked one"):
            call()
    for function in (fastact.softmax, fastact.logsumexp, fastact.dropout, preprocess.standardize):
        assert type(function(np.ma.array(x))) in {np.ndarray, np.float32}
        function(np.ma.array(x, mask=False))


@each_map
def test_no_warning_and_no_flag(name):
    """Not for overflow, NaN or inf, under errstate(all="raise")."""
    x = np.array([[3e38, -3e38, NAN, INF, -INF, 1e-45]] * 6, np.float32)
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        for array in (x, x.astype(np.float64) * 5e269, np.zeros_like(x)):
            MAPS[name](array)
            fastact.moments(array)
            fastact.logsumexp(array)
            fastact.elastic_net_penalty(array, 1e300, 1e300)


def wide_calls(x):
    """Return calls in which NumPy converts: 16-bit floats and statistics, running arrays of another type."""
    running = np.full(6, 2**0.5, np.float16), np.full(6, 3.0, ">f4")
    channels = {"weight": np.full(6, 3**0.5, x.dtype), "bias": np.full(6, 0.1, x.dtype)}

    def updated():
        arrays = tuple(array.copy() for array in running)
        fastact.batch_norm(x, *arrays, training=True, momentum=0.3)
        return arrays

    return (
        updated,
        lambda: fastact.batch_norm(x, *running, **channels, return_stats=True),
        lambda: fastact.batch_norm_inverse(x, *running, **channels),
        lambda: fastact.normalize(x, 3.0),
        lambda: fastact.logsumexp(x, 0),
        lambda: fastact.moments(x, 1),
        lambda: fastact.softmax(x.astype(x.dtype.newbyteorder())),
        lambda: fastact.cross_entropy(x[:4], [5, 4, 3, 2]),
        lambda: grad.cross_entropy(x[:4], [5, 4, 3, 2]),
        lambda: grad.batch_norm(x, x, None, *running),
        lambda: grad.layer_norm(x, x, None),
        lambda: grad.prelu(x, x, channels["weight"], axis=1),
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64], ids=lambda dtype: dtype.__name__)
def test_the_floating_point_environment_of_conversions(dtype):
    """Flags stay as they are (but "inexact", which Python's own division raises), rounding changes no bit."""
    x = normal((6, 6), dtype) * np.finfo(dtype).max ** 0.5
    x[0] *= np.finfo(dtype).smallest_subnormal
    calls = wide_calls(x)
    for call, again in zip(calls, wide_calls(x), strict=True):
        floating.clear_flags()
        expected = call()
        assert floating.flags() & ~floating.INEXACT == 0
        for mode in (floating.UPWARD, floating.DOWNWARD):
            with floating.rounding(mode):
                result = again()
                assert floating.rounding_mode() == mode
            pairs = ((each if isinstance(each, tuple) else (each,)) for each in (result, expected))
            for array, other in zip(*pairs, strict=True):
                assert_same_bits(array, other)


@each_function
def test_docstrings(name):
    function = FUNCTIONS[name]
    text = inspect.getdoc(function)
    for section in ("Parameters", "Returns", "Raises", "Notes", "References", "Examples"):
        assert f"{section}\n{'-' * len(section)}\n" in text
    for parameter in inspect.signature(function).parameters:
        assert f"{parameter}" in text.split("Returns\n")[0]
    examples = doctest.DocTestParser().get_doctest(text, {}, name, None, 0)
    assert examples.examples
    report = []
    doctest.DocTestRunner().run(examples, out=report.append)
    assert not report, "".join(report)


def test_names_are_public():
    assert set(NAMES) <= set(fastact.__all__)
    assert set(GRADIENTS) <= set(grad.__all__)
