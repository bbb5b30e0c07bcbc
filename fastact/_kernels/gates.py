"""Gradients of gated units: kernels with two outputs, for which an exponential is computed once."""


def grad_glu_apply_row(args, lengths):
    """Arrays: dy, a, b, and the gradients with respect to a and b, which are apart from them. As `mostly_3_0`."""
    dy, a, b = operand(args, X), operand(args, X + 1), operand(args, X + 2)
    da, db = output_of(args, X + 3), output_of(args, X + 4)
    n = lengths[ROWS]
    start, span = 0, FIRST_SPAN
    while start < n:
        length = min(span, n - start)
        span = min(2 * span, LONGEST_SPAN)
        if not usual_pairs(dy + start, a + start, b + start, da + start, db + start, length):
            length, span = min(AFTER_RARE, n - start), FIRST_SPAN
            each_pair(dy + start, a + start, b + start, da + start, db + start, length)
        start += length


def each_pair(dy, a, b, da, db, n):
    for i in range(n):
        da[i], db[i] = glu_gradients(dy[i], a[i], b[i])


def usual_pairs(dy, a, b, da, db, n):
    most = magnitude_bits(ZERO)
    most_factor = most
    for i in range(n):
        da[i], db[i] = glu_gradients_usual(dy[i], a[i], b[i])
        size, first, second = magnitude_bits(b[i]), magnitude_bits(dy[i]), magnitude_bits(a[i])
        most = size if size > most else most
        factor = first if first > second else second
        most_factor = factor if factor > most_factor else most_factor
    return most <= magnitude_bits(USUAL_GATE) and most_factor <= magnitude_bits(USUAL_FACTOR)
