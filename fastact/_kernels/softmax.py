"""Softmax, log_softmax and logsumexp: kernels for a row (contiguous) and for a block of columns.

exp(x - m), m the largest element, would first round x - m: to 20 ULP of the result for float32 at x - m = -50. So the
largest is not subtracted. exp(x) = 2**k*(1 + w), and what is kept is the term 2**(k - k_max)*(1 + w), k_max being the
largest's k: the integers are subtracted, exactly and at no cost. Only where abs(m) is so large that x - m is exact (or
exp(x - m) is 0) does m go first (`exp_reference`).

logsumexp = m + log1p(rest), rest = (the sum over the other elements of exp(x - m)): without the largest element's own
1, so that a small rest keeps its digits. Elements below the largest are counted and summed; what is left
are those equal to it.

A piece is a block of a row or of columns; it is known by m, rest and rest's low part. `combine_exp_sums` makes of the
pieces of a row, in order, its statistics: logsumexp in two parts, m, and rest in two parts.
"""


def exp_reference(m):
    """Return (shift, lowest, bias), what `exp_term` needs to know of a row's largest element."""
    difference = ZERO if absolute(m) >= EXACT_DIFFERENCE else m
    shift = m if absolute(m) >= EXACT_DIFFERENCE else ZERO
    k_max = fma(difference, LOG2_E, EXPONENT_SHIFT) - EXPONENT_SHIFT
    return shift, (k_max - TERM_ZERO) * LN2, (EXPONENT_SHIFT + TERM_BITS) - k_max


def exp_term_parts(x, shift, lowest, bias):
    """Return (scale, w): exp(x) is to the sum of the row as scale*(1 + w) is to the sum of the terms."""
    x = x - shift
    x = lowest if x < lowest else x
    shifted = fma(x, LOG2_E, bias)
    k = shifted - bias
    r = fma(k, -LN2_LOW, fma(k, -LN2, x))
    return power_of_two(shifted), fma(r * r, exp_polynomial(r), r)


def exp_term(x, shift, lowest, bias):
    scale, w = exp_term_parts(x, shift, lowest, bias)
    return fma(scale, w, scale)


def other_term(x, m, shift, lowest, bias):
    """Return the term of an element, 0 for the largest."""
    t = exp_term(x, shift, lowest, bias)
    return t if x != m else ZERO


def add_term(total, low, scale, w, t):
    """Return (total, low) after the addition of scale*(1 + w), rounded to t: low is what total lost, and t.

    A total starts with 2**TERM_BITS: no term has a larger exponent, so that s - total is exact (Dekker).
    """
    s = total + t
    return s, low + fma(scale, w, scale - (s - total))


def terms_of_total(total):
    """Return a total without what it starts with, in accumulators."""
    return wide_of(total - ONE / TERM_UNIT)


def with_low(total, total_low, low):
    """Return (total, total_low) after the addition of what a total's low part is."""
    return wide_sum(total, ZERO if SUM_ROUNDS > ZERO else low), wide_sum(total_low, low if SUM_ROUNDS > ZERO else ZERO)


def largest_term(m):
    """Return the term of the largest element in two parts, in units of 2**TERM_BITS."""
    _, w, w_low = exp_parts_low(ZERO if absolute(m) >= EXACT_DIFFERENCE else m, ZERO)
    t = wide_sum(ONE, w)
    return t, (w - (t - 1.0)) + w_low


def rest_of_sum(m, count, total, low):
    """Return (rest, rest_low) from the sum of the terms below the largest, of which there are `count`."""
    t, t_low = largest_term(m)
    total = total * TERM_UNIT
    inverse = 1.0 / t
    quotient = total * inverse
    quotient_low = (wide_fma(-quotient, t, total) + (low * TERM_UNIT - quotient * t_low)) * inverse
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
    """Return a term's quotient. TERM_UNIT comes last: near the smallest numbers t*factor_low would be subnormal."""
    return top if t == t_top else fma(t, factor, t * factor_low) * TERM_UNIT


def rounded_parts(high, low):
    """Return high + low as two numbers of the array's precision."""
    first = narrow(high)
    return first, narrow((high - first) + low)


def exp_difference(a, b):
    """Return exp(a - b) for a <= b, in two parts."""
    d, d_low = wide_two_sum(a, -b)
    d, d_low = rounded_parts(d if d > EXP_NORMAL else EXP_NORMAL, d_low if d > EXP_NORMAL else 0.0)
    shifted, w, w_low = exp_parts_low(d, d_low)
    unit = power_of_minus(wide_sum(EXPONENT_SHIFT, -shifted)) if d > EXP_NORMAL else 0.0
    t = wide_sum(1.0, w)
    t_low = (w - (t - 1.0)) + w_low
    return (1.0 if a == b else t * unit), (0.0 if a == b else t_low * unit)


# ---- Some rows: the largest elements, the sums of terms. Each has LANES lanes, added up for all rows together.


def references(m, shift, lowest, bias, n):
    for j in range(n):
        shift[j], lowest[j], bias[j] = exp_reference(m[j])


def references_of_rows(x, step, n, rows, scratch, m, shift, lowest, bias):
    lanes, largest = reals(scratch), reals(scratch + GRID)
    for i in range(rows):
        lanes_of_largest(x + i * step, n, lanes)
        fold_largest_lanes(lanes, largest + i * LARGEST_LANES)
    width = whole_vectors(rows)
    larger_neighbours(largest, lanes, 8 * width)
    larger_neighbours(lanes, largest, 4 * width)
    larger_neighbours(largest, lanes, 2 * width)
    larger_neighbours(lanes, m, width)
    # What fills up the last vector: whatever the memory held before may be subnormal, 150 cycles an operation.
    for i in range(rows, width):
        m[i] = m[0]
    references(m, shift, lowest, bias, width)


