"""Norms and penalties: sums of squares and magnitudes, kernels for a row and for a block of columns.

Where a sum of squares, or 1/norm, would leave the arrays' precision, the elements of the row are first multiplied by a
power of two, which loses nothing that counts: DOWN, or UP, which is 1/DOWN. It is 1, and not applied, for all others.
"""


def square_of(x):
    return x * x


def magnitude_of(x):
    return wide_magnitude(x)


def add_row(f, x, width, total):
    for j in range(width):
        total[j] = total[j] + f(x[j])


def power_for(factor):
    """Return the power of two for elements that the factor is for."""
    power = DOWN if factor < LEAST_FACTOR else UP if factor > GREATEST_FACTOR else ONE
    return wide_of(power)


def inverse_power(power):
    inverse = UP if power < ONE else DOWN if power > ONE else ONE
    return wide_of(inverse)


def whole_sum(total, low):
    """Return their sum. An infinite one has no low part."""
    return total + low if wide_magnitude(total) <= 1.7976931348623157e308 else total


def sum_with_power(f, x, step, n, power):
    total = 0.0
    low = 0.0
    for i in range(n):
        total, low = accumulate_always(total, low, f(x[i * step] * power))
    return whole_sum(total, low)


def leaves_binary64(total, least):
    """Return whether a sum has lost digits that count. Of binary32, none does."""
    return SUM_ROUNDS > ZERO and not least <= total <= GREATEST_SUM


def power_for_sum(total):
    """Return the power of two for elements whose sum leaves binary64; 1 for NaN."""
    power = DOWN if total > GREATEST_SUM else UP if total <= GREATEST_SUM else ONE
    return wide_of(power)


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


