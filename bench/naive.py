"""The naive implementations, and what they get wrong: ``python bench/naive.py``.

The lines are in `fastact.textbook`, where the demo and ``python -m fastact bench`` find them without a checkout. They
are as the textbooks have them, and so are their mistakes: for each there is an argument here at which the line is
wrong, though nothing about the argument is unusual.
"""

from typing import NamedTuple

import numpy as np

from fastact import textbook

LINES = textbook.LINES


class Mistake(NamedTuple):
    """An argument at which the textbook's line is wrong, in float32, and the reason."""

    name: str
    arguments: tuple
    exact: float
    reason: str


def float32(*values):
    return np.array(values, dtype=np.float32)


# A column with mean 1e6 and standard deviation 1, and the first element of it normalized.
FAR = np.random.default_rng(0).standard_normal((100_000, 1), dtype=np.float32) + np.float32(1e6)
EXACTLY = float(((FAR[0] - FAR.mean(dtype=np.float64)) / FAR.std(dtype=np.float64))[0])
MISTAKES = (
    Mistake("sigmoid", (float32(-89),), 2.2273639e-39, "exp(-x) overflows: the left tail is cut off"),
    Mistake("silu", (float32(-89),), -1.9823538e-37, "x/inf is -0, where x*exp(x) is a number"),
    Mistake("logsigmoid", (float32(-89),), -89.0, "log(1 + inf) is infinite"),
    Mistake("logsigmoid", (float32(20),), -2.0611537e-09, "1 + exp(-x) is 1"),
    Mistake("softplus", (float32(89), 1.0), 89.0, "log(1 + inf) is infinite"),
    Mistake("softplus", (float32(-20), 1.0), 2.0611537e-09, "1 + exp(x) is 1"),
    Mistake("elu", (float32(-1e-8), 1.0), -1e-8, "exp(x) - 1 is 0"),
    Mistake("selu", (float32(-1e-8),), -1.7580993e-08, "exp(x) - 1 is 0"),
    Mistake("celu", (float32(-1e-8), 1.0), -1e-8, "exp(x/alpha) - 1 is 0"),
    Mistake("tanhshrink", (float32(1e-3),), 3.3333320e-10, "x - tanh(x) cancels"),
    Mistake("mish", (float32(-20),), -4.1223072e-08, "1 + exp(x) is 1"),
    Mistake("gelu", (float32(-6),), -5.9195252e-09, "1 + erf cancels in the left tail"),
    Mistake("gelu_tanh", (float32(-6),), -8.43964898e-11, "1 + tanh cancels in the left tail"),
    Mistake("grad_softplus", (float32(1), float32(-89), 1.0), 2.2273639e-39, "exp(-x) overflows"),
    Mistake("grad_mish", (float32(1), float32(-20)), -3.9161921e-08, "1 + exp(x) is 1, so the tanh is 0"),
    Mistake("binary_cross_entropy_with_logits", (float32(20), float32(0)), 20.0, "log(1 - sigmoid(x)) is log(0)"),
    Mistake("cross_entropy", (float32([0, 200]), np.array([0])), 200.0, "log(softmax(x)) is log(0)"),
    Mistake("batch_norm_in_training", (FAR, float32(1), float32(0)), EXACTLY, "the mean's rounding error, squared"),
)


def is_wrong(mistake, function=None):
    """Return whether the line, or another function, is off by more than a hundredth."""
    with np.errstate(all="ignore"):
        found = float(np.ravel((function or LINES[mistake.name])(*mistake.arguments))[0])
    return not abs(found - mistake.exact) <= 0.01 * abs(mistake.exact)


def main():
    for mistake in MISTAKES:
        with np.errstate(all="ignore"):
            found = np.ravel(LINES[mistake.name](*mistake.arguments))[0]
        print(f"{mistake.name}: {found:.8g}, exactly {mistake.exact:.8g}: {mistake.reason}")


if __name__ == "__main__":
    main()