def start_terms(total, low, n):
    for j in range(n):
        total[j] = ONE / TERM_UNIT
        low[j] = ZERO


def fold_terms(total, low, sums, sums_low):
    """Leave the sums of a row's lanes in FOLDED of them. `low` is small: there, roundings do not count."""
    for j in range(FOLDED):
        lost = (low[j] + low[j + 8]) + (low[j + 16] + low[j + 24])
        a, a_low = accumulate(terms_of_total(total[j]), 0.0, terms_of_total(total[j + 8]), 0.0)
        b, b_low = accumulate(terms_of_total(total[j + 16]), 0.0, terms_of_total(total[j + 24]), 0.0)
        a, a_low = accumulate(a, a_low, b, b_low)
        sums[j], sums_low[j] = with_low(a, a_low, lost)


def add_terms(x, y, shift, lowest, bias, total, low):
    for j in range(LANES):
        scale, w = exp_term_parts(x[j], shift, lowest, bias)
        t = fma(scale, w, scale)
        y[j] = t
        total[j], low[j] = add_term(total[j], low[j], scale, w, t)


def terms_of_blocks(x, y, n, ahead, shift, lowest, bias, total, low, rest):
    for block in range(n // LANES):
        will_read_lanes(x + block * LANES + ahead)
        will_write_lanes(y + block * LANES + 4 * TILE)
        add_terms(x + block * LANES, y + block * LANES, shift, lowest, bias, total, low)
    if n % LANES > 0:
        pad_lanes(rest, x + n // LANES * LANES, n % LANES, -TWO * LARGEST)
        add_terms(rest, rest + LANES, shift, lowest, bias, total, low)
        copy_lanes(y + n // LANES * LANES, rest + LANES, n % LANES)


def terms_of_row(x, y, n, ahead, shift, lowest, bias, total, low, rest):
    """Write the terms to y; add them up in lanes. What is `ahead` elements further on is read next.

    Nearly always nothing is to be subtracted: one operation less.
    """
    start_terms(total, low, LANES)
    if shift == ZERO:
        terms_of_blocks(x, y, n, ahead, ZERO, lowest, bias, total, low, rest)
    else:
        terms_of_blocks(x, y, n, ahead, shift, lowest, bias, total, low, rest)


def largest_terms(m, shift, lowest, bias, t_top, t, t_low, lost, n):
    """Find the largest term as it is in the sum, exactly in two parts, and what the first lost.

    Before the sums, not after them: then the processor has nothing else to do.
    """
    for j in range(n):
        scale, w = exp_term_parts(m[j], shift[j], lowest[j], bias[j])
        t_top[j] = fma(scale, w, scale)
        t[j], t_low[j] = largest_term(m[j])
        lost[j] = ((t[j] - 1.0) - w) + t_low[j]


def softmax_factors_of_sums(t, t_low, lost, total, low, top, factor, factor_low, n):
    """Find the factors, and the largest result. The largest term, often nearly all of the sum, is put right in it."""
    for j in range(n):
        inverse, inverse_low = reciprocal_parts(total[j] * TERM_UNIT, low[j] * TERM_UNIT + lost[j])
        top[j] = largest_result(t[j], t_low[j], inverse, inverse_low)
        factor[j], factor_low[j] = rounded_parts(inverse, inverse_low)


def multiply_row(y, n, factor, factor_low, t_top, top, rest):
    for i in range(n // LANES * LANES):
        y[i] = result(y[i], factor, factor_low, t_top, top)
    if n % LANES > 0:
        pad_lanes(rest, y + n // LANES * LANES, n % LANES, -TWO * LARGEST)
        for j in range(LANES):
            rest[j] = result(rest[j], factor, factor_low, t_top, top)
        copy_lanes(y + n // LANES * LANES, rest, n % LANES)


def softmax_of_rows(x, x_step, y, y_step, n, rows, scratch):
    """At most MOST_ROWS rows that stay in the first-level cache: the terms are kept in y."""
    total, low, sums, sums_low = scratch, scratch + GRID, scratch + 2 * GRID, scratch + 3 * GRID
    lanes, lanes_low, rest = reals(scratch + 4 * GRID), reals(scratch + 4 * GRID + LANES), reals(scratch + 5 * GRID)
    t, t_low, lost = scratch + 6 * GRID, scratch + 6 * GRID + MOST_ROWS, scratch + 6 * GRID + 2 * MOST_ROWS
    m = reals(scratch + 6 * GRID + 3 * MOST_ROWS)
    shift, lowest, bias, t_top = m + MOST_ROWS, m + 2 * MOST_ROWS, m + 3 * MOST_ROWS, m + 4 * MOST_ROWS
    top, factor, factor_low = m + 5 * MOST_ROWS, m + 6 * MOST_ROWS, m + 7 * MOST_ROWS
    width = whole_vectors(rows)
    references_of_rows(x, x_step, n, rows, scratch, m, shift, lowest, bias)
    largest_terms(m, shift, lowest, bias, t_top, t, t_low, lost, width)
    for i in range(rows):
        row, terms = x + i * x_step, y + i * y_step
        terms_of_row(row, terms, n, rows * x_step, shift[i], lowest[i], bias[i], lanes, lanes_low, rest)
        fold_terms(lanes, lanes_low, total + i * FOLDED, low + i * FOLDED)
    clear(total + rows * FOLDED, low + rows * FOLDED, (width - rows) * FOLDED)
    fold_eighths(total, low, sums, sums_low, width)
    softmax_factors_of_sums(t, t_low, lost, sums, sums_low, top, factor, factor_low, width)
    for i in range(rows):
        multiply_row(y + i * y_step, n, factor[i], factor_low[i], t_top[i], top[i], rest)


def whole_vectors(rows):
    """Return how many numbers are computed for some rows: as many as fill vectors."""
    return (rows + 7) // 8 * 8


def rows_at_once(n):
    """Return how many rows of length n stay in the first-level cache."""
    return max(1, min(ROWS_AT_ONCE, FEW_ELEMENTS // n))


def some_rows(n):
    """Return how many rows of length n stay in the first-level cache: what is done once for all takes long."""
    return max(1, min(MOST_ROWS, FEW_ELEMENTS // n))


def softmax_whole_row(args, lengths):
    x, y, rows = operand(args, X), operand(args, X + 1), lengths[WIDTH]
    at_once = some_rows(lengths[ROWS])
    for batch in range((rows + at_once - 1) // at_once):
        first = batch * at_once
        softmax_of_rows(
            x + first * lengths[STEP],
            lengths[STEP],
            y + first * lengths[STEP + 1],
            lengths[STEP + 1],
            lengths[ROWS],
            min(at_once, rows - first),
            numbers(args, SCRATCH),
        )


# ---- The sums below the largest element, of some rows.


def counted(others, x, m):
    """Count an element below the largest: by the comparison that its term needs anyway."""
    return others + ONE if x != m else others


def add_others(x, m, shift, lowest, bias, total, low, count):
    for j in range(LANES):
        total[j], low[j] = accumulate(total[j], low[j], wide_of(other_term(x[j], m, shift, lowest, bias)), 0.0)
        count[j] = counted(count[j], x[j], m)


def others_of_blocks(x, n, ahead, m, shift, lowest, bias, total, low, count, rest):
    for block in range(n // LANES):
        will_read_lanes(x + block * LANES + ahead)
        add_others(x + block * LANES, m, shift, lowest, bias, total, low, count)
    if n % LANES > 0:
        pad_lanes(rest, x + n // LANES * LANES, n % LANES, -TWO * LARGEST)
        add_others(rest, m, shift, lowest, bias, total, low, count)


def others_of_row(x, n, ahead, m, shift, lowest, bias, total, low, count, rest):
    clear(total, low, LANES)
    clear_reals(count, LANES)
    if shift == ZERO:
        others_of_blocks(x, n, ahead, m, ZERO, lowest, bias, total, low, count, rest)
    else:
        others_of_blocks(x, n, ahead, m, shift, lowest, bias, total, low, count, rest)


def fold_others(total, low, count, sums, sums_low, counts):
    """Leave what is known of a row's lanes in FOLDED of them."""
    for j in range(FOLDED):
        a, a_low = accumulate(total[j], low[j], total[j + 8], low[j + 8])
        b, b_low = accumulate(total[j + 16], low[j + 16], total[j + 24], low[j + 24])
        sums[j], sums_low[j] = accumulate(a, a_low, b, b_low)
        counts[j] = (count[j] + count[j + 8]) + (count[j + 16] + count[j + 24])


def count_neighbours(source, target, n):
    for k in range(n):
        target[k] = source[2 * k] + source[2 * k + 1]


def rests_of_sums(m, n, others, total, low, width, rest, rest_low):
    for j in range(width):
        rest[j], rest_low[j] = rest_of_sum(m[j], n - wide_of(others[j]), total[j], low[j])


def exp_sums_of_rows(x, step, n, rows, scratch):
    """Return the pieces of at most MOST_ROWS rows, in scratch: m, rest and its low part."""
    total, low, sums, sums_low = scratch, scratch + GRID, scratch + 2 * GRID, scratch + 3 * GRID
    lanes, lanes_low, count = scratch + 4 * GRID, scratch + 4 * GRID + LANES, reals(scratch + 4 * GRID + 2 * LANES)
    rest, counts, m = reals(scratch + 4 * GRID + 3 * LANES), reals(scratch + 5 * GRID), reals(scratch + 6 * GRID)
    shift, lowest, bias, pieces = m + MOST_ROWS, m + 2 * MOST_ROWS, m + 3 * MOST_ROWS, scratch + 7 * GRID
    some_counts = reals(pieces + 3 * MOST_ROWS)
    width = whole_vectors(rows)
    references_of_rows(x, step, n, rows, scratch, m, shift, lowest, bias)
    for i in range(rows):
        others_of_row(x + i * step, n, rows * step, m[i], shift[i], lowest[i], bias[i], lanes, lanes_low, count, rest)
        fold_others(lanes, lanes_low, count, total + i * FOLDED, low + i * FOLDED, counts + i * FOLDED)
    clear(total + rows * FOLDED, low + rows * FOLDED, (width - rows) * FOLDED)
    clear_reals(counts + rows * FOLDED, (width - rows) * FOLDED)
    fold_eighths(total, low, sums, sums_low, width)
    count_neighbours(counts, some_counts, 4 * width)
    count_neighbours(some_counts, counts, 2 * width)
    count_neighbours(counts, some_counts, width)
    # With those that fill up the last lanes.
    all_lanes = (n + LANES - 1) // LANES * LANES
    rests_of_sums(m, all_lanes, some_counts, sums, sums_low, width, pieces + MOST_ROWS, pieces + 2 * MOST_ROWS)
    for i in range(width):
        pieces[i] = m[i]
    return pieces


def exp_sums_row(args, lengths):
    piece = numbers(args, PIECES)
    pieces = exp_sums_of_rows(operand(args, X), lengths[ROWS], lengths[ROWS], 1, numbers(args, SCRATCH))
    for k in range(3):
        piece[k] = pieces[k * MOST_ROWS]


# ---- log_softmax of some rows of float32, by the sums of softmax, which are cheaper than those below the largest.


def add_terms_only(x, shift, lowest, bias, total, low):
    for j in range(LANES):
        scale, w = exp_term_parts(x[j], shift, lowest, bias)
        total[j], low[j] = add_term(total[j], low[j], scale, w, fma(scale, w, scale))


def sums_of_blocks(x, n, ahead, shift, lowest, bias, total, low, rest):
    for block in range(n // LANES):
        will_read_lanes(x + block * LANES + ahead)
        add_terms_only(x + block * LANES, shift, lowest, bias, total, low)
    if n % LANES > 0:
        pad_lanes(rest, x + n // LANES * LANES, n % LANES, -TWO * LARGEST)
        add_terms_only(rest, shift, lowest, bias, total, low)


def sums_of_terms(x, n, ahead, shift, lowest, bias, total, low, rest):
    start_terms(total, low, LANES)
    if shift == ZERO:
        sums_of_blocks(x, n, ahead, ZERO, lowest, bias, total, low, rest)
    else:
        sums_of_blocks(x, n, ahead, shift, lowest, bias, total, low, rest)


def rests_of_all(m, shift, lowest, bias, total, width, rest, rest_low):
    """Find the rests from sums with the largest element, which is subtracted as it was added."""
    for j in range(width):
        scale, w = exp_term_parts(m[j], shift[j], lowest[j], bias[j])
        others = total[j] - wide_fma(wide_of(scale), wide_of(w), wide_of(scale))
        rest[j], rest_low[j] = rest_of_sum(m[j], 1.0, others, 0.0)


def least_rest(n):
    """Return the rest from which on sums with the largest element show it to 2**-25.

    What the terms lost is added up in float32, in each lane: n/LANES additions, each of at most as many times 2**-25.
    """
    blocks = wide_of((n + LANES - 1) // LANES)
    return blocks * (blocks - 1.0) * 9.5367431640625e-07 + 2.384185791015625e-07


def quick_rests_of_rows(x, step, n, rows, scratch):
    """Return the pieces of at most MOST_ROWS rows where `exp_sums_of_rows` has them; small rests are not right."""
    total, low, sums, sums_low = scratch, scratch + GRID, scratch + 2 * GRID, scratch + 3 * GRID
    lanes, lanes_low, rest = reals(scratch + 4 * GRID), reals(scratch + 4 * GRID + LANES), reals(scratch + 5 * GRID)
    m, pieces = reals(scratch + 6 * GRID), scratch + 7 * GRID
    shift, lowest, bias, width = m + MOST_ROWS, m + 2 * MOST_ROWS, m + 3 * MOST_ROWS, whole_vectors(rows)
    references_of_rows(x, step, n, rows, scratch, m, shift, lowest, bias)
    for i in range(rows):
        sums_of_terms(x + i * step, n, rows * step, shift[i], lowest[i], bias[i], lanes, lanes_low, rest)
        fold_terms(lanes, lanes_low, total + i * FOLDED, low + i * FOLDED)
    clear(total + rows * FOLDED, low + rows * FOLDED, (width - rows) * FOLDED)
    fold_eighths(total, low, sums, sums_low, width)
    rests_of_all(m, shift, lowest, bias, sums, width, pieces + MOST_ROWS, pieces + 2 * MOST_ROWS)
    for i in range(width):
        pieces[i] = m[i]
    return pieces


def all_at_least(x, least, n):
    count = 0
    for i in range(n):
        count += x[i] >= least
    return count == n


def take_large(x, x_low, least, n, y, y_low):
    for i in range(n):
        y_low[i] = x_low[i] if x[i] >= least else y_low[i]
        y[i] = x[i] if x[i] >= least else y[i]


def log_sums_of_rows(x, step, n, rows, scratch):
    """Return the pieces of at most MOST_ROWS rows. Which way a row goes depends on that row alone.

    Many short rows are columns elsewhere, and the bits of a row are the same there.
    """
    if SUM_ROUNDS > ZERO or not SHORT_ROW <= n <= QUICK_ROW:
        return exp_sums_of_rows(x, step, n, rows, scratch)
    pieces, least = quick_rests_of_rows(x, step, n, rows, scratch), least_rest(n)
    rest, rest_low = pieces + MOST_ROWS, pieces + 2 * MOST_ROWS
    if all_at_least(rest, least, rows):
        return pieces
    kept, kept_low = scratch + (8 * GRID - 2 * MOST_ROWS), scratch + (8 * GRID - MOST_ROWS)
    for i in range(rows):
        kept[i], kept_low[i] = rest[i], rest_low[i]
    exp_sums_of_rows(x, step, n, rows, scratch)
    take_large(kept, kept_low, least, rows, rest, rest_low)
    return pieces


# ---- A piece of columns.


def largest_of_columns(x, width, m):
    for j in range(width):
        m[j] = greater(m[j], x[j])


def largest_of_some_columns(x, step, width, m):
    """ROWS_TOGETHER rows: what is known of a column is loaded and stored once."""
    for j in range(width):
        m[j] = greater(m[j], greater(greater(x[j], x[step + j]), greater(x[2 * step + j], x[3 * step + j])))


def references_of_columns(x, step, rows, width, m, shift, lowest, bias):
    for j in range(width):
        m[j] = x[j]
    for some in range(rows // ROWS_TOGETHER):
        largest_of_some_columns(x + some * ROWS_TOGETHER * step, step, width, m)
    for i in range(rows // ROWS_TOGETHER * ROWS_TOGETHER, rows):
        largest_of_columns(x + i * step, width, m)
    references(m, shift, lowest, bias, width)


def share_places(step, rows):
    """Return whether so many rows, so far apart, push one another out of the second-level cache.

    What is a multiple of half a page apart has few places there. log_softmax of (512, 1024) takes 0.8 to 0.9 of the
    time if it is copied; rows other distances apart take longer.
    """
    return rows > ROWS_OF_PLACES and step % FAR_APART == 0


def copy_columns(x, y, width, m):
    for j in range(width):
        y[j] = x[j]
        m[j] = greater(m[j], x[j])


def copy_some_columns(x, step, first, second, third, fourth, width, m):
    for j in range(width):
        first[j], second[j], third[j], fourth[j] = x[j], x[step + j], x[2 * step + j], x[3 * step + j]
        m[j] = greater(m[j], greater(greater(x[j], x[step + j]), greater(x[2 * step + j], x[3 * step + j])))


def references_of_copied_columns(x, step, rows, width, y, m, shift, lowest, bias):
    """`references_of_columns`, which are copied to y without gaps meanwhile."""
    for j in range(width):
        m[j] = x[j]
    for some in range(rows // ROWS_TOGETHER):
        i = some * ROWS_TOGETHER
        row = y + i * width
        copy_some_columns(x + i * step, step, row, row + width, row + 2 * width, row + 3 * width, width, m)
    for i in range(rows // ROWS_TOGETHER * ROWS_TOGETHER, rows):
        copy_columns(x + i * step, y + i * width, width, m)
    references(m, shift, lowest, bias, width)


def will_read_columns(x, width):
    for line in range((width + LANES - 1) // LANES):
        will_read_lanes_later(x + line * LANES)


def will_write_columns(y, width):
    for line in range((width + LANES - 1) // LANES):
        will_write_lanes(y + line * LANES)


def other_term_parts(x, m, shift, lowest, bias):
    """Return the term of an element and what its rounding lost, 0 for the largest."""
    scale, w = exp_term_parts(x, shift, lowest, bias)
    t = fma(scale, w, scale)
    lost = fma(scale, w, scale - t)
    return (t if x != m else ZERO), (lost if x != m else ZERO)


def next_other(x, m, shift, lowest, bias, total, low):
    """Return the sum with the term of x, if that is not the largest.

    Terms of equal elements all lose the same: float64, whose sums have a low part, has it in there.
    """
    t, lost = other_term_parts(x, m, shift, lowest, bias)
    return accumulate(total, low, wide_of(t), wide_of(lost))


def add_others_of_columns(x, width, m, shift, lowest, bias, total, low, count):
    for j in range(width):
        total[j], low[j] = next_other(x[j], m[j], shift[j], lowest[j], bias[j], total[j], low[j])
        count[j] = counted(count[j], x[j], m[j])


def others_of_some_columns(x, step, width, m, shift, lowest, bias, count, terms, second, third, fourth):
    for j in range(width):
        terms[j] = other_term(x[j], m[j], shift[j], lowest[j], bias[j])
        second[j] = other_term(x[step + j], m[j], shift[j], lowest[j], bias[j])
        third[j] = other_term(x[2 * step + j], m[j], shift[j], lowest[j], bias[j])
        fourth[j] = other_term(x[3 * step + j], m[j], shift[j], lowest[j], bias[j])
        others = counted(counted(count[j], x[j], m[j]), x[step + j], m[j])
        count[j] = counted(counted(others, x[2 * step + j], m[j]), x[3 * step + j], m[j])


def add_rounded_rows(terms, step, width, total, low):
    for j in range(width):
        s, s_low = accumulate(total[j], low[j], wide_of(terms[j]), 0.0)
        s, s_low = accumulate(s, s_low, wide_of(terms[step + j]), 0.0)
        s, s_low = accumulate(s, s_low, wide_of(terms[2 * step + j]), 0.0)
        total[j], low[j] = accumulate(s, s_low, wide_of(terms[3 * step + j]), 0.0)


def others_of_tiles(x, step, width, ahead, m, shift, lowest, bias, total, low, count, terms):
    """ROWS_TOGETHER rows of float32, in tiles whose terms stay in the first-level cache. What is `ahead` is read next.

    Terms go through memory: a half vector is widened by the load, not by shuffles.
    """
    for tile in range((width + TILE - 1) // TILE):
        i = tile * TILE
        some = min(TILE, width - i)
        for line in range(some // LANES):
            for row in range(ROWS_TOGETHER):
                will_read_lanes_later(x + i + row * step + line * LANES + ahead)
        second, third, fourth = terms + some, terms + 2 * some, terms + 3 * some
        others_of_some_columns(
            x + i, step, some, m + i, shift + i, lowest + i, bias + i, count + i, terms, second, third, fourth
        )
        add_rounded_rows(terms, some, some, total + i, low + i)


def clear_reals(x, n):
    for j in range(n):
        x[j] = ZERO


def other_sums_of_columns(x, step, rows, width, ahead, piece, scratch):
    """Leave what is known of a piece of columns, from their references; what is `ahead` is read next."""
    total, low, count = scratch, scratch + width, reals(scratch + 2 * width)
    m, shift = reals(scratch + 3 * width), reals(scratch + 4 * width)
    lowest, bias, terms = reals(scratch + 5 * width), reals(scratch + 6 * width), reals(scratch + 12 * width)
    clear(total, low, width)
    clear_reals(count, width)
    fours = 0 if SUM_ROUNDS > ZERO else rows // ROWS_TOGETHER
    for some in range(fours):
        row = x + some * ROWS_TOGETHER * step
        others_of_tiles(row, step, width, ahead, m, shift, lowest, bias, total, low, count, terms)
    for i in range(fours * ROWS_TOGETHER, rows):
        add_others_of_columns(x + i * step, width, m, shift, lowest, bias, total, low, count)
    for j in range(width):
        piece[j] = m[j]
    rests_of_sums(m, rows, count, total, low, width, piece + width, piece + 2 * width)


def exp_sums_of_columns(x, step, rows, width, ahead, piece, scratch):
    """Leave what is known of a piece of columns; what is `ahead` elements further on is read next."""
    m, shift = reals(scratch + 3 * width), reals(scratch + 4 * width)
    lowest, bias = reals(scratch + 5 * width), reals(scratch + 6 * width)
    references_of_columns(x, step, rows, width, m, shift, lowest, bias)
    other_sums_of_columns(x, step, rows, width, ahead, piece, scratch)


def exp_sums_columns(args, lengths):
    x, step, rows, width = operand(args, X), lengths[STEP], lengths[ROWS], lengths[WIDTH]
    exp_sums_of_columns(x, step, rows, width, rows * step, numbers(args, PIECES), numbers(args, SCRATCH))


def next_term(x, shift, lowest, bias, total, low):
    """Return the term of x, and the sum with it."""
    scale, w = exp_term_parts(x, shift, lowest, bias)
    t = fma(scale, w, scale)
    total, low = add_term(total, low, scale, w, t)
    return t, total, low


def add_terms_of_columns(x, y, width, shift, lowest, bias, total, low):
    for j in range(width):
        y[j], total[j], low[j] = next_term(x[j], shift[j], lowest[j], bias[j], total[j], low[j])


def add_terms_of_some_columns(x, step, y, second, third, fourth, width, shift, lowest, bias, total, low):
    for j in range(width):
        s, s_low = total[j], low[j]
        y[j], s, s_low = next_term(x[j], shift[j], lowest[j], bias[j], s, s_low)
        second[j], s, s_low = next_term(x[step + j], shift[j], lowest[j], bias[j], s, s_low)
        third[j], s, s_low = next_term(x[2 * step + j], shift[j], lowest[j], bias[j], s, s_low)
        fourth[j], total[j], low[j] = next_term(x[3 * step + j], shift[j], lowest[j], bias[j], s, s_low)


def multiply_columns(y, width, factor, factor_low, t_top, top):
    for j in range(width):
        y[j] = result(y[j], factor[j], factor_low[j], t_top[j], top[j])


def widen_terms(total, low, sums, sums_low, n):
    for j in range(n):
        sums[j], sums_low[j] = with_low(terms_of_total(total[j]), 0.0, low[j])


def softmax_whole_columns(args, lengths):
    """Whole columns that stay in the second-level cache."""
    x, y, rows, width = operand(args, X), operand(args, X + 1), lengths[ROWS], lengths[WIDTH]
    x_step, y_step, scratch = lengths[STEP], lengths[STEP + 1], numbers(args, SCRATCH)
    sums, sums_low, t, t_low = scratch, scratch + width, scratch + 2 * width, scratch + 3 * width
    lost, total = scratch + 4 * width, reals(scratch + 5 * width)
    low, m, shift, lowest = total + width, total + 2 * width, total + 3 * width, total + 4 * width
    bias, t_top, top, factor = total + 5 * width, total + 6 * width, total + 7 * width, total + 8 * width
    factor_low = total + 9 * width
    references_of_columns(x, x_step, rows, width, m, shift, lowest, bias)
    start_terms(total, low, width)
    together = rows // ROWS_TOGETHER * ROWS_TOGETHER
    for some in range(rows // ROWS_TOGETHER):
        row, terms = x + some * ROWS_TOGETHER * x_step, y + some * ROWS_TOGETHER * y_step
        second, third, fourth = terms + y_step, terms + 2 * y_step, terms + 3 * y_step
        add_terms_of_some_columns(row, x_step, terms, second, third, fourth, width, shift, lowest, bias, total, low)
    for i in range(together, rows):
        add_terms_of_columns(x + i * x_step, y + i * y_step, width, shift, lowest, bias, total, low)
    widen_terms(total, low, sums, sums_low, width)
    largest_terms(m, shift, lowest, bias, t_top, t, t_low, lost, width)
    softmax_factors_of_sums(t, t_low, lost, sums, sums_low, top, factor, factor_low, width)
    for i in range(rows):
        multiply_columns(y + i * y_step, width, factor, factor_low, t_top, top)


# ---- Statistics from pieces.


def log_of_sum(m, rest, rest_low):
    """Return logsumexp in two parts."""
    log_sum, log_sum_low = log1p_parts(rest, rest_low)
    high, low = wide_two_sum(m, log_sum)
    return high, low + log_sum_low


def logs_of_sums(m, rest, rest_low, n, high, low):
    for j in range(n):
        high[j], low[j] = log_of_sum(m[j], rest[j], rest_low[j])


def take_larger(piece, width, b, m, rest, rest_low, best):
    """Of each column, go on from the piece with the largest element, the first one of them."""
    for j in range(width):
        top, own = piece[j], m[j]
        m[j] = top if top > own else own
        rest[j] = piece[width + j] if top > own else rest[j]
        rest_low[j] = piece[2 * width + j] if top > own else rest_low[j]
        best[j] = b if top > own else best[j]


def add_other_piece(piece, width, b, m, best, rest, rest_low):
    """Add 1 + rest of a piece, of those columns that did not go on from it."""
    for j in range(width):
        power, power_low = exp_difference(piece[j], m[j])
        factor = 0.0 if best[j] == b else power
        factor_low = 0.0 if best[j] == b else power_low
        other = piece[width + j]
        product = factor * other
        lost = wide_fma(factor, other, -product) + factor_low * wide_sum(1.0, other)
        total, low = accumulate_always(rest[j], rest_low[j], factor)
        total, low = accumulate_always(total, low, product)
        rest[j] = total
        rest_low[j] = low + (lost + factor * piece[2 * width + j])


def softmax_factors(stats, kept, share):
    """Return the factor of the terms, in two parts, and the largest result, times share; NaN where m is infinite."""
    m = stats[2 * kept]
    t, t_low = largest_term(narrow(m))
    one, one_low = wide_two_sum(1.0, stats[3 * kept])
    one_low = one_low + stats[4 * kept]
    total = t * one
    total_low = wide_fma(t, one, -total) + (t * one_low + t_low * one)
    inverse, inverse_low = reciprocal_parts(total, total_low)
    quotient = inverse * share
    factor, factor_low = rounded_parts(quotient, wide_fma(inverse, share, -quotient) + inverse_low * share)
    top, top_low = reciprocal_parts(one, one_low)
    return factor + narrow(m - m), factor_low, narrow((top + top_low) * share + (m - m))


def exp_sums_combine(args, lengths):
    stats, kept, pieces, width = numbers(args, STATS), lengths[KEPT], numbers(args, PIECES), lengths[WIDTH]
    m, rest, rest_low, best = stats + 2 * kept, stats + 3 * kept, stats + 4 * kept, numbers(args, SCRATCH)
    for j in range(width):
        m[j], rest[j], rest_low[j], best[j] = pieces[j], pieces[width + j], pieces[2 * width + j], 0.0
    for b in range(1, lengths[COUNT]):
        take_larger(pieces + 3 * b * width, width, wide_of(b), m, rest, rest_low, best)
    for b in range(lengths[COUNT]):
        add_other_piece(pieces + 3 * b * width, width, wide_of(b), m, best, rest, rest_low)
    logs_of_sums(m, rest, rest_low, width, stats, stats + kept)


# ---- The results, from the statistics.


def apply_to_row(x, y, n, stats, kept, share):
    shift, lowest, bias = exp_reference(narrow(stats[2 * kept]))
    factor, factor_low, top = softmax_factors(stats, kept, share)
    t_top = exp_term(narrow(stats[2 * kept]), shift, lowest, bias)
    for i in range(n):
        y[i] = result(exp_term(x[i], shift, lowest, bias), factor, factor_low, t_top, top)


def softmax_apply_row(args, lengths):
    apply_to_row(operand(args, X), operand(args, X + 1), lengths[ROWS], numbers(args, STATS), lengths[KEPT], 1.0)


def apply_softmax(x, y, width, shift, lowest, bias, factor, factor_low, t_top, top):
    for j in range(width):
        t = exp_term(x[j], shift[j], lowest[j], bias[j])
        y[j] = result(t, factor[j], factor_low[j], t_top[j], top[j])


def apply_to_columns(args, lengths, share):
    x, y, stats, kept = operand(args, X), operand(args, X + 1), numbers(args, STATS), lengths[KEPT]
    width, scratch = lengths[WIDTH], numbers(args, SCRATCH)
    shift, lowest, bias = reals(scratch), reals(scratch + width), reals(scratch + 2 * width)
    factor, factor_low = reals(scratch + 3 * width), reals(scratch + 4 * width)
    t_top, top = reals(scratch + 5 * width), reals(scratch + 6 * width)
    for j in range(width if lengths[COUNT] > 0 else 0):
        m = narrow(stats[2 * kept + j])
        shift[j], lowest[j], bias[j] = exp_reference(m)
        factor[j], factor_low[j], top[j] = softmax_factors(stats + j, kept, share)
        t_top[j] = exp_term(m, shift[j], lowest[j], bias[j])
    for i in range(lengths[ROWS]):
        if lengths[COUNT] == 0:
            will_read_columns(x + (i + STREAMED_ROWS_AHEAD) * lengths[STEP], width)
        apply_softmax(
            x + i * lengths[STEP], y + i * lengths[STEP + 1], width, shift, lowest, bias, factor, factor_low, t_top, top
        )


def softmax_apply_columns(args, lengths):
    apply_to_columns(args, lengths, 1.0)


# softmax times the parameter: cross_entropy's gradient, but for the classes that are the targets.


def grad_cross_entropy_apply_row(args, lengths):
    x, y, share = operand(args, X), operand(args, X + 1), numbers(args, PARAMETERS)[0]
    apply_to_row(x, y, lengths[ROWS], numbers(args, STATS), lengths[KEPT], share)


def grad_cross_entropy_apply_columns(args, lengths):
    apply_to_columns(args, lengths, numbers(args, PARAMETERS)[0])


def grad_cross_entropy_whole_row(args, lengths):
    """Statistics of whole rows and their gradients, while they stay in the first-level cache."""
    x, y, n, rows = operand(args, X), operand(args, X + 1), lengths[ROWS], lengths[WIDTH]
    scratch, stats, kept, at_once = numbers(args, SCRATCH), numbers(args, STATS), lengths[KEPT], some_rows(n)
    for batch in range((rows + at_once - 1) // at_once):
        first = batch * at_once
        some = min(at_once, rows - first)
        pieces = exp_sums_of_rows(x + first * lengths[STEP], lengths[STEP], n, some, scratch)
        logs_of_sums(pieces, pieces + MOST_ROWS, pieces + 2 * MOST_ROWS, whole_vectors(some), scratch, scratch + GRID)
        for i in range(some):
            row, known = first + i, stats + first + i
            known[0] = scratch[i]
            known[kept] = scratch[GRID + i]
            for k in range(3):
                known[(2 + k) * kept] = pieces[k * MOST_ROWS + i]
            place = y + row * lengths[STEP + 1]
            apply_to_row(x + row * lengths[STEP], place, n, known, kept, numbers(args, PARAMETERS)[0])


def subtract_two(x, y, n, high, low):
    for i in range(n):
        y[i] = (x[i] - high) - low


def subtract_parts(x, y, n, high, low):
    for tile in range(n // TILE):
        will_write(y + (tile + 2) * TILE)
        subtract_two(x + tile * TILE, y + tile * TILE, TILE, high, low)
    i = n // TILE * TILE
    subtract_two(x + i, y + i, n - i, high, low)


def log_softmax_apply_row(args, lengths):
    stats = numbers(args, STATS)
    high, low = rounded_parts(stats[0], stats[lengths[KEPT]])
    subtract_parts(operand(args, X), operand(args, X + 1), lengths[ROWS], high, low)


def exp_sums_whole_row(args, lengths):
    """Statistics of whole rows that stay in the first-level cache."""
    scratch, stats, kept, rows = numbers(args, SCRATCH), numbers(args, STATS), lengths[KEPT], lengths[WIDTH]
    at_once = some_rows(lengths[ROWS])
    for batch in range((rows + at_once - 1) // at_once):
        first = batch * at_once
        some = min(at_once, rows - first)
        pieces = exp_sums_of_rows(operand(args, X) + first * lengths[STEP], lengths[STEP], lengths[ROWS], some, scratch)
        logs_of_sums(pieces, pieces + MOST_ROWS, pieces + 2 * MOST_ROWS, whole_vectors(some), scratch, scratch + GRID)
        for i in range(some):
            stats[first + i] = scratch[i]
            stats[kept + first + i] = scratch[GRID + i]


def log_softmax_whole_row(args, lengths):
    """Whole rows that stay in the first-level cache."""
    x, y, scratch, rows = operand(args, X), operand(args, X + 1), numbers(args, SCRATCH), lengths[WIDTH]
    at_once = some_rows(lengths[ROWS])
    for batch in range((rows + at_once - 1) // at_once):
        first = batch * at_once
        some = min(at_once, rows - first)
        pieces = log_sums_of_rows(x + first * lengths[STEP], lengths[STEP], lengths[ROWS], some, scratch)
        logs_of_sums(pieces, pieces + MOST_ROWS, pieces + 2 * MOST_ROWS, whole_vectors(some), scratch, scratch + GRID)
        for i in range(some):
            high, low = rounded_parts(scratch[i], scratch[GRID + i])
            subtract_parts(
                x + (first + i) * lengths[STEP], y + (first + i) * lengths[STEP + 1], lengths[ROWS], high, low
            )


def subtract_columns(x, y, width, high, low):
    for j in range(width):
        y[j] = (x[j] - high[j]) - low[j]


def subtract_logs(x, x_step, y, y_step, rows, width, high, low):
    """Subtract two parts from columns. The places of results are fetched: no arithmetic hides how long they take."""
    for i in range(rows):
        if i + ROWS_AHEAD < rows:
            will_write_columns(y + (i + ROWS_AHEAD) * y_step, width)
        subtract_columns(x + i * x_step, y + i * y_step, width, high, low)


def round_logs(log, log_low, width, high, low):
    for j in range(width):
        high[j], low[j] = rounded_parts(log[j], log_low[j])


def log_softmax_apply_columns(args, lengths):
    stats, width, x, y = numbers(args, STATS), lengths[WIDTH], operand(args, X), operand(args, X + 1)
    high, low = reals(numbers(args, SCRATCH)), reals(numbers(args, SCRATCH) + width)
    if lengths[COUNT] > 0:
        round_logs(stats, stats + lengths[KEPT], width, high, low)
    subtract_logs(x, lengths[STEP], y, lengths[STEP + 1], lengths[ROWS], width, high, low)


def log_softmax_whole_columns(args, lengths):
    """Whole columns that stay in the second-level cache."""
    x, y, rows, width = operand(args, X), operand(args, X + 1), lengths[ROWS], lengths[WIDTH]
    step, y_step, scratch = lengths[STEP], lengths[STEP + 1], numbers(args, SCRATCH)
    piece, log, log_low = scratch + 7 * width, scratch + 10 * width, scratch + 11 * width
    m, shift = reals(scratch + 3 * width), reals(scratch + 4 * width)
    lowest, bias, copy = (
        reals(scratch + 5 * width),
        reals(scratch + 6 * width),
        reals(scratch + SCRATCH_PER_COLUMN * width),
    )
    is_copied = share_places(step, rows)
    if is_copied:
        references_of_copied_columns(x, step, rows, width, copy, m, shift, lowest, bias)
        other_sums_of_columns(copy, width, rows, width, width, piece, scratch)
    else:
        exp_sums_of_columns(x, step, rows, width, width, piece, scratch)
    logs_of_sums(piece, piece + width, piece + 2 * width, width, log, log_low)
    round_logs(log, log_low, width, m, shift)
    if is_copied:
        subtract_logs(copy, width, y, y_step, rows, width, m, shift)
    else:
        subtract_logs(x, step, y, y_step, rows, width, m, shift)


def exp_sums_whole_columns(args, lengths):
    width, scratch, stats = lengths[WIDTH], numbers(args, SCRATCH), numbers(args, STATS)
    piece = scratch + 7 * width
    exp_sums_of_columns(operand(args, X), lengths[STEP], lengths[ROWS], width, width, piece, scratch)
    logs_of_sums(piece, piece + width, piece + 2 * width, width, stats, stats + lengths[KEPT])
