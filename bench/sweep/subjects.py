"""What is swept, an operator or a gradient with its default parameters, and who computes it."""

from collections.abc import Callable
from functools import cache, partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from scipy import special

import references
from fastact import activations, grad, set_num_threads
from fastact._kernels.registry import OPERATORS, Operator

try:
    import torch
except ImportError:
    torch = None

Array = np.ndarray[Any, Any]
Function = Callable[..., Array]

TYPES = {"float32": np.float32, "float64": np.float64, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
LIBRARIES = ("fastact", "numpy", "scipy", "torch")
ROWS = {row.name: row for row in OPERATORS}
NAMES = [*ROWS, *(f"grad.{name}" for name in ROWS)]
WIDE = SimpleNamespace(**{**vars(references.BINARY64), "erfc": special.erfc})


class Subject(NamedTuple):
    name: str
    row: Operator
    is_gradient: bool

    @property
    def parameters(self) -> tuple[float, ...]:
        return self.row.tested_parameters[0]

    @property
    def allowed(self) -> dict[str, float]:
        """The registry's bounds."""
        wide = self.row.ulp_gradient if self.is_gradient else self.row.ulp_float64
        return {"float32": self.row.ulp_gradient if self.is_gradient else self.row.ulp_float32, "float64": wide}

    @property
    def function(self) -> Function:
        return (grad if self.is_gradient else activations).ELEMENT_WISE[self.row.name]

    def computed(self, *arrays: Array) -> Array:
        """Return fastact's result of x, or of dy and x."""
        return self.function(*arrays, *self.parameters)

    def computed_wide(self, *arrays: Array) -> Array:
        """Return the float64 kernel's result of float32 arrays and parameters."""
        wide = (array.astype(np.float64) for array in arrays)
        return self.function(*wide, *references.rounded(self.parameters, np.float32))

    def defined(self, *arrays: Array) -> Array:
        """Return the definition's values in binary64; NaN propagates."""
        define = self.row.grad_reference if self.is_gradient else self.row.reference
        *dy, wide = (array.astype(np.float64) for array in arrays)
        y = np.asarray(define(WIDE, wide, *references.rounded(self.parameters, np.float32)), np.float64)
        return np.where(np.isnan(wide), np.nan, dy[0] * y if dy else y)

    def defined_number(self, dtype: str, *numbers: float) -> Any:
        """Return the definition's value at one number, with many digits."""
        *dy, x = numbers
        define = references.exact_number_slope if self.is_gradient else references.exact_number
        y = define(self.row, x, references.rounded(self.parameters, dtype))
        return references.mpmath.mpf(float(dy[0])) * y if dy else y

    def largest_term(self, *arrays: Array) -> Array:
        """Return what cancels near where a derivative is zero, elsewhere 0."""
        x, is_near = arrays[-1], False
        if self.is_gradient and self.row.grad_zeros:
            low, high = x.min() - 1, x.max() + 1
            is_near = any(low < place < high for place, _ in self.row.grad_zeros)
        if not is_near:
            return zeros(x.shape)
        return np.asarray(
            np.abs(arrays[0].astype(np.float64)) * references.largest_term(self.row, x.astype(np.float64))
        )


zeros = cache(np.zeros)


def subject(name: str) -> Subject:
    return Subject(name, ROWS[name.removeprefix("grad.")], name.startswith("grad."))


def others(what: Subject) -> dict[str, Function]:
    """Return who else computes it: functions of x, or of dy and x, by library."""
    found = {} if what.is_gradient else {"numpy": numpy_has(what.row.name), "scipy": scipy_has(what.row.name)}
    found["torch"] = torch_has(what)
    return {library: function for library, function in found.items() if function}


def numpy_has(name: str) -> Function | None:
    return {"tanh": np.tanh, "softplus": lambda x: np.logaddexp(x, x.dtype.type(0))}.get(name)


def scipy_has(name: str) -> Function | None:
    functions = {"sigmoid": special.expit, "logsigmoid": special.log_expit, "gelu": lambda x: x * special.ndtr(x)}
    return functions.get(name)


def torch_has(what: Subject) -> Function | None:
    name = what.row.name
    if torch is None or (name != "gelu_tanh" and not hasattr(torch.nn.functional, name)):
        return None
    functional = getattr(torch, name, None) if name in {"sigmoid", "tanh"} else getattr(torch.nn.functional, name, None)
    if name == "gelu_tanh":
        functional = partial(torch.nn.functional.gelu, approximate="tanh")

    def forward(x: Array) -> Array:
        return from_torch(functional(*operands(to_torch(x))))

    def gradient(dy: Array, x: Array) -> Array:
        argument = to_torch(x).requires_grad_()
        functional(*operands(argument)).backward(to_torch(dy))
        return from_torch(argument.grad)

    def operands(x: Any) -> tuple[Any, ...]:
        if what.row.is_learned:
            return (x, *(torch.tensor([number], dtype=x.dtype) for number in what.parameters))
        return (x, *what.parameters)

    return gradient if what.is_gradient else forward


def to_torch(x: Array) -> Any:
    if x.dtype.name == "bfloat16":
        return torch.from_numpy(x.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(x)


def from_torch(y: Any) -> Array:
    y = y.detach()
    return y.view(torch.int16).numpy().view(ml_dtypes.bfloat16) if y.dtype == torch.bfloat16 else y.numpy()


def one_thread() -> None:
    """Compute in one thread, for each process. The others overflow where they should not."""
    np.seterr(all="ignore")
    set_num_threads(1)
    if torch is not None:
        torch.set_num_threads(1)
