"""From photographs and measurements to what a network takes: normalized tensors, quantized and standardized arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastact._kernels import channels
from fastact._kernels.arguments import FLOAT64, as_array
from fastact._kernels.axes import Array, Axis
from fastact._kernels.channels import QUANTIZED
from fastact._kernels.operands import (
    FLOAT32,
    Output,
    checked_eps,
    checked_number,
    checked_out,
    computable,
    is_half,
    normalized_axes,
    real,
    single_axis,
)
from fastact._kernels.pixels import Plan, plan_of_bytes, plan_of_numbers
from fastact._kernels.promotion import ARRAY, float_of
from fastact._kernels.random import undisturbed
from fastact._kernels.reductions import run
from fastact._kernels.statistics import statistics
from fastact.normalization import MOMENTS, PIECE

__all__ = ["dequantize_linear", "image_to_tensor", "quantize_linear", "standardize"]

# By the number of dimensions: the images' axes in the order of the layout, and the layout's in the order of the images.
AXES = {
    "NCHW": {3: ((2, 0, 1), (1, 2, 0)), 4: ((0, 3, 1, 2), (0, 2, 3, 1))},
    "NHWC": {3: ((0, 1, 2), (0, 1, 2)), 4: ((0, 1, 2, 3), (0, 1, 2, 3))},
}
# By the number of channels: which one of the result each one of the images is.
UNCHANGED = {1: (0,), 3: (0, 1, 2), 4: (0, 1, 2, 3)}
SWAPPED = {3: (2, 1, 0), 4: (2, 1, 0, 3)}
EVERY = (slice(None), slice(None))
# The kernels of each type of pixels.
PIXELS = {
    np.dtype(np.uint8): "image_bytes",
    np.dtype(np.uint16): "image_words",
    np.dtype(np.float32): "image_floats",
}
QUANTIZED_NAMES = "uint8, int8, uint16 or int16"


def image_to_tensor(
    images: ArrayLike,
    mean: float | Sequence[float] | Array | None = None,
    std: float | Sequence[float] | Array | None = None,
    *,
    scale: float = 1 / 255,
    layout: str = "NCHW",
    swap_rb: bool = False,
    dtype: DTypeLike = np.float32,
    out: Array | None = None,
) -> Array:
    """Normalize images to (x*scale - mean)/std in the layout a network takes, in one pass over memory.

    Parameters
    ----------
    images : ndarray of uint8, uint16 or float32
        One image of shape (H, W, C), or a batch of them of shape (N, H, W, C), with 1, 3 or 4 channels. Any strides:
        views that are cropped, flipped or have their channels turned round are read as they are.
    mean, std : float or sequence of float, optional
        One number for all channels, or one for each in the order of the result's channels; 0 and 1 if not given.
    scale : float, default 1/255
        What pixels are multiplied by before.
    layout : {"NCHW", "NHWC"}
        Where the result's channels are: before height and width, or behind.
    swap_rb : bool, default False
        Whether the first and the third channel change places: BGR becomes RGB, BGRA becomes RGBA.
    dtype : dtype, default numpy.float32
        float32, float16 or bfloat16.
    out : ndarray, optional
        Where the result is written, of the result's shape and type, with any strides. It may share memory with
        `images`, which are copied then.

    Returns
    -------
    ndarray
        Of shape (N, C, H, W) or (N, H, W, C); of one image, without N.

    Raises
    ------
    TypeError
        If `images` is not an array, a number is not real, or `out` has another type.
    ValueError
        If `images` has another type or shape, `mean` or `std` has not a number for each channel, or an argument has
        another value than those named above. `std` and `scale` must not be 0.

    Notes
    -----
    ``(x*scale - mean)/std`` in float64, rounded once to float32, also where x*scale is close to the mean: for uint8
    the result is the float32 nearest to what float64 gives. float16 and bfloat16 are rounded from that float32. NaN
    stays NaN. Never warns. The same for any number of threads.

    A result of more than 32 MiB is new memory in every call, which the system clears page by page: two thirds of the
    time, 0.6 ns a number in huge pages and 1.9 in small ones. With `out` it is not.

    References
    ----------
    torchvision.transforms.Normalize; cv2.dnn.blobFromImages

    Examples
    --------
    >>> import numpy as np
    >>> from fastact import preprocess
    >>> image = np.array([[[0, 51, 255], [255, 204, 0]]], np.uint8)
    >>> preprocess.image_to_tensor(image, mean=0.5, std=0.5)
    array([[[-1. ,  1. ]],
    <BLANKLINE>
           [[-0.6,  0.6]],
    <BLANKLINE>
           [[ 1. , -1. ]]], dtype=float32)
    """
    tensor: Array = undisturbed(tensor_of, images, mean, std, scale, layout, swap_rb, dtype, out)
    return tensor


def tensor_of(
    images: Any,
    mean: Any,
    std: Any,
    scale: Any,
    layout: str,
    swap_rb: bool,
    dtype: DTypeLike,
    out: Any,
) -> Array:
    """Do what `image_to_tensor` says: no number here depends on the caller's rounding mode."""
    function = "image_to_tensor"
    pixels = checked_images(images, function)
    count = pixels.shape[-1]
    scale = checked_factor(scale, function, "scale")
    center = per_channel(mean, count, 0.0, function, "mean")
    spread = per_channel(std, count, 1.0, function, "std")
    if layout not in tuple(AXES):
        raise ValueError(f"{function}(): layout must be 'NCHW' or 'NHWC', got {layout!r}")
    if swap_rb and count == 1:
        raise ValueError(f"{function}(): swap_rb must be False for images with one channel, got {swap_rb!r}")
    result = checked_dtype(dtype, function)
    to_layout, to_pixels = AXES[layout][pixels.ndim]
    shape = tuple(map(pixels.shape.__getitem__, to_layout))
    out = checked_out(out, shape, result, function)
    y = out if out is not None and out.flags.aligned else np.empty(shape, result)
    order = UNCHANGED[count]
    if swap_rb:
        order = SWAPPED[count]
        center, spread = (tuple(numbers[k] for k in order) for numbers in (center, spread))
    kernels = PIXELS[pixels.dtype]
    find = plan_of_bytes if kernels == "image_bytes" else plan_of_numbers
    plan = find(kernels, scale, center, spread)
    if out is not None and np.may_share_memory(pixels, out):
        pixels = pixels.copy()
    normalize_pixels(pixels, y.transpose(to_pixels), order, plan)
    if out is not None and y is not out:
        np.copyto(out, y)
    return y if out is None else out


