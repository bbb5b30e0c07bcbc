"""Softmax: kernels for a row (contiguous) and for a block of columns.

exp(x - m), m the largest element, would first round x - m: to 20 ULP of the result for float32 at x - m = -50. So the
largest is not subtracted. exp(x) = 2**k*(1 + w), and what is kept is the term 2**(k - k_max)*(1 + w), k_max being the
largest's k: the integers are subtracted, exactly and at no cost. Only where abs(m) is so large that x - m is exact (or
exp(x - m) is 0) does m go first (`exp_reference`).

The statistics of a row are made from its pieces: see logsumexp.py, which works with the same terms.
"""


def exp_reference(m):
    """Return (shift, lowest, bias), what `exp_term` needs to know of a row's largest element."""
    difference = ZERO if absolute(m) >= EXACT_DIFFERENCE else m
    shift = m if absolute(m) >= EXACT_DIFFERENCE else ZERO
    k_max = fma(difference, LOG2_E, EXPONENT_SHIFT) - EXPONENT_SHIFT
    return shift, (k_max - TERM_ZERO) * LN2, (EXPONENT_SHIFT + TERM_BITS) - k_max


def exp_term_parts(x, shift, lowest, bias):
    """Return (scale, step, rise): exp(x) is to the sum of the row as scale + step*rise is to the sum of the terms.

    exp(r) = 1 + r*rise, step = scale*r: of the roundings of 1 + (r + r**2*polynomial), that of what is in parentheses
    is spared. A term has an error of 0.57*2**-24 of itself before it is rounded, instead of 0.70*2**-24.
    """
    x = x - shift
    x = lowest if x < lowest else x
    shifted = fma(x, LOG2_E, bias)
    k = shifted - bias
    r = fma(k, -LN2_LOW, fma(k, -LN2, x))
    scale = power_of_two(shifted)
    return scale, scale * r, multiply_add(r, exp_polynomial(r), ONE)


def exp_term(x, shift, lowest, bias):
    scale, step, rise = exp_term_parts(x, shift, lowest, bias)
    return fma(step, rise, scale)


def next_term(x, shift, lowest, bias, total, low):
    """Return the term of x, and (total, low) after its addition: low is what total lost, and the term.

    A total starts with 2**TERM_BITS: no term has a larger exponent, so that s - total is exact (Dekker).
    """
    scale, step, rise = exp_term_parts(x, shift, lowest, bias)
    t = fma(step, rise, scale)
    s = total + t
    return t, s, low + fma(step, rise, scale - (s - total))


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


def quotient_parts(inverse, inverse_low):
    """Return (rest, unit) with (1 + rest)*unit = inverse + inverse_low, in units of TERM_UNIT.

    1 + rest is within [3/4, 3/2): rest is right to 2**-26 of it, so that t + t*rest, rounded once, needs no low part.
    """
    k = exponent_of(inverse * 1.3333333333333333)
    power = power_of_minus(k)
    return narrow((inverse * power - 1.0) + inverse_low * power), narrow(power_of_minus(-k)) * TERM_UNIT


def smaller(a, b):
    return b if b < a else a


def term_quotient(t, rest, unit, t_top, top):
    """Return a term's quotient. The unit comes last: a subnormal result is rounded there."""
    return smaller(top if t == t_top else fma(t, rest, t) * unit, top)


def lower_quotient(t, rest, unit, top):
    """Return the same where the largest term's quotient is not below `top`: without the comparison."""
    return smaller(fma(t, rest, t) * unit, top)


def top_quotient(t_top, rest, unit, top):
    """Return what the largest results are: `top`, or below one half what the largest term's quotient is.

    Of most rows this leaves nothing to compare. As right as the other results it is either way, but what is nearly all
    of a row's sum is to be 1.
    """
    lower = smaller(fma(t_top, rest, t_top) * unit, top)
    return lower if top < HALF else top


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


