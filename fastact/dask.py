"""The operations that need more than one element, on dask arrays: lazily, chunk by chunk, on any scheduler.

Element-wise operators need nothing of this: dask hands its chunks to NumPy's ufuncs, and fastact's are such.

Parameters, results, errors and sources are those of the functions of the same names in `fastact`. There is no `out`,
since a dask array is not written to. What spans several chunks is combined from them in float64: its last bits depend
on the chunks. Masks never do.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import dask.array as da
import numpy as np

import fastact
from fastact._kernels import random
from fastact._kernels.arguments import FLOAT64
from fastact._kernels.axes import Array, Axis
from fastact._kernels.operands import Undisturbed, channel_axis, checked_number, kept_shape, normalized_axes, real
from fastact._kernels.promotion import ARRAY
from fastact._kernels.seeds import WORDS, probability, seed_of, threshold_of
from fastact._kernels.statistics import rounded
from fastact.dropout import checked_axes, packed
from fastact.normalization import checked_activation, mean_and_square
from fastact.penalties import exact_sum
from fastact.softmax import log_of_sum

__all__ = [
    "batch_norm",
    "dropout",
    "l1_penalty",
    "l2_penalty",
    "layer_norm",
    "log_softmax",
    "logsumexp",
    "moments",
    "softmax",
]

DaskArray = Any

# What is known of the elements of a chunk that share the kept axes.
MOMENTS = np.dtype([("count", FLOAT64), ("mean", FLOAT64), ("rest", FLOAT64), ("square", FLOAT64)])
EXP_SUM = np.dtype([("high", FLOAT64), ("low", FLOAT64)])


def moments(x: Any, axis: Axis = None, *, correction: float = 0, keepdims: bool = False) -> tuple[DaskArray, DaskArray]:
    """Return mean and variance along the axes, as `fastact.moments` does, lazily.

    Parameters
    ----------
    x : dask.array.Array or array_like
        The input.
    axis, correction, keepdims
        As of `fastact.moments`.

    Returns
    -------
    mean, var : dask.array.Array
        Of the type of `x` for floats.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `fastact.moments`, at once.

    Notes
    -----
    One pass over each chunk; the chunks' counts, means and sums of squares are combined in float64.

    Examples
    --------
    >>> import dask.array as da
    >>> import fastact.dask
    >>> mean, var = fastact.dask.moments(da.arange(10.0, chunks=3))
    >>> float(mean.compute()), float(var.compute())
    (4.5, 8.25)
    """
    x, dtype = lazy(x, "moments")
    axes = normalized_axes(axis, x.ndim, "moments")
    correction = checked_number(correction, "moments", "correction")
    state = moments_state(x, axes, keepdims)
    return (
        state.map_blocks(lambda of: rounded_to(means(of), dtype), dtype=dtype),
        state.map_blocks(lambda of: rounded_to(variances(of, correction), dtype), dtype=dtype),
    )


def batch_norm(
    x: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    axis: int = 1,
    activation: str | None = None,
    return_stats: bool = False,
) -> Any:
    """Normalize each channel, as `fastact.batch_norm` does, lazily. Nothing is updated in place.

    Parameters
    ----------
    x : dask.array.Array or array_like
        The input: channels along `axis`.
    running_mean, running_var, weight, bias, training, momentum, eps, axis, activation, return_stats
        As of `fastact.batch_norm`; one number a channel may be a dask array too. In training the running statistics
        and their momentum have no use here: update yours with what `return_stats` returns.

    Returns
    -------
    dask.array.Array
        Of the shape of `x` and, for floats, its type; with `return_stats`, ``(y, mean, var)``, all lazy.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `fastact.batch_norm`, at once.

    Notes
    -----
    Two passes over the chunks in training, one without. Chunks may divide any axis.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> import fastact.dask
    >>> x = da.from_array(np.array([[1.0, 10.0], [3.0, 30.0]]), chunks=1)
    >>> fastact.dask.batch_norm(x, training=True, eps=0.0).compute()
    array([[-1., -1.],
           [ 1.,  1.]])
    """
    function = "batch_norm"
    x, dtype = lazy(x, function)
    channel, others, channels = channel_axis(x, axis, function)
    eps = checked_number(eps, function, "eps", low=0.0)
    checked_number(momentum, function, "momentum", 0.0, 1.0)
    checked_activation(activation, function)
    chunks = (x.chunks[channel],)
    normalize: Callable[..., Any]
    arrays: tuple[Any, ...]
    old_mean = per_channel(running_mean, chunks, channels, function, "running_mean")
    old_var = per_channel(running_var, chunks, channels, function, "running_var")
    weight = per_channel(weight, chunks, channels, function, "weight")
    bias = per_channel(bias, chunks, channels, function, "bias")
    if training:
        count = math.prod(x.shape[other] for other in others)
        if count < 2:
            raise ValueError(f"{function}(): x must have more than one element a channel in training, got {count}")
        state = moments_state(x, others)
        mean = state.map_blocks(lambda of: of["mean"], dtype=FLOAT64)
        var = state.map_blocks(variances, dtype=FLOAT64)
        normalize, arrays = normalized, (state, weight, bias)
    elif old_mean is None or old_var is None:
        missing = "running_mean" if old_mean is None else "running_var"
        raise ValueError(f"{function}(): {missing} must be given without training, got None")
    else:
        mean, var = old_mean, old_var
        normalize, arrays = fastact.batch_norm, (mean, var, weight, bias)
    axes = tuple(range(x.ndim))
    operands = [part for array in arrays for part in (array, None if array is None else (channel,))]
    options = {"eps": eps, "axis": channel, "activation": activation}
    meta = np.empty((0,) * x.ndim, dtype)
    y = da.blockwise(normalize, axes, x, axes, *operands, dtype=dtype, meta=meta, **options)
    mean, var = (numbers.map_blocks(rounded_to, dtype, dtype=dtype) for numbers in (mean, var))
    return (y, mean, var) if return_stats else y


def layer_norm(x: Any, weight: Any = None, bias: Any = None, *, axis: Axis = -1, eps: float = 1e-5) -> DaskArray:
    """Normalize to mean 0 and variance 1 along the axes, as `fastact.layer_norm` does, lazily.

    Parameters
    ----------
    x : dask.array.Array or array_like
        The input. Chunks that divide the axes are merged along them.
    weight, bias : array_like, optional
        As of `fastact.layer_norm`; a dask array is computed now.
    axis, eps
        As of `fastact.layer_norm`.

    Returns
    -------
    dask.array.Array
        Of the shape of `x` and, for floats, its type: the same bits as of `fastact.layer_norm`.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `fastact.layer_norm`, at once.

    Examples
    --------
    >>> import dask.array as da
    >>> import fastact.dask
    >>> fastact.dask.layer_norm(da.from_array([[1.0, 3.0], [5.0, 9.0]], chunks=1), eps=0.0).compute()
    array([[-1.,  1.],
           [-1.,  1.]])
    """
    x, dtype = lazy(x, "layer_norm")
    axes = normalized_axes(axis, x.ndim, "layer_norm")
    known_lengths(x, axes, "layer_norm")
    weight, bias = (value.compute() if isinstance(value, da.Array) else value for value in (weight, bias))
    # An array without rows has the other arguments checked now.
    rows = tuple(length if number in axes else 0 for number, length in enumerate(x.shape))
    fastact.layer_norm(np.empty(rows, x.dtype), weight, bias, axis=axis, eps=eps)
    whole = x.rechunk(dict.fromkeys(axes, -1))
    return whole.map_blocks(fastact.layer_norm, weight, bias, axis=axis, eps=eps, dtype=dtype)


def softmax(x: Any, axis: Axis = -1) -> DaskArray:
    """Return exp(x) divided by its sum along the axes, as `fastact.softmax` does, lazily.

    Parameters
    ----------
    x : dask.array.Array or array_like
        The input.
    axis : int or tuple of int or None, default -1
        The axes along which the result sums to 1; None stands for all.

    Returns
    -------
    dask.array.Array
        Of the shape of `x` and, for floats, its type. Where no axis is divided into chunks, what `fastact.softmax`
        gives for each chunk; else two passes over them, error at most 3 ULP.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `fastact.softmax`, at once.

    References
    ----------
    Milakov and Gimelshein (2018), arXiv:1805.02867

    Examples
    --------
    >>> import dask.array as da
    >>> import fastact.dask
    >>> fastact.dask.softmax(da.zeros(4, chunks=2)).compute()
    array([0.25, 0.25, 0.25, 0.25])
    """
    return mapped(x, axis, "softmax", fastact.softmax, lambda high, low: np.exp(high) * (1 + low))


def log_softmax(x: Any, axis: Axis = -1) -> DaskArray:
    """Return the logarithm of softmax, as `fastact.log_softmax` does, lazily.

    Parameters
    ----------
    x : dask.array.Array or array_like
        The input.
    axis : int or tuple of int or None, default -1
        The axes along which exp(result) sums to 1; None stands for all.

    Returns
    -------
    dask.array.Array
        Of the shape of `x` and, for floats, its type. See `fastact.dask.softmax`.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `fastact.log_softmax`, at once.

    Examples
    --------
    >>> import dask.array as da
    >>> import fastact.dask
    >>> fastact.dask.log_softmax(da.from_array([0.0, 100.0], chunks=1)).compute()
    array([-1.00000000e+02, -3.72007598e-44])
    """
    return mapped(x, axis, "log_softmax", fastact.log_softmax, np.add)


def logsumexp(x: Any, axis: Axis = None, *, keepdims: bool = False) -> DaskArray:
    """Return log(sum(exp(x))) along the axes, as `fastact.logsumexp` does, lazily.

    Parameters
    ----------
    x : dask.array.Array or array_like
        The input.
    axis, keepdims
        As of `fastact.logsumexp`.

    Returns
    -------
    dask.array.Array
        Of the type of `x` for floats.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `fastact.logsumexp`, at once.

    Examples
    --------
    >>> import dask.array as da
    >>> import fastact.dask
    >>> float(fastact.dask.logsumexp(da.full(4, 1000.0, chunks=2)).compute())
    1001.3862943611199
    """
    x, dtype = lazy(x, "logsumexp")
    state = exp_sums(x, normalized_axes(axis, x.ndim, "logsumexp"), keepdims)
    return state.map_blocks(lambda of: rounded_to(of["high"] + of["low"], dtype), dtype=dtype)


def dropout(
    x: Any,
    p: float = 0.5,
    training: bool = True,
    *,
    rng: Any = None,
    axis: int | Sequence[int] | None = None,
    return_mask: bool = False,
) -> Any:
    """Set each element to 0 with probability p and scale the others, as `fastact.dropout` does, lazily.

    Parameters
    ----------
    x : dask.array.Array or array_like
        The input.
    p, training, rng, axis, return_mask
        As of `fastact.dropout`. The seed is drawn from `rng` now: to compute twice gives the same twice.

    Returns
    -------
    y : dask.array.Array
        Of the shape of `x` and, for floats, its type: the same bits as of `fastact.dropout`, for any chunks.
    mask : dask.array.Array
        Only if `return_mask`: one bit an element, as `fastact.dropout_mask` returns it.

    Raises
    ------
    TypeError, ValueError
        As `fastact.dropout`, at once.

    Examples
    --------
    >>> import dask.array as da
    >>> import fastact.dask
    >>> fastact.dask.dropout(da.arange(1.0, 9.0, chunks=3), 0.25, rng=5).compute()
    array([1.33333333, 2.66666667, 4.        , 5.33333333, 6.66666667,
           0.        , 9.33333333, 0.        ])
    """
    p = probability(p, "dropout")
    x, dtype = lazy(x, "dropout")
    # The draws are those of the elements' indices.
    known_lengths(x, range(x.ndim), "dropout")
    axes = tuple(range(x.ndim)) if axis is None else tuple(sorted(checked_axes(axis, x.ndim, "dropout")))
    threshold = threshold_of(p) if training else 0
    seed = seed_of(rng, "dropout") if training else b""
    if training and p > 0 and threshold < WORDS:
        keep = kept(x, axes, seed, threshold)
        y = da.map_blocks(apply_kept, x, keep, p, dtype=dtype)
    else:
        keep = da.full(x.shape, threshold == 0, chunks=x.chunks, dtype=np.bool_)
        y = x.astype(dtype) if threshold == 0 else da.zeros(x.shape, chunks=x.chunks, dtype=dtype)
    return (y, packed_mask(keep)) if return_mask else y


def l1_penalty(w: Any, lam: float) -> DaskArray:
    """Return lam times the sum of magnitudes, as `fastact.l1_penalty` does, lazily.

    Parameters
    ----------
    w : dask.array.Array or array_like
        The weights.
    lam : float
        The factor.

    Returns
    -------
    dask.array.Array
        One float64.

    Raises
    ------
    TypeError
        As `fastact.l1_penalty`, at once.

    Examples
    --------
    >>> import dask.array as da
    >>> import fastact.dask
    >>> float(fastact.dask.l1_penalty(da.from_array([1.0, -2.0], chunks=1), 0.5).compute())
    1.5
    """
    return penalty(w, lam, "magnitudes", "l1_penalty")


def l2_penalty(w: Any, lam: float) -> DaskArray:
    """Return lam times the sum of squares, as `fastact.l2_penalty` does, lazily.

    Parameters
    ----------
    w : dask.array.Array or array_like
        The weights.
    lam : float
        The factor.

    Returns
    -------
    dask.array.Array
        One float64.

    Raises
    ------
    TypeError
        As `fastact.l2_penalty`, at once.

    Examples
    --------
    >>> import dask.array as da
    >>> import fastact.dask
    >>> float(fastact.dask.l2_penalty(da.from_array([1.0, -2.0], chunks=1), 0.5).compute())
    2.5
    """
    return penalty(w, lam, "squares", "l2_penalty")


def lazy(x: Any, function: str, name: str = "x") -> tuple[DaskArray, np.dtype[Any]]:
    """Return an argument as a dask array of real numbers and the type of the result, or raise."""
    try:
        array = da.asarray(x)
    except (NotImplementedError, ValueError) as error:
        # Of objects, whose size dask does not know, and of ragged lists.
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"{function}(): {name} must be {ARRAY}, got {type(x).__name__!r}: {error}") from error
    return array, real(np.empty(0, array.dtype), function, name).dtype


def known_lengths(x: DaskArray, axes: Sequence[int], function: str) -> None:
    """Raise if some axes are of a length that is known when it is computed."""
    if any(math.isnan(x.shape[number]) for number in axes):
        raise ValueError(
            f"{function}(): x must have chunks of known lengths, see compute_chunk_sizes(), got {x.chunks}"
        )


def per_channel(value: Any, chunks: tuple[Any], channels: int, function: str, name: str) -> DaskArray | None:
    """Return one number a channel, in the channels' chunks."""
    if value is None:
        return None
    array, _ = lazy(value, function, name)
    if array.shape != (channels,):
        raise ValueError(f"{function}(): {name} must have shape ({channels},), one number a channel, got {array.shape}")
    return array.rechunk(chunks)


