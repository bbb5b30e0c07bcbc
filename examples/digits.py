"""A network that reads handwritten digits, every layer and every gradient written out.

    pixels -> [dense -> batch norm -> activation -> dropout] twice -> dense -> logits of the ten digits
    pixels -> [dense -> SELU -> alpha dropout] twice -> dense -> logits: SELU keeps mean and variance by itself

A layer is a function of x and its parameters. `forward` computes it; `backward` takes dy, the derivative of the loss
with respect to the layer's result, keeps the derivatives of its parameters, and returns dx: the chain rule, one link a
layer.

The 1797 digits of 8 x 8 pixels are those of scikit-learn. A quarter is held out: the network never learns from it.
"""

import math
import sys
from time import perf_counter
from typing import NamedTuple

import numpy as np

import fastact

WIDTH = 128
EPOCHS = 60
BATCH = 64
LEARNING_RATE = 0.01
DROPOUT = 0.1
MOVED = 0.25


# ---- Layers.


class Dense:
    """y = x @ weight + bias."""

    def __init__(self, inputs, outputs, rng):
        # Of variance 1/inputs: y varies as much as x does.
        self.weight = rng.standard_normal((inputs, outputs), np.float32) / np.float32(np.sqrt(inputs))
        self.bias = np.zeros(outputs, np.float32)

    def forward(self, x, training):
        self.x = x
        return x @ self.weight + self.bias

    def backward(self, dy):
        self.gradients = [self.x.T @ dy, dy.sum(axis=0)]
        return dy @ self.weight.T

    @property
    def parameters(self):
        return [self.weight, self.bias]


class BatchNorm:
    """y = (x - mean)/sqrt(var) * weight + bias: of the batch in training, of all batches so far afterwards."""

    def __init__(self, features, library):
        self.library = library
        self.parameters = [np.ones(features, np.float32), np.zeros(features, np.float32)]
        self.running = [np.zeros(features, np.float32), np.ones(features, np.float32)]

    def forward(self, x, training):
        y, *statistics = self.library.batch_norm(x, *self.running, *self.parameters, training, return_stats=True)
        self.x, self.statistics = x, statistics
        return y

    def backward(self, dy):
        dx, *self.gradients = self.library.grad.batch_norm(dy, self.x, self.parameters[0], *self.statistics)
        return dx


class Activation:
    """y = f(x), one of fastact's element-wise operators."""

    parameters = ()
    gradients = ()

    def __init__(self, name, library):
        self.function, self.derivative = getattr(library, name), getattr(library.grad, name)

    def forward(self, x, training):
        self.x = x
        return self.function(x)

    def backward(self, dy):
        return self.derivative(dy, self.x)


class PReLU:
    """y = x if x > 0 else slope*x, with a slope for each feature, which is learned."""

    def __init__(self, features, library):
        self.library = library
        self.parameters = [np.full(features, 0.25, np.float32)]

    def forward(self, x, training):
        self.x = x
        return self.library.prelu(x, self.parameters[0])

    def backward(self, dy):
        dx, dslope = self.library.grad.prelu(dy, self.x, self.parameters[0])
        self.gradients = [dslope]
        return dx


class RReLU:
    """y = x if x > 0 else slope*x, the slope drawn for each element in training. The seed says which it was."""

    parameters = ()
    gradients = ()

    def __init__(self, library, rng):
        self.library, self.rng = library, rng

    def forward(self, x, training):
        self.x, self.seed = x, int(self.rng.integers(2**32))
        return self.library.rrelu(x, training=training, rng=self.seed)

    def backward(self, dy):
        return self.library.grad.rrelu(dy, self.x, training=True, rng=self.seed)


class Dropout:
    """y = x/(1 - p), or 0 with probability p; y = x after training."""

    parameters = ()
    gradients = ()

    def __init__(self, p, library, rng):
        self.p, self.library, self.rng = p, library, rng

    def forward(self, x, training):
        if not training:
            return x
        y, self.mask = self.library.dropout(x, self.p, rng=self.rng, return_mask=True)
        return y

    def backward(self, dy):
        return self.library.grad.dropout(dy, self.mask, self.p)


class AlphaDropout(Dropout):
    """y = a*x + b, or a*low + b with probability p: `low` is SELU's limit, a and b keep mean 0 and variance 1."""

    LOW = -1.0507009873554805 * 1.6732632423543772

    def forward(self, x, training):
        if not training:
            return x
        y, self.mask = self.library.alpha_dropout(x, self.p, rng=self.rng, return_mask=True)
        return y

    def backward(self, dy):
        keep = 1 - self.p
        a = 1 / np.sqrt(keep * (1 + self.p * self.LOW**2))
        return super().backward(dy * np.float32(a * keep))


# ---- The network.


class Recipe(NamedTuple):
    """What is tried: an activation, and a penalty on the weights with its strengths."""

    activation: str
    penalty: str = "l2"
    strengths: tuple[float, ...] = (1e-4,)


RECIPES = (
    Recipe("selu"),
    Recipe("elu", "l1", (2e-5,)),
    Recipe("prelu", "elastic_net", (1e-5, 1e-4)),
    *map(Recipe, ("relu", "leaky_relu", "rrelu", "gelu", "silu", "mish", "softplus", "sigmoid", "tanh", "celu")),
    *map(Recipe, ("relu6", "hardswish", "hardtanh", "hardsigmoid", "softsign", "logsigmoid")),
)


