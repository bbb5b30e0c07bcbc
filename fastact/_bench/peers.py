"""What other libraries offer for a case: NumPy, SciPy, torch, JAX, ONNX Runtime, numexpr and OpenCV, if installed.

Each library is a function from a case's name, its arguments and an array for the result, or None for a new one, to a
call that computes it, or None where the library has nothing. Arrays are handed over beforehand, without a copy where
that is possible. One policy for threads: `use_threads` before the libraries are imported, in a process of its own.
"""

import importlib.util
import math
import os
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from fastact._bench.cases import Array, Prepared

Call = Callable[[], Any]
Offer = Callable[[str, tuple[Any, ...], Array | None], Call | None]

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def use_threads(threads: int) -> None:
    """Let this process, and every library in it, compute with so many threads: processors to run on, and settings.

    XLA takes its threads from the processors that the process may run on when it starts; the others are told.
    """
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[-threads:])
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ["JAX_PLATFORMS"] = "cpu"


def has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


# ---- NumPy and SciPy.


def numpy(name: str, arguments: tuple[Any, ...], out: Array | None) -> Call | None:
    x = arguments[0]
    calls: dict[str, Call] = {
        "identity": lambda: np.positive(x, out=out),
        "tanh": lambda: np.tanh(x, out=out),
        "relu": lambda: np.maximum(x, 0, out=out),
        "relu6": lambda: np.clip(x, 0, 6, out=out),
        "hardtanh": lambda: np.clip(x, -1, 1, out=out),
        "softplus": lambda: np.logaddexp(x, 0, out=out),
        "dropout": lambda: np.multiply(x, (sfc64().random(x.shape, np.float32) >= 0.5) * np.float32(2), out=out),
    }
    return calls.get(name)


@cache
def sfc64() -> np.random.Generator:
    """Return NumPy's fastest generator."""
    return np.random.Generator(np.random.SFC64(0))


def scipy(name: str, arguments: tuple[Any, ...], out: Array | None) -> Call | None:
    from scipy import special

    x = arguments[0]
    calls: dict[str, Call] = {
        "sigmoid": lambda: special.expit(x, out=out),
        "logsigmoid": lambda: special.log_expit(x, out=out),
        "gelu": lambda: np.multiply(x, special.ndtr(x, out=out), out=out),
    }
    if out is None:
        calls |= {
            "softmax": lambda: special.softmax(x, axis=-1),
            "log_softmax": lambda: special.log_softmax(x, axis=-1),
            "logsumexp": lambda: special.logsumexp(x, axis=-1),
        }
    return calls.get(name)


# ---- torch.


# What torch's backward function is given, in place of x, of what the forward pass computed.
OF_FORWARD_PASS = {"grad.sigmoid": "output", "grad.tanh": "output", "grad.logsigmoid": "buffer"}


def torch(name: str, arguments: tuple[Any, ...], out: Array | None) -> Call | None:
    import torch as library

    library.set_grad_enabled(False)
    tensors = tuple(library.from_numpy(a) if isinstance(a, np.ndarray) else a for a in arguments)
    if name in OF_FORWARD_PASS:
        return torch_gradient_of_y(library, name, tensors, out)
    if name.startswith("grad."):
        return torch_gradient(library, name.removeprefix("grad."), tensors, out)
    if out is None:
        return torch_new(library, name, tensors)
    return torch_into(library, name, tensors, library.from_numpy(out))


def torch_from_y(name: str, arguments: tuple[Any, ...], out: Array | None) -> Call | None:
    """Return torch's backward function alone, where it has less to do than from x."""
    if name not in OF_FORWARD_PASS:
        return None
    import torch as library

    library.set_grad_enabled(False)
    return torch_gradient_of_y(library, name, tuple(map(library.from_numpy, arguments)), out, is_given=True)


