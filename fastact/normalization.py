"""Moments in one pass over memory, and the normalizations built on them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastact._kernels import operands, planar, reductions
from fastact._kernels.arguments import FLOAT64, is_masked
from fastact._kernels.axes import Array, Axis
from fastact._kernels.operands import (
    Operand,
    Output,
    Undisturbed,
    channel_axis,
    checked_eps,
    checked_number,
    checked_out,
    computable,
    compute_dtype,
    elements_along,
    kept_shape,
    like,
    normalized_axes,
    per_channel,
    real,
    wide_numbers,
)
from fastact._kernels.promotion import float_of
from fastact._kernels.reductions import run
from fastact._kernels.registry import OPERATORS
from fastact._kernels.statistics import affine, lay_channels, quotients, rounded, statistics, update

__all__ = [
    "batch_norm",
    "batch_norm_inverse",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "moments",
    "normalize",
    "rms_norm",
]

# What the kernels know of a kept element: the mean in two parts, the sum of squares about it, 1/sqrt(variance + eps),
# weight and bias. And of a piece: elements, shift, sum, sum of squares.
MOMENTS = 6
PIECE = 4
# Where rows are normalized and nobody wants their statistics.
TOGETHER: dict[str, Any] = {"is_exact": False, "stats_numbers": MOMENTS}
# Parameters of kernels that need no eps: no result is too low.
AS_IT_IS = (0.0, -math.inf)
# The kernels for norms of these orders.
NORMS = {1.0: "norm_1", 2.0: "norm_2", math.inf: "norm_inf"}
# For those of other orders, so many elements are worked on at a time.
SOME = 65536
ACTIVATIONS = tuple(row.name for row in OPERATORS if not row.parameters)


def moments(x: ArrayLike, axis: Axis = None, *, correction: float = 0, keepdims: bool = False) -> tuple[Any, Any]:
    """Return mean and variance along the axes, in one pass over memory.

    Parameters
    ----------
    x : array_like
        The input, of any shape and layout.
    axis : int or tuple of int or None, default None
        The axes to reduce; None stands for all.
    correction : float, default 0
        The sum of squares is divided by the number of elements minus this: 1 for the unbiased estimate.
    keepdims : bool, default False
        Whether the reduced axes stay, with length 1.

    Returns
    -------
    mean, var : ndarray or scalar
        Of the type of `x` for floats. Integers and bool are computed in float32 if they have at most 16 bits, else in
        float64.

    Raises
    ------
    TypeError
        If `x` is not an array of real numbers of at most 64 bits, or `correction` not a number.
    ValueError
        If an axis is named twice.
    numpy.exceptions.AxisError
        If an axis is out of bounds.

    Notes
    -----
    The variance is right to 4 ULP for any ratio of mean and standard deviation (where one element is far from all
    others: float32 along columns 5, once in 40000, float64 10), the mean to 2 ULP of the larger one of both; the
    variance of a constant is 0. Of two float32 columns of 100000 numbers with mean 1e6 and standard deviation 1,
    `numpy.var` says 195978, and torch's training `batch_norm` leaves a standard deviation of 0.003.
    NaN if there is nothing to reduce. With no more elements than `correction` the variance is divided by 0: inf, or NaN
    if they are all equal. NaN and inf as in NumPy. Never warns. The same for any number of threads.

    References
    ----------
    Chan, Golub and LeVeque (1983), The American Statistician 37

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> mean, var = fastact.moments(np.array([[1.0, 2.0], [3.0, 6.0]]), axis=0)
    >>> mean, var
    (array([2., 4.]), array([1., 4.]))
    """
    given = real(x, "moments", in_blocks=True)
    axes = normalized_axes(axis, given.array.ndim, "moments")
    correction = checked_number(correction, "moments", "correction")
    shape = kept_shape(given.array.shape, axes, keepdims)
    count = elements_along(given.array, axes)
    divisor = max(count - correction, 0.0)
    # Kernels write float32 or float64: statistics of 16 bits are rounded once, from float64.
    if given.array.dtype == given.dtype and given.dtype.itemsize > 2 and given.array.size:
        mean, var = np.empty(shape, given.dtype), np.empty(shape, given.dtype)
        options: dict[str, Any] = {"apply": "variance", "is_exact": False, "results": (mean, var)}
        # eps is infinite: as in `mean_and_square`.
        run("moments", [given.array], 0, axes, None, PIECE, (np.inf, divisor), **options)
        return mean[()], var[()]
    mean, _, square, _ = mean_and_square(given.array, axes)
    return rounded(mean, shape, given.dtype), rounded(quotients(square, divisor), shape, given.dtype)


def mean_and_square(x: Array, axes: tuple[int, ...]) -> tuple[Array, Array, Array, int]:
    """Return the mean in two parts, the sum of squares about it and the number of elements, float64, flat."""
    # Without weight and bias.
    stats = statistics(MOMENTS - 2, x, axes)
    if not x.size:
        stats.fill(np.nan)
    # eps is infinite: nobody asks for 1/sqrt(var + eps), nor for squares that float32 cannot hold, as it cannot var.
    run("moments", [x], 0, axes, stats, piece_numbers=PIECE, parameters=(np.inf,), is_exact=False)
    return stats[0], stats[1], stats[2], elements_along(x, axes)


def checked_running(value: Any, channels: int, function: str, name: str, is_written: bool) -> Array | None:
    if value is None or (isinstance(value, np.ndarray) and operands.is_row(value, channels, is_written)):
        return value
    if is_written:
        if not isinstance(value, np.ndarray) or float_of(value.dtype.type) is not value.dtype.type:
            given = f"dtype {value.dtype}" if isinstance(value, np.ndarray) else repr(type(value).__name__)
            raise TypeError(f"{function}(): {name} must be an ndarray of floats in training, got {given}")
        if is_masked(value):
            raise TypeError(f"{function}(): {name} must be an ndarray of floats in training, got a masked one")
    running: Array = value if is_written else real(value, function, name).array
    if running.shape != (channels,):
        shape = running.shape
        raise ValueError(f"{function}(): {name} must have shape ({channels},), one number a channel, got {shape}")
    if is_written and not running.flags.writeable:
        raise ValueError(f"{function}(): {name} must be writeable in training, got a read-only array")
    return running


def checked_activation(activation: Any, function: str) -> str | None:
    if activation is None:
        return None
    if not isinstance(activation, str):
        raise TypeError(f"{function}(): activation must be a name or None, got {type(activation).__name__!r}")
    if activation not in ACTIVATIONS:
        raise ValueError(f"{function}(): activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
    return activation


def batch_norm(
    x: ArrayLike,
    running_mean: ArrayLike | None = None,
    running_var: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    axis: int = 1,
    activation: str | None = None,
    out: Any = None,
    return_stats: bool = False,
) -> Any:
    """Normalize each channel, by its running statistics or, in training, by those of the batch.

    Parameters
    ----------
    x : array_like
        The input: channels along `axis`.
    running_mean, running_var : array_like, optional
        One number a channel. Needed without `training`; with it, arrays of floats, updated in place.
    weight, bias : array_like, optional
        One number a channel: 1 and 0 if not given.
    training : bool, default False
        Whether mean and variance are those of `x`.
    momentum : float, default 0.1
        What share the batch has in the new running statistics, between 0 and 1.
    eps : float, default 1e-5
        Added to the variance, at least 0.
    axis : int, default 1
        The axis of the channels.
    activation : str, optional
        The name of an element-wise operator without parameters, applied in the same pass over memory.
    out : ndarray, optional
        Where the result is written, of the result's shape and type. It may be `x`.
    return_stats : bool, default False
        Whether to return ``(y, mean, var)``: the batch's mean and biased variance in training, else the running ones.

    Returns
    -------
    ndarray
        Of the shape of `x` and, for floats, its type. Integers and bool are computed in float32 if they have at most 16
        bits, else in float64.

    Raises
    ------
    TypeError
        If an array is not one of real numbers, or `out` has another type.
    ValueError
        If a channel has no or, in training, a single element; if an argument has the wrong shape or value. The running
        arrays are untouched then.
    numpy.exceptions.AxisError
        If the axis is out of bounds.

    Notes
    -----
    ``activation((x - mean)/sqrt(var + eps)*weight + bias)``. In training the running arrays become
    ``(1 - momentum)*running + momentum*batch`` with the unbiased variance, as in torch.

    Error at most 4 ULP of the largest term. In training mean and variance are right for any ratio of them, see
    `moments`; without it, all is one factor and one summand a channel. Never warns. The same for any number of threads.
    The square of a deviation leaves float64 beyond 1e154, where the result in training is 0, and below 1e-154, where it
    is infinite unless `eps` is larger.

    References
    ----------
    Ioffe and Szegedy (2015), arXiv:1502.03167; torch.nn.functional.batch_norm

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> x = np.array([[1.0, 10.0], [3.0, 30.0]])
    >>> fastact.batch_norm(x, training=True, eps=0.0)
    array([[-1., -1.],
           [ 1.,  1.]])
    >>> fastact.batch_norm(x, np.array([1.0, 20.0]), np.array([1.0, 4.0]), eps=0.0, activation="relu")
    array([[0., 0.],
           [2., 5.]])
    """
    function = "batch_norm"
    given = real(x, function, in_blocks=True)
    channel, others, channels = channel_axis(given.array, axis, function)
    eps = checked_eps(eps, function)
    momentum = checked_number(momentum, function, "momentum", 0.0, 1.0)
    activation = checked_activation(activation, function)
    old_mean = checked_running(running_mean, channels, function, "running_mean", training)
    old_var = checked_running(running_var, channels, function, "running_var", training)
    factor = per_channel(weight, given, channels, function, "weight", 1.0)
    summand = per_channel(bias, given, channels, function, "bias", 0.0)
    out = checked_out(out, given.array.shape, given.dtype, function)
    count, is_asked = elements_along(given.array, others), bool(return_stats)
    if not training and (old_mean is None or old_var is None):
        missing = "running_mean" if old_mean is None else "running_var"
        raise ValueError(f"{function}(): {missing} must be given without training, got None")
    if training and count < 2:
        raise ValueError(f"{function}(): x must have more than one element a channel in training, got {count}")
    target = Output(out, given.array.shape, given, [given.array, factor, summand])
    both = given.array, target.array
    # The kernels' own, which takes no time: a pass of its own in the cache takes a tenth of the whole.
    activation, lowest = (None, 0.0) if activation == "relu" else (activation, -math.inf)
    parameters = eps, lowest
    if training:
        stats = statistics(MOMENTS, given.array, others)
        if not planar.normalize(*both, channel, 0, factor, summand, eps, stats, activation, lowest):
            lay_channels(stats, factor, summand)
            run("moments", [*both], 1, others, stats, PIECE, parameters, activation, apply="normalize")
        mean, var = stats[0], quotients(stats[2], count)
        update(old_mean, mean, momentum)
        update(old_var, quotients(stats[2], count - 1), momentum)
    else:
        assert old_mean is not None
        assert old_var is not None
        mean, var = wide_numbers(old_mean), wide_numbers(old_var)
        stats = affine(mean, var, factor, summand, eps)
        if not planar.scale_and_shift(*both, channel, stats, activation, lowest):
            run("", [*both], 1, others, stats, 0, parameters, activation, reduces=False, apply="affine")
    y = target.result()
    return (y, rounded(mean, mean.shape, given.dtype), rounded(var, var.shape, given.dtype)) if is_asked else y


def channel_statistic(value: Any, x: Operand, channels: int, function: str, name: str) -> Array:
    """Return one number a channel, which there is no default for."""
    if value is None:
        raise TypeError(f"{function}(): {name} must be an array of one number a channel, got None")
    return per_channel(value, x, channels, function, name, 0.0)


def batch_norm_inverse(
    y: ArrayLike,
    mean: ArrayLike,
    var: ArrayLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    eps: float = 1e-5,
    axis: int = 1,
    out: Any = None,
) -> Any:
    """Map normalized data back to where it came from: the inverse of `batch_norm` without an activation.

    Parameters
    ----------
    y : array_like
        Normalized data: channels along `axis`.
    mean, var : array_like
        What it was normalized by, one number a channel: see ``return_stats`` of `batch_norm`.
    weight, bias : array_like, optional
        As they were given to `batch_norm`.
    eps : float, default 1e-5
        As it was given to `batch_norm`.
    axis : int, default 1
        The axis of the channels.
    out : ndarray, optional
        Where the result is written, of the result's shape and type. It may be `y`.

    Returns
    -------
    ndarray
        Of the shape of `y` and, for floats, its type. See `batch_norm`.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `batch_norm`.

    Notes
    -----
    ``(y - bias)/weight*sqrt(var + eps) + mean``. Error at most 4 ULP of the largest term. Never warns.

    References
    ----------
    Ioffe and Szegedy (2015), arXiv:1502.03167

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> y, mean, var = fastact.batch_norm(np.array([[1.0, 10.0], [3.0, 30.0]]), training=True, return_stats=True)
    >>> fastact.batch_norm_inverse(y, mean, var).round(12)
    array([[ 1., 10.],
           [ 3., 30.]])
    """
    function = "batch_norm_inverse"
    given = real(y, function, "y", in_blocks=True)
    channel, others, channels = channel_axis(given.array, axis, function)
    eps = checked_number(eps, function, "eps", low=0.0)
    center = channel_statistic(mean, given, channels, function, "mean")
    spread = channel_statistic(var, given, channels, function, "var")
    factor = per_channel(weight, given, channels, function, "weight", 1.0)
    summand = per_channel(bias, given, channels, function, "bias", 0.0)
    out = checked_out(out, given.array.shape, given.dtype, function)
    target = Output(out, given.array.shape, given, [given.array])
    stats = np.empty((2, channels))
    with Undisturbed():
        stats[0] = np.sqrt(spread + eps) / factor
        stats[1] = center - summand * stats[0]
    if not planar.scale_and_shift(given.array, target.array, channel, stats):
        run("", [given.array, target.array], 1, others, stats, 0, AS_IT_IS, apply="affine", reduces=False)
    return target.result()


def along_axes(value: Any, x: Operand, axes: tuple[int, ...], function: str, name: str, default: float) -> Array:
    """Return an argument of the reduced axes' shape, broadcast to the shape of x."""
    array = None if value is None else like(value, x, function, name)
    shape = x.array.shape
    if array is not None and array.shape != tuple([shape[axis] for axis in axes]):
        shape = tuple([shape[axis] for axis in axes])
        raise ValueError(f"{function}(): {name} must have shape {shape}, that of the axes, got {array.shape}")
    return operands.along_axes(array, x, axes, default)


