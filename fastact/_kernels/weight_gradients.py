"""Gradients of parameters: of the weight and bias of layer_norm and batch_norm, and of prelu's slopes.

Sums along what the parameter is broadcast along, for a row (contiguous) and for a block of columns.
"""


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