class Adam:
    """Steps along the mean of the last gradients over their root mean square (Kingma and Ba, arXiv:1412.6980)."""

    def __init__(self, parameter):
        self.mean, self.square, self.steps = np.zeros_like(parameter), np.zeros_like(parameter), 0

    def step(self, gradient, learning_rate):
        self.steps += 1
        self.mean += 0.1 * (gradient - self.mean)
        self.square += 0.01 * (gradient * gradient - self.square)
        # Both begin at 0: the divisions make up for it.
        mean, square = self.mean / (1 - 0.9**self.steps), self.square / (1 - 0.99**self.steps)
        return learning_rate * mean / (np.sqrt(square) + 1e-8)


class Network:
    """The layers in a row. `library` computes: fastact, or what it is compared with."""

    def __init__(self, recipe, inputs=64, width=WIDTH, classes=10, seed=0, library=fastact):
        self.recipe, self.library, self.rng = recipe, library, np.random.default_rng(seed)
        self.layers = []
        for features in (inputs, width):
            self.layers += self.block(features, width)
        self.layers.append(Dense(width, classes, self.rng))
        self.weights = [layer.weight for layer in self.layers if isinstance(layer, Dense)]
        self.optimizers = [[Adam(p) for p in layer.parameters] for layer in self.layers]

    def block(self, inputs, width):
        """Return the layers of a hidden block."""
        name, library, rng = self.recipe.activation, self.library, self.rng
        dense = Dense(inputs, width, rng)
        if name == "selu":
            return [dense, Activation(name, library), AlphaDropout(DROPOUT / 4, library, rng)]
        activations = {"prelu": lambda: PReLU(width, library), "rrelu": lambda: RReLU(library, rng)}
        activation = activations.get(name, lambda: Activation(name, library))()
        return [dense, BatchNorm(width, library), activation, Dropout(DROPOUT, library, rng)]

    def logits(self, x, training=False):
        for layer in self.layers:
            x = layer.forward(x, training)
        return x

    def step(self, x, target, learning_rate):
        """Learn from one batch; return the loss with its penalty."""
        penalty = getattr(self.library, f"{self.recipe.penalty}_penalty")
        penalty_gradient = getattr(self.library.grad, f"{self.recipe.penalty}_penalty")

        logits = self.logits(x, training=True)
        loss = self.library.cross_entropy(logits, target)
        loss += sum(penalty(weight, *self.recipe.strengths) for weight in self.weights)

        dy = self.library.grad.cross_entropy(logits, target)
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
            if isinstance(layer, Dense):
                layer.gradients[0] += penalty_gradient(layer.weight, *self.recipe.strengths)

        for layer, optimizers in zip(self.layers, self.optimizers, strict=True):
            for parameter, optimizer, slope in zip(layer.parameters, optimizers, layer.gradients, strict=True):
                parameter[:] -= optimizer.step(slope, learning_rate)
        return float(loss)

    def accuracy(self, x, target):
        """Return the part of the digits that is read right, without dropout and with the running statistics."""
        return float((self.logits(x).argmax(axis=1) == target).mean())


# ---- Learning.


class Digits(NamedTuple):
    """Pixels of mean 0 and deviation 1, and what they show."""

    x: np.ndarray
    target: np.ndarray
    held_out_x: np.ndarray
    held_out_target: np.ndarray


def load():
    """Return scikit-learn's digits, shuffled, a quarter of them held out."""
    from sklearn.datasets import load_digits

    images, target = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    held_out, learned = np.split(order, [len(order) // 4])
    # Of those that are learned from only: nothing is known of the others.
    x = ((images - images[learned].mean()) / images[learned].std()).astype(np.float32)
    return Digits(x[learned], target[learned], x[held_out], target[held_out])


def moved(x, rng):
    """Return the images, a quarter of them moved by up to one pixel: more to learn from than was drawn."""
    images = np.pad(x.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)), mode="edge")
    step = rng.integers(-1, 2, (2, len(x), 1, 1)) * (rng.random((len(x), 1, 1)) < MOVED)
    rows, columns = np.arange(1, 9)[:, None] + step[0], np.arange(1, 9) + step[1]
    return images[np.arange(len(x))[:, None, None], rows, columns].reshape(len(x), -1)


def epoch(network, digits, number, epochs=EPOCHS):
    """Learn from every digit once, in a new order; return the mean loss."""
    order = network.rng.permutation(len(digits.x))
    learning_rate = LEARNING_RATE * (1 + math.cos(math.pi * number / epochs)) / 2
    x = moved(digits.x, network.rng)
    batches = [order[begin : begin + BATCH] for begin in range(0, len(order) - BATCH + 1, BATCH)]
    return float(np.mean([network.step(x[batch], digits.target[batch], learning_rate) for batch in batches]))


def train(recipe, digits, epochs=EPOCHS, library=fastact):
    """Return a trained network and the loss of its first and last epoch."""
    network = Network(recipe, library=library)
    losses = [epoch(network, digits, number, epochs) for number in range(epochs)]
    return network, losses[0], losses[-1]


def main(names):
    recipes = [recipe for recipe in RECIPES if not names or recipe.activation in names]
    digits = load()
    print(f"{len(digits.x)} digits to learn from, {len(digits.held_out_x)} held out, {EPOCHS} epochs")
    print(f"{'activation':<12}{'penalty':<13}{'first loss':>10}{'last loss':>11}{'held out':>10}{'seconds':>9}")
    for recipe in recipes:
        start = perf_counter()
        network, first, last = train(recipe, digits)
        seconds = perf_counter() - start
        accuracy = network.accuracy(digits.held_out_x, digits.held_out_target)
        print(f"{recipe.activation:<12}{recipe.penalty:<13}{first:>10.3f}{last:>11.3f}{accuracy:>10.2%}{seconds:>9.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])