def normalize_pixels(x: Array, y: Array, order: tuple[int, ...], plan: Plan) -> None:
    """Write channel c of x to channel order[c] of y, both with channels last."""
    axis = x.ndim - 1
    is_swapped = order[0] != 0
    if not is_swapped and x.strides[axis] * y.itemsize == y.strides[axis] * x.itemsize:
        # Channels behind in both: a row is one loop over pixels and channels.
        channels.run("float32", plan.kernels, x, y, plan.parameters, axis)
    elif not channels.run_packed(plan.kernels, x, y, plan.parameters, order):
        for source, target in ((slice(3), slice(2, None, -1)), (slice(3, None),) * 2) if is_swapped else (EVERY,):
            parameters = np.ascontiguousarray(plan.parameters[:, source])
            channels.run("float32", plan.kernels, x[..., source], y[..., target], parameters, axis)


def checked_images(images: Any, function: str) -> Array:
    """Return images as an aligned array in the machine's byte order, or raise."""
    demand = f"{function}(): images must be an array of uint8, uint16 or float32"
    if not isinstance(images, (np.ndarray, Sequence)) and not hasattr(images, "__array__"):
        raise TypeError(f"{demand}, got {type(images).__name__!r}")
    pixels = as_array(images, demand)
    native = pixels.dtype if pixels.dtype.isnative else pixels.dtype.newbyteorder("=")
    if native not in PIXELS:
        raise ValueError(f"{demand}, got dtype {pixels.dtype}")
    if pixels.ndim not in {3, 4} or pixels.shape[-1] not in UNCHANGED:
        accepted = "(H, W, C) or (N, H, W, C) with 1, 3 or 4 channels"
        raise ValueError(f"{function}(): images must have shape {accepted}, got {pixels.shape}")
    return pixels if native is pixels.dtype and pixels.flags.aligned else pixels.astype(native)


def checked_factor(value: Any, function: str, name: str) -> float:
    """Return a finite number other than 0, or raise."""
    number = value if type(value) is float else checked_number(value, function, name)
    if not math.isfinite(number) or number == 0:
        raise ValueError(f"{function}(): {name} must be finite and not 0, got {value!r}")
    return number


