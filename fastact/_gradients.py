"""Gradients of what is no element-wise operator: for `fastact.grad`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastact._kernels import planar, reductions, rowwise
from fastact._kernels.arguments import as_array, checked
from fastact._kernels.axes import Array, Axis
from fastact._kernels.operands import (
    FLOAT32,
    Operand,
    Output,
    Undisturbed,
    channel_axis,
    checked_eps,
    checked_number,
    elements_along,
    is_half,
    like,
    normalized_axes,
    per_channel,
    real,
)
from fastact._kernels.promotion import ARRAY
from fastact._kernels.reductions import run
from fastact._kernels.statistics import affine, gradient_statistics, products, rounded, row_parts, statistics
from fastact._kernels.targets import checked_targets, losses_of, set_targets
from fastact.normalization import MOMENTS, along_axes, channel_statistic
from fastact.normalization import PIECE as MOMENTS_PIECE
from fastact.softmax import EXP_SUMS, checked_together
from fastact.softmax import PIECE as EXP_PIECE

__all__ = [
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "elastic_net_penalty",
    "l1_penalty",
    "l2_penalty",
    "layer_norm",
    "log_softmax",
    "rms_norm",
    "softmax",
]

# What the kernels know of a kept element: the mean in two parts, sum(g), sum(g*d), and of dx = (g - c1 - d*c2)*scale
# the factors c1, c2 and scale. And of a piece: sum(g), sum(g*d).
PRODUCTS = 7
PIECE = 2


def same_shape(dy: Any, other: Operand, function: str, name: str) -> Array:
    """Return dy as an array of the shape of the other argument, in the type that it is computed in or of 16 bits."""
    array = like(dy, other, function, "dy", in_blocks=True)
    if array.shape != other.array.shape:
        raise ValueError(f"{function}(): dy must have the shape of {name}, {other.array.shape}, got {array.shape}")
    return array


def of_output(function: str, dy: Any, y: Any, axis: Axis, kernels: str) -> Any:
    """Return a gradient that is computed from the forward output and a sum along the axes."""
    dx = reductions.mapped("products", kernels, [dy, y], axis, None, PIECE, PRODUCTS)
    if dx is not None:
        return dx
    given = real(y, function, "y", in_blocks=True)
    slope = same_shape(dy, given, function, "y")
    axes = normalized_axes(axis, given.array.ndim, function)
    target = Output(None, given.array.shape, given, [])
    arrays = [slope, given.array, target.array]
    run("products", arrays, 1, axes, None, piece_numbers=PIECE, apply=kernels, stats_numbers=PRODUCTS)
    return target.result()


def softmax(dy: ArrayLike, y: ArrayLike, axis: Axis = -1) -> Any:
    """Gradient of `fastact.softmax`, from its output.

    Parameters
    ----------
    dy : array_like
        The gradient with respect to the output.
    y : array_like
        The output.
    axis : int or tuple of int or None, default -1
        As it was given to `fastact.softmax`.

    Returns
    -------
    ndarray
        The gradient with respect to the input, of the shape and type of `y`.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `fastact.softmax`; ValueError also if the shapes differ.

    Notes
    -----
    ``y*(dy - sum(dy*y))``. Compared with central differences in float64. Never warns.

    References
    ----------
    Bridle (1990), Neurocomputing, NATO ASI Series F68

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> y = fastact.softmax(np.array([0.0, 0.0]))
    >>> fastact.grad.softmax(np.array([1.0, 0.0]), y)
    array([ 0.25, -0.25])
    """
    return of_output("grad.softmax", dy, y, axis, "grad_softmax")


def log_softmax(dy: ArrayLike, y: ArrayLike, axis: Axis = -1) -> Any:
    """Gradient of `fastact.log_softmax`, from its output.

    Parameters
    ----------
    dy : array_like
        The gradient with respect to the output.
    y : array_like
        The output.
    axis : int or tuple of int or None, default -1
        As it was given to `fastact.log_softmax`.

    Returns
    -------
    ndarray
        The gradient with respect to the input, of the shape and type of `y`.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `fastact.softmax`; ValueError also if the shapes differ.

    Notes
    -----
    ``dy - exp(y)*sum(dy)``. Compared with central differences in float64. Never warns.

    References
    ----------
    torch.nn.functional.log_softmax

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> y = fastact.log_softmax(np.array([0.0, 0.0]))
    >>> fastact.grad.log_softmax(np.array([1.0, 0.0]), y)
    array([ 0.5, -0.5])
    """
    return of_output("grad.log_softmax", dy, y, axis, "grad_log_softmax")


def batch_norm(
    dy: ArrayLike,
    x: ArrayLike,
    weight: ArrayLike | None,
    mean: ArrayLike,
    var: ArrayLike,
    *,
    eps: float = 1e-5,
    axis: int = 1,
) -> tuple[Any, Any, Any]:
    """Gradients of `fastact.batch_norm` in training.

    Parameters
    ----------
    dy : array_like
        The gradient with respect to the output.
    x : array_like
        The input.
    weight : array_like or None
        As it was given to `fastact.batch_norm`.
    mean, var : array_like
        The batch's, biased: what `fastact.batch_norm` returns with ``return_stats=True``.
    eps : float, default 1e-5
        As it was given to `fastact.batch_norm`.
    axis : int, default 1
        The axis of the channels.

    Returns
    -------
    dx, dweight, dbias : ndarray
        The gradients with respect to `x`, `weight` and `bias`.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `fastact.batch_norm`; ValueError also if the shapes differ.

    Notes
    -----
    With z = (x - mean)/sqrt(var + eps): ``dbias = sum(dy)``, ``dweight = sum(dy*z)`` and
    ``dx = weight/sqrt(var + eps)*(dy - mean(dy) - z*mean(dy*z))``. Two passes over memory. Compared with central
    differences in float64. Never warns.

    References
    ----------
    Ioffe and Szegedy (2015), arXiv:1502.03167

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> x = np.array([[-1.0], [0.0], [1.0]])
    >>> dy = np.array([[1.0], [0.0], [0.0]])
    >>> dx, dweight, dbias = fastact.grad.batch_norm(dy, x, None, [0.0], [0.25], eps=0.0)
    >>> dweight, dbias
    (array([-2.]), array([1.]))
    """
    function = "grad.batch_norm"
    given = real(x, function, in_blocks=True)
    slope = same_shape(dy, given, function, "x")
    channel, others, channels = channel_axis(given.array, axis, function)
    eps = checked_number(eps, function, "eps", low=0.0)
    factor = per_channel(weight, given, channels, function, "weight", 1.0)
    center = channel_statistic(mean, given, channels, function, "mean")
    spread = channel_statistic(var, given, channels, function, "var")
    scale = affine(center, spread, None, None, eps)[0]
    stats = gradient_statistics(center, None, scale, factor, elements_along(given.array, others))
    target = Output(None, given.array.shape, given, [])
    if not planar.gradient(slope, given.array, target.array, channel, stats):
        run("normal_products", [slope, given.array, target.array], 1, others, stats, PIECE, apply="grad_normalize")
    return (
        target.result(),
        rounded(products(stats[3], scale), (channels,), given.dtype),
        rounded(stats[2], (channels,), given.dtype),
    )


def weighted(
    dy: Array, given: Operand, weight: Array, target: Output, axes: tuple[int, ...], stats: Array
) -> tuple[Any, Any, Any]:
    """Return the gradients with respect to x, weight and bias, from what is known of each row."""
    x = given.array
    arrays = [dy, x, weight, target.array]
    run("weighted_products", arrays, 1, axes, stats, PIECE, apply="grad_weighted", is_exact=False, constants=1)
    others = tuple([axis for axis in range(x.ndim) if axis not in axes])
    sums = statistics(PRODUCTS, x, others)
    sums.fill(0.0)
    run("normalized_products", [dy, x, *row_parts(stats, given, others)], 0, others, sums, PIECE, constants=3)
    shape = tuple([x.shape[axis] for axis in axes])
    return target.result(), rounded(sums[3], shape, given.dtype), rounded(sums[2], shape, given.dtype)


def layer_norm(
    dy: ArrayLike, x: ArrayLike, weight: ArrayLike | None, *, axis: Axis = -1, eps: float = 1e-5
) -> tuple[Any, Any, Any]:
    """Gradients of `fastact.layer_norm`.

    Parameters
    ----------
    dy : array_like
        The gradient with respect to the output.
    x : array_like
        The input.
    weight : array_like or None
        As it was given to `fastact.layer_norm`.
    axis : int or tuple of int, default -1
        As it was given to `fastact.layer_norm`.
    eps : float, default 1e-5
        As it was given to `fastact.layer_norm`.

    Returns
    -------
    dx, dweight, dbias : ndarray
        The gradients with respect to `x`, `weight` and `bias`.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `fastact.layer_norm`; ValueError also if the shapes differ.

    Notes
    -----
    With z = (x - mean)/sqrt(var + eps) and g = dy*weight: ``dx = (g - mean(g) - z*mean(g*z))/sqrt(var + eps)``;
    ``dweight`` and ``dbias`` are the sums of dy*z and dy along the other axes. Compared with central differences in
    float64.
    Never warns.

    References
    ----------
    Ba, Kiros and Hinton (2016), arXiv:1607.06450

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> dx, dweight, dbias = fastact.grad.layer_norm(np.array([1.0, 0.0]), np.array([-1.0, 1.0]), None, eps=0.0)
    >>> dweight, dbias
    (array([-1.,  0.]), array([1., 0.]))
    """
    function = "grad.layer_norm"
    given = real(x, function, in_blocks=True)
    axes = normalized_axes(axis, given.array.ndim, function)
    eps = checked_eps(eps, function)
    slope = same_shape(dy, given, function, "x")
    factor = along_axes(weight, given, axes, function, "weight", 1.0)
    target = Output(None, given.array.shape, given, [])
    both = rowwise.gradients("layer_norm", slope, given.array, factor, target.array, axes, eps)
    if both is not None:
        return target.result(), *both
    stats = statistics(MOMENTS, given.array, axes)
    run("moments", [given.array], 0, axes, stats, MOMENTS_PIECE, (eps,), is_exact=False)
    known = gradient_statistics(stats[0], stats[1], stats[3], None, elements_along(given.array, axes))
    return weighted(slope, given, factor, target, axes, known)


def rms_norm(
    dy: ArrayLike, x: ArrayLike, weight: ArrayLike | None, *, axis: Axis = -1, eps: float = 1e-6
) -> tuple[Any, Any]:
    """Gradients of `fastact.rms_norm`.

    Parameters
    ----------
    dy : array_like
        The gradient with respect to the output.
    x : array_like
        The input.
    weight : array_like or None
        As it was given to `fastact.rms_norm`.
    axis : int or tuple of int, default -1
        As it was given to `fastact.rms_norm`.
    eps : float, default 1e-6
        As it was given to `fastact.rms_norm`.

    Returns
    -------
    dx, dweight : ndarray
        The gradients with respect to `x` and `weight`.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `fastact.rms_norm`; ValueError also if the shapes differ.

    Notes
    -----
    With z = x/sqrt(mean(x**2) + eps) and g = dy*weight: ``dx = (g - z*mean(g*z))/sqrt(mean(x**2) + eps)``; ``dweight``
    is the sum of dy*z along the other axes. Compared with central differences in float64. Never warns.

    References
    ----------
    Zhang and Sennrich (2019), arXiv:1910.07467

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> dx, dweight = fastact.grad.rms_norm(np.array([1.0, 0.0]), np.array([-1.0, 1.0]), None, eps=0.0)
    >>> dx, dweight
    (array([0.5, 0.5]), array([-1.,  0.]))
    """
    function = "grad.rms_norm"
    given = real(x, function, in_blocks=True)
    axes = normalized_axes(axis, given.array.ndim, function)
    eps = checked_number(eps, function, "eps", low=0.0)
    slope = same_shape(dy, given, function, "x")
    factor = along_axes(weight, given, axes, function, "weight", 1.0)
    target = Output(None, given.array.shape, given, [])
    both = rowwise.gradients("rms_norm", slope, given.array, factor, target.array, axes, eps)
    if both is not None:
        return target.result(), both[0]
    stats, count = statistics(2, given.array, axes), elements_along(given.array, axes)
    run("squares", [given.array], 0, axes, stats, 2, (eps, float(count)))
    known = gradient_statistics(None, None, stats[0], None, count)
    dx, dweight, _ = weighted(slope, given, factor, target, axes, known)
    return dx, dweight


def cross_entropy(logits: ArrayLike, target: ArrayLike, axis: int = -1, *, ignore_index: int = -100) -> Any:
    """Gradient of the mean of `fastact.cross_entropy` with respect to the logits.

    Parameters
    ----------
    logits : array_like
        The logits: classes along `axis`.
    target : array_like of int
        The class of each element of the other axes.
    axis : int, default -1
        The axis of the classes.
    ignore_index : int, default -100
        Elements of this class do not count.

    Returns
    -------
    ndarray
        Of the shape of `logits` and, for floats, its type.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `fastact.cross_entropy`.

    Notes
    -----
    ``(softmax(logits) - onehot(target))/count``, count being the number of elements that are not ignored. At the target
    it is computed as ``expm1(-loss)/count``, without cancellation. Never warns.

    References
    ----------
    torch.nn.functional.cross_entropy

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> fastact.grad.cross_entropy(np.array([[0.0, 0.0], [0.0, 0.0]]), np.array([0, 1]))
    array([[-0.25,  0.25],
           [ 0.25, -0.25]])
    """
    function = "grad.cross_entropy"
    given = real(logits, function, "logits", in_blocks=True)
    targets = checked_targets(target, given, axis, ignore_index, function)
    x, axes = given.array, (targets.channel,) if given.array.ndim else ()
    out, stats = Output(None, x.shape, given, [x]), statistics(EXP_SUMS, x, axes)
    share = 1 / max(targets.count, 1)
    run("exp_sums", [x, out.array], 1, axes, stats, EXP_PIECE, (share,), apply="grad_cross_entropy")
    set_targets(out.array, targets, losses_of(x, targets, stats[0], stats[1]))
    return out.result()


def binary_cross_entropy_with_logits(logits: ArrayLike, target: ArrayLike) -> Any:
    """Gradient of the mean of `fastact.binary_cross_entropy_with_logits` with respect to the logits.

    Parameters
    ----------
    logits, target : array_like
        Of one shape.

    Returns
    -------
    ndarray
        Of the shape of `logits` and, for floats, its type.

    Raises
    ------
    TypeError, ValueError
        As `fastact.binary_cross_entropy_with_logits`.

    Notes
    -----
    ``(sigmoid(logits) - target)/count``, computed as
    ``((1 - target)*sigmoid(logits) - target*sigmoid(-logits))/count``: without cancellation where the target is 0
    or 1. Never warns.

    References
    ----------
    torch.nn.functional.binary_cross_entropy_with_logits

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> fastact.grad.binary_cross_entropy_with_logits(np.array([0.0, 0.0]), np.array([0.0, 1.0]))
    array([ 0.25, -0.25])
    """
    given, other = checked_together(logits, target, "grad.binary_cross_entropy_with_logits")
    x = given.array
    out = Output(None, x.shape, given, [x, other])
    arrays, parameters = [x, other, out.array], (float(x.size),)
    run("", arrays, 1, tuple(range(x.ndim)), None, 0, parameters, reduces=False, apply="grad_binary_losses")
    return out.result()


def of_slope(dy: Any, x: Any, weight_shape: tuple[int, ...], dx: Any) -> Any:
    """Return the gradient with respect to a slope of this shape that is broadcast to dy and x, for `grad.prelu`."""
    shape = dx.shape
    padded = (1,) * (len(shape) - len(weight_shape)) + weight_shape
    axes = tuple(axis for axis, length in enumerate(padded) if length == 1)
    computed = FLOAT32 if is_half(dx.dtype) else dx.dtype
    dy, x = spread(dy, "dy", shape, computed), spread(x, "x", shape, computed)
    stats = statistics(1, x, axes)
    stats.fill(0.0)
    run("slope_sums", [dy, x], 0, axes, stats, piece_numbers=1)
    return rounded(stats[0], weight_shape, dx.dtype)


def spread(array: Any, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """Return an array broadcast to a shape, contiguous: the order of the sum depends on nothing but the shape."""
    is_plain = type(array) is np.ndarray and array.shape == shape and array.flags.carray
    # Kernels of float32 convert 16 bits themselves, in a tenth of NumPy's time.
    if is_plain and (array.dtype is dtype or (dtype is FLOAT32 and is_half(array.dtype))):
        return array
    demand = f"grad.prelu(): {name} must be {ARRAY}"
    given = as_array(checked(array, demand), demand)
    with Undisturbed():
        return np.ascontiguousarray(np.broadcast_to(given, shape), dtype).reshape(shape)


def of_penalty(function: str, w: Any, first: float, second: float) -> Any:
    """Return first*sign(w) + second*w."""
    given = real(w, function, "w", in_blocks=True)
    x = given.array
    out = Output(None, x.shape, given, [x])
    run("", [x, out.array], 1, tuple(range(x.ndim)), None, 0, (first, second), reduces=False, apply="grad_penalties")
    return out.result()


def l1_penalty(w: ArrayLike, lam: float) -> Any:
    """Gradient of `fastact.l1_penalty`.

    Parameters
    ----------
    w : array_like
        The weights.
    lam : float
        The factor.

    Returns
    -------
    ndarray
        Of the shape of `w` and, for floats, its type.

    Raises
    ------
    TypeError
        As `fastact.l1_penalty`.

    Notes
    -----
    ``lam*sign(w)``: 0 at 0, as in torch. Never warns.

    References
    ----------
    Tibshirani (1996), Journal of the Royal Statistical Society B 58

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> fastact.grad.l1_penalty(np.array([-2.0, 0.0, 1.0]), 0.5)
    array([-0.5,  0. ,  0.5])
    """
    function = "grad.l1_penalty"
    return of_penalty(function, w, checked_number(lam, function, "lam"), 0.0)


def l2_penalty(w: ArrayLike, lam: float) -> Any:
    """Gradient of `fastact.l2_penalty`.

    Parameters
    ----------
    w : array_like
        The weights.
    lam : float
        The factor.

    Returns
    -------
    ndarray
        Of the shape of `w` and, for floats, its type.

    Raises
    ------
    TypeError
        As `fastact.l2_penalty`.

    Notes
    -----
    ``2*lam*w``. Never warns.

    References
    ----------
    Hoerl and Kennard (1970), Technometrics 12

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> fastact.grad.l2_penalty(np.array([-2.0, 0.0, 1.0]), 0.5)
    array([-2.,  0.,  1.])
    """
    function = "grad.l2_penalty"
    return of_penalty(function, w, 0.0, 2 * checked_number(lam, function, "lam"))


def elastic_net_penalty(w: ArrayLike, l1: float, l2: float) -> Any:
    """Gradient of `fastact.elastic_net_penalty`.

    Parameters
    ----------
    w : array_like
        The weights.
    l1, l2 : float
        The factors.

    Returns
    -------
    ndarray
        Of the shape of `w` and, for floats, its type.

    Raises
    ------
    TypeError
        As `fastact.elastic_net_penalty`.

    Notes
    -----
    ``l1*sign(w) + 2*l2*w``. Never warns.

    References
    ----------
    Zou and Hastie (2005), Journal of the Royal Statistical Society B 67

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> fastact.grad.elastic_net_penalty(np.array([-2.0, 0.0, 1.0]), 0.5, 0.5)
    array([-2.5,  0. ,  1.5])
    """
    function = "grad.elastic_net_penalty"
    return of_penalty(function, w, checked_number(l1, function, "l1"), 2 * checked_number(l2, function, "l2"))