def layer_norm(
    x: ArrayLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    axis: Axis = -1,
    eps: float = 1e-5,
    out: Any = None,
) -> Any:
    """Normalize to mean 0 and variance 1 along the axes.

    Parameters
    ----------
    x : array_like
        The input, of any shape and layout.
    weight, bias : array_like, optional
        Of the shape of the axes, in their order in `x`: 1 and 0 if not given.
    axis : int or tuple of int, default -1
        The axes that are normalized together.
    eps : float, default 1e-5
        Added to the variance, at least 0.
    out : ndarray, optional
        Where the result is written, of the result's shape and type. It may be `x`.

    Returns
    -------
    ndarray
        Of the shape of `x` and, for floats, its type. See `batch_norm`.

    Raises
    ------
    TypeError
        If an array is not one of real numbers, or `out` has another type.
    ValueError
        If an argument has the wrong shape or value, or an axis is named twice.
    numpy.exceptions.AxisError
        If an axis is out of bounds.

    Notes
    -----
    ``(x - mean)/sqrt(var + eps)*weight + bias`` with the biased variance. Error at most 4 ULP of the largest term, for
    any ratio of mean and standard deviation. Never warns. The same for any number of threads. For float64 beyond 1e154
    see `batch_norm`.

    References
    ----------
    Ba, Kiros and Hinton (2016), arXiv:1607.06450; torch.nn.functional.layer_norm

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> fastact.layer_norm(np.array([[1.0, 3.0], [1e6, 1e6 + 2]]), eps=0.0)
    array([[-1.,  1.],
           [-1.,  1.]])
    """
    function = "layer_norm"
    given = real(x, function, in_blocks=True)
    axes = normalized_axes(axis, given.array.ndim, function)
    eps = checked_eps(eps, function)
    factor = along_axes(weight, given, axes, function, "weight", 1.0)
    summand = along_axes(bias, given, axes, function, "bias", 0.0)
    out = checked_out(out, given.array.shape, given.dtype, function)
    target = Output(out, given.array.shape, given, [given.array, factor, summand])
    arrays, parameters = [given.array, factor, summand, target.array], (eps,)
    run("moments", arrays, 1, axes, None, PIECE, parameters, apply="layer_norm", **TOGETHER, constants=2)
    return target.result()


