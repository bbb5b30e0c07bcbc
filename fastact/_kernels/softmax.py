"""Softmax, log_softmax and logsumexp: kernels for a row (contiguous) and for a block of columns.

exp(x - m), m the largest element, would first round x - m: to 20 ULP of the result for float32 at x - m = -50. So the
largest is not subtracted. exp(x) = 2**k*(1 + w), and what is kept is the term 2**(k - k_max)*(1 + w), k_max being the
largest's k: the integers are subtracted, exactly and at no cost. Only where abs(m) is so large that x - m is exact (or
exp(x - m) is 0) does m go first (`exp_reference`).

logsumexp = m + log1p(rest), rest = (the sum over the other elements of exp(x - m)): without the largest element's own
1, so that a small rest keeps its digits. Elements equal to the largest are counted, the others are summed.

A piece is a block of a row or of columns; it is known by m, rest and rest's low part. `combine_exp_sums` makes of the
pieces of a row, in order, its statistics: logsumexp in two parts, m, and rest in two parts.
"""


def exp_reference(m):
    """Return (shift, lowest, bias), what `exp_term` needs to know of a row's largest element."""
    difference = ZERO if absolute(m) >= EXACT_DIFFERENCE else m
    shift = m if absolute(m) >= EXACT_DIFFERENCE else ZERO
    k_max = fma(difference, LOG2_E, EXPONENT_SHIFT) - EXPONENT_SHIFT
    return shift, difference + TERM_RANGE, (EXPONENT_SHIFT + TERM_BITS) - k_max


def exp_term_parts(x, shift, lowest, bias):
    """Return (scale, w): exp(x) is to the sum of the row as scale*(1 + w) is to the sum of the terms."""
    x = x - shift
    x = lowest if x < lowest else x
    shifted = fma(x, LOG2_E, bias)
    k = shifted - bias
    r = fma(k, -LN2, x)
    return power_of_two(shifted), r + exp_rest(r, k * -LN2_LOW)


def exp_term(x, shift, lowest, bias):
    scale, w = exp_term_parts(x, shift, lowest, bias)
    return fma(scale, w, scale)


def exp_term_low(x, shift, lowest, bias):
    """Return (t, t_low): the term, and what its rounding lost. Without t_low in the sum, 2.7 ULP instead of 1.8."""
    scale, w = exp_term_parts(x, shift, lowest, bias)
    t = fma(scale, w, scale)
    return t, fma(scale, w, scale - t)


def accumulate_other(total, low, x, m, shift, lowest, bias):
    """Return (total, low) after the addition of the term of x, not rounded before, unless x is the largest."""
    scale, w = exp_term_parts(x, shift, lowest, bias)
    p = ZERO if x == m else scale * w
    scale = ZERO if x == m else scale
    t = wide_sum(scale, p)
    return accumulate(total, low, t, p - (t - scale))


def largest_term(m):
    """Return the term of the largest element in two parts, in units of 2**TERM_BITS."""
    _, w, w_low = exp_parts_low(ZERO if absolute(m) >= EXACT_DIFFERENCE else m, ZERO)
    t = wide_sum(ONE, w)
    return t, (w - (t - 1.0)) + w_low


def rest_of_sum(m, count, total, low):
    """Return (rest, rest_low) from the sum of the terms below the largest, of which there are `count`."""
    t, t_low = largest_term(m)
    total = total * TERM_UNIT
    quotient = total / t
    quotient_low = (wide_fma(-quotient, t, total) + (low * TERM_UNIT - quotient * t_low)) / t
    rest, rest_low = wide_two_sum(count - 1.0, quotient)
    return rest, rest_low + quotient_low


def reciprocal_parts(total, low):
    """Return (inverse, inverse_low) = 1/(total + low)."""
    inverse = 1.0 / total
    return inverse, inverse * (wide_fma(-inverse, total, 1.0) - inverse * low)


def largest_result(t, t_low, inverse, inverse_low):
    """Return (t + t_low)*(inverse + inverse_low), the largest element's result.

    Its own term's rounding is in t_low: the result of one element alone is 1, not the number below.
    """
    product = t * inverse
    return narrow(product + (wide_fma(t, inverse, -product) + (t * inverse_low + t_low * inverse)))


def result(t, factor, factor_low, t_top, top):
    return top if t == t_top else fma(t, factor, t * factor_low)


def rounded_parts(high, low):
    """Return high + low as two numbers of the array's precision."""
    first = narrow(high)
    return first, narrow((high - first) + low)


