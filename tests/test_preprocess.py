"""Preprocessing: images to tensors, linear quantization, standardize; beside NumPy in float64 and onnxruntime."""

import doctest
import inspect
import itertools
import re

import ml_dtypes
import numpy as np
import pytest
from numpy.exceptions import AxisError

import fastact
import floating
import processes
from cases import FLOATS, HALVES, assert_same_bits, each_dtype
from fastact import preprocess
from fastact._kernels import pixels

INF, NAN = np.inf, np.nan
FUNCTIONS = {name: getattr(preprocess, name) for name in preprocess.__all__}
PIXELS = [np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32)]
QUANTIZED = [np.dtype(name) for name in ("uint8", "int8", "uint16", "int16")]
MEAN, STD = (0.485, 0.456, 0.406, 0.5), (0.229, 0.224, 0.225, 0.25)
# Mean, std, scale: of ImageNet, on a pixel's value, off it by a little, none, of pixels themselves, negative, huge.
AFFINE = [
    (MEAN[:3], STD[:3], 1 / 255),
    ((0.2, 0.4, 0.6), STD[:3], 1 / 255),
    ((0.2 + 1e-9, 0.4 - 1e-12, 0.6 + 1e-16), (0.3, 1e-3, 1e3), 1 / 255),
    ((0.0, 1.0, 0.5), (1.0, 1.0, 0.5), 1 / 255),
    ((103.939, 116.779, 123.68), (57.375, 57.12, 58.395), 1.0),
    ((127.5, 128.0, -3.0), (127.5, 1.0, -2.0), 1.0),
    ((1e-3, 5.0, 0.1), (1e-20, 1e20, 1e-6), -0.017),
    ((0.1, 0.1, 0.1), (1e-38, 1e-45, 1e-30), 1e6),
    # The first lines that are tried round otherwise.
    ((0.8978, 0.0637, 0.286), (1.633, 2.2278, 1.4437), 1 / 255),
]

each_function = pytest.mark.parametrize("name", FUNCTIONS)
each_pixel = pytest.mark.parametrize("dtype", PIXELS, ids=str)
each_quantized = pytest.mark.parametrize("dtype", QUANTIZED, ids=str)
each_layout = pytest.mark.parametrize("layout", ["NCHW", "NHWC"])


def image(shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, 256 if dtype == np.uint8 else 65536, shape).astype(dtype)


def exact(images, mean, std, scale=1 / 255, layout="NCHW", swap_rb=False):
    """Return the tensor in float64, by NumPy."""
    x = images[..., [2, 1, 0, 3][: images.shape[-1]]] if swap_rb else images
    y = (x.astype(np.float64) * scale - np.asarray(mean)) / np.asarray(std)
    return np.moveaxis(y, -1, -3) if layout == "NCHW" else y


def rounded(numbers, dtype=np.float32):
    """Return float64 numbers rounded to float32 and from there."""
    with np.errstate(all="ignore"):
        return numbers.astype(np.float32).astype(dtype)


# ---- image_to_tensor.


@each_layout
@pytest.mark.parametrize(("mean", "std", "scale"), AFFINE)
def test_every_byte_is_the_nearest_float32(mean, std, scale, layout):
    x = np.stack([np.arange(256), np.arange(256)[::-1], np.roll(np.arange(256), 77)], axis=-1).astype(np.uint8)
    x = np.tile(x.reshape(16, 16, 3), (3, 5, 1))
    with np.errstate(all="ignore"):
        expected = rounded(exact(x, mean, std, scale, layout))
    assert_same_bits(preprocess.image_to_tensor(x, mean, std, scale=scale, layout=layout), expected)
    gray = x[..., :1]
    with np.errstate(all="ignore"):
        expected = rounded(exact(gray, mean[0], std[0], scale, layout))
    assert_same_bits(preprocess.image_to_tensor(gray, mean[0], std[0], scale=scale, layout=layout), expected)


def test_lines_are_found_for_any_mean_and_std():
    """A table would be right as well, and slower."""
    generator = np.random.default_rng(0)
    for _ in range(100):
        mean, std = tuple(generator.uniform(0, 1, 3)), tuple(generator.uniform(0.05, 0.5, 3))
        assert pixels.plan_of_bytes("image_bytes", 1 / 255, mean, std).kernels == "image_bytes"


@each_layout
def test_the_table_gives_the_same(layout, monkeypatch):
    x = image((2, 40, 50, 3))
    expected = rounded(exact(x, MEAN[:3], STD[:3], layout=layout))
    monkeypatch.setattr(pixels, "line", lambda *_: None)
    pixels.plan_of_bytes.cache_clear()
    for view, result in ((x, expected), (x[..., ::-1, :], np.flip(expected, 3 if layout == "NCHW" else 2))):
        assert_same_bits(preprocess.image_to_tensor(view, MEAN[:3], STD[:3], layout=layout), result)
    assert pixels.plan_of_bytes("image_bytes", 1 / 255, MEAN[:3], STD[:3]).kernels == "image_table"
    pixels.plan_of_bytes.cache_clear()


