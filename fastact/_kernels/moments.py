"""Moments and what is normalized with them: kernels for a row (contiguous) and for a block of columns.

One read of memory. A piece of a row (at most 4096 elements, in the first-level cache) is reduced to its number of
elements, a shift c, sum(x - c) and sum((x - c)**2); pieces are combined as Chan, Golub and LeVeque (1983) do, all
positive terms. Accumulators are binary64.

For float32, c is the first element. It is one of the data, so sum((x - c)**2) is at most n + 1 times the sum about
the mean: of binary64's 53 bits at most 12 are lost, and 24 are needed, whatever mean/std is. For float64 the piece is
read a second time, from the cache, with c its mean: the error of a two-pass algorithm, with one pass over memory.
Welford's update would need a division an element; a shift by the first element of all fails where the data drift.
"""


def finite(x, otherwise):
    return x if absolute(x) <= LARGEST else otherwise


def fold_sum(total, half):
    for j in range(half):
        total[j] = total[j] + total[j + half]


def fold_sums(total):
    """Leave the sum of all lanes in the first."""
    fold_sum(total, 16)
    fold_sum(total, 8)
    fold_sum(total, 4)
    fold_sum(total, 2)
    fold_sum(total, 1)


def sums_of_row(x, n, c, total, square):
    """Leave sum(x - c) and sum((x - c)**2) in the first lanes."""
    clear(total, square, LANES)
    whole = n // LANES * LANES
    for block in range(n // LANES):
        i = block * LANES
        for j in range(LANES):
            d = wide_sum(x[i + j], -wide_of(c))
            total[j] = total[j] + d
            square[j] = wide_multiply_add(d, d, square[j])
    for j in range(n - whole):
        d = wide_sum(x[whole + j], -wide_of(c))
        total[j] = total[j] + d
        square[j] = wide_multiply_add(d, d, square[j])
    fold_sums(total)
    fold_sums(square)


def moments_of_row(x, n, piece, total, square):
    c = finite(x[0], ZERO)
    sums_of_row(x, n, c, total, square)
    if SUM_ROUNDS > ZERO:
        c = finite(narrow(c + total[0] / n), c)
        sums_of_row(x, n, c, total, square)
    piece[0] = n
    piece[1] = c
    piece[2] = total[0]
    piece[3] = square[0]


def moments_row(args, lengths):
    scratch = numbers(args, SCRATCH)
    moments_of_row(operand(args, X), lengths[ROWS], numbers(args, PIECES), scratch, scratch + LANES)


def add_moments(x, width, c, total, square):
    for j in range(width):
        d = wide_sum(x[j], -c[j])
        total[j] = total[j] + d
        square[j] = wide_multiply_add(d, d, square[j])


def moments_columns(args, lengths):
    x, rows, width, step = operand(args, X), lengths[ROWS], lengths[WIDTH], lengths[STEP]
    piece = numbers(args, PIECES)
    c, total, square = piece + width, piece + 2 * width, piece + 3 * width
    for j in range(width):
        piece[j] = rows
        c[j] = finite(x[j], ZERO)
    clear(total, square, width)
    for i in range(rows):
        add_moments(x + i * step, width, c, total, square)
    if SUM_ROUNDS > ZERO:
        for j in range(width):
            c[j] = finite(narrow(c[j] + total[j] / rows), narrow(c[j]))
        clear(total, square, width)
        for i in range(rows):
            add_moments(x + i * step, width, c, total, square)


def combine_moments(pieces, count, width, j, stats, kept, eps):
    """Statistics: the mean in two parts, the sum of squares about it, and 1/sqrt(variance + eps)."""
    first = pieces[width + j]
    n = 0.0
    total = 0.0
    low = 0.0
    for b in range(count):
        piece = pieces + 4 * b * width + j
        n = n + piece[0]
        d, d_low = wide_two_sum(piece[width], -first)
        total, low = accumulate_always(total, low, piece[0] * d)
        total, low = accumulate_always(total, low, piece[0] * d_low + piece[2 * width])
    # An infinite sum has no low part.
    total = total + low if wide_magnitude(total) <= 1.7976931348623157e308 else total
    mean, mean_low = wide_two_sum(first, total / n)
    square = 0.0
    square_low = 0.0
    for b in range(count):
        piece = pieces + 4 * b * width + j
        inside = piece[3 * width] - piece[2 * width] * piece[2 * width] / piece[0]
        between = ((piece[width] - mean) - mean_low) + piece[2 * width] / piece[0]
        inside = 0.0 if inside < 0.0 else inside
        square, square_low = accumulate_always(square, square_low, inside)
        square, square_low = accumulate_always(square, square_low, piece[0] * between * between)
    square = square + square_low if wide_magnitude(square) <= 1.7976931348623157e308 else square
    stats[j] = mean
    stats[kept + j] = mean_low
    stats[2 * kept + j] = square
    stats[3 * kept + j] = 1.0 / wide_sqrt(square / n + eps)


def moments_combine(args, lengths):
    eps = numbers(args, PARAMETERS)[0]
    for j in range(lengths[WIDTH]):
        combine_moments(
            numbers(args, PIECES), lengths[COUNT], lengths[WIDTH], j, numbers(args, STATS), lengths[KEPT], eps
        )


def moments_whole_row(args, lengths):
    """Statistics of whole rows that stay in the first-level cache."""
    scratch, eps = numbers(args, SCRATCH), numbers(args, PARAMETERS)[0]
    piece = scratch + 2 * LANES
    for i in range(lengths[WIDTH]):
        moments_of_row(operand(args, X) + i * lengths[STEP], lengths[ROWS], piece, scratch, scratch + LANES)
        combine_moments(piece, 1, 1, 0, numbers(args, STATS) + i, lengths[KEPT], eps)


# ---- (x - mean)*scale + bias. The mean in two parts: x - mean keeps its digits where mean is large.


def normalized(x, mean, mean_low, scale, bias):
    return fma((x - mean) - mean_low, scale, bias)


def mean_parts(stats, kept):
    """Return the mean as two numbers of the array's precision. An infinite mean has no low part."""
    mean = narrow(stats[0])
    low = narrow((stats[0] - mean) + stats[kept])
    return mean, low if absolute(mean) <= LARGEST else ZERO


def normalize_apply_row(args, lengths):
    """Arrays: x, y. Statistics after the moments': weight and bias of each kept element."""
    x, y, stats, kept = operand(args, X), output_of(args, X + 1), numbers(args, STATS), lengths[KEPT]
    mean, mean_low = mean_parts(stats, kept)
    scale, bias = narrow(stats[3 * kept] * stats[4 * kept]), narrow(stats[5 * kept])
    for i in range(lengths[ROWS]):
        y[i] = normalized(x[i], mean, mean_low, scale, bias)


def normalize_columns(x, y, width, mean, mean_low, scale, bias):
    for j in range(width):
        y[j] = normalized(x[j], mean[j], mean_low[j], scale[j], bias[j])


def normalize_apply_columns(args, lengths):
    x, y, stats, kept = operand(args, X), output_of(args, X + 1), numbers(args, STATS), lengths[KEPT]
    width, scratch = lengths[WIDTH], numbers(args, SCRATCH)
    mean, mean_low = reals(scratch), reals(scratch + width)
    scale, bias = reals(scratch + 2 * width), reals(scratch + 3 * width)
    for j in range(width):
        mean[j], mean_low[j] = mean_parts(stats + j, kept)
        scale[j], bias[j] = narrow(stats[3 * kept + j] * stats[4 * kept + j]), narrow(stats[5 * kept + j])
    for i in range(lengths[ROWS]):
        normalize_columns(x + i * lengths[STEP], y + i * lengths[STEP + 1], width, mean, mean_low, scale, bias)


# ---- x*scale + shift: batch_norm in inference. Statistics: scale, shift.


def affine_apply_row(args, lengths):
    x, y, stats = operand(args, X), output_of(args, X + 1), numbers(args, STATS)
    scale, shift = narrow(stats[0]), narrow(stats[lengths[KEPT]])
    for i in range(lengths[ROWS]):
        y[i] = fma(x[i], scale, shift)


def affine_columns(x, y, width, scale, shift):
    for j in range(width):
        y[j] = fma(x[j], scale[j], shift[j])


def affine_apply_columns(args, lengths):
    x, y, stats, width = operand(args, X), output_of(args, X + 1), numbers(args, STATS), lengths[WIDTH]
    scale, shift = reals(numbers(args, SCRATCH)), reals(numbers(args, SCRATCH) + width)
    for j in range(width):
        scale[j], shift[j] = narrow(stats[j]), narrow(stats[lengths[KEPT] + j])
    for i in range(lengths[ROWS]):
        affine_columns(x + i * lengths[STEP], y + i * lengths[STEP + 1], width, scale, shift)


# ---- The same with a weight and a bias for each element of the row: layer_norm. Arrays: x, weight, bias, y.


def normalize_row(x, weight, bias, y, n, stats, kept):
    mean, mean_low = mean_parts(stats, kept)
    scale = narrow(stats[3 * kept])
    for i in range(n):
        y[i] = fma(normalized(x[i], mean, mean_low, scale, ZERO), weight[i], bias[i])


def layer_norm_apply_row(args, lengths):
    normalize_row(
        operand(args, X),
        operand(args, X + 1),
        operand(args, X + 2),
        output_of(args, X + 3),
        lengths[ROWS],
        numbers(args, STATS),
        lengths[KEPT],
    )


def layer_norm_whole_row(args, lengths):
    x, weight, bias, y = operand(args, X), operand(args, X + 1), operand(args, X + 2), output_of(args, X + 3)
    n, scratch, eps = lengths[ROWS], numbers(args, SCRATCH), numbers(args, PARAMETERS)[0]
    piece, stats = scratch + 2 * LANES, scratch + 3 * LANES
    for i in range(lengths[WIDTH]):
        moments_of_row(x + i * lengths[STEP], n, piece, scratch, scratch + LANES)
        combine_moments(piece, 1, 1, 0, stats, 1, eps)
        normalize_row(
            x + i * lengths[STEP],
            weight + i * lengths[STEP + 1],
            bias + i * lengths[STEP + 2],
            y + i * lengths[STEP + 3],
            n,
            stats,
            1,
        )


def layer_norm_columns(x, weight, bias, y, width, mean, mean_low, scale):
    for j in range(width):
        y[j] = fma(normalized(x[j], mean[j], mean_low[j], scale[j], ZERO), weight[j], bias[j])


def layer_norm_apply_columns(args, lengths):
    x, weight, bias, y = operand(args, X), operand(args, X + 1), operand(args, X + 2), output_of(args, X + 3)
    stats, kept, width, scratch = numbers(args, STATS), lengths[KEPT], lengths[WIDTH], numbers(args, SCRATCH)
    mean, mean_low, scale = reals(scratch), reals(scratch + width), reals(scratch + 2 * width)
    for j in range(width):
        mean[j], mean_low[j] = mean_parts(stats + j, kept)
        scale[j] = narrow(stats[3 * kept + j])
    for i in range(lengths[ROWS]):
        layer_norm_columns(
            x + i * lengths[STEP],
            weight + i * lengths[STEP + 1],
            bias + i * lengths[STEP + 2],
            y + i * lengths[STEP + 3],
            width,
            mean,
            mean_low,
            scale,
        )
