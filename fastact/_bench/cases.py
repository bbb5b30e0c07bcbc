"""What is measured: a case for each public function that computes something.

Those of operators follow from the registry; a function that is written by hand has a line in `BY_HAND`, and
`without_case` names the public functions that have none. A case knows how to make its arguments for a size and type,
and the line of `fastact.textbook` that does the same.
"""

import importlib
import importlib.util
import math
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import fastact
from fastact import textbook
from fastact._kernels.registry import OPERATORS

Array = np.ndarray[Any, Any]
Arguments = tuple[Any, ...]
Maker = Callable[[int, Any, np.random.Generator], Arguments]
Nothing = dict[str, Any]

SIZES = (1, 1000, 2**16, 2**20, 2**24)
DTYPES = ("float32", "float64", "float16")
# Rows of this length, and images of this many channels, where there are enough elements.
ROW, CHANNELS, POSITIONS = 256, 64, 64
CHANCE = 0.5
# To draw more numbers than these takes longer than most kernels: they are repeated.
DIFFERENT = 2**20


class Case(NamedTuple):
    """A public function with the arguments that it is measured with.

    Attributes
    ----------
    name : str
        Unique. What precedes a bracket is the public name: ``batch_norm[training]``.
    family : str
        Under which heading it is shown.
    function, line : callable
        fastact's function and the textbook's, both called with the arguments that `make` returns; the textbook's with
        values for parameters that fastact's has defaults for, if `defaults` holds any.
    options : dict
        What only fastact's function is called with.
    takes_out : bool
        Whether it can be given the array to write to.
    is_random : bool
        Whether results can only be compared as samples of one distribution.
    dtypes : tuple of str
        The types it is measured in.
    """

    name: str
    family: str
    function: Callable[..., Any]
    line: Callable[..., Any]
    make: Maker
    defaults: Arguments = ()
    options: dict[str, Any] = {}  # noqa: RUF012  (a named tuple's default; nobody writes to it)
    takes_out: bool = True
    is_random: bool = False
    dtypes: tuple[str, ...] = DTYPES

    @property
    def public_name(self) -> str:
        return self.name.partition("[")[0]

    def prepare(self, size: int, dtype: str = "float32") -> "Prepared":
        """Return the case with its arguments, the same ones every time."""
        arguments = self.make(size, np.dtype(dtype), np.random.default_rng(0))
        return Prepared(self, arguments, self.function(*arguments, **self.options))


class Prepared(NamedTuple):
    """A case with its arguments and a result, which ``out=`` writes to."""

    case: Case
    arguments: Arguments
    result: Any

    @property
    def elements(self) -> int:
        """The number of elements of the largest array, of a mask the number of its bits."""
        first = self.arguments[0]
        return first if isinstance(first, int) else max(array.size for array in self.arrays)

    @property
    def arrays(self) -> list[Array]:
        results = self.result if isinstance(self.result, tuple) else (self.result,)
        return [array for array in (*self.arguments, *results) if isinstance(array, np.ndarray)]

    @property
    def bytes(self) -> int:
        """How much is read and written at least."""
        return sum(array.nbytes for array in self.arrays)

    def ours(self) -> dict[str, Callable[[], Any]]:
        """Return fastact's calls: into the result's array, where it takes one, and into a new one."""
        call = partial(self.case.function, *self.arguments, **self.case.options)
        if not self.case.takes_out:
            return {"fastact": call}
        return {"fastact": partial(call, out=self.result), "fastact new": call}

    def naive(self) -> Callable[[], Any]:
        return partial(self.case.line, *self.arguments, *self.case.defaults)

    def copy(self, threads: int = 1) -> Callable[[], Any]:
        """Return a copy of the first array, the reference of all speeds."""
        x = self.arrays[0]
        y = np.empty_like(x)
        return partial(np.copyto, y, x) if threads == 1 or x.nbytes < 2**20 else copy_in_parts(x, y, threads)


def copy_in_parts(x: Array, y: Array, threads: int) -> Callable[[], Any]:
    """Return a copy by as many threads, each with one part."""
    pool = ThreadPoolExecutor(threads)
    parts = list(zip(np.array_split(y.reshape(-1), threads), np.array_split(x.reshape(-1), threads), strict=True))
    return lambda: list(pool.map(lambda part: np.copyto(*part), parts))


# ---- Arguments.


def normal(generator: np.random.Generator, shape: Any, dtype: Any) -> Array:
    x: Array = 3 * generator.standard_normal(min(math.prod(np.atleast_1d(shape)), DIFFERENT), np.float32)
    return np.resize(x.astype(dtype), shape)