@each_layout
@pytest.mark.parametrize(("mean", "std", "scale"), AFFINE[:6])
def test_words_and_floats_are_right_to_half_an_ulp(mean, std, scale, layout):
    words = np.arange(65536, dtype=np.uint16)
    generator = np.random.default_rng(0)
    near = np.float32(np.array(mean) / scale)[:, None] * np.float32(1 + np.linspace(-1e-5, 1e-5, 2001))
    floats = np.concatenate([generator.uniform(0, 255, 60_000), near.ravel(), [0, -0.0, 1e-45, 1e-38, 3e38, -3e38]])
    for values in (words, floats.astype(np.float32)):
        x = np.stack([values, np.roll(values, 7), values[::-1]], axis=-1)[None]
        wide = exact(x, mean, std, scale, layout)
        y = preprocess.image_to_tensor(x, mean, std, scale=scale, layout=layout)
        unit = np.spacing(np.abs(rounded(wide)))
        finite = np.abs(wide) < 3.4e38
        assert (np.abs(y.astype(np.float64) - wide) <= 0.5001 * unit)[finite].all()
        assert (y == rounded(wide)).mean() > 0.9999


VIEWS = {
    "whole": lambda x: x,
    "cropped": lambda x: x[..., 3:-2, 5:-7, :],
    "every second": lambda x: x[..., ::2, ::3, :],
    "left to right": lambda x: x[..., ::-1, :],
    "upside down": lambda x: x[..., ::-1, :, :],
    "turned by 180 degrees": lambda x: x[..., ::-1, ::-1, :],
    "transposed": lambda x: np.swapaxes(x, -3, -2),
    "channels turned round": lambda x: x[..., ::-1],
    "both": lambda x: x[..., ::-1, ::-1],
    "channels first in memory": lambda x: np.moveaxis(np.ascontiguousarray(np.moveaxis(x, -1, -3)), -3, -1),
    "in Fortran's order": np.asfortranarray,
    "without the fourth": lambda x: x[..., :3],
    "one channel of it": lambda x: x[..., -1:],
    "one column": lambda x: x[..., 4:5, :],
    "one row": lambda x: x[..., 4:5, :, :],
    "one pixel": lambda x: x[..., 4:5, 9:10, :],
    "the same row again": lambda x: np.broadcast_to(x[..., :1, :, :], x.shape),
    "not aligned": lambda x: np.frombuffer(b"." + x.tobytes(), x.dtype, x.size, 1).reshape(x.shape),
    "of another byte order": lambda x: x.astype(x.dtype.newbyteorder()),
}


@each_pixel
@each_layout
@pytest.mark.parametrize("view", VIEWS)
def test_views(view, layout, dtype):
    """Any strides, one image or a batch, 1, 3 and 4 channels, swapped or not, of each type."""
    for shape, channels in itertools.product([(37, 1100), (2, 20, 33), (3, 12, 300)], (1, 3, 4)):
        x = VIEWS[view](image((*shape, channels), dtype))
        count = x.shape[-1]
        for swap_rb, result in itertools.product((False, True) if count > 1 else (False,), (np.float32, np.float16)):
            options = {"layout": layout, "swap_rb": swap_rb}
            y = preprocess.image_to_tensor(x, MEAN[:count], STD[:count], dtype=result, **options)
            expected = rounded(exact(x, MEAN[:count], STD[:count], **options), result)
            assert y.flags.c_contiguous
            assert_same_bits(y, expected)


@each_layout
@pytest.mark.parametrize("dtype", [np.dtype(np.float32), *HALVES], ids=str)
def test_out_with_any_strides(dtype, layout):
    x = image((3, 21, 150, 3))
    expected = rounded(exact(x, MEAN[:3], STD[:3], layout=layout), dtype)
    holders = [
        np.empty(expected.shape, dtype),
        np.empty(expected.shape, dtype)[..., ::-1],
        np.empty((*expected.shape[:-1], 2 * expected.shape[-1]), dtype)[..., 1::2],
        np.empty(expected.shape, dtype)[::-1, ::-1, ::-1],
        np.empty(expected.shape[::-1], dtype).T,
        np.frombuffer(bytearray(expected.nbytes + 1), dtype, expected.size, 1).reshape(expected.shape),
    ]
    for out in holders:
        out[...] = 7
        assert preprocess.image_to_tensor(x, MEAN[:3], STD[:3], layout=layout, dtype=dtype, out=out) is out
        assert_same_bits(out, expected)


@each_layout
def test_out_may_share_memory_with_the_images(layout):
    values = image((2, 30, 40, 3), np.float32)
    expected = rounded(exact(values, MEAN[:3], STD[:3], layout=layout))
    memory = np.empty(values.size + 100, np.float32)
    for shift in (0, 1, 100):
        x = memory[shift : shift + values.size].reshape(values.shape)
        x[...] = values
        out = memory[: values.size].reshape(expected.shape)
        preprocess.image_to_tensor(x, MEAN[:3], STD[:3], layout=layout, out=out)
        assert_same_bits(out, expected)


def test_numbers_for_all_channels_and_defaults():
    x = image((5, 6, 3))
    assert_same_bits(preprocess.image_to_tensor(x), rounded(exact(x, 0, 1)))
    expected = rounded(exact(x, 0.5, 0.25))
    for mean, std in ((0.5, 0.25), ([0.5] * 3, (0.25,) * 3), (np.full(3, 0.5), np.float32(0.25))):
        assert_same_bits(preprocess.image_to_tensor(x, mean, std), expected)
    assert_same_bits(preprocess.image_to_tensor(x, 1, 2, scale=1), rounded(exact(x, 1, 2, 1)))
    assert_same_bits(preprocess.image_to_tensor(x.tolist() and x, [1, 2, 3]), rounded(exact(x, [1, 2, 3], 1)))