def normalized(block: Array, state: Array, weight: Any, bias: Any, *, axis: int, **options: Any) -> Array:
    """Normalize a chunk by the moments of all. A mean far above the deviation is subtracted first, its rest later."""
    given = real(block, "batch_norm")
    high = state["mean"].astype(given.array.dtype)
    with Undisturbed():
        rest = np.where(np.isfinite(high), state["mean"] - high + state["rest"], np.nan)
        centred = given.array - high.reshape([-1 if number == axis else 1 for number in range(block.ndim)])
    y = fastact.batch_norm(centred, rest, variances(state), weight, bias, axis=axis, **options)
    return rounded_to(y, given.dtype)


def reduced(
    x: DaskArray,
    axes: tuple[int, ...],
    keepdims: bool,
    dtype: np.dtype[Any],
    of_chunk: Callable[[Array, tuple[int, ...]], Array],
    combined: Callable[[Array, tuple[int, ...]], Array],
) -> DaskArray:
    """Return what is known of all elements along the axes, from what is known of each chunk's."""

    def chunk(block: Array, axis: tuple[int, ...], keepdims: bool) -> Array:  # noqa: ARG001
        return of_chunk(block, axis).reshape(kept_shape(block.shape, axis, keepdims=True))

    def aggregate(state: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
        state = np.asarray(state)
        return combined(state, axis).reshape(kept_shape(state.shape, axis, keepdims))

    meta = np.empty((0,) * (x.ndim if keepdims else x.ndim - len(axes)), dtype)
    if x.ndim == 0:
        return x.map_blocks(lambda block: of_chunk(block, ()).reshape(()), dtype=dtype)
    return da.reduction(x, chunk, aggregate, combine=aggregate, axis=axes, keepdims=keepdims, dtype=dtype, meta=meta)


def moments_state(x: DaskArray, axes: tuple[int, ...], keepdims: bool = False) -> DaskArray:
    return reduced(x, axes, keepdims, MOMENTS, moments_of_chunk, combined_moments)


def moments_of_chunk(block: Array, axes: tuple[int, ...]) -> Array:
    mean, rest, square, count = mean_and_square(real(block, "moments").array, axes)
    state = np.zeros(mean.shape, MOMENTS)
    if count:
        state["count"], state["mean"], state["rest"], state["square"] = count, mean, rest, square
    return state


def combined_moments(state: Array, axes: tuple[int, ...]) -> Array:
    """Combine counts, means in two parts and sums of squares."""
    combined = np.empty(kept_shape(state.shape, axes, keepdims=True), MOMENTS)
    with Undisturbed():
        count = state["count"].sum(axes, keepdims=True)
        # Of nothing, as of chunks of length 0, nothing is known, and not NaN: others may follow.
        share = state["count"] / np.maximum(count, 1.0)
        near = (share * state["mean"]).sum(axes, keepdims=True)
        distance = np.where(np.isfinite(near), state["mean"] - near + state["rest"], 0.0)
        shift = (share * distance).sum(axes, keepdims=True)
        mean = near + shift
        squares = state["square"] + state["count"] * (distance - shift) ** 2
        combined["count"], combined["mean"], combined["rest"] = count, mean, shift - (mean - near)
        combined["square"] = squares.sum(axes, keepdims=True)
    return combined


def means(state: Array) -> Array:
    return np.where(state["count"] > 0, state["mean"], np.nan)


def variances(state: Array, correction: float = 0) -> Array:
    with Undisturbed():
        return np.asarray(state["square"] / np.maximum(state["count"] - correction, 0.0))


def rounded_to(numbers: Array, dtype: np.dtype[Any]) -> Array:
    return np.asarray(rounded(np.asarray(numbers), np.shape(numbers), dtype))


def exp_sums(x: DaskArray, axes: tuple[int, ...], keepdims: bool) -> DaskArray:
    return reduced(x, axes, keepdims, EXP_SUM, exp_sums_of_chunk, combined_exp_sums)


def exp_sums_of_chunk(block: Array, axes: tuple[int, ...]) -> Array:
    state = np.empty(math.prod(kept_shape(block.shape, axes)), EXP_SUM)
    state["high"], state["low"] = log_of_sum(real(block, "logsumexp").array, axes)
    state["low"][~np.isfinite(state["high"])] = 0.0
    return state


def combined_exp_sums(state: Array, axes: tuple[int, ...]) -> Array:
    """Combine logarithms of sums: the largest stays as it is, log1p of what the others add to it keeps all digits."""
    count = math.prod(state.shape[axis] for axis in axes)
    rows = np.moveaxis(state, axes, range(len(axes))).reshape(count, *kept_shape(state.shape, axes))
    first = rows["high"].argmax(axis=0)[None]
    largest = np.take_along_axis(rows, first, axis=0)[0]
    with Undisturbed():
        high, low = difference(rows["high"], rows["low"], largest)
        others = np.exp(high) * (1 + low)
        np.put_along_axis(others, first, 0.0, axis=0)
        more = largest["low"] + np.log1p(others.sum(axis=0))
        high = largest["high"] + more
        low = more - (high - largest["high"])
    combined = np.empty(high.shape, EXP_SUM)
    is_finite = np.isfinite(largest["high"])
    combined["high"] = np.where(is_finite, high, largest["high"])
    combined["low"] = np.where(is_finite, low, 0.0)
    return combined


def difference(high: Array, low: Any, state: Array) -> tuple[Array, Array]:
    """Return high + low less a logarithm in two parts, in two parts again."""
    result = high - state["high"]
    part = result - high
    lost = (high - (result - part)) - (state["high"] + part)
    return result, np.where(np.isfinite(result), lost + (low - state["low"]), 0.0)


def mapped(
    x: Any, axis: Axis, function: str, whole: Callable[..., Any], of_difference: Callable[[Array, Array], Array]
) -> DaskArray:
    """Return an array of the shape of x from x - logsumexp(x), by the function itself where no axis is divided."""
    x, dtype = lazy(x, function)
    axes = normalized_axes(axis, x.ndim, function)
    if all(x.numblocks[number] == 1 for number in axes):
        return x.map_blocks(whole, axis=axis, dtype=dtype)

    def chunk(block: Array, state: Array) -> Array:
        with Undisturbed():
            high, low = difference(block.astype(FLOAT64), 0.0, state)
            return of_difference(np.where(state["high"] == np.inf, np.nan, high), low).astype(dtype)

    return da.map_blocks(chunk, x, exp_sums(x, axes, keepdims=True), dtype=dtype)


def kept(x: DaskArray, axes: tuple[int, ...], seed: bytes, threshold: int) -> DaskArray:
    """Return whether each element is kept: the draws of the array of some of the axes, shared along the others."""
    shape = tuple(x.shape[number] for number in axes)

    def chunk(block_info: Any) -> Array:
        location = block_info[None]["array-location"] if shape else []
        return draws(shape, location, seed, threshold)

    drawn = da.map_blocks(chunk, chunks=tuple(x.chunks[number] for number in axes), dtype=np.bool_)
    if len(axes) == x.ndim:
        return drawn
    index = tuple(slice(None) if number in axes else None for number in range(x.ndim))
    return da.broadcast_to(drawn[index], x.shape, chunks=x.chunks)


def draws(shape: tuple[int, ...], location: Sequence[tuple[int, int]], seed: bytes, threshold: int) -> Array:
    """Return the draws of a piece of an array: runs of elements that lie side by side in C order."""
    lengths = tuple(end - first for first, end in location)
    if not all(lengths):
        return np.empty(lengths, np.bool_)
    tail = max(len(shape) - 1, 0)
    while tail > 0 and lengths[tail] == shape[tail]:
        tail -= 1
    numbers = [np.arange(*ends) if axis < tail else np.array([ends[0]]) for axis, ends in enumerate(location)]
    starts = np.ravel_multi_index(np.ix_(*numbers), shape) if shape else np.zeros(1, np.int64)
    flat = np.ascontiguousarray(starts, np.int64).ravel()
    return random.draw_runs(flat, math.prod(lengths[tail:]), seed, threshold).reshape(lengths)


def apply_kept(block: Array, keep: Array, p: float) -> Array:
    return np.asarray(fastact.apply_mask(block, packed(keep), p))


def packed_mask(keep: DaskArray) -> DaskArray:
    """Return one bit an element in C order, from chunks of whole bytes."""
    if keep.size == 0:
        return da.empty(0, dtype=np.uint8)
    # dask's own ravel() fails where there are chunks of length 0.
    flat = keep.rechunk(tuple([tuple(filter(None, lengths)) for lengths in keep.chunks])).ravel()
    size = max(8, -(-flat.chunksize[0] // 8) * 8)
    flat = flat.rechunk(size)
    lengths = tuple(-(-length // 8) for length in flat.chunks[0])
    return flat.map_blocks(packed, chunks=(lengths,), dtype=np.uint8)


def penalty(w: Any, lam: float, name: str, function: str) -> DaskArray:
    w, _ = lazy(w, function, "w")
    factor = checked_number(lam, function, "lam")
    everything = tuple(range(w.ndim))

    def of_chunk(block: Array, axes: tuple[int, ...]) -> Array:  # noqa: ARG001
        return np.asarray(exact_sum(name, block, function))

    def combined(state: Array, axes: tuple[int, ...]) -> Array:  # noqa: ARG001
        return np.asarray(math.fsum(state.ravel()) if np.isfinite(state).all() else state.sum())

    total = reduced(w, everything, False, FLOAT64, of_chunk, combined)
    return total.map_blocks(lambda number: np.multiply(factor, number), dtype=FLOAT64)
