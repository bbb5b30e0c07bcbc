"""What the libraries offer for each operator: functions that compute it once, from prepared arrays.

`libraries` and `gradients` return only what is installed. Where a library has several ways, all of them run and the
fastest counts. Each writes into an existing array where the library can do that.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Contenders = dict[str, Callable[[], object]]

try:
    import scipy
    from scipy import special
except ImportError:
    scipy = special = None
try:
    import torch
except ImportError:
    torch = None

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def libraries(name: str, x: Array, y: Array) -> Contenders:
    """Return what NumPy, SciPy and torch have for an operator, at its default parameters."""
    return numpy_has(name, x, y) | (scipy_has(name, x, y) if special else {}) | (torch_has(name, x, y) if torch else {})


def numpy_has(name: str, x: Array, y: Array) -> Contenders:
    zero, six = np.float32(0), np.float32(6)
    return {
        "identity": {"np.copyto": lambda: np.copyto(y, x), "np.positive": lambda: np.positive(x, out=y)},
        "tanh": {"np.tanh": lambda: np.tanh(x, out=y)},
        "relu": {"np.maximum": lambda: np.maximum(x, zero, out=y)},
        "relu6": {"np.clip": lambda: np.clip(x, zero, six, out=y)},
        "softplus": {"np.logaddexp": lambda: np.logaddexp(x, zero, out=y)},
    }.get(name, {})


def scipy_has(name: str, x: Array, y: Array) -> Contenders:
    return {
        "sigmoid": {"special.expit": lambda: special.expit(x, out=y)},
        "softplus": {"special.softplus": lambda: special.softplus(x, out=y)} if hasattr(special, "softplus") else {},
        "logsigmoid": {"special.log_expit": lambda: special.log_expit(x, out=y)},
        "gelu": {"x*special.ndtr": lambda: np.multiply(x, special.ndtr(x, out=y), out=y)},
    }.get(name, {})


def torch_has(name: str, x: Array, y: Array) -> Contenders:
    a, out = torch.from_numpy(x), torch.from_numpy(y)
    nn = torch._C._nn  # the functions behind torch.nn.functional: only these take out=
    return {
        "sigmoid": {"torch.sigmoid": lambda: torch.sigmoid(a, out=out)},
        "tanh": {"torch.tanh": lambda: torch.tanh(a, out=out)},
        "relu": {"torch.relu": lambda: torch.relu(a), "torch.clamp_min": lambda: torch.clamp_min(a, 0, out=out)},
        "relu6": {"torch hardtanh": lambda: nn.hardtanh(a, 0, 6, out=out)},
        "leaky_relu": {"torch leaky_relu": lambda: nn.leaky_relu(a, 0.01, out=out)},
        "elu": {"torch elu": lambda: nn.elu(a, 1, out=out)},
        "selu": {"torch.selu": lambda: torch.selu(a), "torch elu": lambda: nn.elu(a, SELU_ALPHA, SELU_SCALE, out=out)},
        "softplus": {"torch softplus": lambda: nn.softplus(a, 1, 20, out=out)},
        "silu": {"torch silu": lambda: nn.silu(a, out=out)},
        "logsigmoid": {"torch log_sigmoid": lambda: nn.log_sigmoid(a, out=out)},
        "mish": {"torch mish": lambda: nn.mish(a, out=out)},
        "gelu": {"torch gelu": lambda: nn.gelu(a, out=out)},
        "gelu_tanh": {"torch gelu tanh": lambda: nn.gelu(a, approximate="tanh", out=out)},
        "tanhshrink": {"torch tanhshrink": lambda: torch.nn.functional.tanhshrink(a)},
    }.get(name, {})


def gradients(name: str, dy: Array, x: Array, y: Array) -> Contenders:
    """Return torch's backward functions. Those of sigmoid and tanh take the forward output, which is less work."""
    if not torch:
        return {}
    d, a, out = map(torch.from_numpy, (dy, x, y))
    aten: Any = torch.ops.aten
    arguments = {
        "sigmoid": (aten.sigmoid_backward, d, torch.sigmoid(a)),
        "tanh": (aten.tanh_backward, d, torch.tanh(a)),
        "relu": (aten.threshold_backward, d, a, 0),
        "relu6": (aten.hardtanh_backward, d, a, 0, 6),
        "leaky_relu": (aten.leaky_relu_backward, d, a, 0.01, False),
        "elu": (aten.elu_backward, d, 1, 1, 1, False, a),
        "selu": (aten.elu_backward, d, SELU_ALPHA, SELU_SCALE, 1, False, a),
        "softplus": (aten.softplus_backward, d, a, 1, 20),
        "silu": (aten.silu_backward, d, a),
        "logsigmoid": (aten.log_sigmoid_backward, d, a, torch.empty(0)),
        "gelu": (aten.gelu_backward, d, a),
        "gelu_tanh": (aten.gelu_backward, d, a),
    }
    if name not in arguments:
        return {}
    function, *operands = arguments[name]
    options = {"approximate": "tanh"} if name == "gelu_tanh" else {}
    return {str(function): lambda: function.grad_input(*operands, **options, grad_input=out)}


def dropout(p: float, x: Array, y: Array) -> Contenders:
    """Return ways to drop elements. NumPy's are the fastest lines with its fastest generator."""
    generator = np.random.Generator(np.random.SFC64(0))
    scale = np.float32(1 / (1 - p))

    def select() -> object:
        return np.where(generator.random(x.size, np.float32) < p, np.float32(0), x * scale)

    def multiply() -> object:
        return np.multiply(x, (generator.random(x.size, np.float32) >= p) * scale, out=y)

    lines: Contenders = {"np.where": select, "np.multiply": multiply}
    if torch:
        a = torch.from_numpy(x)
        lines["torch"] = lambda: torch.nn.functional.dropout(a, p)
    return lines


def versions() -> dict[str, str]:
    """Return the versions of what is installed."""
    modules: tuple[ModuleType | None, ...] = (np, scipy, torch)
    return {module.__name__: str(module.__version__) for module in modules if module}


def use_one_thread() -> None:
    """Let the libraries compute with one thread. NumPy and SciPy always do."""
    if torch:
        torch.set_num_threads(1)