def test_mean_and_std_are_in_the_order_of_the_result():
    bgr = image((4, 5, 3))
    expected = preprocess.image_to_tensor(np.ascontiguousarray(bgr[..., ::-1]), MEAN[:3], STD[:3])
    assert_same_bits(preprocess.image_to_tensor(bgr, MEAN[:3], STD[:3], swap_rb=True), expected)
    bgra = image((4, 5, 4))
    expected = preprocess.image_to_tensor(bgra[..., [2, 1, 0, 3]], MEAN, STD)
    assert_same_bits(preprocess.image_to_tensor(bgra, MEAN, STD, swap_rb=True), expected)


@each_pixel
@pytest.mark.parametrize("shape", [(0, 5, 3), (5, 0, 3), (0, 4, 5, 1), (2, 0, 5, 4)], ids=str)
def test_empty_images(shape, dtype):
    for layout in ("NCHW", "NHWC"):
        y = preprocess.image_to_tensor(np.zeros(shape, dtype), layout=layout)
        assert_same_bits(y, rounded(exact(np.zeros(shape), 0, 1, layout=layout)))


def test_nan_and_infinities_of_floats():
    x = np.array([NAN, INF, -INF, 3e38, -3e38, 1.0], np.float32).reshape(1, 2, 3)
    with np.errstate(all="raise"):
        y = preprocess.image_to_tensor(x, 0.5, 1e-30, layout="NHWC")
    np.testing.assert_array_equal(y.ravel()[:5], np.float32([NAN, INF, -INF, INF, -INF]))


IMAGE = image((4, 6, 3))
WRONG_IMAGES = [
    ({"images": IMAGE[0]}, ValueError, r"images must have shape .*got \(6, 3\)"),
    ({"images": np.zeros((1, 2, 3, 4, 3), np.uint8)}, ValueError, "images must have shape"),
    ({"images": image((4, 6, 2))}, ValueError, r"images must .* 1, 3 or 4 channels, got \(4, 6, 2\)"),
    ({"images": np.moveaxis(image((8, 6, 3)), -1, 0)}, ValueError, "images must have shape"),
    ({"images": IMAGE.astype(np.float64)}, ValueError, "images must be .* uint8, uint16 or float32, got dtype float64"),
    ({"images": IMAGE.astype(np.int8)}, ValueError, "images must be .*got dtype int8"),
    ({"images": IMAGE > 3}, ValueError, "images must be .*got dtype bool"),
    ({"images": IMAGE.tolist()}, ValueError, "images must be .*got dtype int64"),
    ({"images": None}, TypeError, "images must be .*got 'NoneType'"),
    ({"images": 3}, TypeError, "images must be .*got 'int'"),
    ({"mean": (0.5, 0.5)}, ValueError, r"mean must .*\(3,\), one number a channel, got the shape \(2,\)"),
    ({"mean": [[0.5], [0.5], [0.5]]}, ValueError, "mean must"),
    ({"mean": "0.5"}, TypeError, "mean must be a real number"),
    ({"mean": np.longdouble(0.5)}, TypeError, "mean must be a real number"),
    ({"mean": (0.5, NAN, 0.5)}, ValueError, "mean must be finite"),
    ({"std": (0.5, 0.5, 0.5, 0.5)}, ValueError, r"std must .*got the shape \(4,\)"),
    ({"std": 0.0}, ValueError, "std must be finite and not 0"),
    ({"std": (1.0, INF, 1.0)}, ValueError, "std must be finite and not 0"),
    ({"std": (1j, 1, 1)}, TypeError, "std must be a real number"),
    ({"scale": 0.0}, ValueError, "scale must be finite and not 0"),
    ({"scale": INF}, ValueError, "scale must be finite and not 0"),
    ({"scale": (1, 2, 3)}, TypeError, "scale must be a real number"),
    ({"layout": "CHW"}, ValueError, "layout must be 'NCHW' or 'NHWC', got 'CHW'"),
    ({"dtype": np.float64}, ValueError, "dtype must be one of float32, float16, bfloat16, got <f8"),
    ({"dtype": np.uint8}, ValueError, "dtype must be one of"),
    ({"dtype": "nonsense"}, TypeError, "dtype must be one of .*'nonsense'"),
    ({"images": IMAGE[..., :1], "swap_rb": True}, ValueError, "swap_rb must be False"),
    ({"out": np.zeros((4, 6, 3), np.float32)}, ValueError, r"out must have shape \(3, 4, 6\)"),
    ({"out": np.zeros((3, 4, 6))}, TypeError, "out must have dtype float32"),
    ({"out": [[0.0]]}, TypeError, "out must be an ndarray"),
]


@pytest.mark.parametrize(("arguments", "kind", "message"), WRONG_IMAGES)
def test_wrong_arguments_of_image_to_tensor(arguments, kind, message):
    out = np.full((3, 4, 6), 7, np.float32)
    with pytest.raises(kind, match=rf"^image_to_tensor\(\): {message}"):
        preprocess.image_to_tensor(**{"images": IMAGE, "out": out} | arguments)
    assert (out == 7).all()
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out must be writeable"):
        preprocess.image_to_tensor(IMAGE, out=out)


def test_opencv_agrees():
    cv2 = pytest.importorskip("cv2", reason="opencv is not installed")
    x = image((4, 30, 40, 3))
    blob = cv2.dnn.blobFromImages(list(x), 1 / 64, mean=(104, 117, 123), swapRB=True)
    y = preprocess.image_to_tensor(x, (104 / 64, 117 / 64, 123 / 64), scale=1 / 64, swap_rb=True)
    np.testing.assert_allclose(blob, preprocess.image_to_tensor(x, (1.625, 1.828125, 1.921875), scale=1 / 64,
                                                                swap_rb=True), rtol=1e-6, atol=1e-6)  # fmt: skip
    assert_same_bits(y, rounded(exact(x, (104 / 64, 117 / 64, 123 / 64), 1, 1 / 64, swap_rb=True)))