def fold_terms_of_rows(lanes, rows, sums, sums_low):
    """Fold the sums of ROWS_OF_GRID rows, after those of all have been found.

    Behind each row, what waits for its last sums keeps the processor from looking ahead to the next: rows of 64 take
    0.88 of the time with LLVM, 1.0 with gcc.
    """
    for i in range(rows):
        total = lanes + i * 2 * LANES
        fold_terms(total, total + LANES, sums + i * FOLDED, sums_low + i * FOLDED)


def add_terms(x, y, shift, lowest, bias, total, low):
    for j in range(LANES):
        y[j], total[j], low[j] = next_term(x[j], shift, lowest, bias, total[j], low[j])


def add_terms_of_blocks(x, y, shift, lowest, bias, total, low):
    """BLOCKS_TOGETHER blocks, the sums in registers meanwhile: rows of 256 take 0.94 of the time with LLVM."""
    for j in range(LANES):
        s, s_low = total[j], low[j]
        y[j], s, s_low = next_term(x[j], shift, lowest, bias, s, s_low)
        y[LANES + j], s, s_low = next_term(x[LANES + j], shift, lowest, bias, s, s_low)
        y[2 * LANES + j], s, s_low = next_term(x[2 * LANES + j], shift, lowest, bias, s, s_low)
        y[3 * LANES + j], total[j], low[j] = next_term(x[3 * LANES + j], shift, lowest, bias, s, s_low)


def start_terms_of_two(x, y, shift, lowest, bias, total, low):
    """Start the sums in registers, from two blocks: the first of a row that is not made of fours.

    Rows of 64, which have no others, take 0.95 of the time.
    """
    for j in range(LANES):
        y[j], s, s_low = next_term(x[j], shift, lowest, bias, ONE / TERM_UNIT, ZERO)
        y[LANES + j], total[j], low[j] = next_term(x[LANES + j], shift, lowest, bias, s, s_low)


