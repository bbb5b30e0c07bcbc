"""Gradients of the normalizations and of the softmax family: kernels for a row and for a block of columns.

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


def add_4_weighted_of_row(dy, x, weight, mean, mean_low, scale, total, product):
    for j in range(CHAINS):
        s, p = weighted_slopes_of_4(dy + j, CHAINS, x + j, CHAINS, weight + j, CHAINS, mean, mean_low, scale)
        total[j] = total[j] + s
        product[j] = product[j] + p


def add_weighted_of_row(dy, x, weight, mean, mean_low, scale, total, product):
    for j in range(CHAINS):
        g = dy[j] * weight[j]
        total[j] = total[j] + g
        product[j] = product[j] + g * deviation(x[j], mean, mean_low, scale)


def chained_products_of_weighted_row(dy, x, weight, n, mean, mean_low, scale, total, product, rest):
    """Leave sum(g) and sum(g*z) in `CHAINS` lanes."""
    clear(total, product, CHAINS)
    for block in range(n // (4 * CHAINS)):
        i = block * 4 * CHAINS
        add_4_weighted_of_row(dy + i, x + i, weight + i, mean, mean_low, scale, total, product)
    for block in range(n // (4 * CHAINS) * 4, n // CHAINS):
        i = block * CHAINS
        add_weighted_of_row(dy + i, x + i, weight + i, mean, mean_low, scale, total, product)
    if n % CHAINS > 0:
        i = n // CHAINS * CHAINS
        pad_lanes(rest, dy + i, n - i, ZERO)
        pad_lanes(rest + LANES, x + i, n - i, mean)
        pad_lanes(rest + 2 * LANES, weight + i, n - i, ZERO)
        add_weighted_of_row(rest, rest + LANES, rest + 2 * LANES, mean, mean_low, scale, total, product)


def products_of_weighted_rows(dy, dy_step, x, x_step, weight, weight_step, n, rows, mean, mean_low, scale, scratch):
    """Leave sum(g) and sum(g*d) of at most ROWS_AT_ONCE rows in scratch, GRID apart; as many as the cache holds."""
    rest, lanes = reals(scratch + 3 * GRID), scratch + 4 * GRID
    for i in range(rows):
        chained_products_of_weighted_row(
            dy + i * dy_step,
            x + i * x_step,
            weight + i * weight_step,
            n,
            mean[i],
            mean_low[i],
            scale[i],
            scratch + i * CHAINS,
            scratch + GRID + i * CHAINS,
            rest,
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


# ---- Gradients of weight and bias of layer_norm: sums along the kept axes. Arrays: dy, x, mean, its low part, 1/std.
# The last three differ from row to row, not from column to column.


def add_normalized(dy, x, mean, mean_low, scale, width, total, product):
    for j in range(width):
        g = wide_of(dy[j])
        total[j] = total[j] + g
        product[j] = wide_multiply_add(g, ((x[j] - mean[j]) - mean_low[j]) * scale[j], product[j])


def add_normalized_columns(dy, x, mean, mean_low, scale, width, total, product):
    for j in range(width):
        g = wide_of(dy[j])
        total[j] = total[j] + g
        product[j] = wide_multiply_add(g, ((x[j] - mean) - mean_low) * scale, product[j])


def normalized_slopes_of_4(dy, dy_step, x, x_step, mean, mean_low, scale, step):
    """As `slopes_of_4`; each has a mean and a scale of its own."""
    p = dy[0] * deviation(x[0], mean[0], mean_low[0], scale[0])
    p = multiply_add(dy[dy_step], deviation(x[x_step], mean[step], mean_low[step], scale[step]), p)
    two = deviation(x[2 * x_step], mean[2 * step], mean_low[2 * step], scale[2 * step])
    three = deviation(x[3 * x_step], mean[3 * step], mean_low[3 * step], scale[3 * step])
    p = multiply_add(dy[3 * dy_step], three, multiply_add(dy[2 * dy_step], two, p))
    return (dy[0] + dy[dy_step]) + (dy[2 * dy_step] + dy[3 * dy_step]), p


def add_8_normalized_columns(dy, dy_step, x, x_step, mean, mean_low, scale, step, width, total, product):
    later = 4 * step
    for j in range(width):
        s, p = normalized_slopes_of_4(dy + j, dy_step, x + j, x_step, mean, mean_low, scale, step)
        t, q = normalized_slopes_of_4(
            dy + 4 * dy_step + j,
            dy_step,
            x + 4 * x_step + j,
            x_step,
            mean + later,
            mean_low + later,
            scale + later,
            step,
        )
        total[j] = total[j] + (s + t)
        product[j] = product[j] + (p + q)


def normalized_columns(dy, dy_step, x, x_step, mean, mean_low, scale, step, rows, width, total, product):
    """Add up dy and dy*z, in binary64."""
    for i in range(rows):
        j = i * step
        some_dy, some_x = dy + i * dy_step, x + i * x_step
        add_normalized_columns(some_dy, some_x, mean[j], mean_low[j], scale[j], width, total, product)


def normalized_products_columns(args, lengths):
    dy, x, dy_step, x_step = operand(args, X), operand(args, X + 1), lengths[STEP], lengths[STEP + 1]
    mean, mean_low, scale = operand(args, X + 2), operand(args, X + 3), operand(args, X + 4)
    # The three lie side by side.
    rows, width, step, scratch = lengths[ROWS], lengths[WIDTH], lengths[STEP + 2], numbers(args, SCRATCH)
    total, product = numbers(args, PIECES), numbers(args, PIECES) + width
    clear(total, product, width)
    for block in range(rows // 8):
        i = 8 * block
        j = i * step
        add_8_normalized_columns(
            dy + i * dy_step,
            dy_step,
            x + i * x_step,
            x_step,
            mean + j,
            mean_low + j,
            scale + j,
            step,
            width,
            total,
            product,
        )
    i = rows // 8 * 8
    j = i * step
    some_dy, some_x = dy + i * dy_step, x + i * x_step
    normalized_columns(
        some_dy, dy_step, some_x, x_step, mean + j, mean_low + j, scale + j, step, rows - i, width, total, product
    )
    if count_out_of_range(width, total, product) > 0:
        clear(scratch, scratch + width, width)
        normalized_columns(dy, dy_step, x, x_step, mean, mean_low, scale, step, rows, width, scratch, scratch + width)
        replace_out_of_range(width, total, product, scratch, scratch + width)


def normalized_products_row(args, lengths):
    dy, x, n, scratch = operand(args, X), operand(args, X + 1), lengths[ROWS], numbers(args, SCRATCH)
    mean, mean_low, scale = operand(args, X + 2), operand(args, X + 3), operand(args, X + 4)
    clear(scratch, scratch + LANES, LANES)
    for block in range(n // LANES):
        i = block * LANES
        add_normalized(dy + i, x + i, mean + i, mean_low + i, scale + i, LANES, scratch, scratch + LANES)
    i = n // LANES * LANES
    add_normalized(dy + i, x + i, mean + i, mean_low + i, scale + i, n - i, scratch, scratch + LANES)
    numbers(args, PIECES)[0], numbers(args, PIECES)[1] = both_sums(scratch)


def normalized_products_combine(args, lengths):
    combine_products(args, lengths)


# ---- softmax: dx = y*(dy - sum(dy*y)). log_softmax: dx = dy - exp(y)*sum(dy). Arrays: dy, y, dx.


def grad_softmax_of_tile(dy, y, dx, n, product):
    for i in range(n):
        dx[i] = y[i] * (dy[i] - product)


def grad_softmax_of_row(dy, y, dx, n, product):
    for tile in range(n // TILE):
        i = tile * TILE
        will_write(dx + i + 2 * TILE)
        grad_softmax_of_tile(dy + i, y + i, dx + i, TILE, product)
    i = n // TILE * TILE
    grad_softmax_of_tile(dy + i, y + i, dx + i, n - i, product)


def grad_softmax_apply_row(args, lengths):
    product = narrow(numbers(args, STATS)[3 * lengths[KEPT]])
    grad_softmax_of_row(operand(args, X), operand(args, X + 1), output_of(args, X + 2), lengths[ROWS], product)


def add_products_of_two(dy, y, n, product):
    for j in range(n):
        product[j] = wide_multiply_add(wide_of(dy[j]), wide_of(y[j]), product[j])


def product_of_row(dy, y, n, product):
    """Return sum(dy*y), piece by piece as where the pieces of a row go through kernels of their own."""
    total = 0.0
    low = 0.0
    for piece in range((n + FEW_ELEMENTS - 1) // FEW_ELEMENTS):
        start = piece * FEW_ELEMENTS
        stop = min(start + FEW_ELEMENTS, n)
        clear(product, product + LANES, LANES)
        for block in range((stop - start) // LANES):
            add_products_of_two(dy + start + block * LANES, y + start + block * LANES, LANES, product)
        i = start + (stop - start) // LANES * LANES
        add_products_of_two(dy + i, y + i, stop - i, product)
        total, low = accumulate_always(total, low, sum_of_lanes(product, product + LANES))
    return total + low


# float32: a few products in its own precision, then one addition in binary64 (chains.py). With u = 2**-24 the sum is
# right to 6*u*sum(abs(dy*y)). What overflows there or loses digits is summed again in binary64.


def products_of_4(dy, y, step):
    q = multiply_add(dy[step], y[step], dy[0] * y[0])
    return multiply_add(dy[3 * step], y[3 * step], multiply_add(dy[2 * step], y[2 * step], q))


def products_of_16(dy, y, step):
    low = products_of_4(dy, y, step) + products_of_4(dy + 4 * step, y + 4 * step, step)
    high = products_of_4(dy + 8 * step, y + 8 * step, step) + products_of_4(dy + 12 * step, y + 12 * step, step)
    return low + high


def add_4_products(dy, y, product):
    for j in range(CHAINS):
        product[j] = product[j] + products_of_4(dy + j, y + j, CHAINS)


def add_16_products(dy, y, product):
    for j in range(CHAINS):
        product[j] = product[j] + products_of_16(dy + j, y + j, CHAINS)


def chained_products_of_row(dy, y, n, product):
    """Leave sum(dy*y) in `CHAINS` lanes."""
    clear(product, product, CHAINS)
    for block in range(n // (16 * CHAINS)):
        i = block * 16 * CHAINS
        add_16_products(dy + i, y + i, product)
    start = n // (16 * CHAINS) * (16 * CHAINS)
    for block in range((n - start) // (4 * CHAINS)):
        i = start + block * 4 * CHAINS
        add_4_products(dy + i, y + i, product)
    start = n // (4 * CHAINS) * (4 * CHAINS)
    for block in range((n - start) // CHAINS):
        i = start + block * CHAINS
        add_products_of_two(dy + i, y + i, CHAINS, product)
    i = n // CHAINS * CHAINS
    add_products_of_two(dy + i, y + i, n - i, product)


def slopes_at_once(n):
    """Return how many rows are summed before their gradients are made: two arrays stay in the first-level cache."""
    return 1 if SUM_ROUNDS > ZERO else max(1, min(GRID // CHAINS, FEW_ELEMENTS // 2 // n))


def all_between(sums, least, n):
    """Return whether none of the sums overflowed, lost digits or is NaN. All are looked at: a loop without branches."""
    count = 0
    for i in range(n):
        count += (wide_magnitude(sums[i]) >= least) & (wide_magnitude(sums[i]) <= 1e30)
    return count == n


def products_of_slopes(dy, dy_step, y, y_step, n, rows, total):
    """Leave sum(dy*y) of each row in `total`."""
    if SUM_ROUNDS > ZERO:
        for i in range(rows):
            total[i] = product_of_row(dy + i * dy_step, y + i * y_step, n, total + GRID)
    else:
        for i in range(rows):
            chained_products_of_row(dy + i * dy_step, y + i * y_step, n, total + i * CHAINS)
        fold_chains(total, total + GRID, rows)
        least = wide_of(n) * 1.1754943508222875e-38
        for i in range(0 if all_between(total, least, rows) else rows):
            if not least <= wide_magnitude(total[i]) <= 1e30:
                total[i] = product_of_row(dy + i * dy_step, y + i * y_step, n, total + GRID)


def grad_softmax_whole_row(args, lengths):
    """Whole rows that stay in the second-level cache."""
    dy, y, dx, n = operand(args, X), operand(args, X + 1), output_of(args, X + 2), lengths[ROWS]
    rows, total, at_once = lengths[WIDTH], numbers(args, SCRATCH), slopes_at_once(lengths[ROWS])
    for batch in range((rows + at_once - 1) // at_once):
        first = batch * at_once
        some = min(at_once, rows - first)
        slopes, outputs = dy + first * lengths[STEP], y + first * lengths[STEP + 1]
        products_of_slopes(slopes, lengths[STEP], outputs, lengths[STEP + 1], n, some, total)
        for i in range(some):
            slope, output = slopes + i * lengths[STEP], outputs + i * lengths[STEP + 1]
            grad_softmax_of_row(slope, output, dx + (first + i) * lengths[STEP + 2], n, narrow(total[i]))


def grad_softmax_columns(dy, y, dx, width, product):
    for j in range(width):
        dx[j] = y[j] * (dy[j] - product[j])


def grad_softmax_apply_columns(args, lengths):
    dy, y, dx = operand(args, X), operand(args, X + 1), output_of(args, X + 2)
    width, product = lengths[WIDTH], reals(numbers(args, SCRATCH))
    for j in range(width if lengths[COUNT] > 0 else 0):
        product[j] = narrow(numbers(args, STATS)[3 * lengths[KEPT] + j])
    for i in range(lengths[ROWS]):
        grad_softmax_columns(
            dy + i * lengths[STEP], y + i * lengths[STEP + 1], dx + i * lengths[STEP + 2], width, product
        )


def exp_negative(x):
    """Return exp(x) for x <= 0; in units of 2**-TERM_BITS until the end, so that a subnormal one is rounded there."""
    shifted, w = exp_parts(clamp(x, -TERM_ZERO * LN2, ZERO), TERM_BITS)
    scale = power_of_two(shifted)
    return fma(scale, w, scale) * TERM_UNIT


def grad_log_softmax_of_tile(dy, y, dx, n, total):
    for i in range(n):
        dx[i] = fma(-exp_negative(y[i]), total, dy[i])


def grad_log_softmax_of_row(dy, y, dx, n, total):
    for tile in range(n // TILE):
        i = tile * TILE
        will_write(dx + i + 2 * TILE)
        grad_log_softmax_of_tile(dy + i, y + i, dx + i, TILE, total)
    i = n // TILE * TILE
    grad_log_softmax_of_tile(dy + i, y + i, dx + i, n - i, total)


def grad_log_softmax_apply_row(args, lengths):
    total = narrow(numbers(args, STATS)[2 * lengths[KEPT]])
    grad_log_softmax_of_row(operand(args, X), operand(args, X + 1), output_of(args, X + 2), lengths[ROWS], total)


def add_slopes(dy, n, total):
    for j in range(n):
        total[j] = total[j] + wide_of(dy[j])


def slopes_of_row(dy, n, lanes):
    """Return sum(dy), as `product_of_row` does it."""
    total = 0.0
    low = 0.0
    for piece in range((n + FEW_ELEMENTS - 1) // FEW_ELEMENTS):
        start = piece * FEW_ELEMENTS
        stop = min(start + FEW_ELEMENTS, n)
        clear(lanes, lanes + LANES, LANES)
        for block in range((stop - start) // LANES):
            add_slopes(dy + start + block * LANES, LANES, lanes)
        i = start + (stop - start) // LANES * LANES
        add_slopes(dy + i, stop - i, lanes)
        total, low = accumulate_always(total, low, sum_of_lanes(lanes, lanes + LANES))
    return total + low


def add_8_slopes(dy, total):
    for j in range(CHAINS):
        total[j] = total[j] + sum_of_8(dy + j, CHAINS)


def chained_slopes_of_row(dy, n, total):
    """Leave sum(dy) in `CHAINS` lanes."""
    clear(total, total, CHAINS)
    for block in range(n // (8 * CHAINS)):
        add_8_slopes(dy + block * 8 * CHAINS, total)
    start = n // (8 * CHAINS) * (8 * CHAINS)
    for block in range((n - start) // CHAINS):
        add_slopes(dy + start + block * CHAINS, CHAINS, total)
    i = n // CHAINS * CHAINS
    add_slopes(dy + i, n - i, total)


def sums_of_slopes(dy, step, n, rows, total):
    """Leave sum(dy) of each row in `total`."""
    if SUM_ROUNDS > ZERO:
        for i in range(rows):
            total[i] = slopes_of_row(dy + i * step, n, total + GRID)
    else:
        for i in range(rows):
            chained_slopes_of_row(dy + i * step, n, total + i * CHAINS)
        fold_chains(total, total + GRID, rows)
        for i in range(0 if all_between(total, 0.0, rows) else rows):
            if not wide_magnitude(total[i]) <= 1e30:
                total[i] = slopes_of_row(dy + i * step, n, total + GRID)


def grad_log_softmax_whole_row(args, lengths):
    dy, y, dx, n = operand(args, X), operand(args, X + 1), output_of(args, X + 2), lengths[ROWS]
    rows, total, at_once = lengths[WIDTH], numbers(args, SCRATCH), slopes_at_once(lengths[ROWS])
    for batch in range((rows + at_once - 1) // at_once):
        first = batch * at_once
        some = min(at_once, rows - first)
        sums_of_slopes(dy + first * lengths[STEP], lengths[STEP], n, some, total)
        for i in range(some):
            row = first + i
            slope, output = dy + row * lengths[STEP], y + row * lengths[STEP + 1]
            grad_log_softmax_of_row(slope, output, dx + row * lengths[STEP + 2], n, narrow(total[i]))


def grad_log_softmax_columns(dy, y, dx, width, total):
    for j in range(width):
        dx[j] = fma(-exp_negative(y[j]), total[j], dy[j])


def grad_log_softmax_apply_columns(args, lengths):
    dy, y, dx = operand(args, X), operand(args, X + 1), output_of(args, X + 2)
    width, total = lengths[WIDTH], reals(numbers(args, SCRATCH))
    for j in range(width if lengths[COUNT] > 0 else 0):
        total[j] = narrow(numbers(args, STATS)[2 * lengths[KEPT] + j])
    for i in range(lengths[ROWS]):
        grad_log_softmax_columns(
            dy + i * lengths[STEP], y + i * lengths[STEP + 1], dx + i * lengths[STEP + 2], width, total
        )


# ---- prelu: the gradient of the slope is the sum of dy*x where x <= 0. Arrays: dy, x.


def slope_term(dy, x):
    """Return the derivative of dy*(slope*x where x <= 0) by the slope. NaN counts as x <= 0, as in torch."""
    product = wide_of(dy) * wide_of(x)
    return wide_of(ZERO) if x > ZERO else product


def add_slope_terms(dy, x, width, total):
    for j in range(width):
        total[j] = total[j] + slope_term(dy[j], x[j])


def slope_sums_row(args, lengths):
    dy, x, n, total = operand(args, X), operand(args, X + 1), lengths[ROWS], numbers(args, SCRATCH)
    for j in range(LANES):
        total[j] = 0.0
    for block in range(n // LANES):
        add_slope_terms(dy + block * LANES, x + block * LANES, LANES, total)
    add_slope_terms(dy + n // LANES * LANES, x + n // LANES * LANES, n % LANES, total)
    numbers(args, PIECES)[0] = sum_of_lanes(total, total + LANES)


def slope_sums_columns(args, lengths):
    dy, x, width, total = operand(args, X), operand(args, X + 1), lengths[WIDTH], numbers(args, PIECES)
    for j in range(width):
        total[j] = 0.0
    for i in range(lengths[ROWS]):
        add_slope_terms(dy + i * lengths[STEP], x + i * lengths[STEP + 1], width, total)


def slope_sums_combine(args, lengths):
    totals(args, lengths)