# ---- Linear quantization.


def quantized(x, scale, zero_point, dtype):
    """Return what ONNX's definition says, by NumPy; NaN as onnxruntime."""
    info = np.iinfo(dtype)
    with np.errstate(all="ignore"):
        q = np.rint(x / scale).astype(np.float64) + zero_point
        q = np.where(np.isnan(q), info.min, np.clip(q, info.min, info.max))
    return q.astype(dtype)


def numbers(n, scale, dtype, seed=0):
    """Return numbers of every size, ties and their neighbours, special values."""
    generator = np.random.default_rng(seed)
    with np.errstate(all="ignore"):
        ties = (np.arange(-40, 40) + 0.5).astype(dtype) * dtype.type(scale)
        parts = [
            generator.standard_normal(n) * scale * 40,
            generator.uniform(-70_000, 70_000, n) * scale,
            ties, np.nextafter(ties, dtype.type(0)), np.nextafter(ties, dtype.type(INF)),
            [NAN, INF, -INF, 0.0, -0.0, 1e-45, -1e-45, 3e38, -3e38, np.finfo(dtype).max, np.finfo(dtype).tiny],
            generator.standard_normal(50) * 10.0 ** generator.uniform(-38, 38, 50),
        ]  # fmt: skip
        return np.concatenate([np.asarray(part, np.float64) for part in parts]).astype(dtype)


@pytest.mark.parametrize("real", FLOATS, ids=str)
@each_quantized
@pytest.mark.parametrize("scale", [1.0, 0.1, 0.5, 1 / 3, 7.7e-3, 1e-30, 3e-39, 1e30, 1e38, -0.1, 0.0, NAN, INF])
def test_quantize_is_onnx(scale, dtype, real):
    info = np.iinfo(dtype)
    scale = real.type(scale)
    for zero_point in (0, int(info.min), int(info.max), 3):
        x = numbers(2000, float(scale) if 0 < scale < INF else 1.0, real)
        expected = quantized(x, scale, zero_point, dtype)
        assert_same_bits(preprocess.quantize_linear(x, scale, zero_point, dtype=dtype), expected)
        spread = np.repeat(x, 3)[::3]
        assert_same_bits(preprocess.quantize_linear(spread, scale, zero_point, dtype=dtype), expected)
        assert_same_bits(preprocess.quantize_linear(x[::-1], scale, zero_point, dtype=dtype), expected[::-1])


def test_the_quotient_is_a_division():
    """For the quotients that a rounding error would move: next to halves, for many scales."""
    generator = np.random.default_rng(0)
    for scale in generator.uniform(1e-3, 1e3, 300).astype(np.float32):
        halves = (generator.integers(-32768, 32768, 3000) + 0.5) * float(scale)
        x = (halves.astype(np.float32).view(np.int32) + generator.integers(-2, 3, 3000)).astype(np.int32)
        x = x.view(np.float32)
        assert_same_bits(
            preprocess.quantize_linear(x, scale, dtype=np.int16), quantized(x, scale, 0, np.dtype(np.int16))
        )


# Products with the inverse in two parts are rounded to another integer than these quotients.
NEXT_TO_MIDPOINTS = {1.83023059: 89193.5391, 1.71685779: 52715.2617, 1.58694446: 101538.258, 1.5703429: 92060.5703}


@pytest.mark.parametrize(("scale", "number"), NEXT_TO_MIDPOINTS.items())
def test_scales_whose_quotients_are_corrected(scale, number):
    scale, dtype = np.float32(scale), np.dtype(np.uint16)
    x = (np.float32(number).view(np.int32) + np.arange(-40, 41, dtype=np.int32)).view(np.float32)
    expected = quantized(x, scale, 0, dtype)
    assert_same_bits(preprocess.quantize_linear(x, float(scale), dtype=dtype), expected)
    # One such channel among others, along a row of channels and across.
    scales = np.array([0.5, scale, 0.3], np.float32)
    for axis, shape in ((1, (1, -1)), (0, (-1, 1))):
        wide = np.stack([x, x, x], axis)
        along = scales.reshape(shape)
        assert_same_bits(
            preprocess.quantize_linear(wide, scales, dtype=dtype, axis=axis), quantized(wide, along, 0, dtype)
        )


@each_quantized
@pytest.mark.parametrize("odd", [0.1, -0.1, 0.0, 3e-39, 1e38, NAN, INF])
def test_scales_of_channels_of_every_kind(odd, dtype):
    x = np.stack([numbers(300, 0.1, np.dtype(np.float32))] * 40, axis=1)
    scales = np.full(40, 0.1, np.float32)
    scales[7] = odd
    expected = quantized(x, scales, 3, dtype)
    assert_same_bits(preprocess.quantize_linear(x, scales, 3, dtype=dtype, axis=1), expected)
    assert_same_bits(preprocess.quantize_linear(x.T, scales, 3, dtype=dtype, axis=0), expected.T)


