"""Gradients of gated units: kernels with two outputs, for which an exponential is computed once."""


def grad_glu_apply_row(args, lengths):
    """Arrays: dy, a, b, and the gradients with respect to a and b."""
    dy, a, b = operand(args, X), operand(args, X + 1), operand(args, X + 2)
    da, db = output_of(args, X + 3), output_of(args, X + 4)
    for i in range(lengths[ROWS]):
        da[i], db[i] = glu_gradients(dy[i], a[i], b[i])