def torch_into(t: Any, name: str, tensors: tuple[Any, ...], out: Any) -> Call | None:
    x, nn = tensors[0], t._C._nn  # the functions behind torch.nn.functional: only these take out=
    calls: dict[str, Call] = {
        "sigmoid": lambda: t.sigmoid(x, out=out),
        "tanh": lambda: t.tanh(x, out=out),
        "relu": lambda: t.clamp_min(x, 0, out=out),
        "relu6": lambda: nn.hardtanh(x, 0, 6, out=out),
        "hardtanh": lambda: nn.hardtanh(x, -1, 1, out=out),
        "leaky_relu": lambda: nn.leaky_relu(x, 0.01, out=out),
        "elu": lambda: nn.elu(x, 1, out=out),
        "selu": lambda: nn.elu(x, SELU_ALPHA, SELU_SCALE, out=out),
        "softplus": lambda: nn.softplus(x, 1, 20, out=out),
        "silu": lambda: nn.silu(x, out=out),
        "logsigmoid": lambda: nn.log_sigmoid(x, out=out),
        "mish": lambda: nn.mish(x, out=out),
        "gelu": lambda: nn.gelu(x, out=out),
        "gelu_tanh": lambda: nn.gelu(x, approximate="tanh", out=out),
        "hardsigmoid": lambda: nn.hardsigmoid(x, out=out),
        "hardswish": lambda: nn.hardswish(x, out=out),
        "softshrink": lambda: nn.softshrink(x, 0.5, out=out),
        "hardshrink": lambda: t.hardshrink(x, 0.5, out=out),
        "glu": lambda: nn.glu(x, -1, out=out),
        "softmax": lambda: t.softmax(x, -1, out=out),
        "log_softmax": lambda: t.log_softmax(x, -1, out=out),
    }
    return calls.get(name)


def torch_new(t: Any, name: str, tensors: tuple[Any, ...]) -> Call | None:
    x, *rest = tensors
    f = t.nn.functional
    operators = {"celu", "elu", "gelu", "glu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu"}
    operators |= {"logsigmoid", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "softplus", "softshrink"}
    operators |= {"softsign", "tanh", "tanhshrink", "rrelu"}
    if name in operators:
        return lambda: getattr(f, name)(x)
    calls: dict[str, Call] = {
        "identity": x.clone,
        "gelu_tanh": lambda: f.gelu(x, approximate="tanh"),
        "rrelu[training]": lambda: f.rrelu(x, training=True),
        "softmax": lambda: t.softmax(x, -1),
        "softmin": lambda: f.softmin(x, -1),
        "log_softmax": lambda: t.log_softmax(x, -1),
        "logsumexp": lambda: t.logsumexp(x, -1),
        "cross_entropy": lambda: f.cross_entropy(x, *rest),
        "binary_cross_entropy_with_logits": lambda: f.binary_cross_entropy_with_logits(x, *rest),
        "moments": lambda: t.var_mean(x, -1, correction=0)[::-1],
        "batch_norm": lambda: f.batch_norm(x, *rest),
        "batch_norm[training]": lambda: f.batch_norm(x, None, None, *rest, training=True),
        "batch_norm[relu]": lambda: t.relu_(f.batch_norm(x, None, None, *rest, training=True)),
        "layer_norm": lambda: f.layer_norm(x, x.shape[-1:], *rest),
        "rms_norm": lambda: f.rms_norm(x, x.shape[-1:], *rest, 1e-6),
        "group_norm": lambda: f.group_norm(x, *rest),
        "instance_norm": lambda: f.instance_norm(x, weight=rest[0], bias=rest[1]),
        "normalize": lambda: f.normalize(x),
        "dropout": lambda: f.dropout(x, 0.5),
        "alpha_dropout": lambda: f.alpha_dropout(x, 0.5, training=True),
        "l1_penalty": lambda: 0.1 * t.abs(x).sum(dtype=t.float64),
        "l2_penalty": lambda: 0.1 * (x * x).sum(dtype=t.float64),
        "preprocess.quantize_linear": lambda: t.quantize_per_tensor(x, *rest, t.quint8).int_repr(),
    }
    if name in {"prelu", "threshold"}:
        parameters = {"prelu": (t.tensor([0.25], dtype=x.dtype),), "threshold": (0.5, -3.0)}[name]
        return lambda: getattr(f, name)(x, *parameters)
    return calls.get(name)