def test_plain_arrays_and_others_are_quantized_alike():
    """For each argument that sends a call the long way."""
    x = np.random.default_rng(0).standard_normal((30, 40)).astype(np.float32)
    expected = preprocess.quantize_linear(x, 0.1, 3, dtype=np.int8)
    back = preprocess.dequantize_linear(expected, 0.1, 3)
    every_other = np.zeros((30, 80), np.int8)[:, ::2]
    for options in ({"dtype": "int8"}, {"dtype": np.dtype(np.int8)}, {"dtype": np.int8, "out": every_other}):
        assert_same_bits(preprocess.quantize_linear(x, 0.1, 3, **options), expected)
    assert_same_bits(preprocess.quantize_linear(x, np.float32(0.1), np.int8(3), dtype=np.int8), expected)
    assert_same_bits(preprocess.quantize_linear(x.T, 0.1, 3, dtype=np.int8), expected.T)
    assert_same_bits(preprocess.dequantize_linear(expected.T, 0.1, 3), back.T)
    assert_same_bits(preprocess.dequantize_linear(expected, 0.1, 3, out=np.zeros((30, 40), np.float32)), back)
    memory = np.zeros(x.nbytes, np.uint8)
    memory[: x.size] = expected.ravel().view(np.uint8)
    q = memory[: x.size].view(np.int8)
    assert_same_bits(preprocess.dequantize_linear(q, 0.1, 3, out=memory.view(np.float32)), back.ravel())


SHAPES = [((4, 5, 6), 0), ((4, 5, 6), 1), ((4, 5, 6), -1), ((3, 70, 40), 1), ((500, 3), -1), ((2, 1500), 1), ((5,), 0),
          ((3, 1, 2), 1), ((0, 4), 1), ((4, 0), 0), ((2, 3, 200, 30), 1)]  # fmt: skip


@each_quantized
@pytest.mark.parametrize(("shape", "axis"), SHAPES, ids=str)
def test_quantize_and_dequantize_along_an_axis(shape, axis, dtype):
    generator = np.random.default_rng(0)
    x = generator.standard_normal(shape).astype(np.float32)
    scale = generator.uniform(0.01, 0.1, shape[axis]).astype(np.float32)
    info = np.iinfo(dtype)
    zero = generator.integers(info.min, info.max + 1, shape[axis]).astype(dtype)
    along = [-1 if k == axis % len(shape) else 1 for k in range(len(shape))]
    wide_scale, wide_zero = scale.reshape(along), zero.reshape(along).astype(int)
    expected = quantized(x, wide_scale, wide_zero, dtype)
    back = (expected.astype(int) - wide_zero).astype(np.float32) * wide_scale
    layouts = [x, np.asfortranarray(x), np.repeat(x, 2, axis=-1)[..., ::2], np.flip(np.flip(x).copy())]
    for array in layouts:
        assert_same_bits(preprocess.quantize_linear(array, scale, zero, dtype=dtype, axis=axis), expected)
        out = np.zeros_like(array, dtype)
        assert preprocess.quantize_linear(array, scale, zero, dtype=dtype, axis=axis, out=out) is out
        assert_same_bits(out, expected)
        q = np.empty_like(array, dtype)
        q[...] = expected
        assert_same_bits(preprocess.dequantize_linear(q, scale, zero, axis=axis), back)
    one = preprocess.quantize_linear(x, scale, 3, dtype=dtype, axis=axis)
    assert_same_bits(one, quantized(x, wide_scale, 3, dtype))


@each_quantized
@pytest.mark.parametrize("real", FLOATS + HALVES, ids=str)
def test_dequantize(real, dtype):
    info = np.iinfo(dtype)
    q = np.arange(info.min, info.max + 1).astype(dtype)
    computed = np.dtype(np.float64 if real == np.float64 else np.float32)
    for scale, zero_point in ((0.1, 0), (1 / 3, int(info.max)), (1e-40, int(info.min)), (-2.5, 7), (INF, 1), (NAN, 0)):
        with np.errstate(all="ignore"):
            expected = ((q.astype(int) - zero_point).astype(computed) * computed.type(scale)).astype(real)
        for array in (q, np.repeat(q, 2)[::2], q.astype(dtype.newbyteorder())):
            y = preprocess.dequantize_linear(array, scale, zero_point, dtype=real)
            assert_same_bits(y, expected)


@pytest.mark.parametrize("real", HALVES, ids=str)
def test_quantize_of_halves_is_computed_in_float32(real):
    with np.errstate(all="ignore"):
        x = numbers(3000, 0.1, np.dtype(np.float32)).astype(real)
    expected = quantized(x.astype(np.float32), np.float32(0.1), 7, np.dtype(np.int8))
    assert_same_bits(preprocess.quantize_linear(x, 0.1, 7, dtype=np.int8), expected)
    assert_same_bits(preprocess.quantize_linear(x[::-1], 0.1, 7, dtype=np.int8), expected[::-1])


def test_numbers_are_accepted():
    assert_same_bits(preprocess.quantize_linear(0.26, 0.1), np.uint8(3))
    assert_same_bits(preprocess.quantize_linear([1, 2], np.array(0.5), np.int64(1)), np.uint8([3, 5]))
    assert_same_bits(preprocess.dequantize_linear(np.int8(-3), 0.5, 1), np.float32(-2))
    assert_same_bits(preprocess.quantize_linear(np.float32(1), [0.5], [1], axis=0), np.uint8(3))


def test_quantize_into_memory_of_x():
    x = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    expected = preprocess.quantize_linear(x, 0.01, 128)
    out = x.view(np.uint8)[3 : 3 + x.size]
    preprocess.quantize_linear(x, 0.01, 128, out=out)
    assert_same_bits(out, expected)


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64], ids=lambda dtype: dtype.__name__)
def test_out_that_is_not_aligned(dtype):
    q = np.arange(200, dtype=np.uint8)
    out = np.frombuffer(bytearray(8 * q.size + 1), dtype, q.size, 1)
    if dtype == np.int16:
        x = q * np.float32(0.3)
        assert preprocess.quantize_linear(x, 0.01, dtype=dtype, out=out) is out
        assert_same_bits(out, preprocess.quantize_linear(x, 0.01, dtype=dtype))
    else:
        assert preprocess.dequantize_linear(q, 0.01, dtype=dtype, out=out) is out
        assert_same_bits(out, preprocess.dequantize_linear(q, 0.01, dtype=dtype))


