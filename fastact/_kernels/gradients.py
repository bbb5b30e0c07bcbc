"""Gradients of the normalizations: kernels for a row and for a block of columns.

Two passes. The first sums g and g*d along the row, where g is dy (times the weight, where that varies along the row)
and d = x - mean. The second is dx = (g - c1 - d*c2)*scale, c1 and c2 being those sums times what is known of the row.
Statistics: mean in two parts, sum(g), sum(g*d), c1, c2, scale. The last three come in as the factors of the sums.
"""


# ---- sum(g) and sum(g*d). Arrays: dy, x; then the weight.


def products_of_row(dy, x, n, mean, mean_low, total, product):
    clear(total, product, LANES)
    whole = n // LANES * LANES
    for block in range(n // LANES):
        i = block * LANES
        for j in range(LANES):
            g = wide_of(dy[i + j])
            total[j] = total[j] + g
            product[j] = wide_multiply_add(g, (x[i + j] - mean) - mean_low, product[j])
    for j in range(n - whole):
        g = wide_of(dy[whole + j])
        total[j] = total[j] + g
        product[j] = wide_multiply_add(g, (x[whole + j] - mean) - mean_low, product[j])


def weighted_products_of_row(dy, x, weight, n, mean, mean_low, total, product):
    clear(total, product, LANES)
    whole = n // LANES * LANES
    for block in range(n // LANES):
        i = block * LANES
        for j in range(LANES):
            g = wide_of(dy[i + j]) * wide_of(weight[i + j])
            total[j] = total[j] + g
            product[j] = wide_multiply_add(g, (x[i + j] - mean) - mean_low, product[j])
    for j in range(n - whole):
        g = wide_of(dy[whole + j]) * wide_of(weight[whole + j])
        total[j] = total[j] + g
        product[j] = wide_multiply_add(g, (x[whole + j] - mean) - mean_low, product[j])


def both_sums(lanes):
    """Return the sums of two rows of lanes: folded together, one waits for no addition of the other."""
    fold_sums(lanes, lanes + 2 * LANES, 2)
    return lanes[2 * LANES], lanes[2 * LANES + 1]


def products_row(args, lengths):
    scratch, piece = numbers(args, SCRATCH), numbers(args, PIECES)
    mean, mean_low = mean_parts(numbers(args, STATS), lengths[KEPT])
    products_of_row(operand(args, X), operand(args, X + 1), lengths[ROWS], mean, mean_low, scratch, scratch + LANES)
    piece[0], piece[1] = both_sums(scratch)


def weighted_products_row(args, lengths):
    dy, x, weight, n = operand(args, X), operand(args, X + 1), operand(args, X + 2), lengths[ROWS]
    scratch, piece = numbers(args, SCRATCH), numbers(args, PIECES)
    facts = reals(scratch + 5 * GRID)
    facts_of_rows(numbers(args, STATS), lengths[KEPT], 1, facts, facts + 1, facts + 2)
    products_of_weighted_rows(dy, n, x, n, weight, n, n, 1, facts, facts + 1, facts + 2, scratch)
    piece[0], piece[1] = scratch[0], scratch[GRID]


def add_products(dy, x, width, mean, mean_low, total, product):
    for j in range(width):
        g = wide_of(dy[j])
        total[j] = total[j] + g
        product[j] = wide_multiply_add(g, (x[j] - mean[j]) - mean_low[j], product[j])


def add_weighted_products(dy, x, weight, width, mean, mean_low, total, product):
    for j in range(width):
        g = wide_of(dy[j]) * wide_of(weight)
        total[j] = total[j] + g
        product[j] = wide_multiply_add(g, (x[j] - mean[j]) - mean_low[j], product[j])


def products_columns(args, lengths):
    dy, x, width, piece = operand(args, X), operand(args, X + 1), lengths[WIDTH], numbers(args, PIECES)
    mean, mean_low = reals(numbers(args, SCRATCH)), reals(numbers(args, SCRATCH) + width)
    for j in range(width):
        mean[j], mean_low[j] = mean_parts(numbers(args, STATS) + j, lengths[KEPT])
    clear(piece, piece + width, width)
    for i in range(lengths[ROWS]):
        add_products(dy + i * lengths[STEP], x + i * lengths[STEP + 1], width, mean, mean_low, piece, piece + width)


def weighted_products_columns(args, lengths):
    """Take one weight for each row of columns."""
    dy, x, weight = operand(args, X), operand(args, X + 1), operand(args, X + 2)
    dy_step, x_step, weight_step = lengths[STEP], lengths[STEP + 1], lengths[STEP + 2]
    rows, width, total, scratch = lengths[ROWS], lengths[WIDTH], numbers(args, PIECES), numbers(args, SCRATCH)
    mean, mean_low, scale, product = reals(scratch), reals(scratch + width), reals(scratch + 2 * width), total + width
    facts_of_rows(numbers(args, STATS), lengths[KEPT], width, mean, mean_low, scale)
    clear(total, product, width)
    for i in range(rows // 8):
        add_8_weighted_of_columns(
            dy + 8 * i * dy_step,
            dy_step,
            x + 8 * i * x_step,
            x_step,
            weight + 8 * i * weight_step,
            weight_step,
            width,
            mean,
            mean_low,
            scale,
            total,
            product,
        )
    for i in range(rows // 8 * 8, rows):
        some_dy, some_x, scalar = dy + i * dy_step, x + i * x_step, weight[i * weight_step]
        add_weighted_of_columns(some_dy, some_x, scalar, width, mean, mean_low, scale, total, product)
    unscale(width, product, scale)
    if count_out_of_range(width, total, product) > 0:
        wide_total, wide_product = scratch + 3 * width, scratch + 4 * width
        clear(wide_total, wide_product, width)
        for i in range(rows):
            some_dy, some_x, scalar = dy + i * dy_step, x + i * x_step, weight[i * weight_step]
            add_weighted_products(some_dy, some_x, scalar, width, mean, mean_low, wide_total, wide_product)
        replace_out_of_range(width, total, product, wide_total, wide_product)


# Where the deviations have a scale: a few terms in the arrays' precision, then one addition in binary64 (chains.py).
# What dy is multiplied by is about 1: no product leaves float32 if dy does not. Sums that did so, or are NaN, are made
# again.


def deviation(x, mean, mean_low, scale):
    return ((x - mean) - mean_low) * scale


def slopes_of_4(dy, dy_step, x, x_step, mean, mean_low, scale):
    """Return sum(dy) and sum(dy*z), z the scaled deviations."""
    p = dy[0] * deviation(x[0], mean, mean_low, scale)
    p = multiply_add(dy[dy_step], deviation(x[x_step], mean, mean_low, scale), p)
    p = multiply_add(dy[2 * dy_step], deviation(x[2 * x_step], mean, mean_low, scale), p)
    p = multiply_add(dy[3 * dy_step], deviation(x[3 * x_step], mean, mean_low, scale), p)
    return (dy[0] + dy[dy_step]) + (dy[2 * dy_step] + dy[3 * dy_step]), p


def weighted_slopes_of_4(dy, dy_step, x, x_step, weight, weight_step, mean, mean_low, scale):
    """Do the same with dy*weight."""
    a, b = dy[0] * weight[0], dy[dy_step] * weight[weight_step]
    c, d = dy[2 * dy_step] * weight[2 * weight_step], dy[3 * dy_step] * weight[3 * weight_step]
    p = a * deviation(x[0], mean, mean_low, scale)
    p = multiply_add(b, deviation(x[x_step], mean, mean_low, scale), p)
    p = multiply_add(c, deviation(x[2 * x_step], mean, mean_low, scale), p)
    p = multiply_add(d, deviation(x[3 * x_step], mean, mean_low, scale), p)
    return (a + b) + (c + d), p


def in_range(total, product):
    return wide_magnitude(total) <= LARGEST and wide_magnitude(product) <= LARGEST


def count_out_of_range(width, total, product):
    few = 0
    for j in range(width):
        few = few + (0 if in_range(total[j], product[j]) else 1)
    return few


def replace_out_of_range(width, total, product, other_total, other_product):
    for j in range(width):
        fits = in_range(total[j], product[j])
        total[j] = total[j] if fits else other_total[j]
        product[j] = product[j] if fits else other_product[j]


def unscale(width, product, scale):
    for j in range(width):
        product[j] = product[j] / scale[j]


def add_8_slopes_of_columns(dy, dy_step, x, x_step, width, mean, mean_low, scale, total, product):
    for j in range(width):
        s, p = slopes_of_4(dy + j, dy_step, x + j, x_step, mean[j], mean_low[j], scale[j])
        t, q = slopes_of_4(dy + 4 * dy_step + j, dy_step, x + 4 * x_step + j, x_step, mean[j], mean_low[j], scale[j])
        total[j] = total[j] + (s + t)
        product[j] = product[j] + (p + q)


def add_slopes_of_columns(dy, x, width, mean, mean_low, scale, total, product):
    for j in range(width):
        total[j] = total[j] + dy[j]
        product[j] = product[j] + dy[j] * deviation(x[j], mean[j], mean_low[j], scale[j])


def normal_products_row(args, lengths):
    products_row(args, lengths)


def normal_products_columns(args, lengths):
    """As `products_columns`, by chains."""
    dy, x, dy_step, x_step = operand(args, X), operand(args, X + 1), lengths[STEP], lengths[STEP + 1]
    rows, width, total, scratch = lengths[ROWS], lengths[WIDTH], numbers(args, PIECES), numbers(args, SCRATCH)
    mean, mean_low, scale, product = reals(scratch), reals(scratch + width), reals(scratch + 2 * width), total + width
    facts_of_rows(numbers(args, STATS), lengths[KEPT], width, mean, mean_low, scale)
    clear(total, product, width)
    for i in range(rows // 8):
        some_dy, some_x = dy + 8 * i * dy_step, x + 8 * i * x_step
        add_8_slopes_of_columns(some_dy, dy_step, some_x, x_step, width, mean, mean_low, scale, total, product)
    for i in range(rows // 8 * 8, rows):
        add_slopes_of_columns(dy + i * dy_step, x + i * x_step, width, mean, mean_low, scale, total, product)
    unscale(width, product, scale)
    if count_out_of_range(width, total, product) > 0:
        wide_total, wide_product = scratch + 3 * width, scratch + 4 * width
        clear(wide_total, wide_product, width)
        for i in range(rows):
            add_products(dy + i * dy_step, x + i * x_step, width, mean, mean_low, wide_total, wide_product)
        replace_out_of_range(width, total, product, wide_total, wide_product)


def add_8_weighted_of_columns(
    dy, dy_step, x, x_step, weight, weight_step, width, mean, mean_low, scale, total, product
):
    for j in range(width):
        s, p = weighted_slopes_of_4(dy + j, dy_step, x + j, x_step, weight, weight_step, mean[j], mean_low[j], scale[j])
        t, q = weighted_slopes_of_4(
            dy + 4 * dy_step + j,
            dy_step,
            x + 4 * x_step + j,
            x_step,
            weight + 4 * weight_step,
            weight_step,
            mean[j],
            mean_low[j],
            scale[j],
        )
        total[j] = total[j] + (s + t)
        product[j] = product[j] + (p + q)


def add_weighted_of_columns(dy, x, weight, width, mean, mean_low, scale, total, product):
    for j in range(width):
        g = dy[j] * weight
        total[j] = total[j] + g
        product[j] = product[j] + g * deviation(x[j], mean[j], mean_low[j], scale[j])


# Of a row, z = (x - mean)*scale + rest, where rest = -mean_low*scale: an operation less.


def scaled_slopes_of_4(dy, x, weight, mean, scale, rest):
    """Return sum(g) and sum(g*z) of four elements that are `CHAINS` apart."""
    a, b = dy[0] * weight[0], dy[CHAINS] * weight[CHAINS]
    c, d = dy[2 * CHAINS] * weight[2 * CHAINS], dy[3 * CHAINS] * weight[3 * CHAINS]
    p = a * normalized(x[0], mean, scale, rest)
    p = multiply_add(b, normalized(x[CHAINS], mean, scale, rest), p)
    p = multiply_add(c, normalized(x[2 * CHAINS], mean, scale, rest), p)
    p = multiply_add(d, normalized(x[3 * CHAINS], mean, scale, rest), p)
    return (a + b) + (c + d), p


def scaled_slopes_of_16(dy, x, weight, mean, scale, rest):
    s, p = scaled_slopes_of_4(dy, x, weight, mean, scale, rest)
    i = 4 * CHAINS
    t, q = scaled_slopes_of_4(dy + i, x + i, weight + i, mean, scale, rest)
    s, p = s + t, p + q
    i = 8 * CHAINS
    t, q = scaled_slopes_of_4(dy + i, x + i, weight + i, mean, scale, rest)
    i = 12 * CHAINS
    u, r = scaled_slopes_of_4(dy + i, x + i, weight + i, mean, scale, rest)
    return s + (t + u), p + (q + r)


def add_16_weighted_of_row(dy, x, weight, mean, scale, rest, total, product):
    for j in range(CHAINS):
        s, p = scaled_slopes_of_16(dy + j, x + j, weight + j, mean, scale, rest)
        total[j] = total[j] + s
        product[j] = product[j] + p


def add_4_weighted_of_row(dy, x, weight, mean, scale, rest, total, product):
    for j in range(CHAINS):
        s, p = scaled_slopes_of_4(dy + j, x + j, weight + j, mean, scale, rest)
        total[j] = total[j] + s
        product[j] = product[j] + p


def add_weighted_of_row(dy, x, weight, mean, scale, rest, total, product):
    for j in range(CHAINS):
        g = dy[j] * weight[j]
        total[j] = total[j] + g
        product[j] = product[j] + g * normalized(x[j], mean, scale, rest)


def chained_products_of_weighted_row(dy, x, weight, n, mean, scale, rest, total, product, padded):
    """Leave sum(g) and sum(g*z) in `CHAINS` lanes."""
    clear(total, product, CHAINS)
    for block in range(n // (16 * CHAINS)):
        i = block * 16 * CHAINS
        add_16_weighted_of_row(dy + i, x + i, weight + i, mean, scale, rest, total, product)
    for block in range(n // (16 * CHAINS) * 4, n // (4 * CHAINS)):
        i = block * 4 * CHAINS
        add_4_weighted_of_row(dy + i, x + i, weight + i, mean, scale, rest, total, product)
    for block in range(n // (4 * CHAINS) * 4, n // CHAINS):
        i = block * CHAINS
        add_weighted_of_row(dy + i, x + i, weight + i, mean, scale, rest, total, product)
    if n % CHAINS > 0:
        i = n // CHAINS * CHAINS
        pad_lanes(padded, dy + i, n - i, ZERO)
        pad_lanes(padded + LANES, x + i, n - i, mean)
        pad_lanes(padded + 2 * LANES, weight + i, n - i, ZERO)
        add_weighted_of_row(padded, padded + LANES, padded + 2 * LANES, mean, scale, rest, total, product)


def products_of_weighted_rows(dy, dy_step, x, x_step, weight, weight_step, n, rows, mean, mean_low, scale, scratch):
    """Leave sum(g) and sum(g*d) of at most ROWS_AT_ONCE rows in scratch, GRID apart; as many as the cache holds."""
    padded, lanes = reals(scratch + 3 * GRID), scratch + 4 * GRID
    for i in range(rows):
        chained_products_of_weighted_row(
            dy + i * dy_step,
            x + i * x_step,
            weight + i * weight_step,
            n,
            mean[i],
            scale[i],
            -mean_low[i] * scale[i],
            scratch + i * CHAINS,
            scratch + GRID + i * CHAINS,
            padded,
        )
    fold_chains(scratch, scratch + 2 * GRID, rows)
    fold_chains(scratch + GRID, scratch + 2 * GRID, rows)
    unscale(rows, scratch + GRID, scale)
    for i in range(rows if count_out_of_range(rows, scratch, scratch + GRID) > 0 else 0):
        if not in_range(scratch[i], scratch[GRID + i]):
            row, g, weights = x + i * x_step, dy + i * dy_step, weight + i * weight_step
            weighted_products_of_row(g, row, weights, n, mean[i], mean_low[i], lanes, lanes + LANES)
            scratch[i], scratch[GRID + i] = both_sums(lanes)


def combine_products(args, lengths):
    pieces, stats, kept, width = numbers(args, PIECES), numbers(args, STATS), lengths[KEPT], lengths[WIDTH]
    for j in range(width):
        total = 0.0
        total_low = 0.0
        product = 0.0
        product_low = 0.0
        for b in range(lengths[COUNT]):
            total, total_low = accumulate_always(total, total_low, pieces[2 * b * width + j])
            product, product_low = accumulate_always(product, product_low, pieces[(2 * b + 1) * width + j])
        total = total + total_low
        product = product + product_low
        stats[2 * kept + j] = total
        stats[3 * kept + j] = product
        stats[4 * kept + j] = total * stats[4 * kept + j]
        stats[5 * kept + j] = product * stats[5 * kept + j]


def products_combine(args, lengths):
    combine_products(args, lengths)


def normal_products_combine(args, lengths):
    combine_products(args, lengths)


def weighted_products_combine(args, lengths):
    combine_products(args, lengths)


# ---- dx. Arrays: dy, x, dx; or dy, x, weight, dx.


def grad_normalized(g, x, mean, mean_low, c1, c2, scale):
    return fma(-c2, (x - mean) - mean_low, g - c1) * scale


def grad_normalize_apply_row(args, lengths):
    dy, x, dx = operand(args, X), operand(args, X + 1), output_of(args, X + 2)
    stats, kept = numbers(args, STATS), lengths[KEPT]
    mean, mean_low = mean_parts(stats, kept)
    c1, c2, scale = narrow(stats[4 * kept]), narrow(stats[5 * kept]), narrow(stats[6 * kept])
    for i in range(lengths[ROWS]):
        dx[i] = grad_normalized(dy[i], x[i], mean, mean_low, c1, c2, scale)


def grad_weighted_row(dy, x, weight, dx, n, mean, mean_low, c1, c2, scale):
    for i in range(n):
        dx[i] = grad_normalized(dy[i] * weight[i], x[i], mean, mean_low, c1, c2, scale)


def grad_weighted_apply_row(args, lengths):
    dy, x, weight, dx = operand(args, X), operand(args, X + 1), operand(args, X + 2), output_of(args, X + 3)
    stats, kept = numbers(args, STATS), lengths[KEPT]
    mean, mean_low = mean_parts(stats, kept)
    c1, c2, scale = narrow(stats[4 * kept]), narrow(stats[5 * kept]), narrow(stats[6 * kept])
    grad_weighted_row(dy, x, weight, dx, lengths[ROWS], mean, mean_low, c1, c2, scale)


def row_facts(args, lengths, mean, mean_low, c1, c2, scale):
    stats, kept = numbers(args, STATS), lengths[KEPT]
    for j in range(lengths[WIDTH] if lengths[COUNT] > 0 else 0):
        mean[j], mean_low[j] = mean_parts(stats + j, kept)
        c1[j], c2[j] = narrow(stats[4 * kept + j]), narrow(stats[5 * kept + j])
        scale[j] = narrow(stats[6 * kept + j])


def grad_normalize_columns(dy, x, dx, width, mean, mean_low, c1, c2, scale):
    for j in range(width):
        dx[j] = grad_normalized(dy[j], x[j], mean[j], mean_low[j], c1[j], c2[j], scale[j])


def grad_normalize_apply_columns(args, lengths):
    dy, x, dx = operand(args, X), operand(args, X + 1), output_of(args, X + 2)
    width, scratch = lengths[WIDTH], numbers(args, SCRATCH)
    mean, mean_low, c1 = reals(scratch), reals(scratch + width), reals(scratch + 2 * width)
    c2, scale = reals(scratch + 3 * width), reals(scratch + 4 * width)
    row_facts(args, lengths, mean, mean_low, c1, c2, scale)
    for i in range(lengths[ROWS]):
        grad_normalize_columns(
            dy + i * lengths[STEP],
            x + i * lengths[STEP + 1],
            dx + i * lengths[STEP + 2],
            width,
            mean,
            mean_low,
            c1,
            c2,
            scale,
        )


def grad_weighted_columns(dy, x, weight, dx, width, mean, mean_low, c1, c2, scale):
    for j in range(width):
        dx[j] = grad_normalized(dy[j] * weight, x[j], mean[j], mean_low[j], c1[j], c2[j], scale[j])


def grad_weighted_apply_columns(args, lengths):
    """Take one weight for each row of columns."""
    dy, x, weight, dx = operand(args, X), operand(args, X + 1), operand(args, X + 2), output_of(args, X + 3)
    width, scratch = lengths[WIDTH], numbers(args, SCRATCH)
    mean, mean_low, c1 = reals(scratch), reals(scratch + width), reals(scratch + 2 * width)
    c2, scale = reals(scratch + 3 * width), reals(scratch + 4 * width)
    row_facts(args, lengths, mean, mean_low, c1, c2, scale)
    for i in range(lengths[ROWS]):
        grad_weighted_columns(
            dy + i * lengths[STEP],
            x + i * lengths[STEP + 1],
            weight[i * lengths[STEP + 2]],
            dx + i * lengths[STEP + 3],
            width,
            mean,
            mean_low,
            c1,
            c2,
            scale,
        )


def grad_weighted_whole_row(args, lengths):
    """Whole rows that stay in the first-level cache: both passes. Nobody wants the sums."""
    dy, x, weight, dx = operand(args, X), operand(args, X + 1), operand(args, X + 2), output_of(args, X + 3)
    dy_step, x_step, weight_step, dx_step = lengths[STEP], lengths[STEP + 1], lengths[STEP + 2], lengths[STEP + 3]
    n, rows, kept, scratch = lengths[ROWS], lengths[WIDTH], lengths[KEPT], numbers(args, SCRATCH)
    mean, at_once = reals(scratch + 5 * GRID), rows_at_once(lengths[ROWS])
    mean_low, scale = mean + ROWS_AT_ONCE, mean + 2 * ROWS_AT_ONCE
    for batch in range((rows + at_once - 1) // at_once):
        first = batch * at_once
        some = min(at_once, rows - first)
        stats, g, some_x = numbers(args, STATS) + first, dy + first * dy_step, x + first * x_step
        weights = weight + first * weight_step
        facts_of_rows(stats, kept, some, mean, mean_low, scale)
        products_of_weighted_rows(
            g, dy_step, some_x, x_step, weights, weight_step, n, some, mean, mean_low, scale, scratch
        )
        for i in range(some):
            grad_weighted_row(
                g + i * dy_step,
                some_x + i * x_step,
                weights + i * weight_step,
                dx + (first + i) * dx_step,
                n,
                mean[i],
                mean_low[i],
                narrow(scratch[i] * stats[4 * kept + i]),
                narrow(scratch[GRID + i] * stats[5 * kept + i]),
                narrow(stats[6 * kept + i]),
            )
