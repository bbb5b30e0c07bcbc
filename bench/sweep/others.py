"""The 16-bit types, every value of them, and a sample of float64."""

import numpy as np

import sampling
import ulp
from sweep.errors import Array, Worst, worst_at
from sweep.float32 import with_sign_of_zeros
from sweep.subjects import TYPES, Function, Subject, others, subject

OF_FLOAT64 = 3000


def contenders(what: Subject) -> dict[str, Function]:
    return {"fastact": what.computed, **others(what)}


def arrays_of(what: Subject, x: Array) -> tuple[Array, ...]:
    """Return x, with a dy between 1 and 2 for each if it is a gradient's."""
    return (np.random.default_rng(0).uniform(1, 2, x.shape).astype(x.dtype), x) if what.is_gradient else (x,)


def sweep_half(name: str, dtype: str) -> dict[str, Worst]:
    """Return each library's worst result against the definition in binary64."""
    what, x = subject(name), sampling.every_half(TYPES[dtype])
    if what.is_gradient:
        x = x[np.isfinite(x)]
    elif what.row.odd is not False or what.row.kinks:
        x = x[x != 0]
    arrays = arrays_of(what, x)
    exact, term = what.defined(*arrays), what.largest_term(*arrays)
    found = {}
    for library, function in contenders(what).items():
        computed = function(*arrays)
        if computed.dtype != x.dtype:
            # SciPy computes bfloat16 in another type.
            continue
        if library == "fastact":
            error = ulp.errors(computed, exact, not what.is_gradient, term)
        else:
            error = ulp.errors(with_sign_of_zeros(computed, exact), exact, False, term)
            error = np.where(np.isfinite(x), error, 0.0)
        found[library] = worst_at(error, *arrays)
    return found


def float64_sample(name: str) -> Array:
    """Return numbers spread over bit space, dense ones, and the neighbourhood of what is special."""
    what = subject(name)
    x = sampling.sample(np.float64, what.parameters, what.row.kinks_for(what.parameters), OF_FLOAT64, OF_FLOAT64)
    x = np.concatenate([x[: 2 * OF_FLOAT64], x[2 * OF_FLOAT64 :: 7]])
    return x[np.isfinite(x)]


def sweep_float64(name: str) -> dict[str, Worst]:
    """Return each library's worst result against 60 digits."""
    what = subject(name)
    arrays = arrays_of(what, float64_sample(name))
    exact = [what.defined_number("float64", *numbers) for numbers in zip(*arrays, strict=True)]
    term = what.largest_term(*arrays)
    found = {}
    for library, function in contenders(what).items():
        computed = function(*arrays)
        if library != "fastact":
            computed = with_sign_of_zeros(computed, np.array([float(number) for number in exact]))
        error = np.array([ulp.error_of_number(*one) for one in zip(computed, exact, term, strict=True)])
        found[library] = worst_at(error, *arrays)
    return found