FLAT = np.ones((4, 6), np.float32)
WRONG_QUANTIZATION = [
    ({"scale": [0.1, 0.2]}, ValueError, r"scale must be a number, got the shape \(2,\)"),
    ({"scale": [0.1] * 4, "axis": 1}, ValueError, r"scale must have shape \(6,\), .* axis 1, got the shape \(4,\)"),
    ({"scale": 0.1, "axis": 1}, ValueError, "scale must have shape"),
    ({"scale": "0.1"}, TypeError, "scale must be"),
    ({"scale": 1j}, TypeError, "scale must be"),
    ({"zero_point": [0] * 4}, ValueError, "zero_point must be an integer, got the shape"),
    ({"scale": [0.1] * 6, "zero_point": [0] * 4, "axis": 1}, ValueError, r"zero_point must .*shape \(6,\)"),
    ({"zero_point": 0.5}, TypeError, "zero_point must be an integer"),
    ({"zero_point": [[0], [1, 2]]}, ValueError, "zero_point must be an integer .*, got 'list'"),
    ({"zero_point": True}, TypeError, "zero_point must be an integer"),
    ({"zero_point": 256}, ValueError, "zero_point must be between 0 and 255, as uint8 is, got 256"),
    ({"zero_point": -1}, ValueError, "zero_point must be between 0 and 255"),
    ({"scale": [0.1] * 6, "axis": 2}, AxisError, "axis 2 is out of bounds"),
    ({"axis": "channels"}, TypeError, "axis must be an int"),
    ({"axis": (0, 1)}, TypeError, "axis must be an int"),
]


@pytest.mark.parametrize(("arguments", "kind", "message"), WRONG_QUANTIZATION)
def test_wrong_arguments_of_quantization(arguments, kind, message):
    for name, x, dtype in (
        ("quantize_linear", FLAT, np.uint8),
        ("dequantize_linear", FLAT.astype(np.uint8), np.float32),
    ):
        out = np.full(FLAT.shape, 7, dtype)
        with pytest.raises(kind, match=rf"^{name}\(\): {message}"):
            FUNCTIONS[name](x, **{"scale": 0.1, "out": out} | arguments)
        assert (out == 7).all()


def test_ragged_lists_are_named():
    ragged = [[1.0, 2.0], [3.0]]
    for name, call in (
        ("images", lambda: preprocess.image_to_tensor(ragged)),
        ("mean", lambda: preprocess.image_to_tensor(np.ones((2, 2, 3), np.uint8), ragged)),
        ("std", lambda: preprocess.image_to_tensor(np.ones((2, 2, 3), np.uint8), std=ragged)),
        ("x", lambda: preprocess.quantize_linear(ragged, 0.1)),
        ("q", lambda: preprocess.dequantize_linear(ragged, 0.1)),
    ):
        with pytest.raises(ValueError, match=rf"^\w+\(\): {name} must be .*, got 'list'"):
            call()


def test_no_type_is_the_default():
    q = preprocess.quantize_linear(np.array([-1.0, 2.0]), 0.5, 2, dtype=None)
    assert_same_bits(q, np.array([0, 6], np.uint8))
    assert_same_bits(preprocess.dequantize_linear(q, 0.5, 2, dtype=None), np.array([-1, 2], np.float32))
    assert preprocess.image_to_tensor(np.zeros((2, 2, 3), np.uint8), dtype=None).dtype == np.float32


def test_wrong_types_of_quantization():
    with pytest.raises(ValueError, match=r"quantize_linear\(\): dtype must be uint8, int8, uint16 or int16, got dtype"):
        preprocess.quantize_linear(FLAT, 0.1, dtype=np.int32)
    with pytest.raises(TypeError, match=r"quantize_linear\(\): dtype must be .*'nonsense'"):
        preprocess.quantize_linear(FLAT, 0.1, dtype="nonsense")
    with pytest.raises(TypeError, match=r"quantize_linear\(\): x must be"):
        preprocess.quantize_linear(FLAT * 1j, 0.1)
    with pytest.raises(TypeError, match=r"dequantize_linear\(\): q must be uint8.*got dtype float32"):
        preprocess.dequantize_linear(FLAT, 0.1)
    with pytest.raises(ValueError, match=r"dequantize_linear\(\): dtype must be one of .*float64"):
        preprocess.dequantize_linear(FLAT.astype(np.uint8), 0.1, dtype=np.int8)
    with pytest.raises(TypeError, match="out must have dtype uint8"):
        preprocess.quantize_linear(FLAT, 0.1, out=np.zeros(FLAT.shape, np.int8))
    with pytest.raises(ValueError, match="out must have shape"):
        preprocess.dequantize_linear(FLAT.astype(np.uint8), 0.1, out=np.zeros(24, np.float32))


