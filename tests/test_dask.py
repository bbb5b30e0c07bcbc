"""Operations on dask arrays: what NumPy's arrays give, for any chunks, without computing before they are asked."""

import doctest

import numpy as np
import pytest

import fastact

da = pytest.importorskip("dask.array", reason="dask is an extra")
lazy = pytest.importorskip("fastact.dask", reason="dask is an extra")

SHAPE = (12, 10, 7)
CHUNKS = [SHAPE, (5, 3, 2), (1, 10, 7), (4, 10, 2)]
AXES = [None, 0, 1, -1, (0, 2)]
DTYPES = [np.float16, np.float32, np.float64]
X = np.random.default_rng(0).normal(size=SHAPE) * 3

each_chunks = pytest.mark.parametrize("chunks", CHUNKS, ids=str)
each_axis = pytest.mark.parametrize("axis", AXES, ids=str)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def assert_same(result, expected, ulp=0, largest=0.0):
    """Check shape and type of a dask array before and after it is computed, and its values, or ULP of a term."""
    expected = np.asarray(expected)
    assert isinstance(result, da.Array)
    assert (result.shape, result.dtype) == (expected.shape, expected.dtype)
    computed = np.asarray(result.compute())
    assert (computed.shape, computed.dtype) == (expected.shape, expected.dtype)
    epsilon = float(np.finfo(expected.dtype).eps)
    np.testing.assert_allclose(computed, expected, rtol=ulp * epsilon, atol=ulp * epsilon * largest)


@each_chunks
@pytest.mark.parametrize("name", ["sigmoid", "elu", "gelu", "relu6"])
def test_elementwise_operators_are_lazy(chunks, name):
    operator = getattr(fastact, name)
    assert_same(operator(da.from_array(X, chunks=chunks)), operator(X))


@each_chunks
@pytest.mark.parametrize("axis", [0, 1])
def test_glu_is_lazy(chunks, axis):
    lazy_x = da.from_array(X, chunks=chunks)
    y = fastact.glu(X, axis)
    assert_same(fastact.glu(lazy_x, axis), y)
    dy = np.cos(y)
    for given in (dy, da.from_array(dy)):
        assert_same(fastact.grad.glu(given, lazy_x, axis), fastact.grad.glu(dy, X, axis), ulp=4)
        with pytest.raises(ValueError, match=r"grad\.glu\(\): dy must have the shape"):
            fastact.grad.glu(given[None], lazy_x, axis)


def test_glu_keeps_the_mask_of_a_lazy_array():
    mask = np.eye(3, 4, dtype=bool)
    y = fastact.glu(da.ma.masked_array(da.ones((3, 4), chunks=2), mask=da.from_array(mask)))
    assert np.array_equal(y.compute().mask, mask[:, :2] | mask[:, 2:])


@each_chunks
@each_axis
@each_dtype
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_moments(chunks, axis, dtype, offset):
    x = (X + offset).astype(dtype)
    for correction, keepdims in ((0, False), (1, True)):
        options = {"correction": correction, "keepdims": keepdims}
        results = lazy.moments(da.from_array(x, chunks=chunks), axis, **options)
        for result, expected in zip(results, fastact.moments(x, axis, **options), strict=True):
            assert_same(result, expected, ulp=4, largest=1.0)


def test_moments_far_from_zero():
    x = np.random.default_rng(1).normal(1e6, 1.0, 200_000).astype(np.float32)
    exact = x.astype(np.float64).var()
    _, var = lazy.moments(da.from_array(x, chunks=777))
    assert abs(float(var.compute()) - exact) <= 4 * np.spacing(np.float32(exact))


@each_chunks
@each_axis
@each_dtype
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_softmax_family(chunks, axis, dtype, name):
    x = (X * 4).astype(dtype)
    assert_same(getattr(lazy, name)(da.from_array(x, chunks=chunks), axis), getattr(fastact, name)(x, axis), ulp=4)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_special_rows(name):
    x = np.array([[-np.inf, -np.inf, -np.inf], [np.inf, 1, 2], [np.nan, 1, np.inf], [0, 1000, 1], [-np.inf, 0, 0]])
    assert_same(getattr(lazy, name)(da.from_array(x, chunks=1), -1), getattr(fastact, name)(x, -1), ulp=2)


def test_log_softmax_keeps_the_digits_of_a_small_loss():
    x = np.array([0.0, 100.0, 1.0])
    assert_same(lazy.log_softmax(da.from_array(x, chunks=1)), fastact.log_softmax(x), ulp=2)


@each_chunks
@each_dtype
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm(chunks, dtype, axis, training):
    rng = np.random.default_rng(2)
    x = (X + 100).astype(dtype)
    channels = x.shape[axis]
    mean, var = np.full(channels, 100.0), rng.uniform(5, 10, channels)
    weight, bias = rng.normal(size=channels), rng.normal(size=channels)
    before = mean.copy(), var.copy()
    options = {"training": training, "axis": axis, "activation": "relu", "return_stats": True}
    results = lazy.batch_norm(da.from_array(x, chunks=chunks), mean, var, weight, bias, **options)
    computed = [result.compute() for result in results]
    np.testing.assert_array_equal((mean, var), before)
    for result, expected in zip(computed, fastact.batch_norm(x, mean, var, weight, bias, **options), strict=True):
        assert result.dtype == expected.dtype
        epsilon = float(np.finfo(dtype).eps)
        np.testing.assert_allclose(result, expected, rtol=4 * epsilon, atol=8 * epsilon if training else 400 * epsilon)