def terms_of_blocks(x, y, n, ahead, shift, lowest, bias, total, low, rest):
    fours = n // (BLOCKS_TOGETHER * LANES)
    for some in range(fours):
        i = some * BLOCKS_TOGETHER * LANES
        for k in range(BLOCKS_TOGETHER):
            will_read_lanes(x + i + k * LANES + ahead)
            will_write_lanes(y + i + k * LANES + 4 * TILE)
        add_terms_of_blocks(x + i, y + i, shift, lowest, bias, total, low)
    for block in range(fours * BLOCKS_TOGETHER, n // LANES):
        will_read_lanes(x + block * LANES + ahead)
        will_write_lanes(y + block * LANES + 4 * TILE)
        add_terms(x + block * LANES, y + block * LANES, shift, lowest, bias, total, low)
    if n % LANES > 0:
        pad_lanes(rest, x + n // LANES * LANES, n % LANES, -TWO * LARGEST)
        add_terms(rest, rest + LANES, shift, lowest, bias, total, low)
        copy_lanes(y + n // LANES * LANES, rest + LANES, n % LANES)


def terms_of_all_blocks(x, y, n, ahead, shift, lowest, bias, total, low, rest):
    first = 2 * LANES if n // LANES % BLOCKS_TOGETHER > 1 else 0
    if first > 0:
        for k in range(2):
            will_read_lanes(x + k * LANES + ahead)
            will_write_lanes(y + k * LANES + 4 * TILE)
        start_terms_of_two(x, y, shift, lowest, bias, total, low)
    else:
        start_terms(total, low, LANES)
    terms_of_blocks(x + first, y + first, n - first, ahead, shift, lowest, bias, total, low, rest)


def terms_of_row(x, y, n, ahead, shift, lowest, bias, total, low, rest):
    """Write the terms to y; add them up in lanes. What is `ahead` elements further on is read next.

    Nearly always nothing is to be subtracted: one operation less.
    """
    if shift == ZERO:
        terms_of_all_blocks(x, y, n, ahead, ZERO, lowest, bias, total, low, rest)
    else:
        terms_of_all_blocks(x, y, n, ahead, shift, lowest, bias, total, low, rest)


def largest_terms(m, shift, lowest, bias, t_top, t, t_low, lost, n):
    """Find the largest term as it is in the sum, exactly in two parts, and what the first lost.

    Before the sums, not after them: then the processor has nothing else to do.
    """
    for j in range(n):
        scale, step, rise = exp_term_parts(m[j], shift[j], lowest[j], bias[j])
        t_top[j] = fma(step, rise, scale)
        t[j], t_low[j] = largest_term(m[j])
        lost[j] = wide_fma(wide_of(step) * -TERM_UNIT, wide_of(rise), t[j] - 1.0) + t_low[j]


def quotients_of_sums(t_top, t, t_low, lost, total, low, top, rest, unit, n):
    """Find the factors, and the largest result. The largest term, often nearly all of the sum, is put right in it."""
    for j in range(n):
        inverse, inverse_low = reciprocal_parts(total[j] * TERM_UNIT, low[j] * TERM_UNIT + lost[j])
        part, power = quotient_parts(inverse, inverse_low)
        top[j] = top_quotient(t_top[j], part, power, largest_result(t[j], t_low[j], inverse, inverse_low))
        rest[j], unit[j] = part, power


def divide_terms(y, n, rest, unit, t_top, top):
    for i in range(n):
        y[i] = term_quotient(y[i], rest, unit, t_top, top)


def divide_lower_terms(y, n, rest, unit, top):
    for i in range(n):
        y[i] = lower_quotient(y[i], rest, unit, top)


def divide_row(y, n, rest, unit, t_top, top, padded):
    whole = n // LANES * LANES
    if fma(t_top, rest, t_top) * unit >= top:
        divide_lower_terms(y, whole, rest, unit, top)
    else:
        divide_terms(y, whole, rest, unit, t_top, top)
    if n > whole:
        pad_lanes(padded, y + whole, n - whole, -TWO * LARGEST)
        divide_terms(padded, LANES, rest, unit, t_top, top)
        copy_lanes(y + whole, padded, n - whole)


def softmax_of_rows(x, x_step, y, y_step, n, rows, scratch):
    """At most MOST_ROWS rows that stay in the first-level cache: the terms are kept in y."""
    total, low, sums, sums_low = scratch, scratch + GRID, scratch + 2 * GRID, scratch + 3 * GRID
    lanes, rest = reals(scratch + 4 * GRID), reals(scratch + 5 * GRID)
    t, t_low, lost = scratch + 6 * GRID, scratch + 6 * GRID + MOST_ROWS, scratch + 6 * GRID + 2 * MOST_ROWS
    m = reals(scratch + 6 * GRID + 3 * MOST_ROWS)
    shift, lowest, bias, t_top = m + MOST_ROWS, m + 2 * MOST_ROWS, m + 3 * MOST_ROWS, m + 4 * MOST_ROWS
    top, part, unit = m + 5 * MOST_ROWS, m + 6 * MOST_ROWS, m + 7 * MOST_ROWS
    width = whole_vectors(rows)
    references_of_rows(x, x_step, n, rows, scratch, m, shift, lowest, bias)
    largest_terms(m, shift, lowest, bias, t_top, t, t_low, lost, width)
    for some in range((rows + ROWS_OF_GRID - 1) // ROWS_OF_GRID):
        first, last = some * ROWS_OF_GRID, min(rows, (some + 1) * ROWS_OF_GRID)
        for i in range(first, last):
            sums_of_row = lanes + (i - first) * 2 * LANES
            row, terms = x + i * x_step, y + i * y_step
            terms_of_row(
                row, terms, n, rows * x_step, shift[i], lowest[i], bias[i], sums_of_row, sums_of_row + LANES, rest
            )
        fold_terms_of_rows(lanes, last - first, total + first * FOLDED, low + first * FOLDED)
    clear(total + rows * FOLDED, low + rows * FOLDED, (width - rows) * FOLDED)
    clear(sums, sums_low, width)
    fold_rows(total, low, sums, sums_low, width)
    quotients_of_sums(t_top, t, t_low, lost, sums, sums_low, top, part, unit, width)
    for i in range(rows):
        divide_row(y + i * y_step, n, part[i], unit[i], t_top[i], top[i], rest)


def whole_vectors(rows):
    """Return how many numbers are computed for some rows: as many as fill vectors."""
    return (rows + 7) // 8 * 8


def rows_at_once(n):
    """Return how many rows of length n stay in the first-level cache."""
    return max(1, min(ROWS_AT_ONCE, FEW_ELEMENTS // n))


def some_rows(n):
    """Return how many rows of length n are worked on together: what is done once for all of them takes long.

    Four times what fills the first-level cache together with the results: rows of 256 and more take 0.95 of the time,
    though they are read from the second level again.
    """
    return max(1, min(MOST_ROWS, SOME_ELEMENTS // n))


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
    # Only there it helps: 0.03 of the time.
    are_fetched = terms_share_places(step, rows)
    for some in range(rows // ROWS_TOGETHER):
        for k in range(ROWS_TOGETHER if are_fetched else 0):
            will_read_columns(x + ((some + 2) * ROWS_TOGETHER + k) * step, width)
        largest_of_some_columns(x + some * ROWS_TOGETHER * step, step, width, m)
    for i in range(rows // ROWS_TOGETHER * ROWS_TOGETHER, rows):
        largest_of_columns(x + i * step, width, m)
    references(m, shift, lowest, bias, width)


def share_places(step, rows):
    """Return whether so many rows, so far apart, push one another out of the second-level cache.

    What is a multiple of half a page apart has few places there. log_softmax of (512, 1024) takes 0.8 to 0.9 of the
    time if it is copied, softmax 0.86 if its terms have places of their own; rows other distances apart take longer.
    """
    return rows > ROWS_OF_PLACES and step % FAR_APART == 0


def terms_share_places(step, rows):
    """Return the same also of rows less far apart, if there are more: softmax of (2048, 256) takes 0.93 of the time.

    log_softmax of (1000, 256), which would be copied, takes 1.1.
    """
    return rows * min(step & -step, FAR_APART) > ROWS_OF_PLACES * FAR_APART


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


def clear_reals(x, n):
    for j in range(n):
        x[j] = ZERO


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


def divide_columns(terms, y, width, rest, unit, t_top, top):
    for j in range(width):
        y[j] = term_quotient(terms[j], rest[j], unit[j], t_top[j], top[j])


def divide_into(terms, y, step, rows, width, rest, unit, t_top, top):
    """Write the results of terms without gaps."""
    for i in range(rows):
        if i + ROWS_AHEAD < rows:
            will_write_columns(y + (i + ROWS_AHEAD) * step, width)
        divide_columns(terms + i * width, y + i * step, width, rest, unit, t_top, top)


def terms_of_columns(x, x_step, y, y_step, rows, width, shift, lowest, bias, total, low):
    start_terms(total, low, width)
    for some in range(rows // ROWS_TOGETHER):
        row, terms = x + some * ROWS_TOGETHER * x_step, y + some * ROWS_TOGETHER * y_step
        second, third, fourth = terms + y_step, terms + 2 * y_step, terms + 3 * y_step
        add_terms_of_some_columns(row, x_step, terms, second, third, fourth, width, shift, lowest, bias, total, low)
    for i in range(rows // ROWS_TOGETHER * ROWS_TOGETHER, rows):
        add_terms_of_columns(x + i * x_step, y + i * y_step, width, shift, lowest, bias, total, low)


def add_widened_terms(total, low, sums, sums_low, n):
    for j in range(n):
        t, t_low = with_low(terms_of_total(total[j]), 0.0, low[j])
        sums[j], sums_low[j] = accumulate(sums[j], sums_low[j], t, t_low)


def softmax_whole_columns(args, lengths):
    """Whole columns that stay in the second-level cache."""
    x, y, rows, width = operand(args, X), operand(args, X + 1), lengths[ROWS], lengths[WIDTH]
    x_step, y_step, scratch = lengths[STEP], lengths[STEP + 1], numbers(args, SCRATCH)
    sums, sums_low, t, t_low = scratch, scratch + width, scratch + 2 * width, scratch + 3 * width
    lost, total = scratch + 4 * width, reals(scratch + 5 * width)
    low, m, shift, lowest = total + width, total + 2 * width, total + 3 * width, total + 4 * width
    bias, t_top, top, rest = total + 5 * width, total + 6 * width, total + 7 * width, total + 8 * width
    unit = total + 9 * width
    is_apart = terms_share_places(y_step, rows)
    terms, step = reals(scratch + SCRATCH_PER_COLUMN * width) if is_apart else y, width if is_apart else y_step
    references_of_columns(x, x_step, rows, width, m, shift, lowest, bias)
    clear(sums, sums_low, width)
    for some in range((rows + ROWS_OF_TERMS - 1) // ROWS_OF_TERMS):
        i = some * ROWS_OF_TERMS
        last = min(rows, i + ROWS_OF_TERMS)
        terms_of_columns(
            x + i * x_step, x_step, terms + i * step, step, last - i, width, shift, lowest, bias, total, low
        )
        add_widened_terms(total, low, sums, sums_low, width)
    largest_terms(m, shift, lowest, bias, t_top, t, t_low, lost, width)
    quotients_of_sums(t_top, t, t_low, lost, sums, sums_low, top, rest, unit, width)
    if is_apart:
        divide_into(terms, y, y_step, rows, width, rest, unit, t_top, top)
    else:
        for i in range(rows):
            divide_columns(y + i * y_step, y + i * y_step, width, rest, unit, t_top, top)


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


def apply_softmax_past_caches(x, y, n, period, ahead, shift, lowest, bias, factor, factor_low, t_top, top, room):
    """As `normalize_columns_past_caches`; what is `ahead` elements further on is read next."""
    first = min(n, before_line(y))
    blocks = (n - first) // LANES
    apply_softmax(x, y, first, shift, lowest, bias, factor, factor_low, t_top, top)
    for block in range(blocks):
        i = first + block * LANES
        c = i % period
        apply_softmax(
            x + i, room, LANES, shift + c, lowest + c, bias + c, factor + c, factor_low + c, t_top + c, top + c
        )
        stream_lanes(y + i, room, x + i + ahead)
    i = first + blocks * LANES
    c = i % period
    apply_softmax(x + i, y + i, n - i, shift + c, lowest + c, bias + c, factor + c, factor_low + c, t_top + c, top + c)


def apply_to_columns(args, lengths, share):
    x, y, stats, kept = operand(args, X), operand(args, X + 1), numbers(args, STATS), lengths[KEPT]
    rows, width, step_x, step_y = lengths[ROWS], lengths[WIDTH], lengths[STEP], lengths[STEP + 1]
    times = periods(width, 1, lengths[COUNT])
    shift, size = reals(numbers(args, SCRATCH)), times * width
    lowest, bias, factor = shift + size, shift + 2 * size, shift + 3 * size
    factor_low, t_top, top, room = shift + 4 * size, shift + 5 * size, shift + 6 * size, shift + 7 * size
    for j in range(width if lengths[COUNT] != 0 else 0):
        m = narrow(stats[2 * kept + j])
        shift[j], lowest[j], bias[j] = exp_reference(m)
        factor[j], factor_low[j], top[j] = softmax_factors(stats + j, kept, share)
        t_top[j] = exp_term(m, shift[j], lowest[j], bias[j])
    if lengths[COUNT] < 0:
        for k in range(7):
            repeat(shift + k * size, width, times)
        is_one_block = step_x == width and step_y == width
        longest = rows * width if is_one_block else width
        ahead = STREAMED_AHEAD if is_one_block else STREAMED_ROWS_AHEAD * step_x
        for i in range(rows * width // longest):
            apply_softmax_past_caches(
                x + i * step_x,
                y + i * step_y,
                longest,
                width,
                ahead,
                shift,
                lowest,
                bias,
                factor,
                factor_low,
                t_top,
                top,
                room,
            )
        rows = 0
    for i in range(rows):
        if lengths[COUNT] == 0:
            will_read_columns(x + (i + STREAMED_ROWS_AHEAD) * step_x, width)
        apply_softmax(x + i * step_x, y + i * step_y, width, shift, lowest, bias, factor, factor_low, t_top, top)


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