def session(operator, real, dtype, axis=None):
    """Return ONNX Runtime's operator as a function of x, scale and zero point."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    real, integer = (onnx.helper.np_dtype_to_tensor_dtype(np.dtype(each)) for each in (real, dtype))
    given, result = (real, integer) if operator == "QuantizeLinear" else (integer, real)
    value = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node(operator, ["x", "scale", "zero"], ["y"], **({} if axis is None else {"axis": axis}))
    inputs = [value("x", given, None), value("scale", real, None), value("zero", integer, None)]
    graph = onnx.helper.make_graph([node], "graph", inputs, [value("y", result, None)])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    operators = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda *arrays: operators.run(None, dict(zip(("x", "scale", "zero"), arrays, strict=True)))[0]


@each_quantized
@pytest.mark.parametrize("real", [np.float32, np.float16])
def test_onnxruntime_has_the_same_bits(real, dtype):
    quantize, dequantize = (session(name, real, dtype) for name in ("QuantizeLinear", "DequantizeLinear"))
    info = np.iinfo(dtype)
    for scale in (1.0, 0.1, 1 / 3, 7.7e-3):
        zero = np.array(info.max // 3, dtype)
        with np.errstate(all="ignore"):
            x = numbers(5000, scale, np.dtype(np.float32)).astype(real)
        # Of float16, it converts NaN and infinities to integers without a limit.
        x = x if real == np.float32 else x[np.isfinite(x)]
        theirs = quantize(x, np.array(scale, real), zero)
        assert_same_bits(preprocess.quantize_linear(x, real(scale), zero, dtype=dtype), theirs)
        back = dequantize(theirs, np.array(scale, real), zero)
        assert_same_bits(preprocess.dequantize_linear(theirs, real(scale), zero, dtype=real), back)


@each_quantized
def test_onnxruntime_has_the_same_bits_along_an_axis(dtype):
    generator = np.random.default_rng(0)
    for shape, axis in (((5, 6, 70), 1), ((300, 3), 1), ((3, 400), 0)):
        x = generator.standard_normal(shape).astype(np.float32)
        scale = generator.uniform(1e-3, 0.1, shape[axis]).astype(np.float32)
        zero = generator.integers(np.iinfo(dtype).min, np.iinfo(dtype).max + 1, shape[axis]).astype(dtype)
        theirs = session("QuantizeLinear", np.float32, dtype, axis)(x, scale, zero)
        assert_same_bits(preprocess.quantize_linear(x, scale, zero, dtype=dtype, axis=axis), theirs)
        back = session("DequantizeLinear", np.float32, dtype, axis)(theirs, scale, zero)
        assert_same_bits(preprocess.dequantize_linear(theirs, scale, zero, axis=axis), back)


# ---- standardize.


@each_dtype
@pytest.mark.parametrize("mean", [0.0, 1e4])
@pytest.mark.parametrize(
    ("shape", "axis"),
    [((500, 7), 0), ((500, 7), 1), ((6, 5, 40), (0, 2)), ((6, 5, 40), (1,)), ((3000,), 0), ((9, 4), (0, 1)),
     ((70_000, 3), 0)],
    ids=str,
)  # fmt: skip
def test_standardize(shape, axis, mean, dtype):
    x = (np.random.default_rng(0).standard_normal(shape) * 3 + mean).astype(dtype)
    near = x.astype(np.longdouble) - mean
    expected = (near - near.mean(axis=axis, keepdims=True)) / near.std(axis=axis, keepdims=True)
    largest = np.abs(expected).max(axis=axis, keepdims=True)
    for array in (x, np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2]):
        y = preprocess.standardize(array, axis)
        assert y.dtype == dtype
        assert (np.abs(y - expected) / np.spacing(largest.astype(dtype))).max() <= 4
    out = x.copy()
    assert preprocess.standardize(out, axis, out=out) is out
    assert_same_bits(out, preprocess.standardize(x, axis))


@pytest.mark.parametrize("dtype", FLOATS + HALVES, ids=str)
def test_constant_columns_become_zero(dtype):
    x = np.random.default_rng(0).standard_normal((200, 5)).astype(dtype)
    x[:, 1], x[:, 3] = dtype.type(0.1), dtype.type(-3e4)
    with np.errstate(all="raise"):
        y = preprocess.standardize(x)
        assert y.dtype == dtype
        assert (y[:, [1, 3]] == 0).all()
        assert (y[:, [0, 2, 4]] != 0).any(axis=0).all()
        assert (preprocess.standardize(np.asfortranarray(x).T, 1)[[1, 3]] == 0).all()
        assert (preprocess.standardize(x[:1]) == 0).all()
        assert (preprocess.standardize(x, eps=1.0)[:, 1] == 0).all()
        assert preprocess.standardize(dtype.type(3)) == 0


def test_standardize_of_special_values():
    x = np.array([[1.0, NAN, INF, 5.0], [3.0, 1.0, 1.0, 5.0]])
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(preprocess.standardize(x), [[-1, NAN, NAN, 0], [1, NAN, NAN, 0]])
    assert preprocess.standardize(np.zeros((0, 3))).shape == (0, 3)
    assert_same_bits(preprocess.standardize(np.int8([[1], [3]])), np.float32([[-1], [1]]))
    np.testing.assert_allclose(preprocess.standardize([1.0, 3.0], eps=3.0), [-0.5, 0.5])


def test_scikit_learn_agrees():
    sklearn = pytest.importorskip("sklearn.preprocessing", reason="scikit-learn is not installed")
    x = np.random.default_rng(0).standard_normal((300, 4)) * [1, 10, 0, 0.1] + 5
    np.testing.assert_allclose(preprocess.standardize(x), sklearn.StandardScaler().fit_transform(x), atol=1e-12)


def test_wrong_arguments_of_standardize():
    for arguments, kind, message in (
        ({"x": FLAT * 1j}, TypeError, "x must be"),
        ({"axis": 2}, AxisError, "axis 2 is out of bounds"),
        ({"axis": (0, 0)}, ValueError, "axis must not name an axis twice"),
        ({"axis": 0.5}, TypeError, "axis must be an int or a tuple"),
        ({"eps": -1.0}, ValueError, "eps must be at least 0"),
        ({"eps": "1"}, TypeError, "eps must be a real number"),
        ({"out": np.zeros(3, np.float32)}, ValueError, "out must have shape"),
        ({"out": np.zeros((4, 6))}, TypeError, "out must have dtype float32"),
    ):
        out = np.full((4, 6), 7, np.float32)
        with pytest.raises(kind, match=message):
            preprocess.standardize(**{"x": FLAT, "out": out} | arguments)
        assert (out == 7).all()


# ---- All of them.


def calls(n=300_000):
    """Return a call of each kernel on arrays that several threads share."""
    generator = np.random.default_rng(0)
    height = n // 600
    batch, floats = image((2, height, 100, 3)), image((2, height, 100, 3), np.float32)
    x = (generator.standard_normal((3, n // 3)) * 50).astype(np.float32)
    x[0, :4] = NAN, INF, 1e38, 1e-45
    q = preprocess.quantize_linear(x, 0.3, 100)
    return {
        "bytes": lambda: preprocess.image_to_tensor(batch, MEAN[:3], STD[:3]),
        "flipped": lambda: preprocess.image_to_tensor(batch[:, :, ::-1], MEAN[:3], STD[:3], dtype=np.float16),
        "four": lambda: preprocess.image_to_tensor(image((height, 200, 4)), MEAN, STD, swap_rb=True),
        "gray": lambda: preprocess.image_to_tensor(batch[..., :1], 0.4, 0.2),
        "channels last": lambda: preprocess.image_to_tensor(batch, MEAN[:3], STD[:3], layout="NHWC"),
        "floats": lambda: preprocess.image_to_tensor(floats, MEAN[:3], STD[:3]),
        "words": lambda: preprocess.image_to_tensor(image((height, 200, 3), np.uint16), 0.1, 0.2),
        "quantize": lambda: preprocess.quantize_linear(x, 0.3, 100),
        "quantize rows": lambda: preprocess.quantize_linear(x, [0.3, 0.2, 0.1], [1, 2, 3], axis=0),
        "quantize columns": lambda: preprocess.quantize_linear(x.T, [0.3, 0.2, 0.1], axis=1, dtype=np.int16),
        "dequantize": lambda: preprocess.dequantize_linear(q, 0.3, 100),
        "standardize": lambda: preprocess.standardize(np.nan_to_num(x, posinf=1.0), axis=1),
    }


@pytest.mark.parametrize("name", calls(600))
def test_any_number_of_threads_gives_the_same_bits(name):
    call = calls()[name]
    with fastact.threads(1):
        expected = call()
    for threads in (2, 3, 7):
        with fastact.threads(threads):
            assert_same_bits(call(), expected)


@pytest.mark.parametrize("name", calls(600))
def test_the_environment_is_left_alone(name):
    """Flags, rounding mode and subnormals of the caller change nothing and stay."""
    for n in (3000, 300_000):
        call = calls(n)[name]
        floating.clear_flags()
        expected = call()
        assert floating.flags() == 0
        for mode in (floating.UPWARD, floating.TOWARD_ZERO):
            with floating.rounding(mode):
                assert_same_bits(call(), expected)
                assert floating.rounding_mode() == mode
        if floating.IS_X86_64:
            with floating.subnormals_flushed():
                assert_same_bits(call(), expected)


def test_bfloat16_before_ml_dtypes_is_imported():
    """NumPy does not know the name then: the message says what to do, not only that bfloat16 is accepted."""
    program = """