@pytest.mark.parametrize("training", [True, False])
def test_statistics_that_float16_does_not_hold(training):
    x = np.array([[60000.0, 1.0], [-60000.0, 2.0]], np.float16)
    options = {"training": training, "return_stats": True}
    results = lazy.batch_norm(da.from_array(x, chunks=1), np.zeros(2), np.array([1e9, 1.0]), **options)
    expected_results = fastact.batch_norm(x, np.zeros(2), np.array([1e9, 1.0]), **options)
    for result, expected in zip(results, expected_results, strict=True):
        assert_same(result, expected, ulp=4)


def test_batch_norm_of_channels_far_from_zero():
    x = np.random.default_rng(3).normal(1e6, 1.0, (5000, 3)).astype(np.float32)
    y = lazy.batch_norm(da.from_array(x, chunks=(700, 2)), training=True).compute()
    np.testing.assert_allclose(y, fastact.batch_norm(x, training=True), rtol=1e-6, atol=1e-6)


@each_chunks
@each_dtype
def test_layer_norm(chunks, dtype):
    x = X.astype(dtype)
    weight = np.linspace(0.5, 2, 70).reshape(10, 7)
    result = lazy.layer_norm(da.from_array(x, chunks=chunks), weight, axis=(1, 2))
    assert_same(result, fastact.layer_norm(x, weight, axis=(1, 2)))


@pytest.mark.parametrize("lengths", [((0, 12, 0), (10,), (0, 0, 7)), ((12,), (4, 0, 0, 6), (7, 0))], ids=str)
@each_axis
def test_chunks_of_nothing(lengths, axis):
    """As an index leaves them, or a condition. All of them together may be what is combined first."""
    x = da.from_array(X, chunks=lengths)
    for name in ("softmax", "log_softmax", "logsumexp"):
        assert_same(getattr(lazy, name)(x, axis), getattr(fastact, name)(X, axis), ulp=4)
    for result, expected in zip(lazy.moments(x, axis), fastact.moments(X, axis), strict=True):
        assert_same(result, expected, ulp=4, largest=1.0)
    assert_same(lazy.l2_penalty(x, 0.1), fastact.l2_penalty(X, 0.1), ulp=2)
    assert_same(lazy.batch_norm(x, training=True), fastact.batch_norm(X, training=True), ulp=4, largest=4.0)
    assert_same(lazy.dropout(x, rng=5, axis=axis), fastact.dropout(X, rng=5, axis=axis))


def test_mask_of_chunks_of_nothing():
    x = np.ones((3, 40))
    _, mask = lazy.dropout(da.from_array(x, chunks=((2, 1, 0), (19, 6, 15))), rng=5, return_mask=True)
    np.testing.assert_array_equal(mask.compute(), fastact.dropout_mask(x.shape, rng=5))


def test_weights_may_be_lazy():
    weight, bias = np.linspace(0.5, 2, 70).reshape(10, 7), np.ones((10, 7))
    parameters = da.from_array(weight, chunks=3), da.from_array(bias)
    result = lazy.layer_norm(da.from_array(X, chunks=5), *parameters, axis=(1, 2))
    assert_same(result, fastact.layer_norm(X, weight, bias, axis=(1, 2)))


@each_chunks
@each_dtype
@pytest.mark.parametrize("axis", [None, 1, (0, 2), (0, 1), (2, 0), [-1, 1]])
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_dropout_draws_what_numpy_draws(chunks, dtype, axis, p):
    x = X.astype(dtype)
    y, mask = lazy.dropout(da.from_array(x, chunks=chunks), p, rng=5, axis=axis, return_mask=True)
    expected, expected_mask = fastact.dropout(x, p, rng=5, axis=axis, return_mask=True)
    assert_same(y, expected)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask.compute(), expected_mask)
    np.testing.assert_array_equal(y.compute(), expected)


def test_dropout_that_drops_nothing_scales():
    p = 2.0**-40
    assert_same(lazy.dropout(da.from_array(X, chunks=4), p, rng=5), fastact.dropout(X, p, rng=5))


def test_dropout_without_training_and_with_a_generator():
    x = da.from_array(X, chunks=4)
    assert_same(lazy.dropout(x, training=False), X)
    rng = np.random.default_rng(9)
    y = lazy.dropout(x, rng=rng)
    assert_same(y, fastact.dropout(X, rng=np.random.default_rng(9)))
    assert (lazy.dropout(x, rng=rng).compute() != y.compute()).any()


@each_chunks
@each_dtype
@pytest.mark.parametrize("name", ["l1_penalty", "l2_penalty"])
def test_penalties(chunks, dtype, name):
    w = X.astype(dtype)
    assert_same(getattr(lazy, name)(da.from_array(w, chunks=chunks), 0.1), getattr(fastact, name)(w, 0.1), ulp=2)