def one_array(size: int, dtype: Any, generator: np.random.Generator) -> Arguments:
    return (normal(generator, size, dtype),)


def two_arrays(size: int, dtype: Any, generator: np.random.Generator) -> Arguments:
    return normal(generator, size, dtype), normal(generator, size, dtype)


def halves(size: int, dtype: Any, generator: np.random.Generator) -> Arguments:
    return (normal(generator, 2 * max(1, size // 2), dtype),)


def upstream_of_halves(size: int, dtype: Any, generator: np.random.Generator) -> Arguments:
    return normal(generator, max(1, size // 2), dtype), *halves(size, dtype, generator)


def shape_of_rows(size: int) -> tuple[int, int]:
    width = min(ROW, size)
    return size // width, width


def shape_of_images(size: int) -> tuple[int, int, int]:
    channels = min(CHANNELS, size)
    positions = min(POSITIONS, max(2, size // channels))  # one position alone would have no variance
    return max(1, size // (channels * positions)), channels, positions


def rows(size: int, dtype: Any, generator: np.random.Generator) -> Arguments:
    return (normal(generator, shape_of_rows(size), dtype),)


def vector(generator: np.random.Generator, length: int, dtype: Any) -> Array:
    return generator.uniform(0.5, 1.5, length).astype(dtype)


def rows_and(vectors: int) -> Maker:
    """Return what makes rows, and vectors along them."""

    def make(size: int, dtype: Any, generator: np.random.Generator) -> Arguments:
        (x,) = rows(size, dtype, generator)
        return x, *(vector(generator, x.shape[1], dtype) for _ in range(vectors))

    return make


def images_and(vectors: int, upstream: bool = False) -> Maker:
    """Return what makes images of shape (N, C, positions), dy before them if asked, and vectors of length C."""

    def make(size: int, dtype: Any, generator: np.random.Generator) -> Arguments:
        shape = shape_of_images(size)
        arrays = [normal(generator, shape, dtype) for _ in range(2 if upstream else 1)]
        return *arrays, *(vector(generator, shape[1], dtype) for _ in range(vectors))

    return make


def images_in_groups(size: int, dtype: Any, generator: np.random.Generator) -> Arguments:
    x, weight, bias = images_and(2)(size, dtype, generator)
    return x, 8 if x.shape[1] % 8 == 0 else 1, weight, bias


def upstream_and_rows_and(vectors: int) -> Maker:
    def make(size: int, dtype: Any, generator: np.random.Generator) -> Arguments:
        return *rows(size, dtype, generator), *rows_and(vectors)(size, dtype, generator)

    return make


def upstream_and_output(function: Callable[[Array], Array]) -> Maker:
    def make(size: int, dtype: Any, generator: np.random.Generator) -> Arguments:
        dy, x = upstream_and_rows_and(0)(size, dtype, generator)
        return dy, function(x)

    return make


def logits_and_classes(size: int, dtype: Any, generator: np.random.Generator) -> Arguments:
    (x,) = rows(size, dtype, generator)
    return x, generator.integers(x.shape[1], size=len(x))


def logits_and_labels(size: int, dtype: Any, generator: np.random.Generator) -> Arguments:
    return normal(generator, size, dtype), generator.integers(2, size=size).astype(dtype)


def weights_and(*factors: float) -> Maker:
    return lambda size, dtype, generator: (normal(generator, size, dtype), *factors)


def with_mask(size: int, dtype: Any, generator: np.random.Generator) -> Arguments:
    mask = np.packbits(generator.random(size) >= CHANCE, bitorder="little")
    return normal(generator, size, dtype), mask, CHANCE


def photographs(size: int, dtype: Any, generator: np.random.Generator) -> Arguments:  # noqa: ARG001
    side = max(1, int((size / 3) ** 0.5))
    return (generator.integers(256, size=(1, side, side, 3), dtype=np.uint8),)


def quantizable(size: int, dtype: Any, generator: np.random.Generator) -> Arguments:
    return normal(generator, size, dtype), 0.125, 128


def quantized(size: int, dtype: Any, generator: np.random.Generator) -> Arguments:  # noqa: ARG001
    return generator.integers(256, size=size, dtype=np.uint8), 0.125, 128


# ---- Cases.

Line = tuple[str, str, Maker, dict[str, Any]]
NO_OUT = {"takes_out": False}
RANDOM = {"is_random": True, "options": {"rng": 5}}
FLOAT32 = {"dtypes": ("float32",)}

# The family, the name, what makes the arguments, what else there is to say.
BY_HAND: tuple[Line, ...] = (
    ("activations", "glu", halves, {}),
    ("activations", "rrelu", one_array, {}),
    ("activations", "rrelu[training]", one_array, RANDOM | {"options": {"rng": 5, "training": True}}),
    ("activations", "fuse", one_array, {"line": "quick_gelu"}),
    ("gradients", "grad.prelu", images_and(1, upstream=True), NO_OUT | {"options": {"axis": 1}}),
    ("gradients", "grad.glu", upstream_of_halves, NO_OUT),
    ("gradients", "grad.rrelu", two_arrays, {}),
    ("softmax and losses", "softmax", rows, {}),
    ("softmax and losses", "softmin", rows, {}),
    ("softmax and losses", "log_softmax", rows, {}),
    ("softmax and losses", "logsumexp", rows, NO_OUT | {"options": {"axis": -1}}),
    ("softmax and losses", "cross_entropy", logits_and_classes, NO_OUT),
    ("softmax and losses", "binary_cross_entropy_with_logits", logits_and_labels, NO_OUT),
    ("softmax and losses", "grad.softmax", upstream_and_output(textbook.softmax), NO_OUT),
    ("softmax and losses", "grad.log_softmax", upstream_and_output(textbook.log_softmax), NO_OUT),
    ("softmax and losses", "grad.cross_entropy", logits_and_classes, NO_OUT),
    ("softmax and losses", "grad.binary_cross_entropy_with_logits", logits_and_labels, NO_OUT),
    ("normalization", "moments", rows, NO_OUT | {"options": {"axis": -1}}),
    ("normalization", "batch_norm", images_and(4), {}),
    ("normalization", "batch_norm[training]", images_and(2), {"line": "batch_norm_in_training"}),
    ("normalization", "batch_norm[relu]", images_and(2), {"line": "batch_norm_and_relu"}),
    ("normalization", "batch_norm_inverse", images_and(4), {}),
    ("normalization", "layer_norm", rows_and(2), {}),
    ("normalization", "rms_norm", rows_and(1), {}),
    ("normalization", "group_norm", images_in_groups, {}),
    ("normalization", "instance_norm", images_and(2), {}),
    ("normalization", "normalize", rows, {}),
    ("normalization", "grad.batch_norm", images_and(3, upstream=True), NO_OUT),
    ("normalization", "grad.layer_norm", upstream_and_rows_and(1), NO_OUT),
    ("normalization", "grad.rms_norm", upstream_and_rows_and(1), NO_OUT),
    ("dropout", "dropout", one_array, RANDOM),
    ("dropout", "alpha_dropout", one_array, RANDOM),
    ("dropout", "dropout_mask", lambda size, *_: (size,), RANDOM | NO_OUT | FLOAT32),
    ("dropout", "apply_mask", with_mask, {}),
    ("dropout", "grad.dropout", with_mask, {}),
    ("penalties", "l1_penalty", weights_and(0.1), NO_OUT),
    ("penalties", "l2_penalty", weights_and(0.1), NO_OUT),
    ("penalties", "elastic_net_penalty", weights_and(0.1, 0.2), NO_OUT),
    ("penalties", "grad.l1_penalty", weights_and(0.1), NO_OUT),
    ("penalties", "grad.l2_penalty", weights_and(0.1), NO_OUT),
    ("penalties", "grad.elastic_net_penalty", weights_and(0.1, 0.2), NO_OUT),
    ("preprocessing", "preprocess.image_to_tensor", photographs, FLOAT32),
    ("preprocessing", "preprocess.quantize_linear", quantizable, FLOAT32),
    ("preprocessing", "preprocess.dequantize_linear", quantized, FLOAT32),
    ("preprocessing", "preprocess.standardize", rows, {}),
    ("dask", "dask.softmax", rows, NO_OUT),
    ("dask", "dask.log_softmax", rows, NO_OUT),
    ("dask", "dask.logsumexp", rows, NO_OUT | {"options": {"axis": -1}}),
    ("dask", "dask.moments", rows, NO_OUT | {"options": {"axis": -1}}),
    ("dask", "dask.batch_norm", images_and(4), NO_OUT),
    ("dask", "dask.layer_norm", rows_and(2), NO_OUT),
    ("dask", "dask.dropout", one_array, RANDOM | NO_OUT),
    ("dask", "dask.l1_penalty", weights_and(0.1), NO_OUT),
    ("dask", "dask.l2_penalty", weights_and(0.1), NO_OUT),
)
HAS_DASK = importlib.util.find_spec("dask") is not None
CHUNKS = 4


def in_training(activation: str | None) -> Callable[..., Any]:
    """Return batch_norm in training as a function of x, weight and bias."""

    def function(x: Array, weight: Array, bias: Array, out: Array | None = None) -> Any:
        return fastact.batch_norm(x, None, None, weight, bias, True, activation=activation, out=out)

    return function


def quick_gelu(x: Any) -> Any:
    """Return a formula that no operator has, as a user of `fuse` writes it."""
    return x * fastact.activations.ELEMENT_WISE["sigmoid"](1.702 * x)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "batch_norm[training]": in_training(None),
    "batch_norm[relu]": in_training("relu"),
}


if hasattr(fastact, "fuse"):
    FUNCTIONS["fuse"] = fastact.fuse(quick_gelu)


def on_dask(name: str) -> Callable[..., Any]:
    """Return a function of arrays that has `fastact.dask` compute it, in chunks and with as many threads as allowed."""

    def function(x: Array, *arguments: Any, **options: Any) -> Any:
        import dask.array as da

        import fastact.dask

        chunked = da.from_array(x, chunks=(-(-len(x) // CHUNKS), *x.shape[1:]))
        result = getattr(fastact.dask, name)(chunked, *arguments, **options)
        return da.compute(result, scheduler="threads", num_workers=fastact.get_num_threads())[0]

    return function


def function_of(name: str) -> Callable[..., Any] | None:
    """Return the public function of a name, None if this fastact has none."""
    if name.startswith("dask."):
        return on_dask(name.removeprefix("dask.")) if HAS_DASK else None
    found: Any = fastact
    for part in name.partition("[")[0].split("."):
        found = getattr(found, part, None)
    function: Callable[..., Any] | None = FUNCTIONS.get(name, found)
    return function


def by_hand(family: str, name: str, make: Maker, more: dict[str, Any]) -> Case | None:
    function = function_of(name)
    if function is None:
        return None
    line = more.get("line") or re.sub(r"\[.*|preprocess\.|dask\.", "", name).replace("grad.", "grad_")
    rest = {key: value for key, value in more.items() if key != "line"}
    # The textbook's way to draw slopes is asked for as fastact's is.
    defaults = (1 / 8, 1 / 3, True) if name == "rrelu[training]" else (CHANCE,) if name == "dropout_mask" else ()
    return Case(name, family, function, textbook.LINES[line], make, defaults, **rest)


def of_operators() -> list[Case]:
    """Return the cases of the registry's rows, whose public functions take what the ufuncs take."""
    cases = []
    for row in OPERATORS:
        forward, gradient = fastact.activations.ELEMENT_WISE[row.name], fastact.grad.ELEMENT_WISE[row.name]
        for family, name, function, make in (
            ("activations", row.name, forward, one_array),
            ("gradients", f"grad.{row.name}", gradient, two_arrays),
        ):
            line = textbook.LINES.get(name.replace("grad.", "grad_"))
            if line is not None and name not in {written for _, written, *_ in BY_HAND}:
                bound = partial(with_parameters, function, row.required) if row.required else function
                cases.append(Case(name, family, bound, line, make, row.tested_parameters[0]))
    return cases


def with_parameters(function: Callable[..., Any], parameters: Arguments, *arrays: Array, **options: Any) -> Any:
    return function(*arrays, *parameters, **options)


def all_cases() -> tuple[Case, ...]:
    written = (by_hand(*line) for line in BY_HAND)
    order = ("activations", "gradients")
    cases = [*of_operators(), *(case for case in written if case is not None)]
    families = list(dict.fromkeys((*order, *(case.family for case in cases))))
    return tuple(sorted(cases, key=lambda case: families.index(case.family)))


CASES = all_cases()

# Public names that compute nothing by themselves.
NOT_MEASURED = {*fastact.runtime.__all__, "ufuncs", "grad", "preprocess", "dask", "testing"}


def public_names() -> list[str]:
    """Return the names of the public functions that compute something."""
    names = [name for name in fastact.__all__ if name not in NOT_MEASURED]
    for module in ("grad", "preprocess", *(["dask"] if HAS_DASK else [])):
        names += [f"{module}.{name}" for name in importlib.import_module(f"fastact.{module}").__all__]
    return names


def without_case() -> list[str]:
    """Return what has no benchmark: public functions, and kernels of the registry. It is to be empty."""
    measured = {case.public_name for case in CASES}
    kernels = [name for row in OPERATORS for name in (row.name, f"grad.{row.name}")]
    return [name for name in dict.fromkeys((*public_names(), *kernels)) if name not in measured]