import numpy as np
from fastact import preprocess
try:
    preprocess.dequantize_linear(np.uint8([1]), 1.0, dtype="bfloat16")
except TypeError as error:
    print(error)
import ml_dtypes
print(preprocess.dequantize_linear(np.uint8([1]), 1.0, dtype="bfloat16").dtype)
"""
    message, dtype = processes.output_of(program).splitlines()
    assert message.endswith("got 'bfloat16': import ml_dtypes, which makes it known")
    assert dtype == "bfloat16"


@pytest.mark.parametrize("instruction_set", ["baseline", "avx2", "avx512"])
def test_builds(instruction_set):
    """Every instruction set gives the bits of the one in use, between pages that must not be touched."""
    if instruction_set not in fastact._kernels.ufuncs.AVAILABLE:
        pytest.skip(f"this processor has no {instruction_set}")
    program = "import hashlib, guard_preprocess; print(guard_preprocess.main())"
    results = {processes.output_of(program, FASTACT_CPU=each) for each in (instruction_set, "baseline")}
    assert len(results) == 1


@each_function
def test_docstrings(name):
    function = FUNCTIONS[name]
    text = inspect.getdoc(function)
    sections = ["Parameters", "Returns", "Raises", "Notes", "References", "Examples"]
    assert re.findall(r"^(\w+)\n-{3,}$", text, re.MULTILINE) == sections
    for parameter in inspect.signature(function).parameters:
        assert re.search(rf"^[\w, ]*\b{parameter}\b[\w, ]* : ", text, re.MULTILINE)
    examples = doctest.DocTestParser().get_doctest(text, {}, name, None, 0)
    assert examples.examples
    report = []
    doctest.DocTestRunner().run(examples, out=report.append)
    assert not report, "".join(report)


def test_it_is_an_attribute_of_the_package():
    assert fastact.preprocess is preprocess
    assert "preprocess" in fastact.__all__
    assert ml_dtypes.bfloat16 in [half.type for half in HALVES]
