"""What is promised to callers: names, the order of parameters, and defaults."""

import inspect

import numpy as np
import pytest

import fastact
from fastact import grad, preprocess

UFUNCS = (
    "identity", "sigmoid", "logsigmoid", "hardsigmoid", "tanh", "tanhshrink", "softsign", "relu", "relu6", "selu",
    "silu", "hardswish", "mish",
)  # fmt: skip
WITH_PARAMETERS = """
hardtanh(x, min_val=-1.0, max_val=1.0, **options)
leaky_relu(x, negative_slope=0.01, **options)
rrelu(x, lower=0.125, upper=0.3333333333333333, training=False, *, rng=None, **options)
elu(x, alpha=1.0, **options)
celu(x, alpha=1.0, **options)
gelu(x, approximate='none', **options)
softplus(x, beta=1.0, **options)
threshold(x, threshold, value, **options)
hardshrink(x, lambd=0.5, **options)
softshrink(x, lambd=0.5, **options)
"""
FORWARD = """
prelu(x, weight, *, axis=None, **options)
glu(x, axis=-1, *, out=None)
softmax(x, axis=-1, *, out=None)
softmin(x, axis=-1, *, out=None)
log_softmax(x, axis=-1, *, out=None)
logsumexp(x, axis=None, *, keepdims=False)
cross_entropy(logits, target, axis=-1, *, reduction='mean', ignore_index=-100)
binary_cross_entropy_with_logits(logits, target, *, reduction='mean')
moments(x, axis=None, *, correction=0, keepdims=False)
batch_norm(x, running_mean=None, running_var=None, weight=None, bias=None, training=False, momentum=0.1, eps=1e-05, *, \
axis=1, activation=None, out=None, return_stats=False)
batch_norm_inverse(y, mean, var, weight=None, bias=None, *, eps=1e-05, axis=1, out=None)
layer_norm(x, weight=None, bias=None, *, axis=-1, eps=1e-05, out=None)
rms_norm(x, weight=None, *, axis=-1, eps=1e-06, out=None)
group_norm(x, num_groups, weight=None, bias=None, *, axis=1, eps=1e-05, out=None)
instance_norm(x, weight=None, bias=None, *, axis=1, eps=1e-05, out=None)
normalize(x, p=2.0, axis=-1, eps=1e-12, *, out=None)
dropout(x, p=0.5, training=True, *, rng=None, axis=None, out=None, return_mask=False)
alpha_dropout(x, p=0.5, training=True, *, rng=None, axis=None, out=None, return_mask=False)
dropout_mask(shape, p=0.5, *, rng=None)
apply_mask(x, mask, p, *, out=None)
l1_penalty(w, lam)
l2_penalty(w, lam)
elastic_net_penalty(w, l1, l2)
fuse(function)
get_num_threads()
set_num_threads(n)
threads(n)
get_backend()
set_backend(name)
warmup(names=None, dtypes=None)
show_config()
"""
GRADIENTS = """
prelu(dy, x, weight, *, axis=None)
glu(dy, x, axis=-1)
softmax(dy, y, axis=-1)
log_softmax(dy, y, axis=-1)
dropout(dy, mask, p, *, out=None)
batch_norm(dy, x, weight, mean, var, *, eps=1e-05, axis=1)
layer_norm(dy, x, weight, *, axis=-1, eps=1e-05)
rms_norm(dy, x, weight, *, axis=-1, eps=1e-06)
l1_penalty(w, lam)
l2_penalty(w, lam)
elastic_net_penalty(w, l1, l2)
cross_entropy(logits, target, axis=-1, *, ignore_index=-100)
binary_cross_entropy_with_logits(logits, target)
"""
PREPROCESSING = """
image_to_tensor(images, mean=None, std=None, *, scale=0.00392156862745098, layout='NCHW', swap_rb=False, \
dtype=<class 'numpy.float32'>, out=None)
quantize_linear(x, scale, zero_point=0, *, dtype=<class 'numpy.uint8'>, axis=None, out=None)
dequantize_linear(q, scale, zero_point=0, *, dtype=<class 'numpy.float32'>, axis=None, out=None)
standardize(x, axis=0, *, eps=0.0, out=None)
"""
# The functions of fastact.dask are those of fastact, without out.
LAZY = (
    "moments", "batch_norm", "softmax", "log_softmax", "logsumexp", "layer_norm", "dropout", "l1_penalty", "l2_penalty",
)  # fmt: skip


def promises(module, text):
    return [pytest.param(module, line, id=f"{module.__name__}.{line}") for line in text.strip().splitlines()]


def of_gradients(text):
    return text.replace("(x", "(dy, x")


def signature(function, left_out=()):
    """Return a function's signature without annotations."""
    found = inspect.signature(function)
    kept = [parameter for name, parameter in found.parameters.items() if name not in left_out]
    parameters = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in kept]
    return str(found.replace(parameters=parameters, return_annotation=inspect.Signature.empty))


@pytest.mark.parametrize(
    ("module", "promised"),
    [
        *promises(fastact, WITH_PARAMETERS + FORWARD.lstrip()),
        *promises(grad, of_gradients(WITH_PARAMETERS) + GRADIENTS.lstrip()),
        *promises(preprocess, PREPROCESSING),
    ],
)
def test_signature(module, promised):
    name = promised.partition("(")[0]
    assert name + signature(getattr(module, name)) == promised


@pytest.mark.parametrize("name", UFUNCS)
def test_operators_without_parameters_are_ufuncs(name):
    for module, operands in ((fastact, 1), (grad, 2)):
        ufunc = getattr(module, name)
        assert isinstance(ufunc, np.ufunc)
        assert (ufunc.nin, ufunc.nout) == (operands, 1)


@pytest.mark.parametrize("name", LAZY)
def test_functions_of_dask_arrays(name):
    lazy = pytest.importorskip("fastact.dask")
    assert signature(getattr(lazy, name)) == signature(getattr(fastact, name), left_out=("out",))


def test_promised_names_are_public():
    def names(text):
        return {line.partition("(")[0] for line in text.strip().splitlines()}

    operators = {*UFUNCS, *names(WITH_PARAMETERS)}
    assert operators | names(FORWARD) | {"grad", "preprocess", "ufuncs"} <= set(fastact.__all__)
    assert operators | names(GRADIENTS) <= set(grad.__all__)
    assert names(PREPROCESSING) == set(preprocess.__all__)
