"""Norms and penalties: sums of squares and magnitudes, kernels for a row and for a block of columns."""


def square_of(x):
    return x * x


def magnitude_of(x):
    return wide_magnitude(x)


def add_row(f, x, width, total):
    for j in range(width):
        total[j] = total[j] + f(x[j])


def sum_of_row(f, x, n, ahead, total):
    """Return sum(f(x)). What is `ahead` elements further on is read next."""
    for j in range(LANES):
        total[j] = 0.0
    for block in range(n // LANES):
        will_read_lanes(x + block * LANES + ahead)
        add_row(f, x + block * LANES, LANES, total)
    add_row(f, x + n // LANES * LANES, n % LANES, total)
    return sum_of_lanes(total, total + LANES)


def add_4_squares(x, total):
    for j in range(CHAINS):
        total[j] = total[j] + squares_of_4(x + j, CHAINS)


def add_16_squares(x, total):
    for j in range(CHAINS):
        total[j] = total[j] + squares_of_16(x + j, CHAINS)


def add_32_squares(x, total):
    for j in range(CHAINS):
        total[j] = total[j] + squares_of_32(x + j, CHAINS)


def chained_squares_of_row(x, n, ahead, total):
    """Leave sum(x*x) in `CHAINS` lanes. What is `ahead` elements further on is read next."""
    clear(total, total, CHAINS)
    for block in range(n // (32 * CHAINS)):
        i = block * 32 * CHAINS
        for line in range(CHAINS):
            will_read_lanes_later(x + i + ahead + line * LANES)
        add_32_squares(x + i, total)
    i = n // (32 * CHAINS) * (32 * CHAINS)
    if n - i >= 16 * CHAINS:
        for line in range(CHAINS // 2):
            will_read_lanes_later(x + i + ahead + line * LANES)
        add_16_squares(x + i, total)
        i = i + 16 * CHAINS
    for block in range((n - i) // (4 * CHAINS)):
        add_4_squares(x + i + block * 4 * CHAINS, total)
    i = n // (4 * CHAINS) * (4 * CHAINS)
    for block in range((n - i) // CHAINS):
        add_row(square_of, x + i + block * CHAINS, CHAINS, total)
    add_row(square_of, x + n // CHAINS * CHAINS, n % CHAINS, total)


def squares_of_rows(x, step, n, rows, least, total):
    """Leave sum(x*x) of each row in `total`: by chains, but where the sum is less than `least`, or infinite, or NaN."""
    other = total + GRID
    if SUM_ROUNDS > ZERO:
        for i in range(rows):
            total[i] = sum_of_row(square_of, x + i * step, n, rows_at_once(n) * step, other)
    else:
        for i in range(rows):
            chained_squares_of_row(x + i * step, n, rows * step, total + i * CHAINS)
        fold_chains(total, other, rows)
        for i in range(rows):
            if not least <= total[i] <= 1e100:
                total[i] = sum_of_row(square_of, x + i * step, n, 0, other)


def squares_at_once(n):
    """Return how many rows are summed before they are scaled. float64 has nothing to fold: one, still in the cache."""
    return 1 if SUM_ROUNDS > ZERO else rows_at_once(n)


def least_of_chains(n, eps):
    """Return the least sum of squares of n numbers, beside n*eps, from which float32 has lost no digit that counts."""
    return n * (7.888609052210118e-31 - eps)


def squares_row(args, lengths):
    n, total = lengths[ROWS], numbers(args, SCRATCH)
    squares_of_rows(operand(args, X), n, n, 1, least_of_chains(n, 0.0), total)
    numbers(args, PIECES)[0] = total[0]


def magnitudes_row(args, lengths):
    n = lengths[ROWS]
    total = sum_of_row(magnitude_of, operand(args, X), n, n, numbers(args, SCRATCH))
    numbers(args, PIECES)[0] = total


def sum_of_columns(f, x, step, rows, width, total):
    for j in range(width):
        total[j] = 0.0
    for i in range(rows):
        add_row(f, x + i * step, width, total)


def add_16_squares_of_columns(x, step, width, total):
    for j in range(width):
        total[j] = total[j] + squares_of_16(x + j, step)


def add_16_squares_of_columns_ahead(x, step, width, ahead, total):
    """As `add_16_of_columns_ahead`."""
    for tile in range(width // LANES):
        j = tile * LANES
        for i in range(16):
            will_read_lanes_later(x + ahead + i * step + j)
        add_16_squares_of_columns(x + j, step, LANES, total + j)
    j = width // LANES * LANES
    add_16_squares_of_columns(x + j, step, width - j, total + j)


def chained_squares_of_columns(x, step, rows, width, is_fetched, pieces, total):
    clear(total, total, width)
    for i in range(rows // 16):
        if is_fetched:
            ahead = rows_ahead(i, rows // 16, step, width, pieces)
            add_16_squares_of_columns_ahead(x + 16 * i * step, step, width, ahead, total)
        else:
            add_16_squares_of_columns(x + 16 * i * step, step, width, total)
    for i in range(rows // 16 * 16, rows):
        add_row(square_of, x + i * step, width, total)


def squares_without_chains(x, step, rows, width, total, other):
    """Replace the sums of columns where chains do not suffice, see `squares_of_rows`."""
    least = least_of_chains(rows, 0.0)
    few = 0
    for j in range(width):
        few = few + (0 if least <= total[j] <= 1e100 else 1)
    if few > 0:
        sum_of_columns(square_of, x, step, rows, width, other)
        for j in range(width):
            total[j] = total[j] if least <= total[j] <= 1e100 else other[j]


def squares_columns(args, lengths):
    x, step, rows, width = operand(args, X), lengths[STEP], lengths[ROWS], lengths[WIDTH]
    total = numbers(args, PIECES)
    if SUM_ROUNDS > ZERO:
        sum_of_columns(square_of, x, step, rows, width, total)
    else:
        first, pieces = unaligned_columns(x, step, width), lengths[COUNT]
        rest = width - first
        chained_squares_of_columns(x, step, rows, first, False, pieces, total)
        chained_squares_of_columns(x + first, step, rows, rest, are_fetched(lengths), pieces, total + first)
        squares_without_chains(x, step, rows, width, total, numbers(args, SCRATCH))


def magnitudes_columns(args, lengths):
    sum_of_columns(magnitude_of, operand(args, X), lengths[STEP], lengths[ROWS], lengths[WIDTH], numbers(args, PIECES))


def larger(a, b):
    """Return the larger one, NaN if one of them is."""
    return a if a >= b else b if a < b else a + b


def add_peaks(x, width, peak):
    for j in range(width):
        peak[j] = larger(peak[j], magnitude_of(x[j]))


def peaks_row(args, lengths):
    """Find the largest magnitude; NaN if there is one."""
    x, n, peak = operand(args, X), lengths[ROWS], numbers(args, SCRATCH)
    for j in range(LANES):
        peak[j] = 0.0
    for block in range(n // LANES):
        add_peaks(x + block * LANES, LANES, peak)
    add_peaks(x + n // LANES * LANES, n % LANES, peak)
    for j in range(1, LANES):
        peak[0] = larger(peak[0], peak[j])
    numbers(args, PIECES)[0] = peak[0]


def peaks_columns(args, lengths):
    x, width, peak = operand(args, X), lengths[WIDTH], numbers(args, PIECES)
    for j in range(width):
        peak[j] = 0.0
    for i in range(lengths[ROWS]):
        add_peaks(x + i * lengths[STEP], width, peak)


# ---- Factors. Parameters: eps.


def total_of(pieces, count, width, j):
    total = 0.0
    low = 0.0
    for b in range(count):
        total, low = accumulate_always(total, low, pieces[b * width + j])
    return total + low if wide_magnitude(total) <= 1.7976931348623157e308 else total


def rms_factor(total, n, eps):
    return 1.0 / wide_sqrt(total / n + eps)


def squares_combine(args, lengths):
    """1/sqrt(mean square + eps), for rms_norm."""
    stats, eps = numbers(args, STATS), numbers(args, PARAMETERS)[0]
    for j in range(lengths[WIDTH]):
        total = total_of(numbers(args, PIECES), lengths[COUNT], lengths[WIDTH], j)
        stats[j] = rms_factor(total, numbers(args, PARAMETERS)[1], eps)


def totals(args, lengths):
    stats = numbers(args, STATS)
    for j in range(lengths[WIDTH]):
        stats[j] = total_of(numbers(args, PIECES), lengths[COUNT], lengths[WIDTH], j)


def largest_of_pieces(args, lengths):
    stats, pieces, width = numbers(args, STATS), numbers(args, PIECES), lengths[WIDTH]
    for j in range(width):
        peak = 0.0
        for b in range(lengths[COUNT]):
            a = pieces[b * width + j]
            peak = larger(peak, a)
        stats[j] = peak


# ---- normalize: the factor is 1/max(norm, eps), the norm the root of a sum, a sum, or the largest.


def norm_factors(args, lengths):
    stats, eps = numbers(args, STATS), numbers(args, PARAMETERS)[0]
    for j in range(lengths[WIDTH]):
        stats[j] = 1.0 / larger(stats[j], eps)


def norm_2_row(args, lengths):
    squares_row(args, lengths)


def norm_2_columns(args, lengths):
    squares_columns(args, lengths)


def norm_2_combine(args, lengths):
    totals(args, lengths)
    stats = numbers(args, STATS)
    for j in range(lengths[WIDTH]):
        stats[j] = wide_sqrt(stats[j])
    norm_factors(args, lengths)


def norm_1_row(args, lengths):
    magnitudes_row(args, lengths)


def norm_1_columns(args, lengths):
    magnitudes_columns(args, lengths)


def norm_1_combine(args, lengths):
    totals(args, lengths)
    norm_factors(args, lengths)


def norm_inf_row(args, lengths):
    peaks_row(args, lengths)


def norm_inf_columns(args, lengths):
    peaks_columns(args, lengths)


def norm_inf_combine(args, lengths):
    largest_of_pieces(args, lengths)
    norm_factors(args, lengths)


# ---- x*factor, and x*factor*weight. Statistics: the factor.


def scale_apply_row(args, lengths):
    scale_row(operand(args, X), output_of(args, X + 1), lengths[ROWS], narrow(numbers(args, STATS)[0]))


def norm_2_whole_row(args, lengths):
    """Whole rows that stay in the first-level cache. The other norms go piece by piece."""
    x, y, eps = operand(args, X), output_of(args, X + 1), numbers(args, PARAMETERS)[0]
    n, rows, total, at_once = lengths[ROWS], lengths[WIDTH], numbers(args, SCRATCH), squares_at_once(lengths[ROWS])
    least = least_of_chains(n, 0.0) - eps * eps
    for batch in range((rows + at_once - 1) // at_once):
        first = batch * at_once
        some = min(at_once, rows - first)
        squares_of_rows(x + first * lengths[STEP], lengths[STEP], n, some, least, total)
        for i in range(some):
            row = first + i
            factor = narrow(1.0 / larger(wide_sqrt(total[i]), eps))
            scale_row(x + row * lengths[STEP], y + row * lengths[STEP + 1], n, factor)


def scale_row(x, y, n, factor):
    for i in range(n):
        y[i] = x[i] * factor


def scale_columns(x, y, width, factor):
    for j in range(width):
        y[j] = x[j] * factor[j]


def scale_long_columns(x, y, width, ahead, later, factor):
    """As `normalize_long_columns`."""
    for tile in range(width // TILE):
        j = tile * TILE
        if ahead > 0:
            will_read_later(x + ahead + j)
        else:
            will_write(y + later + j)
        scale_columns(x + j, y + j, TILE, factor + j)
    j = width // TILE * TILE
    scale_columns(x + j, y + j, width - j, factor + j)


def scale_apply_columns(args, lengths):
    x, y, step_x, step_y = operand(args, X), output_of(args, X + 1), lengths[STEP], lengths[STEP + 1]
    width, factor = lengths[WIDTH], reals(numbers(args, SCRATCH))
    is_streamed, later = lengths[COUNT] == 0, max(1, LONG_STRETCH // width)
    for j in range(0 if is_streamed else width):
        factor[j] = narrow(numbers(args, STATS)[j])
    for i in range(lengths[ROWS]):
        ahead = later * step_x if is_streamed else 0
        scale_long_columns(x + i * step_x, y + i * step_y, width, ahead, later * step_y, factor)


def weigh(x, weight, y, n, factor):
    for i in range(n):
        y[i] = (x[i] * factor) * weight[i]


def weigh_row(x, weight, y, n, factor):
    for tile in range(n // TILE):
        i = tile * TILE
        will_write(y + i + 2 * TILE)
        weigh(x + i, weight + i, y + i, TILE, factor)
    i = n // TILE * TILE
    weigh(x + i, weight + i, y + i, n - i, factor)


def norm_2_apply_row(args, lengths):
    scale_apply_row(args, lengths)


def norm_2_apply_columns(args, lengths):
    scale_apply_columns(args, lengths)


def rms_norm_apply_row(args, lengths):
    """Arrays: x, weight, y."""
    weigh_row(
        operand(args, X), operand(args, X + 1), output_of(args, X + 2), lengths[ROWS], narrow(numbers(args, STATS)[0])
    )


def rms_norm_whole_row(args, lengths):
    x, weight, y = operand(args, X), operand(args, X + 1), output_of(args, X + 2)
    n, rows, total, at_once = lengths[ROWS], lengths[WIDTH], numbers(args, SCRATCH), squares_at_once(lengths[ROWS])
    eps = numbers(args, PARAMETERS)[0]
    for batch in range((rows + at_once - 1) // at_once):
        first = batch * at_once
        some = min(at_once, rows - first)
        squares_of_rows(x + first * lengths[STEP], lengths[STEP], n, some, least_of_chains(n, eps), total)
        for i in range(some):
            total[i] = rms_factor(total[i], numbers(args, PARAMETERS)[1], eps)
        for i in range(some):
            row = first + i
            weigh_row(
                x + row * lengths[STEP],
                weight + row * lengths[STEP + 1],
                y + row * lengths[STEP + 2],
                n,
                narrow(total[i]),
            )


def weigh_columns(x, weight, y, width, factor):
    for j in range(width):
        y[j] = (x[j] * factor[j]) * weight


def weigh_long_columns(x, weight, y, width, ahead, later, factor):
    """As `normalize_long_columns`."""
    for tile in range(width // TILE):
        j = tile * TILE
        if ahead > 0:
            will_read_later(x + ahead + j)
        else:
            will_write(y + later + j)
        weigh_columns(x + j, weight, y + j, TILE, factor + j)
    j = width // TILE * TILE
    weigh_columns(x + j, weight, y + j, width - j, factor + j)


def rms_norm_apply_columns(args, lengths):
    """Take one weight for each row of columns."""
    x, weight, y = operand(args, X), operand(args, X + 1), output_of(args, X + 2)
    step_x, step_y, width, factor = lengths[STEP], lengths[STEP + 2], lengths[WIDTH], reals(numbers(args, SCRATCH))
    is_streamed, later = lengths[COUNT] == 0, max(1, LONG_STRETCH // width)
    for j in range(0 if is_streamed else width):
        factor[j] = narrow(numbers(args, STATS)[j])
    for i in range(lengths[ROWS]):
        ahead, scalar = later * step_x if is_streamed else 0, weight[i * lengths[STEP + 1]]
        weigh_long_columns(x + i * step_x, scalar, y + i * step_y, width, ahead, later * step_y, factor)


# ---- Penalties: as exact as math.fsum to 1 ULP. Pieces and statistics: a sum in two parts.


def add_exactly(total, low, t, t_low):
    s, lost = wide_two_sum(total, t)
    return s, low + (lost + t_low)


def square_low(x):
    """Return what the rounding of x*x lost. A square of float32 is exact."""
    return fma(x, x, -(x * x)) if SUM_ROUNDS > ZERO else ZERO


def fold_exactly(total, low, half):
    for j in range(half):
        total[j], low[j] = add_exactly(total[j], low[j], total[j + half], low[j + half])


def exact_sum_of_row(f, f_low, x, n, piece, total, low):
    clear(total, low, LANES)
    whole = n // LANES * LANES
    for block in range(n // LANES):
        i = block * LANES
        for j in range(LANES):
            total[j], low[j] = add_exactly(total[j], low[j], f(x[i + j]), f_low(x[i + j]))
    for j in range(n - whole):
        total[j], low[j] = add_exactly(total[j], low[j], f(x[whole + j]), f_low(x[whole + j]))
    fold_exactly(total, low, 16)
    fold_exactly(total, low, 8)
    fold_exactly(total, low, 4)
    fold_exactly(total, low, 2)
    fold_exactly(total, low, 1)
    piece[0] = total[0]
    piece[1] = low[0]


def nothing_low(x):
    return ZERO


def exact_squares_row(args, lengths):
    scratch = numbers(args, SCRATCH)
    exact_sum_of_row(
        square_of, square_low, operand(args, X), lengths[ROWS], numbers(args, PIECES), scratch, scratch + LANES
    )


def exact_magnitudes_row(args, lengths):
    scratch = numbers(args, SCRATCH)
    exact_sum_of_row(
        magnitude_of, nothing_low, operand(args, X), lengths[ROWS], numbers(args, PIECES), scratch, scratch + LANES
    )


def combine_exactly(args, lengths):
    pieces, stats = numbers(args, PIECES), numbers(args, STATS)
    total = 0.0
    low = 0.0
    for b in range(lengths[COUNT]):
        total, low = add_exactly(total, low, pieces[2 * b], pieces[2 * b + 1])
    stats[0] = total + low if wide_magnitude(total) <= 1.7976931348623157e308 else total


def exact_squares_combine(args, lengths):
    combine_exactly(args, lengths)


def exact_magnitudes_combine(args, lengths):
    combine_exactly(args, lengths)