def torch_gradient(t: Any, name: str, tensors: tuple[Any, ...], out: Array | None) -> Call | None:
    """Return torch's backward function, where that takes x."""
    d, x, *_ = (*tensors, None)
    aten, into = t.ops.aten, {} if out is None else {"grad_input": t.from_numpy(out)}
    arguments: dict[str, tuple[Any, ...]] = {
        "relu": (aten.threshold_backward, d, x, 0),
        "relu6": (aten.hardtanh_backward, d, x, 0, 6),
        "hardtanh": (aten.hardtanh_backward, d, x, -1, 1),
        "leaky_relu": (aten.leaky_relu_backward, d, x, 0.01, False),
        "elu": (aten.elu_backward, d, 1, 1, 1, False, x),
        "selu": (aten.elu_backward, d, SELU_ALPHA, SELU_SCALE, 1, False, x),
        "softplus": (aten.softplus_backward, d, x, 1, 20),
        "silu": (aten.silu_backward, d, x),
        "gelu": (aten.gelu_backward, d, x),
        "gelu_tanh": (aten.gelu_backward, d, x),
        "hardsigmoid": (aten.hardsigmoid_backward, d, x),
        "softshrink": (aten.softshrink_backward, d, x, 0.5),
        "hardshrink": (aten.hardshrink_backward, d, x, 0.5),
        "glu": (aten.glu_backward, d, x, -1),
    }
    if name in {"softmax", "log_softmax"}:
        arguments |= {name: (getattr(aten, f"_{name}_backward_data"), d, x, -1, d.dtype)}
    if name not in arguments:
        return (
            {
                "mish": lambda: aten.mish_backward(d, x),
                "hardswish": lambda: aten.hardswish_backward(d, x),
            }.get(name)
            if out is None
            else None
        )
    function, *operands = arguments[name]
    options = {"approximate": "tanh"} if name == "gelu_tanh" else {}
    if not into:
        return lambda: function(*operands, **options)
    if "grad_input" not in function.overloads():
        return None
    return lambda: function.grad_input(*operands, **options, **into)


def torch_gradient_of_y(
    t: Any, name: str, tensors: tuple[Any, ...], out: Array | None, is_given: bool = False
) -> Call | None:
    """Return torch's backward function of what its forward pass has kept, and that pass, unless it `is_given`."""
    d, x = tensors
    forward = torch_forward(t, name, x, into=out is not None)
    given = forward()
    kept: Call = (lambda: given) if is_given else forward
    functions = {"grad.sigmoid": "sigmoid_backward", "grad.tanh": "tanh_backward"}
    backward = getattr(t.ops.aten, functions.get(name, "log_sigmoid_backward"))
    operands = (d,) if name in functions else (d, x)
    if out is None:
        return lambda: backward(*operands, kept())
    result = t.from_numpy(out)
    return lambda: backward.grad_input(*operands, kept(), grad_input=result)


def torch_forward(t: Any, name: str, x: Any, into: bool) -> Call:
    """Return the forward pass as a call that returns what the backward function needs, new or in arrays of its own."""
    if OF_FORWARD_PASS[name] == "output":
        function = getattr(t, name.removeprefix("grad."))
        y = function(x)
        return (lambda: function(x, out=y)) if into else (lambda: function(x))
    both = t.ops.aten.log_sigmoid_forward
    y, buffer = both(x)
    return (lambda: both.output(x, output=y, buffer=buffer)[1]) if into else (lambda: both(x)[1])


# ---- JAX. It cannot write into an array: results are new ones.


