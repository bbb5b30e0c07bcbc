"""Axes, layouts, overlaps, threads, types and empty arrays of reductions."""

import itertools
from functools import partial

import numpy as np
import pytest

import fastact
from cases import assert_same_bits, each_dtype
from families import ALONG, INF, MAPS, each_map, normal


def test_axes_that_name_nothing():
    """Over no axis every element is a row of its own."""
    x = normal((3, 4), np.float32)
    assert (fastact.softmax(x, ()) == 1).all()
    assert (fastact.log_softmax(x, ()) == 0).all()
    assert_same_bits(fastact.logsumexp(x, ()), x)
    mean, var = fastact.moments(x, ())
    assert_same_bits(mean, x)
    assert (var == 0).all()


@pytest.mark.parametrize("name", ALONG)
@pytest.mark.parametrize("shape", [(3, 4, 5), (50, 40), (20, 3, 150), (2, 9000), (5, 1, 7), (12, 1024)], ids=str)
@each_dtype
def test_axes_and_layouts(name, shape, dtype):
    """Any axes of any layout: what the contiguous last axis gives, to rounding; out and in place: the same bits."""
    function = MAPS[name]
    base = normal(shape, dtype)
    for axis in (*range(-len(shape), len(shape)), (0, -1), tuple(range(len(shape))), (len(shape) - 1, 0)):
        axes = sorted(k % len(shape) for k in np.atleast_1d(axis))
        kept = [k for k in range(len(shape)) if k not in axes]
        order = [*kept, *axes]
        flat = np.ascontiguousarray(base.transpose(order)).reshape([shape[k] for k in kept] + [-1])
        expected = function(flat).reshape([shape[k] for k in order]).transpose(np.argsort(order))
        wide = np.zeros([2 * n for n in shape], dtype)
        inner = tuple(slice(None, None, -2) for _ in shape)
        strided = wide[inner]
        strided[...] = base
        for x in (base, np.asfortranarray(base), strided):
            y = function(x, axis=axis)
            np.testing.assert_allclose(y, expected, rtol=64 * np.finfo(dtype).eps, atol=8 * np.finfo(dtype).eps)
            for out in (np.empty(shape, dtype), np.empty(shape, dtype, order="F"), np.empty_like(wide)[inner]):
                assert function(x, axis=axis, out=out) is out
                np.testing.assert_allclose(out, y, rtol=8 * np.finfo(dtype).eps, atol=np.finfo(dtype).eps)
        in_place = base.copy()
        assert_same_bits(function(in_place, axis=axis, out=in_place), function(base, axis=axis))


@each_map
@each_dtype
def test_overlapping_output(name, dtype):
    """An output that begins elsewhere in the input's memory must not change what is read."""
    memory = normal((31, 6, 40), dtype)
    expected = MAPS[name](memory[:-1].copy())
    assert_same_bits(MAPS[name](memory[:-1], out=memory[1:]), expected)


PER_CHANNEL = {
    "batch_norm": partial(fastact.batch_norm, training=True),
    "group_norm": partial(fastact.group_norm, num_groups=2),
    "group_norm of one": partial(fastact.group_norm, num_groups=6),
    "instance_norm": fastact.instance_norm,
    "layer_norm": partial(fastact.layer_norm, axis=1),
}


@pytest.mark.parametrize("name", PER_CHANNEL)
@pytest.mark.parametrize("shape", [(3, 6, 4, 5), (3, 6, 40, 50), (50, 6), (600, 6, 2)], ids=str)
@each_dtype
def test_output_over_the_weights(name, shape, dtype):
    """Weight or bias in the output's memory: what is written must not change what is read of them later."""
    function, x = PER_CHANNEL[name], normal(shape, dtype)
    weight, bias = normal(6, dtype), normal(6, dtype) + 1
    expected = function(x, weight=weight, bias=bias)
    for moved in ("weight", "bias"):
        out = np.zeros(shape, dtype)
        given = {"weight": weight, "bias": bias}
        place = out.ravel()[1:7]
        place[...] = given[moved]
        given[moved] = place
        assert function(x, out=out, **given) is out
        assert_same_bits(out, expected)