def per_channel(value: Any, count: int, default: float, function: str, name: str) -> tuple[float, ...]:
    """Return one number for each channel, or raise."""
    if value is None:
        return (default,) * count
    if type(value) in {tuple, list} and len(value) == count and all(type(number) is float for number in value):
        numbers = tuple(value)
    else:
        demand = f"{function}(): {name} must be a real number or one for each channel"
        array = as_array(value, demand)
        if float_of(array.dtype.type) is None:
            raise TypeError(f"{demand}, got {value!r}")
        if array.shape not in {(), (count,)}:
            accepted = f"a number or have shape ({count},), one number a channel"
            raise ValueError(f"{function}(): {name} must be {accepted}, got the shape {array.shape}")
        numbers = tuple(np.broadcast_to(array, (count,)).astype(FLOAT64).tolist())
    if not all(math.isfinite(number) and (number != 0 or name == "mean") for number in numbers):
        accepted = "finite" if name == "mean" else "finite and not 0"
        raise ValueError(f"{function}(): {name} must be {accepted}, got {value!r}")
    return numbers


def checked_dtype(dtype: DTypeLike, function: str, more: tuple[str, ...] = ()) -> np.dtype[Any]:
    """Return the type of a result: float32, which is the default, a 16-bit float, or one of those named."""
    accepted = ("float32", "float16", "bfloat16", *more)
    try:
        found = FLOAT32 if dtype is None else np.dtype(dtype)
    except TypeError:
        hint = ": import ml_dtypes, which makes it known" if isinstance(dtype, str) and dtype == "bfloat16" else ""
        raise TypeError(f"{function}(): dtype must be one of {', '.join(accepted)}, got {dtype!r}{hint}") from None
    if found is not FLOAT32 and (found.name not in accepted or not found.isnative):
        raise ValueError(f"{function}(): dtype must be one of {', '.join(accepted)}, got {found.str}")
    return found


def quantize_linear(
    x: ArrayLike,
    scale: ArrayLike,
    zero_point: ArrayLike = 0,
    *,
    dtype: DTypeLike = np.uint8,
    axis: int | None = None,
    out: Array | None = None,
) -> Any:
    """Round x/scale to integers, add the zero point and saturate: ONNX's QuantizeLinear.

    Parameters
    ----------
    x : array_like
        The input, of any shape and layout.
    scale : float or array_like
        A number, or with `axis` one number for each element of that axis.
    zero_point : int or array_like, default 0
        What 0 becomes: an integer that `dtype` holds, or with `axis` one for each element of that axis.
    dtype : dtype, default numpy.uint8
        uint8, int8, uint16 or int16.
    axis : int, optional
        The axis that scales and zero points lie along. Default: one of each for all of `x`.
    out : ndarray, optional
        Where the result is written, of the shape of `x` and of `dtype`.

    Returns
    -------
    ndarray
        Of the shape of `x` and of `dtype`.

    Raises
    ------
    TypeError
        If `x` or `scale` is not an array of real numbers, `zero_point` not one of integers, or `out` has another type.
    ValueError
        If `scale` or `zero_point` has another shape than the one number or `axis` asks for, `zero_point` is out of
        range, or `dtype` is none of those named.
    numpy.exceptions.AxisError
        If the axis is out of bounds.

    Notes
    -----
    ``clip(rint(x/scale) + zero_point, lowest, highest)``

    The quotient is IEEE's in float32, float64 for float64 and wide integers; halves go to the even integer, everything
    out of range to the nearest limit, infinities too. NaN gives the lowest integer of `dtype`. So does onnxruntime,
    which has the same bits for float32. Never warns. The same for any number of threads.

    References
    ----------
    ONNX operators, QuantizeLinear

    Examples
    --------
    >>> import numpy as np
    >>> from fastact import preprocess
    >>> preprocess.quantize_linear(np.array([-1.0, 0.0, 0.25, 0.75, 100.0]), 0.5, 2)
    array([  0,   2,   2,   4, 202], dtype=uint8)
    >>> preprocess.quantize_linear(np.array([[1.0, -1.0], [1.0, -1.0]]), [0.01, 0.02], dtype=np.int8, axis=0)
    array([[ 100, -100],
           [  50,  -50]], dtype=int8)
    """
    q = channels.linear(True, x, scale, zero_point, dtype, axis, out)
    return undisturbed(quantized, x, scale, zero_point, dtype, axis, out) if q is None else q


def quantized(
    x: Any,
    scale: Any,
    zero_point: Any,
    dtype: DTypeLike,
    axis: int | None,
    out: Any,
) -> Any:
    """Do what `quantize_linear` says."""
    function = "quantize_linear"
    given = checked_numbers(x, function)
    target = quantized_dtype(np.uint8 if dtype is None else dtype, ValueError, function, "dtype")
    precision = FLOAT64 if given.dtype == FLOAT64 else FLOAT32
    parameters, channel = linear_parameters(scale, zero_point, given.shape, axis, target, precision, function)
    out = checked_out(out, given.shape, target, function)
    return mapped("quantize", given, out, target, parameters, channel, QUANTIZED[target])


