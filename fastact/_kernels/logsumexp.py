"""Logsumexp and log_softmax: kernels for a row (contiguous) and for a block of columns. Terms are those of softmax.py.

logsumexp = m + log1p(rest), rest = (the sum over the other elements of exp(x - m)): without the largest element's own
1, so that a small rest keeps its digits. Elements below the largest are counted and summed; what is left
are those equal to it.

A piece is a block of a row or of columns; it is known by m, rest and rest's low part. `exp_sums_combine` makes of the
pieces of a row, in order, its statistics: logsumexp in two parts, m, and rest in two parts.
"""


def other_term(x, m, shift, lowest, bias):
    """Return the term of an element, 0 for the largest."""
    t = exp_term(x, shift, lowest, bias)
    return t if x != m else ZERO


def rest_of_sum(m, count, total, low):
    """Return (rest, rest_low) from the sum of the terms below the largest, of which there are `count`."""
    t, t_low = largest_term(m)
    total = total * TERM_UNIT
    inverse = 1.0 / t
    quotient = total * inverse
    quotient_low = (wide_fma(-quotient, t, total) + (low * TERM_UNIT - quotient * t_low)) * inverse
    rest, rest_low = wide_two_sum(count - 1.0, quotient)
    return rest, rest_low + quotient_low


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
        _, total[j], low[j] = next_term(x[j], shift, lowest, bias, total[j], low[j])


def add_terms_of_blocks_only(x, shift, lowest, bias, total, low):
    for j in range(LANES):
        _, s, s_low = next_term(x[j], shift, lowest, bias, total[j], low[j])
        _, s, s_low = next_term(x[LANES + j], shift, lowest, bias, s, s_low)
        _, s, s_low = next_term(x[2 * LANES + j], shift, lowest, bias, s, s_low)
        _, total[j], low[j] = next_term(x[3 * LANES + j], shift, lowest, bias, s, s_low)


def start_terms_of_two_only(x, shift, lowest, bias, total, low):
    for j in range(LANES):
        _, s, s_low = next_term(x[j], shift, lowest, bias, ONE / TERM_UNIT, ZERO)
        _, total[j], low[j] = next_term(x[LANES + j], shift, lowest, bias, s, s_low)


def sums_of_blocks(x, n, ahead, shift, lowest, bias, total, low, rest):
    fours = n // (BLOCKS_TOGETHER * LANES)
    for some in range(fours):
        i = some * BLOCKS_TOGETHER * LANES
        for k in range(BLOCKS_TOGETHER):
            will_read_lanes(x + i + k * LANES + ahead)
        add_terms_of_blocks_only(x + i, shift, lowest, bias, total, low)
    for block in range(fours * BLOCKS_TOGETHER, n // LANES):
        will_read_lanes(x + block * LANES + ahead)
        add_terms_only(x + block * LANES, shift, lowest, bias, total, low)
    if n % LANES > 0:
        pad_lanes(rest, x + n // LANES * LANES, n % LANES, -TWO * LARGEST)
        add_terms_only(rest, shift, lowest, bias, total, low)


def sums_of_all_blocks(x, n, ahead, shift, lowest, bias, total, low, rest):
    first = 2 * LANES if n // LANES % BLOCKS_TOGETHER > 1 else 0
    if first > 0:
        will_read_lanes(x + ahead)
        will_read_lanes(x + LANES + ahead)
        start_terms_of_two_only(x, shift, lowest, bias, total, low)
    else:
        start_terms(total, low, LANES)
    sums_of_blocks(x + first, n - first, ahead, shift, lowest, bias, total, low, rest)


def sums_of_terms(x, n, ahead, shift, lowest, bias, total, low, rest):
    if shift == ZERO:
        sums_of_all_blocks(x, n, ahead, ZERO, lowest, bias, total, low, rest)
    else:
        sums_of_all_blocks(x, n, ahead, shift, lowest, bias, total, low, rest)


def rests_of_all(m, shift, lowest, bias, total, width, rest, rest_low):
    """Find the rests from sums with the largest element, which is subtracted as it was added."""
    for j in range(width):
        scale, step, rise = exp_term_parts(m[j], shift[j], lowest[j], bias[j])
        others = total[j] - wide_fma(wide_of(step), wide_of(rise), wide_of(scale))
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
    lanes, rest = reals(scratch + 4 * GRID), reals(scratch + 5 * GRID)
    m, pieces = reals(scratch + 6 * GRID), scratch + 7 * GRID
    shift, lowest, bias, width = m + MOST_ROWS, m + 2 * MOST_ROWS, m + 3 * MOST_ROWS, whole_vectors(rows)
    references_of_rows(x, step, n, rows, scratch, m, shift, lowest, bias)
    for some in range((rows + ROWS_OF_GRID - 1) // ROWS_OF_GRID):
        first, last = some * ROWS_OF_GRID, min(rows, (some + 1) * ROWS_OF_GRID)
        for i in range(first, last):
            sums_of_row = lanes + (i - first) * 2 * LANES
            ahead = rows * step
            sums_of_terms(x + i * step, n, ahead, shift[i], lowest[i], bias[i], sums_of_row, sums_of_row + LANES, rest)
        fold_terms_of_rows(lanes, last - first, total + first * FOLDED, low + first * FOLDED)
    clear(total + rows * FOLDED, low + rows * FOLDED, (width - rows) * FOLDED)
    fold_rows(total, low, sums, sums_low, width)
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
    if SUM_ROUNDS > ZERO or not TURNED_EXP_ROW <= n <= QUICK_ROW:
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


def other_term_parts(x, m, shift, lowest, bias):
    """Return the term of an element and what its rounding lost, 0 for the largest."""
    scale, step, rise = exp_term_parts(x, shift, lowest, bias)
    t = fma(step, rise, scale)
    lost = fma(step, rise, scale - t)
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
    high, low, at_once = reals(scratch + 2 * GRID), reals(scratch + 3 * GRID), some_rows(lengths[ROWS])
    for batch in range((rows + at_once - 1) // at_once):
        first = batch * at_once
        some = min(at_once, rows - first)
        pieces = log_sums_of_rows(x + first * lengths[STEP], lengths[STEP], lengths[ROWS], some, scratch)
        logs_of_sums(pieces, pieces + MOST_ROWS, pieces + 2 * MOST_ROWS, whole_vectors(some), scratch, scratch + GRID)
        round_logs(scratch, scratch + GRID, whole_vectors(some), high, low)
        for i in range(some):
            row = first + i
            subtract_parts(x + row * lengths[STEP], y + row * lengths[STEP + 1], lengths[ROWS], high[i], low[i])


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