def exp_difference(a, b):
    """Return exp(a - b) for a <= b."""
    d, d_low = wide_two_sum(a, -b)
    d, d_low = rounded_parts(d if d > EXP_NORMAL else EXP_NORMAL, d_low if d > EXP_NORMAL else 0.0)
    shifted, w, w_low = exp_parts_low(d, d_low)
    power = wide_sum(1.0, w) * power_of_minus(wide_sum(EXPONENT_SHIFT, -shifted))
    return 1.0 if a == b else power if d > EXP_NORMAL else 0.0


# ---- A whole row that stays in the first-level cache: the terms are kept in y.


def softmax_of_row(x, y, n, total, low, lane):
    m = largest_of_row(x, n, lane)
    shift, lowest, bias = exp_reference(m)
    t_top, t_low = exp_term_low(m, shift, lowest, bias)
    top_term, top_term_low = wide_of(t_top), wide_of(t_low)
    clear(total, low, LANES)
    for j in range(LANES):
        lane[j] = ZERO
    whole = n // LANES * LANES
    for block in range(n // LANES):
        i = block * LANES
        for j in range(LANES):
            t, t_low = exp_term_low(x[i + j], shift, lowest, bias)
            y[i + j] = t
            lane[j] = lane[j] + t_low
            total[j], low[j] = accumulate(total[j], low[j], t, 0.0)
    for j in range(n - whole):
        t, t_low = exp_term_low(x[whole + j], shift, lowest, bias)
        y[whole + j] = t
        lane[j] = lane[j] + t_low
        total[j], low[j] = accumulate(total[j], low[j], t, 0.0)
    for j in range(LANES):
        total[j], low[j] = accumulate(total[j], low[j], lane[j], 0.0)
    fold_lanes(total, low)
    inverse, inverse_low = reciprocal_parts(total[0], low[0])
    factor, factor_low = rounded_parts(inverse, inverse_low)
    top = largest_result(top_term, top_term_low, inverse, inverse_low)
    for i in range(n):
        y[i] = result(y[i], factor, factor_low, t_top, top)


def softmax_whole_row(args, lengths):
    x, y, scratch = operand(args, X), operand(args, X + 1), numbers(args, SCRATCH)
    for i in range(lengths[WIDTH]):
        softmax_of_row(
            x + i * lengths[STEP],
            y + i * lengths[STEP + 1],
            lengths[ROWS],
            scratch,
            scratch + LANES,
            reals(scratch + 2 * LANES),
        )


# ---- A piece of a row.


def exp_sums_of_row(x, n, piece, total, low, lane):
    m = largest_of_row(x, n, lane)
    shift, lowest, bias = exp_reference(m)
    count = 0
    for i in range(n):
        count += 1 if x[i] == m else 0
    clear(total, low, LANES)
    whole = n // LANES * LANES
    for block in range(n // LANES):
        i = block * LANES
        for j in range(LANES):
            total[j], low[j] = accumulate_other(total[j], low[j], x[i + j], m, shift, lowest, bias)
    for j in range(n - whole):
        total[j], low[j] = accumulate_other(total[j], low[j], x[whole + j], m, shift, lowest, bias)
    fold_lanes(total, low)
    piece[0] = m
    piece[1], piece[2] = rest_of_sum(m, count, total[0], low[0])


def exp_sums_row(args, lengths):
    scratch = numbers(args, SCRATCH)
    exp_sums_of_row(
        operand(args, X), lengths[ROWS], numbers(args, PIECES), scratch, scratch + LANES, reals(scratch + 2 * LANES)
    )


# ---- A piece of columns.


def references_of_columns(x, step, rows, width, m, shift, lowest, bias):
    for j in range(width):
        m[j] = x[j]
    for i in range(1, rows):
        for j in range(width):
            m[j] = x[i * step + j] if x[i * step + j] > m[j] else m[j]
    for j in range(width):
        shift[j], lowest[j], bias[j] = exp_reference(m[j])


def add_others(x, width, m, shift, lowest, bias, total, low, count):
    for j in range(width):
        count[j] = count[j] + (1.0 if x[j] == m[j] else 0.0)
        total[j], low[j] = accumulate_other(total[j], low[j], x[j], m[j], shift[j], lowest[j], bias[j])


def exp_sums_columns(args, lengths):
    x, rows, width, step = operand(args, X), lengths[ROWS], lengths[WIDTH], lengths[STEP]
    piece, scratch = numbers(args, PIECES), numbers(args, SCRATCH)
    total, low, count = scratch, scratch + width, scratch + 2 * width
    m, shift = reals(scratch + 3 * width), reals(scratch + 4 * width)
    lowest, bias = reals(scratch + 5 * width), reals(scratch + 6 * width)
    references_of_columns(x, step, rows, width, m, shift, lowest, bias)
    clear(total, low, width)
    clear(count, count, width)
    for i in range(rows):
        add_others(x + i * step, width, m, shift, lowest, bias, total, low, count)
    for j in range(width):
        piece[j] = m[j]
        piece[width + j], piece[2 * width + j] = rest_of_sum(m[j], count[j], total[j], low[j])


def add_terms(x, y, width, shift, lowest, bias, total, low, small):
    for j in range(width):
        t, t_low = exp_term_low(x[j], shift[j], lowest[j], bias[j])
        y[j] = t
        small[j] = small[j] + t_low
        total[j], low[j] = accumulate(total[j], low[j], t, 0.0)


def multiply_columns(y, width, factor, factor_low, t_top, top):
    for j in range(width):
        y[j] = result(y[j], factor[j], factor_low[j], t_top[j], top[j])


def softmax_whole_columns(args, lengths):
    """Whole columns that stay in the second-level cache."""
    x, y, rows, width = operand(args, X), operand(args, X + 1), lengths[ROWS], lengths[WIDTH]
    scratch = numbers(args, SCRATCH)
    total, low = scratch, scratch + width
    m, shift = reals(scratch + 3 * width), reals(scratch + 4 * width)
    lowest, bias = reals(scratch + 5 * width), reals(scratch + 6 * width)
    references_of_columns(x, lengths[STEP], rows, width, m, shift, lowest, bias)
    clear(total, low, width)
    small, top = reals(scratch + 2 * width), reals(scratch + 7 * width)
    for j in range(width):
        small[j] = ZERO
    for i in range(rows):
        add_terms(x + i * lengths[STEP], y + i * lengths[STEP + 1], width, shift, lowest, bias, total, low, small)
    for j in range(width):
        total[j], low[j] = accumulate(total[j], low[j], small[j], 0.0)
        inverse, inverse_low = reciprocal_parts(total[j], low[j])
        m[j], t_low = exp_term_low(m[j], shift[j], lowest[j], bias[j])
        top[j] = largest_result(m[j], t_low, inverse, inverse_low)
        shift[j], lowest[j] = rounded_parts(inverse, inverse_low)
    for i in range(rows):
        multiply_columns(y + i * lengths[STEP + 1], width, shift, lowest, m, top)


# ---- Statistics from pieces.


def combine_column(pieces, count, width, j, stats, kept):
    best = 0
    for b in range(1, count):
        best = b if pieces[3 * b * width + j] > pieces[3 * best * width + j] else best
    m = pieces[3 * best * width + j]
    rest = pieces[3 * best * width + width + j]
    rest_low = pieces[3 * best * width + 2 * width + j]
    for b in range(count):
        if b != best:
            factor = exp_difference(pieces[3 * b * width + j], m)
            other = pieces[3 * b * width + width + j]
            rest, rest_low = accumulate_always(rest, rest_low, factor)
            rest, rest_low = accumulate_always(rest, rest_low, factor * other)
    log_sum, log_sum_low = log1p_parts(rest, rest_low)
    stats[j], log_low = wide_two_sum(m, log_sum)
    stats[kept + j] = log_low + log_sum_low
    stats[2 * kept + j] = m
    stats[3 * kept + j] = rest
    stats[4 * kept + j] = rest_low


def softmax_factors(stats, kept):
    """Return the factor of the terms, in two parts, and the largest result; NaN where m is infinite."""
    m = stats[2 * kept]
    t, t_low = largest_term(narrow(m))
    one, one_low = wide_two_sum(1.0, stats[3 * kept])
    one_low = one_low + stats[4 * kept]
    total = t * one
    total_low = wide_fma(t, one, -total) + (t * one_low + t_low * one)
    inverse, inverse_low = reciprocal_parts(total, total_low)
    factor, factor_low = rounded_parts(inverse * TERM_UNIT, inverse_low * TERM_UNIT)
    top, _ = reciprocal_parts(one, one_low)
    return factor + narrow(m - m), factor_low, narrow(top + (m - m))


def exp_sums_combine(args, lengths):
    for j in range(lengths[WIDTH]):
        combine_column(numbers(args, PIECES), lengths[COUNT], lengths[WIDTH], j, numbers(args, STATS), lengths[KEPT])


# ---- The results, from the statistics.


def softmax_apply_row(args, lengths):
    x, y, stats, kept = operand(args, X), operand(args, X + 1), numbers(args, STATS), lengths[KEPT]
    shift, lowest, bias = exp_reference(narrow(stats[2 * kept]))
    factor, factor_low, top = softmax_factors(stats, kept)
    t_top = exp_term(narrow(stats[2 * kept]), shift, lowest, bias)
    for i in range(lengths[ROWS]):
        y[i] = result(exp_term(x[i], shift, lowest, bias), factor, factor_low, t_top, top)


def apply_softmax(x, y, width, shift, lowest, bias, factor, factor_low, t_top, top):
    for j in range(width):
        t = exp_term(x[j], shift[j], lowest[j], bias[j])
        y[j] = result(t, factor[j], factor_low[j], t_top[j], top[j])


def softmax_apply_columns(args, lengths):
    x, y, stats, kept = operand(args, X), operand(args, X + 1), numbers(args, STATS), lengths[KEPT]
    width, scratch = lengths[WIDTH], numbers(args, SCRATCH)
    shift, lowest, bias = reals(scratch), reals(scratch + width), reals(scratch + 2 * width)
    factor, factor_low = reals(scratch + 3 * width), reals(scratch + 4 * width)
    t_top, top = reals(scratch + 5 * width), reals(scratch + 6 * width)
    for j in range(width):
        m = narrow(stats[2 * kept + j])
        shift[j], lowest[j], bias[j] = exp_reference(m)
        factor[j], factor_low[j], top[j] = softmax_factors(stats + j, kept)
        t_top[j] = exp_term(m, shift[j], lowest[j], bias[j])
    for i in range(lengths[ROWS]):
        apply_softmax(
            x + i * lengths[STEP], y + i * lengths[STEP + 1], width, shift, lowest, bias, factor, factor_low, t_top, top
        )


def subtract_parts(x, y, n, high, low):
    for i in range(n):
        y[i] = (x[i] - high) - low


def log_softmax_apply_row(args, lengths):
    stats = numbers(args, STATS)
    high, low = rounded_parts(stats[0], stats[lengths[KEPT]])
    subtract_parts(operand(args, X), operand(args, X + 1), lengths[ROWS], high, low)


def exp_sums_whole_row(args, lengths):
    """Statistics of whole rows that stay in the first-level cache."""
    x, scratch = operand(args, X), numbers(args, SCRATCH)
    piece = scratch + 3 * LANES
    for i in range(lengths[WIDTH]):
        exp_sums_of_row(
            x + i * lengths[STEP], lengths[ROWS], piece, scratch, scratch + LANES, reals(scratch + 2 * LANES)
        )
        combine_column(piece, 1, 1, 0, numbers(args, STATS) + i, lengths[KEPT])


def log_softmax_whole_row(args, lengths):
    """Whole rows that stay in the first-level cache."""
    x, y, scratch = operand(args, X), operand(args, X + 1), numbers(args, SCRATCH)
    piece = scratch + 3 * LANES
    stats = piece + 3
    for i in range(lengths[WIDTH]):
        exp_sums_of_row(
            x + i * lengths[STEP], lengths[ROWS], piece, scratch, scratch + LANES, reals(scratch + 2 * LANES)
        )
        combine_column(piece, 1, 1, 0, stats, 1)
        high, low = rounded_parts(stats[0], stats[1])
        subtract_parts(x + i * lengths[STEP], y + i * lengths[STEP + 1], lengths[ROWS], high, low)


def subtract_columns(x, y, width, high, low):
    for j in range(width):
        y[j] = (x[j] - high[j]) - low[j]


def log_softmax_apply_columns(args, lengths):
    x, y, stats, kept = operand(args, X), operand(args, X + 1), numbers(args, STATS), lengths[KEPT]
    width, scratch = lengths[WIDTH], numbers(args, SCRATCH)
    high, low = reals(scratch), reals(scratch + width)
    for j in range(width):
        high[j], low[j] = rounded_parts(stats[j], stats[kept + j])
    for i in range(lengths[ROWS]):
        subtract_columns(x + i * lengths[STEP], y + i * lengths[STEP + 1], width, high, low)