@each_map
@each_dtype
@pytest.mark.parametrize("shape", [(50, 6, 999), (3, 6, 70_001), (150_000, 6), (70_000, 6, 1), (2, 6, 3)], ids=str)
def test_bits_do_not_depend_on_threads(name, shape, dtype):
    x = normal(shape, dtype)
    results = []
    for count in (1, 2, 5):
        with fastact.threads(count):
            moment = fastact.moments(x, (0, -1)) + fastact.moments(x, 0) + fastact.moments(x)
            results.append((MAPS[name](x), fastact.logsumexp(x), fastact.l2_penalty(x, 1), *moment))
    for result in results[1:]:
        for a, b in zip(result, results[0], strict=True):
            assert_same_bits(a, b)


@each_map
def test_types(name):
    """float16 in, float16 out, computed in float32; integers in a float wide enough; the same for lists."""
    x = np.random.default_rng(0).integers(-9, 9, (8, 6, 10))
    function = MAPS[name]
    wide = function(x.astype(np.float32))
    half = function(x.astype(np.float16))
    assert half.dtype == np.float16
    assert_same_bits(half, wide.astype(np.float16))
    out = np.empty(x.shape, np.float16)
    assert function(x.astype(np.float16), out=out) is out
    assert_same_bits(out, half)
    assert_same_bits(function(x.astype(np.int8)), wide)
    assert_same_bits(function(x.astype(np.uint16) % 7), function((x.astype(np.uint16) % 7).astype(np.float32)))
    assert_same_bits(function(x), function(x.astype(np.float64)))
    assert_same_bits(function(x.tolist()), function(x.astype(np.float64)))
    assert function(x > 0).dtype == np.float32
    assert_same_bits(function(x.astype(">f4")), wide)
    assert_same_bits(function(x.astype(">f2")), half)
    assert function(x.astype(">f2"), out=out) is out
    for bad in (np.longdouble, np.complex64, object, "S3", "M8[s]"):
        with pytest.raises(TypeError, match=r"must be an array .* of bool, integers, float16, .* or float64"):
            function(np.zeros((2, 6, 3), bad))


@each_map
def test_bfloat16(name):
    bfloat16 = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed").bfloat16
    x = normal((8, 6, 10), np.float32).astype(bfloat16)
    y = MAPS[name](x)
    assert y.dtype == bfloat16
    assert_same_bits(y.astype(np.float32), MAPS[name](x.astype(np.float32)).astype(bfloat16).astype(np.float32))
    out = np.empty_like(x)
    assert MAPS[name](x, out=out) is out
    assert_same_bits(out.astype(np.float32), y.astype(np.float32))


@pytest.mark.parametrize("name", ALONG)
def test_empty_and_0d_inputs(name):
    function = MAPS[name]
    assert function(np.zeros((0, 3), np.float32)).shape == (0, 3)
    assert function(np.zeros((3, 0))).shape == (3, 0)
    result = function(np.float32(2))
    assert result.shape == ()
    assert result.dtype == np.float32


@pytest.mark.parametrize("shape", [(3, 0), (2, 0, 3), (2, 0, 4, 4)], ids=str)
@pytest.mark.parametrize("name", ["batch_norm", "instance_norm", "group_norm"])
def test_no_channels(name, shape):
    x = np.zeros(shape, np.float32)
    assert MAPS[name](x).shape == shape


def test_logsumexp_shapes():
    x = normal((2, 3, 4), np.float32)
    assert fastact.logsumexp(x).shape == ()
    assert fastact.logsumexp(x, (0, -1)).shape == (3,)
    assert fastact.logsumexp(x, (0, -1), keepdims=True).shape == (1, 3, 1)
    assert fastact.moments(x, 1, keepdims=True)[1].shape == (2, 1, 4)
    assert fastact.logsumexp([]) == -INF
    assert (fastact.logsumexp(np.zeros((3, 0)), 1) == -INF).all()
    assert fastact.logsumexp(np.zeros((0, 3)), 1).shape == (0,)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_results_of_permuted_axes(order, axis):
    """What is kept has the order of the axes, not that of memory."""
    x = normal((5, 18, 40), np.float64)
    permuted = np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
    for function in (fastact.logsumexp, fastact.moments, fastact.softmax):
        np.testing.assert_allclose(function(permuted, axis=axis), function(x, axis=axis), rtol=1e-12, atol=1e-14)