def test_scalars_and_empty_arrays():
    one, none = da.asarray(3.0), da.zeros((0, 3), chunks=2)
    assert_same(lazy.softmax(one), np.float64(1))
    assert_same(lazy.logsumexp(one), np.float64(3))
    assert_same(lazy.moments(one)[1], np.float64(0))
    assert_same(lazy.dropout(one, rng=1), fastact.dropout(3.0, rng=1))
    assert_same(lazy.logsumexp(none, 0), np.full(3, -np.inf))
    assert_same(lazy.moments(none, 0)[0], np.full(3, np.nan))
    assert_same(lazy.softmax(none, 0), np.empty((0, 3)))
    assert_same(lazy.dropout(none, rng=1), np.empty((0, 3)))
    assert lazy.dropout(none, rng=1, return_mask=True)[1].compute().shape == (0,)


def test_integers_and_lists():
    x = np.arange(6, dtype=np.int8).reshape(2, 3)
    assert_same(lazy.softmax(da.from_array(x, chunks=2)), fastact.softmax(x), ulp=4)
    assert_same(lazy.moments([[1, 2], [3, 5]], 0)[0], fastact.moments([[1, 2], [3, 5]], 0)[0], ulp=1)


@pytest.mark.parametrize(
    ("call", "error", "name"),
    [
        (lambda x: lazy.softmax(x, 3), IndexError, "axis"),
        (lambda x: lazy.softmax(x.astype(complex)), TypeError, "x"),
        (lambda x: lazy.moments(x, (0, 0)), ValueError, "axis"),
        (lambda x: lazy.moments(x, correction="1"), TypeError, "correction"),
        (lazy.batch_norm, ValueError, "running_mean"),
        (lambda x: lazy.batch_norm(x, training=True, eps=-1.0), ValueError, "eps"),
        (lambda x: lazy.batch_norm(x, training=True, weight=np.ones(3)), ValueError, "weight"),
        (lambda x: lazy.batch_norm(x[:1, :, :1], training=True), ValueError, "more than one element"),
        (lambda x: lazy.batch_norm(x, training=True, activation="elu"), ValueError, "activation"),
        (lambda x: lazy.layer_norm(x, np.ones(3)), ValueError, "weight"),
        (lambda x: lazy.dropout(x, 2.0), ValueError, "p"),
        (lambda x: lazy.dropout(x, rng="5"), TypeError, "rng"),
        (lambda x: lazy.dropout(x[x > 0]), ValueError, "x must have chunks of known lengths"),
        (lambda x: lazy.layer_norm(x[x > 0]), ValueError, "x must have chunks of known lengths"),
        (lambda x: lazy.l1_penalty(x, "1"), TypeError, "lam"),
        (lambda _: lazy.l1_penalty("1", 1.0), TypeError, r"l1_penalty\(\): w must"),
        (lambda x: lazy.batch_norm(x, "1", np.ones(12)), TypeError, r"batch_norm\(\): running_mean must"),
        (lambda _: lazy.softmax(np.array([None, 1.0])), TypeError, r"softmax\(\): x must"),
        (lambda _: lazy.softmax([[1.0, 2.0], [3.0]]), ValueError, r"softmax\(\): x must"),
    ],
)
def test_wrong_arguments_are_found_at_once(call, error, name):
    with pytest.raises(error, match=name):
        call(da.from_array(X, chunks=4))


@pytest.mark.parametrize("scheduler", ["synchronous", "threads", "processes"])
def test_schedulers(scheduler):
    y = lazy.dropout(lazy.softmax(da.from_array(X, chunks=(12, 10, 4))), rng=1)
    expected = fastact.dropout(fastact.softmax(X), rng=1)
    np.testing.assert_allclose(y.compute(scheduler=scheduler, num_workers=2), expected, rtol=1e-15)


@pytest.mark.parametrize("name", lazy.__all__)
def test_examples(name):
    function = getattr(lazy, name)
    examples = doctest.DocTestParser().get_doctest(function.__doc__, {}, name, None, 0)
    assert examples.examples
    report = []
    doctest.DocTestRunner().run(examples, out=report.append)
    assert not report, "".join(report)


def test_rows_of_unknown_number():
    """What is chosen by a condition: dask knows how many rows there are when it computes them."""
    x = X.reshape(-1, X.shape[-1])
    rows, expected = da.from_array(x, chunks=4)[da.from_array(x[:, 0], chunks=4) > 0], x[x[:, 0] > 0]
    assert np.isnan(rows.shape[0])
    for name in ("softmax", "layer_norm"):
        np.testing.assert_allclose(getattr(lazy, name)(rows), getattr(fastact, name)(expected), rtol=1e-5, atol=1e-6)
    for result, right in zip(lazy.moments(rows, 0), fastact.moments(expected, 0), strict=True):
        np.testing.assert_allclose(result, right, rtol=1e-5, atol=1e-6)
    y = lazy.batch_norm(rows, training=True)
    np.testing.assert_allclose(y, fastact.batch_norm(expected, training=True), rtol=1e-5, atol=1e-6)
