"""Gradients of softmax and log_softmax: kernels for a row (contiguous) and for a block of columns.

softmax: dx = y*(dy - sum(dy*y)). log_softmax: dx = dy - exp(y)*sum(dy). Arrays: dy, y, dx.
"""


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


def grad_softmax_of_short_row(dy, y, dx, n, product):
    """As `grad_softmax_of_row` for a few blocks, in two thirds of the time: nothing is found out but how many."""
    for block in range(n // CHAINS):
        i = block * CHAINS
        grad_softmax_of_tile(dy + i, y + i, dx + i, CHAINS, product)
    i = n // CHAINS * CHAINS
    grad_softmax_of_tile(dy + i, y + i, dx + i, n - i, product)


def grad_softmax_of_block(dy, y, dx, product):
    for j in range(CHAINS):
        dx[j] = y[j] * (dy[j] - product)


def grad_softmax_of_two_blocks(dy, y, dx, product):
    for j in range(CHAINS):
        dx[j] = y[j] * (dy[j] - product)
        dx[CHAINS + j] = y[CHAINS + j] * (dy[CHAINS + j] - product)


def grad_softmax_of_short_rows(dy, dy_step, y, y_step, dx, dx_step, n, rows, product):
    """Rows of 16, 32 and 64 have loops of their own, without any for blocks: rows of 16 take half of the time."""
    if n == CHAINS:
        for i in range(rows):
            grad_softmax_of_block(dy + i * dy_step, y + i * y_step, dx + i * dx_step, narrow(product[i]))
    elif n == 2 * CHAINS:
        for i in range(rows):
            grad_softmax_of_two_blocks(dy + i * dy_step, y + i * y_step, dx + i * dx_step, narrow(product[i]))
    elif n == 4 * CHAINS:
        for i in range(rows):
            slope, output, place, common = dy + i * dy_step, y + i * y_step, dx + i * dx_step, narrow(product[i])
            grad_softmax_of_two_blocks(slope, output, place, common)
            grad_softmax_of_two_blocks(slope + 2 * CHAINS, output + 2 * CHAINS, place + 2 * CHAINS, common)
    else:
        for i in range(rows):
            grad_softmax_of_short_row(dy + i * dy_step, y + i * y_step, dx + i * dx_step, n, narrow(product[i]))


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


# Rows of up to SHORT_CHAINS elements: the lanes are added up in binary32 as well, half the time of binary64.
# The sum is right to 8*u*sum(abs(dy*y)), of one block to 5*u.


def add_block(dy, y, product):
    for j in range(CHAINS):
        product[j] = multiply_add(dy[j], y[j], product[j])


def short_products_of_row(dy, y, n, product, padded):
    """Leave sum(dy*y) in `CHAINS` lanes of the arrays' precision."""
    for j in range(CHAINS):
        product[j] = ZERO
    for block in range(n // CHAINS):
        add_block(dy + block * CHAINS, y + block * CHAINS, product)
    if n % CHAINS > 0:
        i = n // CHAINS * CHAINS
        pad_lanes(padded, dy + i, n - i, ZERO)
        pad_lanes(padded + LANES, y + i, n - i, ZERO)
        add_block(padded, padded + LANES, product)


def products_of_block(dy, y, product):
    for j in range(CHAINS):
        product[j] = dy[j] * y[j]


def products_of_two_blocks(dy, y, product):
    for j in range(CHAINS):
        product[j] = multiply_add(dy[CHAINS + j], y[CHAINS + j], dy[j] * y[j])


def products_of_four_blocks(dy, y, product):
    for j in range(CHAINS):
        q = multiply_add(dy[CHAINS + j], y[CHAINS + j], dy[j] * y[j])
        q = multiply_add(dy[2 * CHAINS + j], y[2 * CHAINS + j], q)
        product[j] = multiply_add(dy[3 * CHAINS + j], y[3 * CHAINS + j], q)


def short_products_of_rows(dy, dy_step, y, y_step, n, rows, lanes, padded):
    """Leave sum(dy*y) of each row in `CHAINS` lanes; of rows of 16, 32 and 64 as `grad_softmax_of_short_rows`."""
    if n == CHAINS:
        for i in range(rows):
            products_of_block(dy + i * dy_step, y + i * y_step, lanes + i * CHAINS)
    elif n == 2 * CHAINS:
        for i in range(rows):
            products_of_two_blocks(dy + i * dy_step, y + i * y_step, lanes + i * CHAINS)
    elif n == 4 * CHAINS:
        for i in range(rows):
            products_of_four_blocks(dy + i * dy_step, y + i * y_step, lanes + i * CHAINS)
    else:
        for i in range(rows):
            short_products_of_row(dy + i * dy_step, y + i * y_step, n, lanes + i * CHAINS, padded)


def sum_real_neighbours(source, target, n):
    for k in range(n):
        target[k] = source[2 * k] + source[2 * k + 1]


def fold_short_rows(lanes, other, rows, total):
    """Leave the sum of the CHAINS lanes of each row in `total`."""
    sum_real_neighbours(lanes, other, 8 * rows)
    sum_real_neighbours(other, lanes, 4 * rows)
    sum_real_neighbours(lanes, other, 2 * rows)
    sum_real_neighbours(other, lanes, rows)
    for i in range(rows):
        total[i] = wide_of(lanes[i])


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
        if n <= SHORT_CHAINS:
            lanes, padded = reals(total + GRID), reals(total + 3 * GRID)
            short_products_of_rows(dy, dy_step, y, y_step, n, rows, lanes, padded)
            fold_short_rows(lanes, reals(total + 2 * GRID), rows, total)
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
        places = dx + first * lengths[STEP + 2]
        if n <= SHORT_CHAINS:
            grad_softmax_of_short_rows(
                slopes, lengths[STEP], outputs, lengths[STEP + 1], places, lengths[STEP + 2], n, some, total
            )
        else:
            for i in range(some):
                slope, output = slopes + i * lengths[STEP], outputs + i * lengths[STEP + 1]
                grad_softmax_of_row(slope, output, places + i * lengths[STEP + 2], n, narrow(total[i]))


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


def grad_log_softmax_of_short_row(dy, y, dx, n, total, padded):
    """As `grad_softmax_of_short_row`. What does not fill a block is filled up: an exponential takes long for a few."""
    for block in range(n // CHAINS):
        i = block * CHAINS
        grad_log_softmax_of_tile(dy + i, y + i, dx + i, CHAINS, total)
    if n % CHAINS > 0:
        i = n // CHAINS * CHAINS
        pad_lanes(padded, dy + i, n - i, ZERO)
        pad_lanes(padded + LANES, y + i, n - i, ZERO)
        grad_log_softmax_of_tile(padded, padded + LANES, padded + 2 * LANES, CHAINS, total)
        copy_lanes(dx + i, padded + 2 * LANES, n - i)


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


def add_slopes_of_block(dy, total):
    for j in range(CHAINS):
        total[j] = total[j] + dy[j]


def short_slopes_of_row(dy, n, total, padded):
    """As `short_products_of_row`."""
    for j in range(CHAINS):
        total[j] = ZERO
    for block in range(n // CHAINS):
        add_slopes_of_block(dy + block * CHAINS, total)
    if n % CHAINS > 0:
        pad_lanes(padded, dy + n // CHAINS * CHAINS, n % CHAINS, ZERO)
        add_slopes_of_block(padded, total)


def sums_of_slopes(dy, step, n, rows, total):
    """Leave sum(dy) of each row in `total`."""
    if SUM_ROUNDS > ZERO:
        for i in range(rows):
            total[i] = slopes_of_row(dy + i * step, n, total + GRID)
    else:
        if n <= SHORT_CHAINS:
            lanes, padded = reals(total + GRID), reals(total + 3 * GRID)
            for i in range(rows):
                short_slopes_of_row(dy + i * step, n, lanes + i * CHAINS, padded)
            fold_short_rows(lanes, reals(total + 2 * GRID), rows, total)
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
        padded = reals(total + 3 * GRID)
        for i in range(some):
            row = first + i
            slope, output = dy + row * lengths[STEP], y + row * lengths[STEP + 1]
            if n <= SHORT_CHAINS:
                grad_log_softmax_of_short_row(slope, output, dx + row * lengths[STEP + 2], n, narrow(total[i]), padded)
            else:
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
