"""Two of the examples, timed: with fastact and with the textbooks' NumPy lines in its place, in turns."""

from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

import fastact
from fastact import textbook
from fastact.demo import plain
from fastact.demo.examples import example

Array = np.ndarray[Any, Any]

LEARNED = ("selu", "elu", "prelu")
LIBRARIES = (plain.library(), fastact)
WIDE = 1024
WIDE_STEPS = 4


def learn(epochs: int) -> None:
    """Train networks of examples/digits.py twice, epoch by epoch in turns; print what was learned and saved.

    Then some steps of a network whose arrays are large: with small ones, calls cost more than elements.
    """
    digits = example("digits")
    data = digits.load()
    print(
        f"\nLearning to read {len(data.x)} handwritten digits in {epochs} epochs, of {digits.BATCH} digits a step and "
        f"layers of {digits.WIDTH};\nbeside it steps of all digits and layers of {WIDE}\n"
    )
    print(f"{'':<10}{'held out, right':>20}{f'ms a step of {digits.BATCH}':>24}{f'ms a step of {len(data.x)}':>24}")
    print(f"{'':<10}{'textbook':>10}{'fastact':>10}" + f"{'textbook':>10}{'fastact':>8}{'saved':>6}" * 2)
    print("-" * 78)
    for recipe in digits.RECIPES:
        if recipe.activation in LEARNED:
            print(learned(digits, recipe, data, epochs), flush=True)
    print(
        "\nAll of a step is timed: products of matrices, the optimizer and Python's own time are the same in both. What"
        "\ndropout draws is not, and so the results differ a little."
    )


def learned(digits: Any, recipe: Any, data: Any, epochs: int) -> str:
    """Return a line of the table."""
    networks = [digits.Network(recipe, library=library) for library in LIBRARIES]
    times = in_turns([partial(learn_epoch, digits, network, data, epochs) for network in networks], epochs)
    right = "".join(f"{network.accuracy(data.held_out_x, data.held_out_target):>10.1%}" for network in networks)
    steps = epochs * (len(data.x) // digits.BATCH)
    small = saved(*(1e3 * sum(seconds) / steps for seconds in times))

    wide = [digits.Network(recipe, width=WIDE, library=library) for library in LIBRARIES]
    times = in_turns([partial(learn_all, network, data) for network in wide], WIDE_STEPS)
    return f"{recipe.activation:<10}{right}{small}{saved(*(1e3 * min(seconds) for seconds in times))}"


def learn_epoch(digits: Any, network: Any, data: Any, epochs: int, number: int) -> None:
    digits.epoch(network, data, number, epochs)


def learn_all(network: Any, data: Any, _: int) -> None:
    network.step(data.x, data.target, 1e-3)


def saved(theirs: float, ours: float) -> str:
    return f"{theirs:>10.2f}{ours:>8.2f}{1 - ours / theirs:>6.0%}"


def infer(rounds: int) -> None:
    """Run examples/inference.py, print its answers and what part of the time was saved."""
    inference = example("inference")
    images = inference.photographs()
    session = inference.session_of(inference.colour_model())
    views = list(images.values())

    def run(tensor_of: Callable[[list[Array]], Array], softmax: Callable[[Array], Array]) -> Array:
        (logits,) = session.run(None, {"pixels": tensor_of(views)})
        return softmax(logits)

    mean, std = (np.array(value, np.float32) for value in (inference.MEAN, inference.STD))

    def textbook_tensor(views: list[Array]) -> Array:
        return np.stack([((view.astype(np.float32) / 255 - mean) / std).transpose(2, 0, 1) for view in views])

    pairs = {
        "photographs to tensor": (lambda _: textbook_tensor(views), lambda _: inference.tensor_of(views)),
        "all, with the network": (
            lambda _: run(textbook_tensor, textbook.softmax),
            lambda _: run(inference.tensor_of, fastact.softmax),
        ),
    }
    print(f"\nRunning a network on {len(views)} photographs: examples/inference.py, which knows colours\n")
    (answers,) = session.run(None, {"pixels": inference.tensor_of(views)})
    for name, logits in zip(images, answers, strict=True):
        print(f"{name}: " + ", ".join(f"{label} {part:.0%}" for label, part in inference.top(logits)))
    print(f"\n{'milliseconds':<24}{'textbook':>10}{'fastact':>8}{'saved':>6}\n{'-' * 48}")
    for title, pair in pairs.items():
        theirs, ours = (1e3 * min(seconds) for seconds in in_turns(pair, 10 * rounds))
        print(f"{title:<24}{saved(theirs, ours)}")


def in_turns(functions: Sequence[Callable[[int], Any]], rounds: int) -> list[list[float]]:
    """Return the seconds of each round of each function, called in turns with the round's number."""
    seconds: list[list[float]] = [[] for _ in functions]
    for number in range(rounds):
        for function, times in zip(functions, seconds, strict=True):
            start = perf_counter()
            function(number)
            times.append(perf_counter() - start)
    return seconds