def rms_norm(
    x: ArrayLike, weight: ArrayLike | None = None, *, axis: Axis = -1, eps: float = 1e-6, out: Any = None
) -> Any:
    """Divide by the root of the mean square along the axes.

    Parameters
    ----------
    x : array_like
        The input, of any shape and layout.
    weight : array_like, optional
        Of the shape of the axes, in their order in `x`: 1 if not given.
    axis : int or tuple of int, default -1
        The axes that are normalized together.
    eps : float, default 1e-6
        Added to the mean square, at least 0.
    out : ndarray, optional
        Where the result is written, of the result's shape and type. It may be `x`.

    Returns
    -------
    ndarray
        Of the shape of `x` and, for floats, its type. See `batch_norm`.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `layer_norm`.

    Notes
    -----
    ``x/sqrt(mean(x**2) + eps)*weight``. Error at most 4 ULP, also where the squares are beyond the type. Never
    warns. The same for any number of threads.

    References
    ----------
    Zhang and Sennrich (2019), arXiv:1910.07467; torch.nn.functional.rms_norm

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> fastact.rms_norm(np.array([1.0, 7.0]), eps=0.0)
    array([0.2, 1.4])
    """
    function = "rms_norm"
    given = real(x, function, in_blocks=True)
    axes = normalized_axes(axis, given.array.ndim, function)
    eps = checked_number(eps, function, "eps", low=0.0)
    factor = along_axes(weight, given, axes, function, "weight", 1.0)
    out = checked_out(out, given.array.shape, given.dtype, function)
    target = Output(out, given.array.shape, given, [given.array, factor])
    parameters = (eps, float(elements_along(given.array, axes)))
    arrays = [given.array, factor, target.array]
    options: dict[str, Any] = {"piece_numbers": 2, "parameters": parameters, "is_exact": False}
    run("squares", arrays, 1, axes, None, apply="rms_norm", stats_numbers=2, constants=1, **options)
    return target.result()


