"""Gradients of layer_norm and rms_norm where rows are contiguous: of x, and of weight and bias, in one go.

Some rows at a time, as many as stay in the cache: their moments and the sums of g = dy*weight and g*(x - mean) (see
gradients.py), then dx, and while dy and x are in registers the sums of dy and dy*z along the columns, where
z = (x - mean)*scale. Arrays: dy, x, weight (of one row), dx. Piece: the sums of dy, then those of dy*z, of one batch of
rows. Parameters: eps.
"""


def gradients_at_once(n):
    """Return how many rows are worked on together."""
    return max(4, min(ROWS_AT_ONCE, 2 * FEW_ELEMENTS // n // 4 * 4))


# ---- float32: the moments of a row (chains.py) and, about the same centers, in the same read, the sums of its slopes.
# What lies between a center and the mean is exact in binary64, for slopes as for squares.


def all_sums_of_4(dy, x, weight, center):
    """Return the sums of d, d*d, g and g*d of four elements that are `CHAINS` apart."""
    a, b, c, d = x[0] - center, x[CHAINS] - center, x[2 * CHAINS] - center, x[3 * CHAINS] - center
    e, f = dy[0] * weight[0], dy[CHAINS] * weight[CHAINS]
    g, h = dy[2 * CHAINS] * weight[2 * CHAINS], dy[3 * CHAINS] * weight[3 * CHAINS]
    q = multiply_add(d, d, multiply_add(c, c, multiply_add(b, b, a * a)))
    p = multiply_add(h, d, multiply_add(g, c, multiply_add(f, b, e * a)))
    return (a + b) + (c + d), q, (e + f) + (g + h), p


def all_sums_of_8(dy, x, weight, center):
    s, q, t, p = all_sums_of_4(dy, x, weight, center)
    i = 4 * CHAINS
    s_more, q_more, t_more, p_more = all_sums_of_4(dy + i, x + i, weight + i, center)
    return s + s_more, q + q_more, t + t_more, p + p_more


def all_sums_of_16(dy, x, weight, center):
    s, q, t, p = all_sums_of_8(dy, x, weight, center)
    i = 8 * CHAINS
    s_more, q_more, t_more, p_more = all_sums_of_8(dy + i, x + i, weight + i, center)
    return s + s_more, q + q_more, t + t_more, p + p_more


def all_about(c, center, n, s, q, t, p):
    """Return the sums about c, see `about`."""
    total, square = about(c, center, n, s, q)
    return total, square, wide_multiply_add(wide_sum(center, -c), t, p)


def add_all_of_4(dy, x, weight, c, total, square, slope, product):
    for j in range(CHAINS):
        center = shortened(((x[j] + x[CHAINS + j]) + (x[2 * CHAINS + j] + x[3 * CHAINS + j])) * QUARTER)
        s, q, t, p = all_sums_of_4(dy + j, x + j, weight + j, center)
        s_wide, q_wide, p_wide = all_about(c, center, 4.0, s, q, t, p)
        total[j] = total[j] + s_wide
        square[j] = square[j] + q_wide
        slope[j] = slope[j] + t
        product[j] = product[j] + p_wide


def add_all_of_8(dy, x, weight, c, total, square, slope, product):
    for j in range(CHAINS):
        center = shortened(sum_of_8(x + j, CHAINS) * EIGHTH)
        s, q, t, p = all_sums_of_8(dy + j, x + j, weight + j, center)
        s_wide, q_wide, p_wide = all_about(c, center, 8.0, s, q, t, p)
        total[j] = total[j] + s_wide
        square[j] = square[j] + q_wide
        slope[j] = slope[j] + t
        product[j] = product[j] + p_wide


def add_all_of_16(dy, x, weight, c, total, square, slope, product):
    for j in range(CHAINS):
        center = shortened(sum_of_16(x + j, CHAINS) * SIXTEENTH)
        s, q, t, p = all_sums_of_16(dy + j, x + j, weight + j, center)
        s_wide, q_wide, p_wide = all_about(c, center, 16.0, s, q, t, p)
        total[j] = total[j] + s_wide
        square[j] = square[j] + q_wide
        slope[j] = slope[j] + t
        product[j] = product[j] + p_wide


def add_all(dy, x, weight, c, total, square, slope, product):
    for j in range(CHAINS):
        d, g = wide_sum(x[j], -c), wide_of(dy[j]) * wide_of(weight[j])
        total[j] = total[j] + d
        square[j] = wide_multiply_add(d, d, square[j])
        slope[j] = slope[j] + g
        product[j] = wide_multiply_add(g, d, product[j])


def all_sums_of_row(dy, x, weight, n, c, total, square, slope, product, padded):
    """Leave the four sums, each in `CHAINS` lanes."""
    clear(total, square, CHAINS)
    clear(slope, product, CHAINS)
    for block in range(n // (16 * CHAINS)):
        i = block * 16 * CHAINS
        add_all_of_16(dy + i, x + i, weight + i, c, total, square, slope, product)
    i = n // (16 * CHAINS) * (16 * CHAINS)
    if n - i >= 8 * CHAINS:
        add_all_of_8(dy + i, x + i, weight + i, c, total, square, slope, product)
        i = i + 8 * CHAINS
    if n - i >= 4 * CHAINS:
        add_all_of_4(dy + i, x + i, weight + i, c, total, square, slope, product)
        i = i + 4 * CHAINS
    for block in range(i // CHAINS, n // CHAINS):
        i = block * CHAINS
        add_all(dy + i, x + i, weight + i, c, total, square, slope, product)
    if n % CHAINS > 0:
        i = n // CHAINS * CHAINS
        pad_lanes(padded, dy + i, n - i, ZERO)
        pad_lanes(padded + LANES, x + i, n - i, c)
        pad_lanes(padded + 2 * LANES, weight + i, n - i, ZERO)
        add_all(padded, padded + LANES, padded + 2 * LANES, c, total, square, slope, product)


def about_means(c, stats, rows, slope, product):
    """Move the sums of g*(x - c) to the means."""
    for i in range(rows):
        shift = (stats[i] - wide_of(c[i])) + stats[ROWS_AT_ONCE + i]
        product[i] = product[i] - shift * slope[i]


def are_exact(slope, product, least):
    """Return whether no product of float32 overflowed, or lost digits that the sum shows."""
    return in_range(slope, product) and least <= wide_magnitude(product)


def all_sums_of_rows(dy, x, weight, n, rows, eps, scratch):
    """Return the statistics of rows; the sums of g and g*(x - mean) are left in scratch, `GRID` apart."""
    lanes, stats, four = scratch + 2 * GRID, scratch + 5 * GRID, scratch + 5 * GRID + 4 * ROWS_AT_ONCE
    total, square, slope, product = lanes, lanes + GRID // 4, lanes + GRID // 2, lanes + 3 * (GRID // 4)
    c, padded = reals(scratch + 4 * GRID), reals(scratch + 4 * GRID + MOST_ROWS)
    slopes, products = scratch + 4 * GRID + 4 * LANES, scratch + 4 * GRID + 6 * LANES
    centers(x, n, rows, c)
    for i in range(rows):
        k, j = i * n, i * FOLDED
        all_sums_of_row(
            dy + k, x + k, weight, n, c[i], four, four + CHAINS, four + 2 * CHAINS, four + 3 * CHAINS, padded
        )
        add_halves(four, total + j)
        add_halves(four + CHAINS, square + j)
        add_halves(four + 2 * CHAINS, slope + j)
        add_halves(four + 3 * CHAINS, product + j)
    fold_eight(total, scratch, rows)
    fold_eight(square, scratch + GRID, rows)
    fold_eight(slope, slopes, rows)
    fold_eight(product, products, rows)
    rows_without_chains(x, n, n, rows, c, scratch, padded, eps)
    mean_low, inside, factor = stats + ROWS_AT_ONCE, stats + 2 * ROWS_AT_ONCE, stats + 3 * ROWS_AT_ONCE
    statistics_of_rows(rows, n, c, scratch, scratch + GRID, stats, mean_low, inside)
    inverse_deviations(rows, n, inside, eps, factor)
    about_means(c, stats, rows, slopes, products)
    least = wide_of(n) * 1.1754943508222875e-38
    for i in range(rows):
        scratch[i], scratch[GRID + i] = slopes[i], products[i]
        if not are_exact(slopes[i], products[i], least):
            mean, low = mean_parts(stats + i, ROWS_AT_ONCE)
            weighted_products_of_row(dy + i * n, x + i * n, weight, n, mean, low, lanes, lanes + LANES)
            scratch[i], scratch[GRID + i] = both_sums(lanes)
    return stats


# ---- rms_norm, and float64: one after the other.


def root_mean_squares(x, n, rows, eps, scratch):
    """Return statistics as `whole_moments_of_rows` does, for rms_norm: the mean is 0."""
    stats, least = scratch + 5 * GRID, least_of_sums(n, eps)
    squares_of_rows(x, n, n, rows, least_of_chains(n, 0.0), scratch)
    for i in range(rows):
        power = power_for_sum(scratch[i]) if leaves_binary64(scratch[i], least) else 1.0
        total = scratch[i] if power == 1.0 else sum_with_power(square_of, x + i * n, 1, n, power)
        stats[i] = 0.0
        stats[ROWS_AT_ONCE + i] = 0.0
        stats[3 * ROWS_AT_ONCE + i] = rms_factor(total, n, eps, power) * power
    return stats


def centers_of_rows(stats, rows, mean, mean_low, scale):
    for i in range(rows):
        mean[i], mean_low[i] = mean_parts(stats + i, ROWS_AT_ONCE)
        scale[i] = narrow(stats[3 * ROWS_AT_ONCE + i])


def parts_of_gradients(total, product, stats, n, rows, mean_low, scale, c1, c2, rest):
    """Leave c1, c2 and rest of dx = (g - c1 - z*c2)*scale, z = (x - mean)*scale + rest, from the sums of g and g*d."""
    for i in range(rows):
        c1[i] = narrow(total[i] * (1.0 / n))
        c2[i] = narrow(product[i] * (stats[3 * ROWS_AT_ONCE + i] / n))
        rest[i] = -mean_low[i] * scale[i]


def grad_of_4_rows(dy, x, weight, dx, step, width, mean, scale, rest, c1, c2, total, product):
    """Write dx of four rows, and add their dy and dy*z to the columns' sums."""
    for j in range(width):
        a, b = normalized(x[j], mean[0], scale[0], rest[0]), normalized(x[step + j], mean[1], scale[1], rest[1])
        c = normalized(x[2 * step + j], mean[2], scale[2], rest[2])
        d = normalized(x[3 * step + j], mean[3], scale[3], rest[3])
        p = multiply_add(dy[step + j], b, dy[j] * a)
        p = multiply_add(dy[3 * step + j], d, multiply_add(dy[2 * step + j], c, p))
        total[j] = total[j] + ((dy[j] + dy[step + j]) + (dy[2 * step + j] + dy[3 * step + j]))
        product[j] = product[j] + p
        dx[j] = fma(-c2[0], a, dy[j] * weight[j] - c1[0]) * scale[0]
        dx[step + j] = fma(-c2[1], b, dy[step + j] * weight[j] - c1[1]) * scale[1]
        dx[2 * step + j] = fma(-c2[2], c, dy[2 * step + j] * weight[j] - c1[2]) * scale[2]
        dx[3 * step + j] = fma(-c2[3], d, dy[3 * step + j] * weight[j] - c1[3]) * scale[3]


def grad_of_row(dy, x, weight, dx, width, mean, scale, rest, c1, c2, total, product):
    for j in range(width):
        z = normalized(x[j], mean, scale, rest)
        total[j] = total[j] + dy[j]
        product[j] = product[j] + dy[j] * z
        dx[j] = fma(-c2, z, dy[j] * weight[j] - c1) * scale


def grad_of_tile(dy, x, weight, dx, n, width, rows, mean, scale, rest, c1, c2, total, product):
    for four in range(rows // 4):
        i = 4 * four
        k = i * n
        grad_of_4_rows(
            dy + k, x + k, weight, dx + k, n, width, mean + i, scale + i, rest + i, c1 + i, c2 + i, total, product
        )
    for i in range(rows // 4 * 4, rows):
        k = i * n
        grad_of_row(dy + k, x + k, weight, dx + k, width, mean[i], scale[i], rest[i], c1[i], c2[i], total, product)


def columns_before_line(dx, n):
    """Return how many columns there are before a cache line, where all rows begin so and are long.

    They go by themselves: of vectors that lie on two lines each, (256, 4096) takes 1.3 times as long.
    """
    return before_line(dx) if n >= GRADIENT_TILE and n % LANES == 0 else 0


def grad_of_rows(dy, x, weight, dx, n, rows, mean, scale, rest, c1, c2, total, product):
    """Write dx of some rows, by tiles of columns: their sums stay in the first-level cache."""
    j = 0
    while j < n:
        width = min(GRADIENT_TILE, n - j)
        if j == 0 and columns_before_line(dx, n) > 0:
            width = columns_before_line(dx, n)
        grad_of_tile(
            dy + j, x + j, weight + j, dx + j, n, width, rows, mean, scale, rest, c1, c2, total + j, product + j
        )
        j += width


def grad_rows(args, lengths, is_centered):
    dy, x, weight, dx = operand(args, X), operand(args, X + 1), operand(args, X + 2), output_of(args, X + 3)
    n, rows, eps, scratch = lengths[ROWS], lengths[WIDTH], numbers(args, PARAMETERS)[0], numbers(args, SCRATCH)
    total, product = numbers(args, PIECES), numbers(args, PIECES) + n
    c1, other = reals(scratch + 5 * GRID + 8 * ROWS_AT_ONCE), scratch + 6 * GRID
    c2, rest, facts = c1 + ROWS_AT_ONCE, c1 + 2 * ROWS_AT_ONCE, reals(other + 2 * n)
    at_once = gradients_at_once(n)
    clear(total, product, n)
    for batch in range((rows + at_once - 1) // at_once):
        first = batch * at_once
        some, k = min(at_once, rows - first), first * n
        mean, mean_low, scale = facts + first, facts + rows + first, facts + 2 * rows + first
        if is_centered and SUM_ROUNDS == ZERO:
            stats = all_sums_of_rows(dy + k, x + k, weight, n, some, eps, scratch)
        elif is_centered:
            stats = whole_moments_of_rows(x + k, n, n, some, 0, scratch, eps)
        else:
            stats = root_mean_squares(x + k, n, some, eps, scratch)
        centers_of_rows(stats, some, mean, mean_low, scale)
        if SUM_ROUNDS > ZERO or not is_centered:
            products_of_weighted_rows(dy + k, n, x + k, n, weight, 0, n, some, mean, mean_low, scale, scratch)
        parts_of_gradients(scratch, scratch + GRID, stats, n, some, mean_low, scale, c1, c2, rest)
        for i in range(0 if is_centered else some):
            c1[i] = ZERO
        grad_of_rows(dy + k, x + k, weight, dx + k, n, some, mean, scale, rest, c1, c2, total, product)
    if count_out_of_range(n, total, product) > 0:
        clear(other, other + n, n)
        normalized_columns(dy, n, x, n, facts, facts + rows, facts + 2 * rows, 1, rows, n, other, other + n)
        replace_out_of_range(n, total, product, other, other + n)


def grad_layer_norm_rows(args, lengths):
    grad_rows(args, lengths, True)


def grad_rms_norm_rows(args, lengths):
    grad_rows(args, lengths, False)


def add_batch(sums, width, total, low):
    for j in range(width):
        total[j], low[j] = accumulate(total[j], low[j], sums[j], 0.0)


def round_sums(width, total, low, y):
    for j in range(width):
        y[j] = narrow(whole_sum(total[j], low[j]))


def grad_weights_of_batches(args, lengths):
    """Add up some columns of batches, in their order. Arrays: the gradients of weight and bias."""
    pieces, n, width, low = numbers(args, PIECES), lengths[ROWS], lengths[WIDTH], numbers(args, SCRATCH)
    clear(low, low + width, width)
    for b in range(1, lengths[COUNT]):
        add_batch(pieces + 2 * b * n, width, pieces, low)
        add_batch(pieces + (2 * b + 1) * n, width, pieces + n, low + width)
    round_sums(width, pieces, low, output_of(args, X + 1))
    round_sums(width, pieces + n, low + width, output_of(args, X))