def dequantize_linear(
    q: ArrayLike,
    scale: ArrayLike,
    zero_point: ArrayLike = 0,
    *,
    dtype: DTypeLike = np.float32,
    axis: int | None = None,
    out: Array | None = None,
) -> Any:
    """Return (q - zero_point)*scale: ONNX's DequantizeLinear, the way back from `quantize_linear`.

    Parameters
    ----------
    q : array_like of uint8, int8, uint16 or int16
        Quantized numbers, of any shape and layout.
    scale, zero_point : float and int, or array_like
        As they were given to `quantize_linear`.
    dtype : dtype, default numpy.float32
        float16, bfloat16, float32 or float64.
    axis : int, optional
        The axis that scales and zero points lie along. Default: one of each for all of `q`.
    out : ndarray, optional
        Where the result is written, of the shape of `q` and of `dtype`.

    Returns
    -------
    ndarray
        Of the shape of `q` and of `dtype`.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `quantize_linear`; TypeError also if `q` has another type.

    Notes
    -----
    ``(q - zero_point)*scale``

    The difference is exact and the product rounded once, in float64 if `dtype` is that, else in float32, and from
    there to 16 bits. onnxruntime has the same bits. Never warns. The same for any number of threads.

    References
    ----------
    ONNX operators, DequantizeLinear

    Examples
    --------
    >>> import numpy as np
    >>> from fastact import preprocess
    >>> preprocess.dequantize_linear(np.array([0, 2, 4, 202], np.uint8), 0.5, 2)
    array([ -1.,   0.,   1., 100.], dtype=float32)
    """
    y = channels.linear(False, q, scale, zero_point, dtype, axis, out)
    return undisturbed(dequantized, q, scale, zero_point, dtype, axis, out) if y is None else y


def dequantized(
    q: Any,
    scale: Any,
    zero_point: Any,
    dtype: DTypeLike,
    axis: int | None,
    out: Any,
) -> Any:
    """Do what `dequantize_linear` says."""
    function = "dequantize_linear"
    given = as_array(q, f"{function}(): q must be {QUANTIZED_NAMES}")
    kind = quantized_dtype(given.dtype, TypeError, function, "q")
    given = given if given.dtype is kind and given.flags.aligned else given.astype(kind)
    target = checked_dtype(dtype, function, ("float64",))
    precision = FLOAT64 if target == FLOAT64 else FLOAT32
    parameters, channel = linear_parameters(scale, zero_point, given.shape, axis, kind, precision, function)
    out = checked_out(out, given.shape, target, function)
    return mapped("dequantize", given, out, target, parameters, channel, QUANTIZED[kind])


