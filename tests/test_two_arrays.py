"""Memory and layouts of functions of one and of two arrays, of 16 bits too."""

import numpy as np
import pytest

import fastact
from cases import HALVES
from families import ALONG, MAPS, each_map, normal
from fastact import grad
from memory import peak_of


def test_memory_is_seen():
    assert 8e6 <= peak_of(lambda: np.ones(1_000_000)) < 9e6


@pytest.mark.parametrize("name", [*ALONG, "batch_norm", "inference"])
def test_16_bits_need_no_second_array(name):
    """float16 is converted block by block: no array of float32 beside it."""
    x = normal((100_000, 6) if name in {"batch_norm", "inference"} else (3000, 600), np.float16)
    out = np.empty_like(x)
    assert peak_of(lambda: MAPS[name](x, out=out)) < x.nbytes / 4


@pytest.mark.parametrize("layout", ["strided", "transposed", "middle"])
@each_map
def test_16_bits_of_any_layout(name, layout):
    x = normal((8, 6, 40), np.float16)
    wide = MAPS[name](np.ascontiguousarray(x).astype(np.float32))
    if layout == "strided":
        x = np.repeat(x, 2, axis=-1)[..., ::2]
    elif layout == "transposed":
        x = np.ascontiguousarray(x.transpose(2, 1, 0)).transpose(2, 1, 0)
    y = MAPS[name](x)
    np.testing.assert_allclose(y.astype(np.float32), wide, rtol=1e-3, atol=1e-4)


# Of dy (or a target) and x, of one shape with 6 channels along axis 1.
OF_TWO = {
    "grad.softmax": grad.softmax,
    "grad.log_softmax": lambda dy, x: grad.log_softmax(dy, -np.abs(x), 1),
    "grad.layer_norm": lambda dy, x: grad.layer_norm(dy, x, None),
    "grad.layer_norm, axis 0": lambda dy, x: grad.layer_norm(dy, x, None, axis=0),
    "grad.layer_norm, axes 0 and 2": lambda dy, x: grad.layer_norm(dy, x, None, axis=(0, 2)),
    "grad.rms_norm": lambda dy, x: grad.rms_norm(dy, x, None),
    "grad.rms_norm, axis 1": lambda dy, x: grad.rms_norm(dy, x, None, axis=1),
    "grad.batch_norm": lambda dy, x: grad.batch_norm(dy, x, None, np.full(6, 0.5), np.full(6, 2.0)),
    "loss": lambda dy, x: fastact.binary_cross_entropy_with_logits(x, dy),
    "losses": lambda dy, x: fastact.binary_cross_entropy_with_logits(x, dy, reduction="none"),
    "grad of loss": lambda dy, x: grad.binary_cross_entropy_with_logits(x[:2, :, :5], dy[:2, :, :5]),
}
each_of_two = pytest.mark.parametrize("function", OF_TWO.values(), ids=OF_TWO)


def results_of(function, *arrays):
    results = function(*arrays)
    return results if isinstance(results, tuple) else (results,)


@each_of_two
@pytest.mark.parametrize("shape", [(5, 6, 7), (40, 6, 33), (2, 6, 9000)], ids=str)
def test_two_arrays_of_any_layout(function, shape):
    """Strided, transposed or of 16 bits: the same as contiguous float32, but for the order of sums."""
    dy, x = normal(shape, np.float16, 1, 1.0), normal(shape, np.float16)
    expected = results_of(function, dy.astype(np.float32), x.astype(np.float32))

    def is_near(results, tolerance):
        for a, b in zip(results, expected, strict=True):
            unit = tolerance * np.abs(b).max()
            np.testing.assert_allclose(np.asarray(a, np.float64), b, rtol=tolerance, atol=unit)

    wide, middle = (
        x.astype(np.float32),
        np.ascontiguousarray(x.astype(np.float32).transpose(2, 0, 1)).transpose(1, 2, 0),
    )
    for other in (middle, np.repeat(wide, 2, axis=-1)[..., ::2], wide[:, ::-1][:, ::-1]):
        is_near(results_of(function, dy.astype(np.float32), other), 1e-5)
        is_near(results_of(function, np.asfortranarray(dy.astype(np.float32)), other), 1e-5)
    for result in results_of(function, dy, x):
        assert result.dtype == np.float16
    is_near(results_of(function, dy, x), 1e-3)
    is_near(results_of(function, np.asfortranarray(dy), np.repeat(x, 2, axis=-1)[..., ::2]), 1e-3)
    is_near(results_of(function, dy.astype(np.float32), x), 1e-3)


@pytest.mark.parametrize("name", ["grad.softmax", "grad.layer_norm", "grad.rms_norm", "grad.batch_norm", "losses"])
def test_two_arrays_of_16_bits_need_no_third(name):
    function = OF_TWO[name]
    dy, x = normal((300, 6, 600), np.float16, 1, 1.0), normal((300, 6, 600), np.float16)
    # The result, and what is known of each row.
    assert peak_of(lambda: function(dy, x)) < 1.5 * x.nbytes


def classes_of(x, seed=0):
    return np.random.default_rng(seed).integers(0, x.shape[-1], x.shape[:-1])


# Of x and the classes of its rows; and how much of x may be needed beside it.
OF_ROWS = {
    "cross_entropy": (fastact.cross_entropy, 0.25),
    "cross_entropy, none": (lambda x, target: fastact.cross_entropy(x, target, reduction="none"), 0.25),
    "grad.cross_entropy": (grad.cross_entropy, 1.25),
    "l1_penalty": (lambda x, _: fastact.l1_penalty(x, 0.5), 0.25),
    "l2_penalty": (lambda x, _: fastact.l2_penalty(x, 0.5), 0.25),
    "elastic_net_penalty": (lambda x, _: fastact.elastic_net_penalty(x, 0.5, 0.25), 0.25),
    "normalize, 1": (lambda x, _: fastact.normalize(x, 1.0), 1.25),
    "normalize, 3": (lambda x, _: fastact.normalize(x, 3.0), 1.25),
    "normalize, 0.5, axis 0": (lambda x, _: fastact.normalize(x, 0.5, 0), 1.25),
    "normalize, 0": (lambda x, _: fastact.normalize(x, 0.0), 1.25),
}


@pytest.mark.parametrize("function", [function for function, _ in OF_ROWS.values()], ids=OF_ROWS)
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_losses_and_penalties_of_16_bits(function, dtype):
    """As of the same numbers in float32, rounded once."""
    x = normal((40, 300), np.float32).astype(dtype)
    target = classes_of(x)
    target[3] = -100
    for view, classes in ((x, target), (x[::2, ::-1], target[::2]), (np.asfortranarray(x), target)):
        result, expected = function(view, classes), function(view.astype(np.float32), classes)
        assert result.dtype == (x.dtype if expected.dtype == np.float32 else expected.dtype)
        np.testing.assert_array_equal(np.asarray(result), np.asarray(expected).astype(result.dtype))


@pytest.mark.parametrize(("function", "most"), OF_ROWS.values(), ids=OF_ROWS)
def test_losses_and_penalties_of_16_bits_go_piece_by_piece(function, most):
    x = normal((6000, 1200), np.float16)
    target = classes_of(x)
    assert peak_of(lambda: function(x, target)) < most * x.nbytes