def add_squares_of_row(x, n, ahead, total):
    """Add x*x to `CHAINS` lanes. What is `ahead` elements further on is read next."""
    for block in range(n // (16 * CHAINS)):
        i = block * 16 * CHAINS
        for line in range(CHAINS // 2):
            will_read_lanes_later(x + i + ahead + line * LANES)
        add_16_squares(x + i, total)
    i = n // (16 * CHAINS) * (16 * CHAINS)
    for block in range((n - i) // (4 * CHAINS)):
        add_4_squares(x + i + block * 4 * CHAINS, total)
    i = n // (4 * CHAINS) * (4 * CHAINS)
    for block in range((n - i) // CHAINS):
        add_row(square_of, x + i + block * CHAINS, CHAINS, total)
    add_row(square_of, x + n // CHAINS * CHAINS, n % CHAINS, total)


def chained_squares_of_row(x, n, ahead, total):
    clear(total, total, CHAINS)
    add_squares_of_row(x, n, ahead, total)


def square_of_chains(x, n, least, total):
    """Return the sum of the lanes of one row, as `squares_of_rows` leaves it."""
    square = sum_of_folded(total) + sum_of_folded(total + FOLDED)
    return square if least <= square <= 1e100 else sum_of_row(square_of, x, n, 0, total)


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
    """Return how many rows are summed before they are scaled: they stay in the first-level cache."""
    return rows_at_once(2 * n) if SUM_ROUNDS > ZERO else rows_at_once(n)


def least_of_chains(n, eps):
    """Return the least sum of squares of n numbers, beside n*eps, from which float32 has lost no digit that counts."""
    return n * (7.888609052210118e-31 - eps)


# Pieces of norms: a sum, and the power of two that the elements were multiplied by. The first of these is ORDINARY if
# all are 1; then the others are not there. So it is with the factors.


def keep_sum_of_row(f, x, n, least, total, piece):
    leaves = leaves_binary64(total, least)
    piece[1] = power_for_sum(total) if leaves else wide_of(ORDINARY)
    piece[0] = sum_with_power(f, x, 1, n, piece[1]) if leaves else total


def least_of_sums(n, eps):
    """Return the least sum of n numbers that says enough of their mean beside eps."""
    return n * (LEAST_SUM - eps)


def least_norm(eps):
    """Return the least sum of squares that says enough of the larger one of its root and eps."""
    return least_of_sums(1.0, eps * eps)


def squares_of_piece(args, lengths, least):
    x, n, total = operand(args, X), lengths[ROWS], numbers(args, SCRATCH)
    squares_of_rows(x, n, n, 1, least_of_chains(n, 0.0), total)
    keep_sum_of_row(square_of, x, n, least, total[0], numbers(args, PIECES))


def squares_row(args, lengths):
    squares_of_piece(args, lengths, least_of_sums(lengths[ROWS], numbers(args, PARAMETERS)[0]))


def magnitudes_row(args, lengths):
    x, n = operand(args, X), lengths[ROWS]
    total = sum_of_row(magnitude_of, x, n, n, numbers(args, SCRATCH))
    least = least_of_sums(1.0, numbers(args, PARAMETERS)[0])
    keep_sum_of_row(magnitude_of, x, n, least, total, numbers(args, PIECES))


def sum_of_columns(f, x, step, rows, width, total):
    for j in range(width):
        total[j] = 0.0
    for i in range(rows):
        add_row(f, x + i * step, width, total)


# Of binary64, in which each addition rounds: see `accumulate_moments_of_8`.


def accumulate_row(f, x, width, total, low):
    for j in range(width):
        total[j], low[j] = accumulate_always(total[j], low[j], f(x[j]))


def accumulate_8_rows(f, x, step, width, total, low):
    for j in range(width):
        few = (f(x[j]) + f(x[step + j])) + (f(x[2 * step + j]) + f(x[3 * step + j]))
        more = (f(x[4 * step + j]) + f(x[5 * step + j])) + (f(x[6 * step + j]) + f(x[7 * step + j]))
        total[j], low[j] = accumulate_always(total[j], low[j], few + more)


def accumulate_8_rows_ahead(f, x, step, width, total, low):
    """As `accumulate_moments_of_8_ahead`: beyond the caches, otherwise, the rows one after the other take 0.65."""
    for tile in range(width // LANES):
        j = tile * LANES
        for i in range(16, 24):
            will_read_lanes_later(x + i * step + j)
        accumulate_8_rows(f, x + j, step, LANES, total + j, low + j)
    j = width // LANES * LANES
    accumulate_8_rows(f, x + j, step, width - j, total + j, low + j)


def exact_sum_of_columns(f, x, step, rows, width, is_fetched, total, low):
    clear(total, low, width)
    for i in range(rows // 8):
        if is_fetched:
            accumulate_8_rows_ahead(f, x + 8 * i * step, step, width, total, low)
        else:
            accumulate_8_rows(f, x + 8 * i * step, step, width, total, low)
    for i in range(rows // 8 * 8, rows):
        accumulate_row(f, x + i * step, width, total, low)
    add_lows(width, low, total)


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


def squares_of_8_columns(x, step, width, few):
    for j in range(width):
        few[j] = squares_of_8(x + j, step)


def add_8_more_squares(x, step, width, few, total):
    for j in range(width):
        total[j] = total[j] + (few[j] + squares_of_8(x + j, step))


def squares_of_8_far_rows(x, step, width, ahead, few):
    """Fetch eight rows that are `ahead`, see `add_8_far_rows`."""
    for tile in range(width // LANES):
        j = tile * LANES
        fetch_rows(x + ahead, step, width, 8 * j, 8)
        squares_of_8_columns(x + j, step, LANES, few + j)
    j = width // LANES * LANES
    fetch_rows(x + ahead, step, width, 8 * j, (width - j) // 4)
    squares_of_8_columns(x + j, step, width - j, few + j)


def add_8_more_far_rows(x, step, width, ahead, few, total):
    for tile in range(width // LANES):
        j = tile * LANES
        fetch_rows(x + ahead, step, width, 8 * j, 8)
        add_8_more_squares(x + j, step, LANES, few + j, total + j)
    j = width // LANES * LANES
    fetch_rows(x + ahead, step, width, 8 * j, (width - j) // 4)
    add_8_more_squares(x + j, step, width - j, few + j, total + j)


def squares_of_far_columns(x, step, rows, width, few, total):
    """As `chained_squares_of_columns`, of arrays beyond the caches: eight rows at a time, in the order of memory."""
    ahead = max(8, FAR_AHEAD // width // 8 * 8) * step
    clear(total, total, width)
    for i in range(rows // 16):
        squares_of_8_far_rows(x + 16 * i * step, step, width, ahead, few)
        add_8_more_far_rows(x + (16 * i + 8) * step, step, width, ahead, few, total)
    for i in range(rows // 16 * 16, rows):
        add_row(square_of, x + i * step, width, total)


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


def keep_sums_of_columns(f, x, step, rows, width, least, total):
    """Write the second numbers of pieces, and replace sums that leave binary64."""
    few = 0
    power = total + width
    for j in range(width):
        few = few + (1 if leaves_binary64(total[j], least) else 0)
    power[0] = wide_of(ORDINARY)
    for j in range(width if few > 0 else 0):
        leaves = leaves_binary64(total[j], least)
        power[j] = power_for_sum(total[j]) if leaves else 1.0
        total[j] = sum_with_power(f, x + j, step, rows, power[j]) if leaves else total[j]


def squares_of_columns(args, lengths, least):
    x, step, rows, width = operand(args, X), lengths[STEP], lengths[ROWS], lengths[WIDTH]
    total = numbers(args, PIECES)
    if SUM_ROUNDS > ZERO:
        exact_sum_of_columns(square_of, x, step, rows, width, are_fetched(lengths), total, numbers(args, SCRATCH))
    elif are_far(lengths):
        squares_of_far_columns(x, step, rows, width, reals(numbers(args, SCRATCH)), total)
        squares_without_chains(x, step, rows, width, total, numbers(args, SCRATCH))
    else:
        first, pieces = unaligned_columns(x, step, width), lengths[COUNT]
        rest = width - first
        chained_squares_of_columns(x, step, rows, first, False, pieces, total)
        chained_squares_of_columns(x + first, step, rows, rest, are_fetched(lengths), pieces, total + first)
        squares_without_chains(x, step, rows, width, total, numbers(args, SCRATCH))
    keep_sums_of_columns(square_of, x, step, rows, width, least, total)


def squares_columns(args, lengths):
    squares_of_columns(args, lengths, least_of_sums(lengths[ROWS], numbers(args, PARAMETERS)[0]))


def magnitudes_columns(args, lengths):
    x, step, rows, width = operand(args, X), lengths[STEP], lengths[ROWS], lengths[WIDTH]
    total = numbers(args, PIECES)
    if SUM_ROUNDS > ZERO:
        exact_sum_of_columns(magnitude_of, x, step, rows, width, are_fetched(lengths), total, numbers(args, SCRATCH))
    else:
        sum_of_columns(magnitude_of, x, step, rows, width, total)
    least = least_of_sums(1.0, numbers(args, PARAMETERS)[0])
    keep_sums_of_columns(magnitude_of, x, step, rows, width, least, total)


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


def total_of(pieces, count, step):
    total = 0.0
    low = 0.0
    for b in range(count):
        total, low = accumulate_always(total, low, pieces[b * step])
    return whole_sum(total, low)


def totals(args, lengths):
    """Add up pieces that are one number."""
    stats, width = numbers(args, STATS), lengths[WIDTH]
    for j in range(width):
        stats[j] = total_of(numbers(args, PIECES) + j, lengths[COUNT], width)


# ---- Factors. Parameters: eps. Statistics: the factor, and the power of two for the elements before.


def are_ordinary(pieces, count, width):
    few = 0
    for b in range(count):
        few = few + (0 if pieces[(2 * b + 1) * width] == ORDINARY else 1)
    return few == 0


def power_of_piece(power, j):
    return 1.0 if power[0] == ORDINARY else power[j]


def power_of_pieces(pieces, count, width, j):
    """Return the least power of two: that of the piece with the largest elements."""
    least = power_of_piece(pieces + width, j)
    for b in range(1, count):
        power = power_of_piece(pieces + (2 * b + 1) * width, j)
        least = power if power < least else least
    return least


def add_far_pieces(pieces, count, width, is_of_squares, stats, powers):
    """Leave the sums of all elements multiplied by a power of two, and this."""
    for j in range(width):
        total = 0.0
        low = 0.0
        powers[j] = power_of_pieces(pieces, count, width, j)
        for b in range(count):
            share = powers[j] * inverse_power(power_of_piece(pieces + (2 * b + 1) * width, j))
            again = share if is_of_squares else 1.0
            total, low = accumulate_always(total, low, (pieces[2 * b * width + j] * share) * again)
        stats[j] = whole_sum(total, low)


def add_up(args, lengths, is_of_squares):
    """Leave the sums in the statistics, and powers of two behind them; return whether they are all 1."""
    pieces, stats, count, width = numbers(args, PIECES), numbers(args, STATS), lengths[COUNT], lengths[WIDTH]
    ordinary = are_ordinary(pieces, count, width)
    if ordinary:
        for j in range(width):
            stats[j] = total_of(pieces + j, count, 2 * width)
    else:
        add_far_pieces(pieces, count, width, is_of_squares, stats, stats + lengths[KEPT])
    return ordinary


def rms_factor(total, n, eps, power):
    return 1.0 / wide_sqrt(total / n + (eps * power) * power)


def norm_2_factor(total, n, eps, power):
    return 1.0 / larger(wide_sqrt(total), eps * power)


def factors_of_divisors(width, is_ordinary, stats, powers):
    """Replace each divisor by its inverse, once more times a power of two where it needs one, as `power_for` has it."""
    few = 0 if is_ordinary else 1
    for j in range(width):
        few = few + (0 if stats[j] * LEAST_FACTOR <= 1.0 <= stats[j] * GREATEST_FACTOR else 1)
    if few > 0:
        for j in range(width):
            power = DOWN if stats[j] * LEAST_FACTOR > 1.0 else UP if stats[j] * GREATEST_FACTOR < 1.0 else ONE
            powers[j] = (1.0 if is_ordinary else powers[j]) * power
            stats[j] = 1.0 / (stats[j] * power)
    else:
        powers[0] = wide_of(ORDINARY)
        for j in range(width):
            stats[j] = 1.0 / stats[j]


def rms_divisors(args, lengths):
    """Leave sqrt(mean square + eps), and powers of two behind; return whether they are all 1."""
    stats, kept, width = numbers(args, STATS), lengths[KEPT], lengths[WIDTH]
    eps, n = numbers(args, PARAMETERS)[0], numbers(args, PARAMETERS)[1]
    ordinary = add_up(args, lengths, True)
    if ordinary:
        for j in range(width):
            stats[j] = wide_sqrt(stats[j] / n + eps)
    else:
        for j in range(width):
            stats[j] = wide_sqrt(stats[j] / n + (eps * stats[kept + j]) * stats[kept + j])
    return ordinary


def squares_combine(args, lengths):
    """1/sqrt(mean square + eps), for the gradient of rms_norm."""
    ordinary, stats = rms_divisors(args, lengths), numbers(args, STATS)
    for j in range(lengths[WIDTH]):
        stats[j] = 1.0 / stats[j] * (1.0 if ordinary else stats[lengths[KEPT] + j])


def rms_norm_combine(args, lengths):
    ordinary = rms_divisors(args, lengths)
    factors_of_divisors(lengths[WIDTH], ordinary, numbers(args, STATS), numbers(args, STATS) + lengths[KEPT])


def largest_of_pieces(args, lengths):
    stats, pieces, width = numbers(args, STATS), numbers(args, PIECES), lengths[WIDTH]
    for j in range(width):
        peak = 0.0
        for b in range(lengths[COUNT]):
            a = pieces[2 * b * width + j]
            peak = larger(peak, a)
        stats[j] = peak


# ---- normalize: the factor is 1/max(norm, eps), the norm the root of a sum, a sum, or the largest.


def norm_2_row(args, lengths):
    squares_of_piece(args, lengths, least_norm(numbers(args, PARAMETERS)[0]))


def norm_2_columns(args, lengths):
    squares_of_columns(args, lengths, least_norm(numbers(args, PARAMETERS)[0]))


def norm_factors(args, lengths, is_ordinary):
    """Replace norms by the factors."""
    stats, kept, eps, width = numbers(args, STATS), lengths[KEPT], numbers(args, PARAMETERS)[0], lengths[WIDTH]
    if is_ordinary:
        for j in range(width):
            stats[j] = larger(stats[j], eps)
    else:
        for j in range(width):
            stats[j] = larger(stats[j], eps * stats[kept + j])
    factors_of_divisors(width, is_ordinary, stats, stats + kept)


def norm_2_combine(args, lengths):
    ordinary, stats = add_up(args, lengths, True), numbers(args, STATS)
    for j in range(lengths[WIDTH]):
        stats[j] = wide_sqrt(stats[j])
    norm_factors(args, lengths, ordinary)


def norm_1_row(args, lengths):
    magnitudes_row(args, lengths)


def norm_1_columns(args, lengths):
    magnitudes_columns(args, lengths)


def norm_1_combine(args, lengths):
    norm_factors(args, lengths, add_up(args, lengths, False))


def norm_inf_row(args, lengths):
    peaks_row(args, lengths)


def norm_inf_columns(args, lengths):
    peaks_columns(args, lengths)


def norm_inf_combine(args, lengths):
    largest_of_pieces(args, lengths)
    norm_factors(args, lengths, True)


# ---- x*factor, and x*factor*weight. What is multiplied by a power of two before goes by way of y.


def scale_apply_row(args, lengths):
    x, y, n, stats = operand(args, X), output_of(args, X + 1), lengths[ROWS], numbers(args, STATS)
    factor, power = narrow(stats[0]), narrow(stats[lengths[KEPT]])
    if power == ORDINARY:
        scale_row(x, y, n, factor)
    else:
        scale_row(x, y, n, power)
        scale_row(y, y, n, factor)


def far_rows(x, x_step, y, y_step, n, rows, total, powers):
    """Leave rows in y, multiplied by powers of two for their factors, and the powers.

    Where that is not 1, the factor becomes the sum of squares; other rows' do not depend on their neighbours.
    """
    other = powers + ROWS_AT_ONCE
    for i in range(rows):
        powers[i] = power_for(total[i])
        scale_row(x + i * x_step, y + i * y_step, n, narrow(powers[i]))
        if powers[i] != 1.0:
            total[i] = sum_of_row(square_of, y + i * y_step, n, 0, other)


def norm_2_whole_row(args, lengths):
    """Whole rows that stay in the first-level cache. The other norms go piece by piece."""
    eps = numbers(args, PARAMETERS)[0]
    least, x = least_of_chains(lengths[ROWS], 0.0) - eps * eps, operand(args, X)
    y, step_y = output_of(args, X + 1), lengths[STEP + 1]
    scaled_whole_rows(unweighed, norm_2_factor, least, args, lengths, x, 0, y, step_y)


def scale_row(x, y, n, factor):
    for i in range(n):
        y[i] = x[i] * factor


def scale_rows(x, x_step, y, y_step, n, rows, factor):
    for i in range(rows):
        scale_row(x + i * x_step, y + i * y_step, n, factor[i])


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


def factors_of_columns(stats, kept, width, factor, power):
    """Return whether columns are multiplied by powers of two before."""
    for j in range(width):
        factor[j] = narrow(stats[j])
    is_far = stats[kept] != ORDINARY
    for j in range(width if is_far else 0):
        power[j] = narrow(stats[kept + j])
    return is_far


def scale_columns_past_caches(x, y, n, period, ahead, factor, room):
    """As `normalize_columns_past_caches`."""
    first = min(n, before_line(y))
    blocks = (n - first) // LANES
    scale_columns(x, y, first, factor)
    for block in range(blocks):
        i = first + block * LANES
        scale_columns(x + i, room, LANES, factor + i % period)
        stream_lanes(y + i, room, x + i + ahead)
    i = first + blocks * LANES
    scale_columns(x + i, y + i, n - i, factor + i % period)


def scale_past_caches(x, step_x, y, step_y, rows, width, factor, room):
    """As `normalize_past_caches`."""
    if are_one_block(width, step_x, step_y):
        scale_columns_past_caches(x, y, rows * width, width, STREAMED_AHEAD, factor, room)
        rows = 0
    for some in range((rows + ROWS_OF_STRIP - 1) // ROWS_OF_STRIP):
        for strip in range((width + STRIP - 1) // STRIP):
            for i in range(some * ROWS_OF_STRIP, min(rows, (some + 1) * ROWS_OF_STRIP)):
                row, source = y + i * step_y, x + i * step_x
                j, end = edge_of_strip(row, strip, width), edge_of_strip(row, strip + 1, width)
                ahead = STRIPS_AHEAD * step_x
                scale_columns_past_caches(source + j, row + j, end - j, width, ahead, factor + j, room)


def scale_apply_columns(args, lengths):
    x, y, step_x, step_y = operand(args, X), output_of(args, X + 1), lengths[STEP], lengths[STEP + 1]
    rows, width, scratch = lengths[ROWS], lengths[WIDTH], numbers(args, SCRATCH) + LANES
    room, times = reals(numbers(args, SCRATCH)), periods(width, 1, lengths[COUNT])
    factor, are_far, power = reals(scratch), scratch + times * width, reals(scratch + times * width + 1)
    is_streamed, later = lengths[COUNT] == 0, max(1, LONG_STRETCH // width)
    if not is_streamed:
        are_far[0] = factors_of_columns(numbers(args, STATS), lengths[KEPT], width, factor, power)
        repeat(factor, width, times)
    if lengths[COUNT] < 0 and are_far[0] == 0.0:
        scale_past_caches(x, step_x, y, step_y, rows, width, factor, room)
        rows = 0
    for i in range(rows):
        source, target, ahead = x + i * step_x, y + i * step_y, later * step_x if is_streamed else 0
        if are_far[0] > 0.0:
            scale_columns(source, target, width, power)
            scale_columns(target, target, width, factor)
        else:
            scale_long_columns(source, target, width, ahead, later * step_y, factor)


def weigh(x, weight, y, n, factor):
    for i in range(n):
        y[i] = (x[i] * factor) * weight[i]


def unweighed(x, weight, y, n, factor):
    scale_row(x, y, n, factor)


def scaled_long(f, x, weight, y, n, factor):
    for tile in range(n // TILE):
        i = tile * TILE
        will_write(y + i + 2 * TILE)
        f(x + i, weight + i, y + i, TILE, factor)
    i = n // TILE * TILE
    f(x + i, weight + i, y + i, n - i, factor)


def weigh_row(x, weight, y, n, factor):
    scaled_long(weigh, x, weight, y, n, factor)


def scale_and_add(f, x, weight, y, n, factor, following, ahead, total):
    """Scale a row, and leave the sum of squares of the following one in lanes, in turns.

    While results are stored, the caches bring what is read: rows of 256 to 1024 take 0.83 to 0.88 of the time.
    """
    blocks = n // (16 * CHAINS)
    clear(total, total, CHAINS)
    for block in range(blocks):
        i = block * 16 * CHAINS
        add_squares_of_row(following + i, 16 * CHAINS, ahead, total)
        scaled_long(f, x + i, weight + i, y + i, 16 * CHAINS, factor)
    i = blocks * 16 * CHAINS
    add_squares_of_row(following + i, n - i, ahead, total)
    scaled_long(f, x + i, weight + i, y + i, n - i, factor)


def scaled_rows_in_turns(f, factor_of, least, x, step, weight, weight_step, y, step_y, n, rows, eps, total):
    """Sum a row while the one before it is scaled."""
    power = total + GRID
    chained_squares_of_row(x, n, step, total)
    for i in range(rows):
        source, target, w = x + i * step, y + i * step_y, weight + i * weight_step
        factor = factor_of(square_of_chains(source, n, least, total), n, eps, 1.0)
        power[0] = power_for(factor)
        if power[0] != 1.0:
            scale_row(source, target, n, narrow(power[0]))
            source = target
            factor = factor_of(sum_of_row(square_of, target, n, 0, total), n, eps, power[0])
        if i + 1 < rows:
            scale_and_add(f, source, w, target, n, narrow(factor), x + (i + 1) * step, step, total)
        else:
            scaled_long(f, source, w, target, n, narrow(factor))


def scaled_batch(f, factor_of, least, x, step, weight, weight_step, y, step_y, n, rows, eps, total):
    """Sum some rows, and scale them."""
    squares_of_rows(x, step, n, rows, least, total)
    for i in range(rows):
        total[i] = factor_of(total[i], n, eps, 1.0)
    if far_deviations(total, rows) > 0:
        far_rows(x, step, y, step_y, n, rows, total, total + GRID)
        x, step = y, step_y
        for i in range(rows):
            power = total[GRID + i]
            total[i] = total[i] if power == 1.0 else factor_of(total[i], n, eps, power)
    for i in range(rows):
        scaled_long(f, x + i * step, weight + i * weight_step, y + i * step_y, n, narrow(total[i]))


def scaled_whole_rows(f, factor_of, least, args, lengths, weight, weight_step, y, step_y):
    """Scale whole rows that stay in the first-level cache."""
    x, step, n, rows, eps = operand(args, X), lengths[STEP], lengths[ROWS], lengths[WIDTH], numbers(args, PARAMETERS)[0]
    at_once, total = squares_at_once(n), numbers(args, SCRATCH)
    # Beyond the caches results go to a buffer, and turns gain nothing: rows of 256 take 1.1 to 1.2 of the time.
    are_cached = lengths[ELEMENTS] <= 16 * SECOND_LEVEL
    if SUM_ROUNDS == ZERO and SHORTEST_IN_TURNS <= n <= LONGEST_IN_TURNS and are_cached:
        scaled_rows_in_turns(f, factor_of, least, x, step, weight, weight_step, y, step_y, n, rows, eps, total)
        rows = 0
    for batch in range((rows + at_once - 1) // at_once):
        i = batch * at_once
        scaled_batch(
            f,
            factor_of,
            least,
            x + i * step,
            step,
            weight + i * weight_step,
            weight_step,
            y + i * step_y,
            step_y,
            n,
            min(at_once, rows - i),
            eps,
            total,
        )


def norm_2_apply_row(args, lengths):
    scale_apply_row(args, lengths)


def norm_2_apply_columns(args, lengths):
    scale_apply_columns(args, lengths)


def rms_norm_apply_row(args, lengths):
    """Arrays: x, weight, y."""
    x, weight, y, n = operand(args, X), operand(args, X + 1), output_of(args, X + 2), lengths[ROWS]
    factor, power = narrow(numbers(args, STATS)[0]), narrow(numbers(args, STATS)[lengths[KEPT]])
    if power == ORDINARY:
        weigh_row(x, weight, y, n, factor)
    else:
        scale_row(x, y, n, power)
        weigh_row(y, weight, y, n, factor)


def rms_norm_whole_row(args, lengths):
    least, weight = least_of_chains(lengths[ROWS], numbers(args, PARAMETERS)[0]), operand(args, X + 1)
    y, step_y = output_of(args, X + 2), lengths[STEP + 2]
    scaled_whole_rows(weigh, rms_factor, least, args, lengths, weight, lengths[STEP + 1], y, step_y)


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


def fill(values, n, value):
    for j in range(n):
        values[j] = value


def rms_norm_apply_columns(args, lengths):
    """Take one weight for each row of columns. Past the caches it is layer_norm without mean and bias."""
    x, weight, y, weight_step = operand(args, X), operand(args, X + 1), output_of(args, X + 2), lengths[STEP + 1]
    step_x, step_y, rows, width = lengths[STEP], lengths[STEP + 2], lengths[ROWS], lengths[WIDTH]
    room, scratch = reals(numbers(args, SCRATCH)), numbers(args, SCRATCH) + LANES
    times = periods(width, 1, lengths[COUNT])
    factor, mean, rest = reals(scratch), reals(scratch + times * width), reals(scratch + 2 * times * width)
    are_far, power = scratch + 3 * times * width, reals(scratch + 3 * times * width + 1)
    is_streamed, later = lengths[COUNT] == 0, max(1, LONG_STRETCH // width)
    if not is_streamed:
        are_far[0] = factors_of_columns(numbers(args, STATS), lengths[KEPT], width, factor, power)
    if lengths[COUNT] < 0 and are_far[0] == 0.0:
        # Adding -0.0 keeps the sign of zeros.
        repeat(factor, width, times)
        fill(mean, times * width, ZERO)
        fill(rest, times * width, -ZERO)
        layer_norm_past_caches(
            x, step_x, y, step_y, rows, width, mean, factor, rest, weight, weight_step, rest, 0, room
        )
        rows = 0
    for i in range(rows):
        source, target, scalar = x + i * step_x, y + i * step_y, weight[i * weight_step]
        if are_far[0] > 0.0:
            scale_columns(source, target, width, power)
            weigh_columns(target, scalar, target, width, factor)
        else:
            ahead = later * step_x if is_streamed else 0
            weigh_long_columns(source, scalar, target, width, ahead, later * step_y, factor)


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