def group_norm(
    x: ArrayLike,
    num_groups: int,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    axis: int = 1,
    eps: float = 1e-5,
    out: Any = None,
) -> Any:
    """Normalize groups of channels of each sample to mean 0 and variance 1.

    Parameters
    ----------
    x : array_like
        The input: samples along axis 0, channels along `axis`. Without samples, channels may be along axis 0.
    num_groups : int
        The number of groups; it divides the number of channels.
    weight, bias : array_like, optional
        One number a channel: 1 and 0 if not given.
    axis : int, default 1
        The axis of the channels.
    eps : float, default 1e-5
        Added to the variance, at least 0.
    out : ndarray, optional
        Where the result is written, of the result's shape and type. It may be `x`.

    Returns
    -------
    ndarray
        Of the shape of `x` and, for floats, its type. See `batch_norm`.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `batch_norm`; ValueError also if `num_groups` does not divide the number of channels.

    Notes
    -----
    ``(x - mean)/sqrt(var + eps)*weight + bias`` with mean and biased variance of each group of neighbouring channels of
    each sample. Error at most 4 ULP of the largest term. Never warns. The same for any number of threads. For float64
    beyond 1e154 see `batch_norm`.

    References
    ----------
    Wu and He (2018), arXiv:1803.08494; torch.nn.functional.group_norm

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> fastact.group_norm(np.array([[1.0, 3.0, 10.0, 30.0]]), 2, eps=0.0)
    array([[-1.,  1., -1.,  1.]])
    """
    function = "group_norm"
    given = real(x, function, in_blocks=True)
    channel, others, channels = channel_axis(given.array, axis, function)
    # NumPy's durations are among its integers.
    if isinstance(num_groups, (bool, np.timedelta64)) or not isinstance(num_groups, (int, np.integer)):
        raise TypeError(f"{function}(): num_groups must be an int, got {type(num_groups).__name__!r}")
    if num_groups < 1 or channels % num_groups:
        raise ValueError(f"{function}(): num_groups must divide the {channels} channels, got {num_groups}")
    eps = checked_eps(eps, function)
    factor = per_channel(weight, given, channels, function, "weight", 1.0)
    summand = per_channel(bias, given, channels, function, "bias", 0.0)
    out = checked_out(out, given.array.shape, given.dtype, function)
    target = Output(out, given.array.shape, given, [given.array, factor, summand])
    if planar.normalize(given.array, target.array, channel, int(num_groups), factor, summand, eps):
        return target.result()
    axes = others[1:] if channel > 0 else others
    shape, groups = given.array.shape or (1,), int(num_groups)
    split = (*shape[:channel], groups, channels // groups, *shape[channel + 1 :])
    reduced = tuple([axis if axis < channel else axis + 1 for axis in sorted({*axes, channel})])
    x, parameters = given.array.reshape(split), (eps,)
    if elements_along(given.array, axes) == 1:
        # A weight for each element of a group, as of layer_norm; else there are fewer weights than elements.
        laid = [
            operands.along_axes(
                computable(values, compute_dtype(x)).reshape(groups, -1),
                Operand(x, given.dtype),
                (channel, channel + 1),
                0.0,
            )
            for values in (factor, summand)
        ]
        arrays = [x, *laid, target.array.reshape(split)]
        run("moments", arrays, 1, reduced, None, PIECE, parameters, apply="group_norm", **TOGETHER)
        return target.result()
    of_groups = statistics(MOMENTS, x, reduced)
    run("moments", [x], 0, reduced, of_groups, PIECE, parameters, is_exact=False)
    stats = statistics(MOMENTS, given.array, axes)
    lay_channels(stats, factor, summand, of_groups)
    run("", [given.array, target.array], 1, axes, stats, 0, AS_IT_IS, reduces=False, apply="normalize")
    return target.result()


def instance_norm(
    x: ArrayLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    axis: int = 1,
    eps: float = 1e-5,
    out: Any = None,
) -> Any:
    """Normalize each channel of each sample to mean 0 and variance 1.

    Parameters
    ----------
    x : array_like
        The input: samples along axis 0, channels along `axis`. Without samples, channels may be along axis 0.
    weight, bias : array_like, optional
        One number a channel: 1 and 0 if not given.
    axis : int, default 1
        The axis of the channels.
    eps : float, default 1e-5
        Added to the variance, at least 0.
    out : ndarray, optional
        Where the result is written, of the result's shape and type. It may be `x`.

    Returns
    -------
    ndarray
        Of the shape of `x` and, for floats, its type. See `batch_norm`.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `batch_norm`.

    Notes
    -----
    ``(x - mean)/sqrt(var + eps)*weight + bias`` with mean and biased variance of each channel of each sample. Error at
    most 4 ULP of the largest term. Never warns. The same for any number of threads. For float64 beyond 1e154 see
    `batch_norm`.

    References
    ----------
    Ulyanov, Vedaldi and Lempitsky (2016), arXiv:1607.08022; torch.nn.functional.instance_norm

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> fastact.instance_norm(np.array([[[1.0, 3.0], [10.0, 30.0]]]), eps=0.0)
    array([[[-1.,  1.],
            [-1.,  1.]]])
    """
    function = "instance_norm"
    given = real(x, function, in_blocks=True)
    channel, others, channels = channel_axis(given.array, axis, function)
    eps = checked_eps(eps, function)
    factor = per_channel(weight, given, channels, function, "weight", 1.0)
    summand = per_channel(bias, given, channels, function, "bias", 0.0)
    out = checked_out(out, given.array.shape, given.dtype, function)
    target = Output(out, given.array.shape, given, [given.array, factor, summand])
    if planar.normalize(given.array, target.array, channel, channels, factor, summand, eps):
        return target.result()
    axes = others[1:] if channel > 0 else others
    stats = statistics(MOMENTS, given.array, axes)
    lay_channels(stats, factor, summand)
    parameters = eps, -math.inf
    run("moments", [given.array, target.array], 1, axes, stats, PIECE, parameters, apply="normalize")
    return target.result()


def normalize(x: ArrayLike, p: float = 2.0, axis: Axis = -1, eps: float = 1e-12, *, out: Any = None) -> Any:
    """Divide by the p-norm along the axes.

    Parameters
    ----------
    x : array_like
        The input, of any shape and layout.
    p : float, default 2.0
        The order of the norm: 1, 2 and inf have kernels, others are powers.
    axis : int or tuple of int, default -1
        The axes of the norm.
    eps : float, default 1e-12
        The least that is divided by.
    out : ndarray, optional
        Where the result is written, of the result's shape and type. It may be `x`.

    Returns
    -------
    ndarray
        Of the shape of `x` and, for floats, its type. See `batch_norm`.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `layer_norm`; ValueError also if `p` is NaN or negative.

    Notes
    -----
    ``x/max(norm_p(x), eps)``. Error at most 4 ULP for p of at least 1/2, also where powers are beyond the type; float64
    needs a long double for it where p is not 1, 2 or inf. Never warns. The same for any number of threads.

    References
    ----------
    torch.nn.functional.normalize

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> fastact.normalize(np.array([3.0, 4.0]))
    array([0.6, 0.8])
    """
    function = "normalize"
    norm = NORMS.get(p) if type(p) is float and type(eps) is float else None
    if norm is not None:
        y = reductions.mapped(norm, norm if p == 2 else "scale", [x], axis, out, 2, 2, (eps,))
        if y is not None:
            return y
    given = real(x, function, in_blocks=True)
    axes = normalized_axes(axis, given.array.ndim, function)
    p = checked_number(p, function, "p", low=0.0)
    eps = checked_number(eps, function, "eps")
    out = checked_out(out, given.array.shape, given.dtype, function)
    target = Output(out, given.array.shape, given, [given.array])
    arrays, norm = [given.array, target.array], NORMS.get(p)
    if norm is not None:
        options: dict[str, Any] = {"piece_numbers": 2, "parameters": (eps,), "stats_numbers": 2}
        run(norm, arrays, 1, axes, None, apply=norm if p == 2 else "scale", **options)
    else:
        with Undisturbed():
            stats = factors_of_norms(np.maximum(norm_of_powers(given.array, p, axes), eps))
        run("", arrays, 1, axes, stats, apply="scale", reduces=False)
    return target.result()


def some_at_a_time(x: Array) -> Iterator[tuple[Any, ...]]:
    """Yield the indices of parts of an array, cut across its longest axis, of about `SOME` elements."""
    longest = int(np.argmax(x.shape)) if x.ndim else 0
    length = x.shape[longest] if x.ndim else 1
    step = max(1, SOME * length // max(x.size, 1))
    for first in range(0, length, step):
        yield (slice(None),) * longest + (slice(first, first + step),) * min(x.ndim, 1) + (...,)


def factors_of_norms(norms: Array) -> Array:
    """Return 1/norm as float64, and the powers of two that elements are multiplied by before, 0 if all are 1."""
    powers = np.where(norms > 2.0**100, 2.0**-64, np.where(norms < 2.0**-100, 2.0**64, 1.0))
    return np.asarray([1 / (norms * powers), powers * (powers != 1).any()], FLOAT64)


def norm_of_powers(x: Array, p: float, axes: tuple[int, ...]) -> Array:
    """Return the norms of any order. Nothing as large as x is needed beside it."""
    shape = kept_shape(x.shape, axes, keepdims=True)
    # A root of a small order is a high power: of float64, the sum needs more digits than it gives. Extended precision
    # takes up to thirty times as long.
    wide = np.longdouble if x.dtype == np.float64 else np.float64
    largest, sums = np.zeros(shape), np.zeros(shape, wide)

    def of_part(kept: Array, part: tuple[Any, ...]) -> Array:
        return kept[tuple([slice(None) if axis in axes else cut for axis, cut in enumerate(part)])]

    if p == 0:
        for part in some_at_a_time(x):
            of_part(largest, part)[...] += (x[part] != 0).sum(axis=axes, keepdims=True, dtype=FLOAT64)
        return largest.reshape(-1)
    for part in some_at_a_time(x):
        peak, magnitudes = of_part(largest, part), np.abs(x[part].astype(FLOAT64))
        np.maximum(peak, np.max(magnitudes, axis=axes, keepdims=True, initial=0.0), out=peak)
    # In units of the largest, powers neither overflow nor vanish.
    units = np.where((largest > 0) & (largest < np.inf), largest, 1.0)
    for part in some_at_a_time(x):
        powers = (np.abs(x[part].astype(FLOAT64)) / of_part(units, part)) ** p
        of_part(sums, part)[...] += powers.sum(axis=axes, keepdims=True, dtype=wide)
    return np.asarray((units * sums ** (1 / wide(p))).reshape(-1))