def quantized_dtype(dtype: DTypeLike, error: type[Exception], function: str, name: str) -> np.dtype[Any]:
    """Return one of the types of quantized arrays in the machine's byte order, or raise."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    native = found if found is None or found.isnative else found.newbyteorder("=")
    if native not in QUANTIZED:
        given = repr(dtype) if found is None else f"dtype {found}"
        raise (TypeError if found is None else error)(f"{function}(): {name} must be {QUANTIZED_NAMES}, got {given}")
    return native


def checked_numbers(x: Any, function: str) -> Array:
    """Return x as the kernels take it: 16-bit floats as they are, others in float32 or float64."""
    array = as_array(x, f"{function}(): x must be {ARRAY}")
    if (array.dtype is FLOAT32 or is_half(array.dtype)) and array.dtype.isnative and array.flags.aligned:
        return array
    return real(x, function).array


def linear_parameters(
    scale: Any,
    zero_point: Any,
    shape: tuple[int, ...],
    axis: int | None,
    kind: np.dtype[Any],
    precision: np.dtype[Any],
    function: str,
) -> tuple[Array, int]:
    """Return scales and zero points as (2, channels), and the axis of the channels or -1."""
    channel = -1 if axis is None else single_axis(axis, len(shape), function)
    lengths = () if axis is None else (shape[channel] if shape else 1,)
    scales = real(scale, function, "scale").array
    demand = f"{function}(): zero_point must be an integer or an array of them"
    zeros = as_array(zero_point, demand)
    if zeros.dtype.kind not in "iu":
        raise TypeError(f"{demand}, got dtype {zeros.dtype}")
    if scales.shape != lengths:
        accepted = f"have shape {lengths}, one number for each element of axis {axis}" if lengths else "be a number"
        raise ValueError(f"{function}(): scale must {accepted}, got the shape {scales.shape}")
    if zeros.shape not in {(), lengths}:
        accepted = f"be an integer or have shape {lengths}" if lengths else "be an integer"
        raise ValueError(f"{function}(): zero_point must {accepted}, got the shape {zeros.shape}")
    if zeros.dtype != kind and zeros.size:
        limits = np.iinfo(kind)
        if not (limits.min <= zeros.min() and zeros.max() <= limits.max):
            between = f"between {limits.min} and {limits.max}, as {kind} is"
            raise ValueError(f"{function}(): zero_point must be {between}, got {zero_point!r}")
    numbers = computable(scales, precision)
    parameters = channels.linear_parameters(precision.name, numbers, zeros, math.prod(lengths), QUANTIZED[kind])
    return parameters, channel if shape else -1


def mapped(
    name: str, x: Array, out: Array | None, dtype: np.dtype[Any], parameters: Array, axis: int, kind: int
) -> Any:
    """Return what kernels make of x, in `out` if it is given."""
    y = out if out is not None and out.flags.aligned else np.empty_like(x, dtype)
    if out is not None and np.may_share_memory(x, out):
        x = x.copy()
    precision = "float64" if parameters.dtype is FLOAT64 else "float32"
    channels.run(precision, name, x, y, parameters, axis, kind)
    if out is None:
        return y if y.ndim else y[()]
    if y is not out:
        np.copyto(out, y)
    return out


def standardize(x: ArrayLike, axis: Axis = 0, *, eps: float = 0.0, out: Any = None) -> Any:
    """Shift and scale to mean 0 and variance 1 along the axes; what is constant becomes 0.

    Parameters
    ----------
    x : array_like
        The input, of any shape and layout.
    axis : int or tuple of int, default 0
        The axes of mean and variance: 0 for each column of a table.
    eps : float, default 0.0
        Added to the variance, at least 0.
    out : ndarray, optional
        Where the result is written, of the result's shape and type. It may be `x`.

    Returns
    -------
    ndarray
        Of the shape of `x` and, for floats, its type. Integers and bool are computed in float32 if they have at most 16
        bits, else in float64.

    Raises
    ------
    TypeError
        If `x` is not an array of real numbers, `eps` not a number, or `out` has another type.
    ValueError
        If `eps` is negative, an axis is named twice, or `out` has another shape.
    numpy.exceptions.AxisError
        If an axis is out of bounds.

    Notes
    -----
    ``(x - mean)/sqrt(var + eps)`` with the biased variance. Error at most 4 ULP of the largest term, for any ratio of
    mean and standard deviation. Where the variance and `eps` are 0 the result is 0. Never warns. The same for any
    number of threads. For float64 beyond 1e154 see `fastact.batch_norm`.

    References
    ----------
    sklearn.preprocessing.StandardScaler

    Examples
    --------
    >>> import numpy as np
    >>> from fastact import preprocess
    >>> preprocess.standardize(np.array([[1.0, 5.0], [3.0, 5.0]]))
    array([[-1.,  0.],
           [ 1.,  0.]])
    """
    return undisturbed(standardized, x, axis, eps, out)


def standardized(
    x: Any,
    axis: Axis,
    eps: Any,
    out: Any,
) -> Any:
    """Do what `standardize` says."""
    function = "standardize"
    given = real(x, function, in_blocks=True)
    axes = normalized_axes(axis, given.array.ndim, function)
    eps = checked_eps(eps, function)
    out = checked_out(out, given.array.shape, given.dtype, function)
    target = Output(out, given.array.shape, given, [given.array])
    stats = statistics(MOMENTS, given.array, axes)
    stats[4], stats[5] = 1.0, 0.0
    arrays = [given.array, target.array]
    run("moments", arrays, 1, axes, stats, piece_numbers=PIECE, parameters=(eps, -math.inf), apply="normalize")
    if eps == 0 and given.array.size:
        # 1/sqrt(0) times 0.
        clear_constant(target.array, stats[2], axes)
    return target.result()


def clear_constant(y: Array, square: Array, axes: tuple[int, ...]) -> None:
    """Write 0 wherever a sum of squares about the mean is 0."""
    is_constant = square == 0
    if is_constant.any():
        shape = [1 if axis in axes else length for axis, length in enumerate(y.shape)]
        np.copyto(y, 0, where=is_constant.reshape(shape))
