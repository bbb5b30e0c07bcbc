"""What is no element-wise operator, between two pages that must not be touched. Run as a program, as `guard`."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import fastact
from cases import FLOATS, HALVES, assert_same_bits
from fastact import grad, preprocess, ufuncs
from guard import GuardedPage

LENGTHS = (*range(1, 20), 31, 32, 33, 64, 65)
ROWS = (1, 3)
PAGES = [GuardedPage() for _ in range(5)]

Call = tuple[Callable[..., Any], tuple[np.ndarray, ...]]


@fastact.fuse
def gated(x, gate):
    return np.where(x > 0, x * fastact.silu(gate), np.log1p(np.abs(x)))


def calls(rows: int, n: int, dtype: np.dtype) -> Iterator[Call]:
    """Yield functions and their arrays: rows of n numbers, and one number for each row or column."""
    generator = np.random.default_rng(n)

    def normal(*shape: int) -> np.ndarray:
        return generator.standard_normal(shape).astype(dtype)

    x, dy, weight, of_rows = normal(rows, n), normal(rows, n), normal(n), normal(rows)
    var, target = np.abs(weight), generator.integers(0, n, rows)
    yield gated, (x, dy)
    yield ufuncs.glu, (x, dy)
    yield lambda x: grad.glu(x, np.concatenate([x, x], -1)), (x,)
    yield lambda x: fastact.glu(x, 0), (np.concatenate([x, dy]),)
    yield grad.prelu, (dy, x, weight)
    yield lambda x: fastact.rrelu(x, training=True, rng=1), (x,)
    for penalty in (fastact.l1_penalty, fastact.l2_penalty, grad.l1_penalty, grad.l2_penalty):
        yield lambda x, penalty=penalty: penalty(x, 0.5), (x,)
    yield grad.binary_cross_entropy_with_logits, (x, np.abs(dy))
    for reduction in ("mean", "none"):
        options = {"reduction": reduction}
        yield lambda *of, options=options: fastact.cross_entropy(*of, **options), (x, target)
        yield lambda *of, options=options: fastact.binary_cross_entropy_with_logits(*of, **options), (x, np.abs(dy))
    yield grad.cross_entropy, (x, target)
    yield fastact.layer_norm, (x, weight, weight)
    yield lambda x, weight: fastact.layer_norm(x, weight, axis=0), (x, of_rows)
    yield fastact.rms_norm, (x, weight)
    yield lambda *of: fastact.batch_norm(*of, activation="silu"), (x, weight, var, weight, weight)
    if rows > 1:
        yield lambda x, weight: fastact.batch_norm(x, weight=weight, training=True, return_stats=True), (x, weight)
    yield fastact.batch_norm_inverse, (x, weight, var)
    yield lambda x, weight: fastact.instance_norm(x[None], weight), (x, of_rows)
    yield lambda x: fastact.group_norm(x, 1), (x,)
    for function in (grad.layer_norm, grad.rms_norm):
        yield function, (dy, x, weight)
        yield lambda *of, function=function: function(*of, axis=0), (dy, x, of_rows)
    yield grad.batch_norm, (dy, x, weight, weight, var)
    for function in (grad.softmax, grad.log_softmax):
        yield function, (dy, x)
        yield lambda *of, function=function: function(*of, 0), (dy, x)
    yield lambda x: fastact.normalize(x, 3.0), (x,)
    yield preprocess.standardize, (x,)


def guarded(arrays: tuple[np.ndarray, ...], is_at_end: bool) -> list[np.ndarray]:
    """Return copies of the arrays that end where a page ends, or begin where it begins."""
    copies = [page.array(array.size, array.dtype, is_at_end) for page, array in zip(PAGES, arrays, strict=False)]
    for copy, array in zip(copies, arrays, strict=True):
        copy[:] = array.ravel()
    return [copy.reshape(array.shape) for copy, array in zip(copies, arrays, strict=True)]


def main() -> None:
    checked = 0
    for dtype, rows, n in itertools.product(FLOATS + HALVES, ROWS, LENGTHS):
        for function, arrays in calls(rows, n, dtype):
            expected = function(*arrays)
            for is_at_end in (False, True):
                result = function(*guarded(arrays, is_at_end))
                for of_page, right in zip(
                    *((r if isinstance(r, tuple) else (r,)) for r in (result, expected)), strict=True
                ):
                    assert_same_bits(of_page, right)
                checked += 1
    print(checked)


if __name__ == "__main__":
    main()