def jax(name: str, arguments: tuple[Any, ...], out: Array | None) -> Call | None:
    import jax as library

    function = jax_functions(library).get(name)
    if function is None or out is not None:
        return None
    library.config.update("jax_cpu_enable_async_dispatch", False)
    compiled = library.jit(function)
    operands = [library.numpy.asarray(a) if isinstance(a, np.ndarray) else a for a in arguments]
    return lambda: compiled(*operands).block_until_ready()


def jax_functions(library: Any) -> dict[str, Callable[..., Any]]:
    j, nn = library.numpy, library.nn
    names = ("sigmoid", "tanh", "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "softplus", "silu", "mish")
    functions: dict[str, Callable[..., Any]] = {name: getattr(nn, name) for name in names}
    return functions | {
        "logsigmoid": nn.log_sigmoid,
        "hardsigmoid": nn.hard_sigmoid,
        "hardswish": nn.hard_silu,
        "hardtanh": nn.hard_tanh,
        "softsign": nn.soft_sign,
        "gelu": lambda x: nn.gelu(x, approximate=False),
        "gelu_tanh": lambda x: nn.gelu(x, approximate=True),
        "glu": nn.glu,
        "tanhshrink": lambda x: x - j.tanh(x),
        "softmax": nn.softmax,
        "log_softmax": nn.log_softmax,
        "logsumexp": lambda x: nn.logsumexp(x, axis=-1),
        "layer_norm": lambda x, w, b: nn.standardize(x, axis=-1, epsilon=1e-5) * w + b,
        "rms_norm": lambda x, w: x / j.sqrt(j.mean(x * x, axis=-1, keepdims=True) + 1e-6) * w,
        "batch_norm": lambda x, m, v, w, b: (x - m[:, None]) / j.sqrt(v[:, None] + 1e-5) * w[:, None] + b[:, None],
        "normalize": lambda x: x / j.maximum(j.sqrt(j.sum(x * x, axis=-1, keepdims=True)), 1e-12),
        "preprocess.image_to_tensor": lambda x: j.moveaxis(x.astype(j.float32) / 255, -1, -3),
    }


# ---- ONNX Runtime: a model of one node.

ONNX: dict[str, tuple[str, dict[str, Any]]] = {
    "identity": ("Identity", {}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "relu": ("Relu", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.01}),
    "elu": ("Elu", {"alpha": 1.0}),
    "selu": ("Selu", {}),
    "celu": ("Celu", {"alpha": 1.0}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "hardsigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "hardswish": ("HardSwish", {}),
    "mish": ("Mish", {}),
    "gelu": ("Gelu", {}),
    "gelu_tanh": ("Gelu", {"approximate": "tanh"}),
    "hardshrink": ("Shrink", {"lambd": 0.5, "bias": 0.0}),
    "softshrink": ("Shrink", {"lambd": 0.5, "bias": 0.5}),
    "softmax": ("Softmax", {"axis": -1}),
    "log_softmax": ("LogSoftmax", {"axis": -1}),
    "layer_norm": ("LayerNormalization", {"axis": -1}),
}


def onnxruntime(name: str, arguments: tuple[Any, ...], out: Array | None) -> Call | None:
    if name not in ONNX or not has("onnx") or arguments[0].dtype != np.float32:
        return None
    import onnxruntime as library

    session = onnx_session(library, *ONNX[name], arguments)
    binding = session.io_binding()
    for place, argument in enumerate(arguments):
        binding.bind_ortvalue_input(f"x{place}", library.OrtValue.ortvalue_from_numpy(argument))
    if out is None:
        feed = {f"x{place}": argument for place, argument in enumerate(arguments)}
        return lambda: session.run(None, feed)
    # The name of the result, its device, the number of it, the type, the shape, the address.
    binding.bind_output("y", "cpu", 0, np.float32, out.shape, out.ctypes.data)
    return lambda: session.run_with_iobinding(binding)


def onnx_session(library: Any, operator: str, attributes: dict[str, Any], arguments: tuple[Any, ...]) -> Any:
    from onnx import TensorProto, helper

    names = [f"x{place}" for place in range(len(arguments))]
    node = helper.make_node(operator, names, ["y"], **attributes)
    info = partial(helper.make_tensor_value_info, elem_type=TensorProto.FLOAT)
    inputs = [info(name, shape=a.shape) for name, a in zip(names, arguments, strict=True)]
    output = info("y", shape=arguments[0].shape)
    model = helper.make_model(
        helper.make_graph([node], "one", inputs, [output]), opset_imports=[helper.make_opsetid("", 22)], ir_version=10
    )
    options = library.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    return library.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


# ---- numexpr. Its constants are float64 unless they come as float32 numbers.

EXPRESSIONS = {
    "sigmoid": "one/(one + exp(-x))",
    "logsigmoid": "-log1p(exp(-x))",
    "tanh": "tanh(x)",
    "tanhshrink": "x - tanh(x)",
    "relu": "where(x > 0, x, zero)",
    "leaky_relu": "where(x > 0, x, slope*x)",
    "softsign": "x/(one + abs(x))",
    "elu": "where(x > 0, x, expm1(x))",
    "selu": "scale*where(x > 0, x, alpha*expm1(x))",
    "silu": "x/(one + exp(-x))",
    "softplus": "log1p(exp(x))",
    "mish": "x*tanh(log1p(exp(x)))",
    "gelu_tanh": "half*x*(one + tanh(form*(x + cubic*x*x*x)))",
}


def numexpr(name: str, arguments: tuple[Any, ...], out: Array | None) -> Call | None:
    if name not in EXPRESSIONS:
        return None
    import numexpr as library

    numbers = {"zero": 0, "one": 1, "half": 0.5, "slope": 0.01, "alpha": SELU_ALPHA, "scale": SELU_SCALE}
    numbers |= {"form": math.sqrt(2 / math.pi), "cubic": 0.044715}
    variables = {name: np.float32(number) for name, number in numbers.items()} | {"x": arguments[0]}
    options: dict[str, Any] = {} if out is None else {"out": out}
    return lambda: library.evaluate(EXPRESSIONS[name], local_dict=variables, global_dict={}, **options)


# ---- OpenCV.


def opencv(name: str, arguments: tuple[Any, ...], out: Array | None) -> Call | None:
    if name != "preprocess.image_to_tensor" or out is not None:
        return None
    import cv2

    cv2.setNumThreads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    (images,) = arguments
    return lambda: cv2.dnn.blobFromImages(list(images), 1 / 255)


LIBRARIES: dict[str, tuple[str, Offer]] = {
    "numpy": ("numpy", numpy),
    "scipy": ("scipy", scipy),
    "torch": ("torch", torch),
    "torch from y": ("torch", torch_from_y),
    "jax": ("jax", jax),
    "onnxruntime": ("onnxruntime", onnxruntime),
    "numexpr": ("numexpr", numexpr),
    "opencv": ("cv2", opencv),
}


# They are given more than fastact, and have less to do: measured and shown, but nobody's best peer.
GIVEN_MORE = ("torch from y",)


def library(contender: str) -> str:
    return contender.removesuffix(" new")


def is_peer(contender: str) -> bool:
    """Return whether a contender is a library that does what fastact does, of the same arguments."""
    return library(contender) in LIBRARIES and library(contender) not in GIVEN_MORE


def installed() -> list[str]:
    return [name for name, (module, _) in LIBRARIES.items() if has(module)]


def offers(prepared: Prepared) -> dict[str, Call]:
    """Return what the installed libraries have for a case: ``torch`` writes into the result, ``torch new`` does not."""
    case, arguments = prepared.case, prepared.arguments
    if not isinstance(arguments[0], np.ndarray) or arguments[0].dtype == np.float16:
        return {}
    calls = {}
    for name in installed():
        _, offer = LIBRARIES[name]
        for suffix, out in (("", prepared.result if case.takes_out else None), (" new", None)):
            if suffix or out is not None:
                call = offer(case.name, arguments, out)
                if call is not None:
                    calls[name + suffix] = call
    return calls
