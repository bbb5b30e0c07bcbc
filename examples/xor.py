"""The smallest network that needs a hidden layer: it learns the exclusive or, with sigmoid and with ReLU.

    hidden = activation(x @ w1 + b1)
    logit  = hidden @ w2 + b2            the answer is 1 where the logit is positive

The gradients are the chain rule, from the loss back to the first weights: `fastact.grad` has the derivatives.
"""

import numpy as np

import fastact

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
TARGET = np.array([[0], [1], [1], [0]], dtype=np.float32)
HIDDEN = 8


def learn(activation, learning_rate=0.5, steps=5000, seed=0):
    """Return the probabilities that the four answers are 1, and the loss of each step."""
    function, gradient = getattr(fastact, activation), getattr(fastact.grad, activation)
    rng = np.random.default_rng(seed)
    w1, b1 = rng.standard_normal((2, HIDDEN), np.float32), np.zeros(HIDDEN, np.float32)
    w2, b2 = rng.standard_normal((HIDDEN, 1), np.float32), np.zeros(1, np.float32)

    losses = []
    for _ in range(steps):
        # Forward.
        z = X @ w1 + b1
        hidden = function(z)
        logit = hidden @ w2 + b2
        losses.append(float(fastact.binary_cross_entropy_with_logits(logit, TARGET)))

        # Backward: the derivative of the loss with respect to each line above, the last one first.
        dlogit = fastact.grad.binary_cross_entropy_with_logits(logit, TARGET)
        dw2, db2 = hidden.T @ dlogit, dlogit.sum(axis=0)
        dz = gradient(dlogit @ w2.T, z)
        dw1, db1 = X.T @ dz, dz.sum(axis=0)

        # A step downhill, in place.
        for parameter, slope in ((w1, dw1), (b1, db1), (w2, dw2), (b2, db2)):
            parameter[:] -= learning_rate * slope
    return fastact.sigmoid(function(X @ w1 + b1) @ w2 + b2).ravel(), losses


def main():
    for activation in ("sigmoid", "relu"):
        probabilities, losses = learn(activation)
        print(f"{activation}: loss {losses[0]:.3f} at first, {losses[-1]:.4f} after {len(losses)} steps")
        for (a, b), target, probability in zip(X, TARGET.ravel(), probabilities, strict=True):
            right = "right" if (probability > 0.5) == target else "WRONG"
            print(f"  {a:.0f} xor {b:.0f} = {int(probability > 0.5)} ({right}; probability of 1: {probability:.4f})")


if __name__ == "__main__":
    main()
