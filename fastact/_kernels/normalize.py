"""What is normalized, with moments or with a scale and a shift: kernels for a row (contiguous) and for some columns."""


# ---- (x - mean)*scale + bias. The mean in two parts: x - mean keeps its digits where mean is large.


def normalized(x, mean, scale, bias):
    return fma(x - mean, scale, bias)


def at_least(y, lowest):
    """Return y or, where it is below it, `lowest`: 0 for relu, -inf for none."""
    return lowest if y < lowest else y


def mean_parts(stats, kept):
    """Return the mean as two numbers of the array's precision. An infinite mean has no low part."""
    mean = narrow(stats[0])
    low = narrow((stats[0] - mean) + stats[kept])
    return mean, low if absolute(mean) <= LARGEST else ZERO


def offset(bias, mean_low, scale):
    """Return bias - mean_low*scale: what is left of the mean goes with the bias."""
    rest = narrow(wide_fma(-wide_of(mean_low), wide_of(scale), wide_of(bias)))
    return bias if mean_low == ZERO else rest


# ---- Deviations that are far out: x - mean, or its scale, would leave the arrays' precision. As in sums.py, elements
# are multiplied by a power of two before, and go by way of y; and so are their statistics.


def far_deviations(factor, count):
    """Return how many of the factors are far out."""
    few = 0
    for k in range(count):
        few = few + (0 if LEAST_FACTOR <= factor[k] <= GREATEST_FACTOR else 1)
    return few


def power_of_deviations(mean, factor):
    """Return the power of two; UP is not for what has a mean."""
    power = power_for(factor)
    return power if power <= 1.0 or wide_magnitude(mean) < 1.0 else 1.0


def bring_near(stats, kept, count, powers):
    """Change the statistics to those of elements multiplied by powers of two, and leave these."""
    for k in range(count):
        power = power_of_deviations(stats[k], stats[3 * kept + k])
        stats[k] = stats[k] * power
        stats[kept + k] = stats[kept + k] * power
        stats[3 * kept + k] = stats[3 * kept + k] * inverse_power(power)
        powers[k] = narrow(power)


def near_stats(stats, kept, count, near, powers):
    """Return statistics that are changed so, `count` apart: copies, since others read them, too."""
    for k in range(6):
        for j in range(count):
            near[k * count + j] = stats[k * kept + j]
    bring_near(near, count, count, powers)
    return near


def normalize_apply_row(args, lengths):
    """Arrays: x, y. Statistics after the moments': weight and bias. Parameters: eps, the lowest y."""
    x, y, n, stats, kept = operand(args, X), output_of(args, X + 1), lengths[ROWS], numbers(args, STATS), lengths[KEPT]
    near, power = numbers(args, SCRATCH), reals(numbers(args, SCRATCH) + 6)
    source = x
    if far_deviations(stats + 3 * kept, 1) > 0:
        stats, kept = near_stats(stats, kept, 1, near, power), 1
        scale_row(x, y, n, power[0])
        source = y
    mean, mean_low = mean_parts(stats, kept)
    scale = narrow(stats[3 * kept] * stats[4 * kept])
    bias = offset(narrow(stats[5 * kept]), mean_low, scale)
    normalize_long(source, y, n, mean, scale, bias, narrow(numbers(args, PARAMETERS)[1]))


def normalize_elements(x, y, n, mean, scale, bias, lowest):
    for i in range(n):
        y[i] = at_least(normalized(x[i], mean, scale, bias), lowest)


def normalize_long(x, y, n, mean, scale, bias, lowest):
    for tile in range(n // TILE):
        i = tile * TILE
        will_write(y + i + 2 * TILE)
        normalize_elements(x + i, y + i, TILE, mean, scale, bias, lowest)
    i = n // TILE * TILE
    normalize_elements(x + i, y + i, n - i, mean, scale, bias, lowest)


def normalize_columns(x, y, width, mean, scale, bias, lowest):
    for j in range(width):
        y[j] = at_least(normalized(x[j], mean[j], scale[j], bias[j]), lowest)


def normalize_long_columns(x, y, width, ahead, later, mean, scale, bias, lowest):
    """Fetch as well what is read `ahead`, or else, where y is no buffer, what is written `later`."""
    for tile in range(width // TILE):
        j = tile * TILE
        if ahead > 0:
            will_read_later(x + ahead + j)
        else:
            will_write(y + later + j)
        normalize_columns(x + j, y + j, TILE, mean + j, scale + j, bias + j, lowest)
    j = width // TILE * TILE
    normalize_columns(x + j, y + j, width - j, mean + j, scale + j, bias + j, lowest)


def normalize_parts(stats, kept, width, mean, scale, bias):
    for j in range(width):
        mean[j], mean_low = mean_parts(stats + j, kept)
        scale[j] = narrow(stats[3 * kept + j] * stats[4 * kept + j])
        bias[j] = offset(narrow(stats[5 * kept + j]), mean_low, scale[j])


def rows_together(lengths):
    """Return how many rows of x and y are one: short ones without gaps. Then the loops over columns are long."""
    width = lengths[WIDTH]
    return max(1, LONG_ROW // width) if lengths[STEP] == width and lengths[STEP + 1] == width else 1


def periods(width, together, pieces):
    """Return how often columns' numbers are written: past the caches LANES more are read than joined rows have."""
    return together + (LANES + width - 1) // width if pieces < 0 else together


def repeat(numbers_of_columns, width, times):
    for i in range(1, times):
        for j in range(width):
            numbers_of_columns[i * width + j] = numbers_of_columns[j]


def normalize_columns_past_caches(x, y, n, period, ahead, mean, scale, bias, lowest, room):
    """Write n neighbours past the caches, by whole cache lines; their columns begin again after `period`.

    Two lines at a time: while the next are calculated, the memory takes them. Where the caller stores 16 at a time,
    and calls for these, (16384, 256) take 1.5 times as long. What is `ahead` elements further on is read next.
    """
    first = min(n, before_line(y))
    blocks = (n - first) // LANES
    normalize_columns(x, y, first, mean, scale, bias, lowest)
    for block in range(blocks):
        i = first + block * LANES
        column = i % period
        normalize_columns(x + i, room, LANES, mean + column, scale + column, bias + column, lowest)
        stream_lanes(y + i, room, x + i + ahead)
    i = first + blocks * LANES
    column = i % period
    normalize_columns(x + i, y + i, n - i, mean + column, scale + column, bias + column, lowest)


def normalize_past_caches(x, step_x, y, step_y, rows, width, period, mean, scale, bias, lowest, room):
    """Write rows past the caches: as one block, or strip by strip, ROWS_OF_STRIP rows at a time."""
    if are_one_block(width, step_x, step_y):
        n = rows * width
        normalize_columns_past_caches(x, y, n, period, STREAMED_AHEAD, mean, scale, bias, lowest, room)
        rows = 0
    for some in range((rows + ROWS_OF_STRIP - 1) // ROWS_OF_STRIP):
        for strip in range((width + STRIP - 1) // STRIP):
            for i in range(some * ROWS_OF_STRIP, min(rows, (some + 1) * ROWS_OF_STRIP)):
                row = y + i * step_y
                j, end = edge_of_strip(row, strip, width), edge_of_strip(row, strip + 1, width)
                normalize_columns_past_caches(
                    x + i * step_x + j,
                    row + j,
                    end - j,
                    width,
                    STRIPS_AHEAD * step_x,
                    mean + j,
                    scale + j,
                    bias + j,
                    lowest,
                    room,
                )


def normalize_apply_columns(args, lengths):
    x, y, step_x, step_y = operand(args, X), output_of(args, X + 1), lengths[STEP], lengths[STEP + 1]
    rows, width, together = lengths[ROWS], lengths[WIDTH], rows_together(lengths)
    times = periods(width, together, lengths[COUNT])
    # First, and so at a cache line: else what was written there cannot be read at once.
    room = reals(numbers(args, SCRATCH))
    mean, scale, bias = room + LANES, room + LANES + times * width, room + LANES + 2 * times * width
    lowest, later = narrow(numbers(args, PARAMETERS)[1]), max(1, LONG_STRETCH // width)
    is_streamed = lengths[COUNT] == 0
    stats, kept, are_far = numbers(args, STATS), lengths[KEPT], numbers(args, SCRATCH) + 3 * times * width + LANES
    near, power = are_far + 1, reals(are_far + 1 + 6 * width)
    if not is_streamed:
        are_far[0] = far_deviations(stats + 3 * kept, width)
        if are_far[0] > 0.0:
            stats, kept = near_stats(stats, kept, width, near, power), width
        normalize_parts(stats, kept, width, mean, scale, bias)
        repeat(mean, width, times)
        repeat(scale, width, times)
        repeat(bias, width, times)
    if are_far[0] > 0.0:
        for i in range(rows):
            scale_columns(x + i * step_x, y + i * step_y, width, power)
            normalize_columns(y + i * step_y, y + i * step_y, width, mean, scale, bias, lowest)
        rows = 0
    if lengths[COUNT] < 0 and rows > 0:
        period = together * width
        normalize_past_caches(x, step_x, y, step_y, rows, width, period, mean, scale, bias, lowest, room)
        rows = 0
    for block in range(rows // together):
        i = block * together
        normalize_long_columns(
            x + i * step_x,
            y + i * step_y,
            together * width,
            later * step_x if is_streamed else 0,
            later * step_y,
            mean,
            scale,
            bias,
            lowest,
        )
    i = rows // together * together
    normalize_columns(x + i * step_x, y + i * step_y, (rows - i) * width, mean, scale, bias, lowest)


# ---- x*scale + shift: batch_norm in inference. Statistics: scale, shift.


def scale_and_shift(x, y, n, scale, shift, lowest):
    for i in range(n):
        y[i] = at_least(fma(x[i], scale, shift), lowest)


def scale_and_shift_long(x, y, n, scale, shift, lowest):
    for tile in range(n // TILE):
        i = tile * TILE
        will_write(y + i + 2 * TILE)
        scale_and_shift(x + i, y + i, TILE, scale, shift, lowest)
    i = n // TILE * TILE
    scale_and_shift(x + i, y + i, n - i, scale, shift, lowest)


def affine_apply_row(args, lengths):
    x, y, stats = operand(args, X), output_of(args, X + 1), numbers(args, STATS)
    scale, shift, lowest = narrow(stats[0]), narrow(stats[lengths[KEPT]]), narrow(numbers(args, PARAMETERS)[1])
    scale_and_shift_long(x, y, lengths[ROWS], scale, shift, lowest)


def affine_columns(x, y, width, scale, shift, lowest):
    for j in range(width):
        y[j] = at_least(fma(x[j], scale[j], shift[j]), lowest)


def affine_long_columns(x, y, width, ahead, later, scale, shift, lowest):
    """As `normalize_long_columns`."""
    for tile in range(width // TILE):
        j = tile * TILE
        if ahead > 0:
            will_read_later(x + ahead + j)
        else:
            will_write(y + later + j)
        affine_columns(x + j, y + j, TILE, scale + j, shift + j, lowest)
    j = width // TILE * TILE
    affine_columns(x + j, y + j, width - j, scale + j, shift + j, lowest)


def affine_parts(stats, kept, width, scale, shift):
    for j in range(width):
        scale[j], shift[j] = narrow(stats[j]), narrow(stats[kept + j])


def affine_columns_past_caches(x, y, n, period, ahead, scale, shift, lowest, room):
    """As `normalize_columns_past_caches`."""
    first = min(n, before_line(y))
    blocks = (n - first) // LANES
    affine_columns(x, y, first, scale, shift, lowest)
    for block in range(blocks):
        i = first + block * LANES
        column = i % period
        affine_columns(x + i, room, LANES, scale + column, shift + column, lowest)
        stream_lanes(y + i, room, x + i + ahead)
    i = first + blocks * LANES
    column = i % period
    affine_columns(x + i, y + i, n - i, scale + column, shift + column, lowest)


def affine_past_caches(x, step_x, y, step_y, rows, width, period, scale, shift, lowest, room):
    """As `normalize_past_caches`."""
    if are_one_block(width, step_x, step_y):
        affine_columns_past_caches(x, y, rows * width, period, STREAMED_AHEAD, scale, shift, lowest, room)
        rows = 0
    for some in range((rows + ROWS_OF_STRIP - 1) // ROWS_OF_STRIP):
        for strip in range((width + STRIP - 1) // STRIP):
            for i in range(some * ROWS_OF_STRIP, min(rows, (some + 1) * ROWS_OF_STRIP)):
                row, source = y + i * step_y, x + i * step_x
                j, end = edge_of_strip(row, strip, width), edge_of_strip(row, strip + 1, width)
                ahead = STRIPS_AHEAD * step_x
                affine_columns_past_caches(
                    source + j, row + j, end - j, width, ahead, scale + j, shift + j, lowest, room
                )


def affine_apply_columns(args, lengths):
    x, y, step_x, step_y = operand(args, X), output_of(args, X + 1), lengths[STEP], lengths[STEP + 1]
    rows, width, together = lengths[ROWS], lengths[WIDTH], rows_together(lengths)
    room, times = reals(numbers(args, SCRATCH)), periods(width, together, lengths[COUNT])
    scale, shift = room + LANES, room + LANES + times * width
    lowest, later = narrow(numbers(args, PARAMETERS)[1]), max(1, LONG_STRETCH // width)
    is_streamed = lengths[COUNT] == 0
    if not is_streamed:
        affine_parts(numbers(args, STATS), lengths[KEPT], width, scale, shift)
        repeat(scale, width, times)
        repeat(shift, width, times)
    if lengths[COUNT] < 0:
        affine_past_caches(x, step_x, y, step_y, rows, width, together * width, scale, shift, lowest, room)
        rows = 0
    for block in range(rows // together):
        i = block * together
        affine_long_columns(
            x + i * step_x,
            y + i * step_y,
            together * width,
            later * step_x if is_streamed else 0,
            later * step_y,
            scale,
            shift,
            lowest,
        )
    i = rows // together * together
    affine_columns(x + i * step_x, y + i * step_y, (rows - i) * width, scale, shift, lowest)


# ---- The same with a weight and a bias for each element of the row: layer_norm. Arrays: x, weight, bias, y.


def weigh_normalized(x, weight, bias, y, n, mean, scale, rest):
    for j in range(n):
        y[j] = fma(normalized(x[j], mean, scale, rest), weight[j], bias[j])


def normalize_row(x, weight, bias, y, n, mean, scale, rest):
    for tile in range(n // TILE):
        i = tile * TILE
        will_write(y + i + 2 * TILE)
        weigh_normalized(x + i, weight + i, bias + i, y + i, TILE, mean, scale, rest)
    i = n // TILE * TILE
    weigh_normalized(x + i, weight + i, bias + i, y + i, n - i, mean, scale, rest)


def layer_norm_parts(stats, kept, count, mean, scale, rest):
    for k in range(count):
        mean[k], mean_low = mean_parts(stats + k, kept)
        scale[k] = narrow(stats[3 * kept + k])
        rest[k] = offset(ZERO, mean_low, scale[k])


def layer_norm_apply_row(args, lengths):
    x, weight, bias, y = operand(args, X), operand(args, X + 1), operand(args, X + 2), output_of(args, X + 3)
    parts, stats, kept, n = reals(numbers(args, SCRATCH)), numbers(args, STATS), lengths[KEPT], lengths[ROWS]
    source = x
    if far_deviations(stats + 3 * kept, 1) > 0:
        stats, kept = near_stats(stats, kept, 1, numbers(args, SCRATCH) + 4, parts + 3), 1
        scale_row(x, y, n, parts[3])
        source = y
    layer_norm_parts(stats, kept, 1, parts, parts + 1, parts + 2)
    normalize_row(source, weight, bias, y, n, parts[0], parts[1], parts[2])


def layer_norm_whole_row(args, lengths):
    x, weight, bias, y = operand(args, X), operand(args, X + 1), operand(args, X + 2), output_of(args, X + 3)
    n, rows, at_once = lengths[ROWS], lengths[WIDTH], rows_at_once(lengths[ROWS])
    scratch, eps = numbers(args, SCRATCH), numbers(args, PARAMETERS)[0]
    mean, scale, rest = reals(scratch), reals(scratch + GRID), reals(scratch + 2 * GRID)
    for batch in range((rows + at_once - 1) // at_once):
        first = batch * at_once
        some = min(at_once, rows - first)
        ahead = -read_ahead(lengths, n, lengths[STEP])
        source, step = x + first * lengths[STEP], lengths[STEP]
        stats = whole_moments_of_rows(source, step, n, some, ahead, scratch, eps)
        if far_deviations(stats + 3 * ROWS_AT_ONCE, some) > 0:
            bring_near(stats, ROWS_AT_ONCE, some, mean)
            scale_rows(source, step, y + first * lengths[STEP + 3], lengths[STEP + 3], n, some, mean)
            source, step = y + first * lengths[STEP + 3], lengths[STEP + 3]
        layer_norm_parts(stats, ROWS_AT_ONCE, some, mean, scale, rest)
        for i in range(some):
            row = first + i
            normalize_row(
                source + i * step,
                weight + row * lengths[STEP + 1],
                bias + row * lengths[STEP + 2],
                y + row * lengths[STEP + 3],
                n,
                mean[i],
                scale[i],
                rest[i],
            )


def weigh_normalized_columns(x, y, width, mean, scale, rest, weight, bias):
    for j in range(width):
        y[j] = fma(normalized(x[j], mean[j], scale[j], rest[j]), weight, bias)


def layer_norm_long_columns(x, y, width, ahead, later, mean, scale, rest, weight, bias):
    """As `normalize_long_columns`."""
    for tile in range(width // TILE):
        j = tile * TILE
        if ahead > 0:
            will_read_later(x + ahead + j)
        else:
            will_write(y + later + j)
        weigh_normalized_columns(x + j, y + j, TILE, mean + j, scale + j, rest + j, weight, bias)
    j = width // TILE * TILE
    weigh_normalized_columns(x + j, y + j, width - j, mean + j, scale + j, rest + j, weight, bias)


def weigh_over_rows(x, y, n, column, width, mean, scale, rest, weight, weight_step, bias, bias_step):
    """Normalize n neighbours that begin in a column, and go on in the next rows."""
    for row in range((column + n + width - 1) // width):
        first = max(column, row * width)
        some = min(column + n, (row + 1) * width) - first
        j, k = first - column, first - row * width
        w, b = weight[row * weight_step], bias[row * bias_step]
        weigh_normalized_columns(x + j, y + j, some, mean + k, scale + k, rest + k, w, b)


def weigh_two_rows(x, y, some, mean, scale, rest, weight, next_weight, bias, next_bias):
    """Normalize LANES neighbours of which only some are of the first row; columns' numbers begin again behind it."""
    for j in range(LANES):
        w, b = weight if j < some else next_weight, bias if j < some else next_bias
        y[j] = fma(normalized(x[j], mean[j], scale[j], rest[j]), w, b)


def layer_norm_columns_past_caches(x, y, n, ahead, mean, scale, rest, weight, bias, room):
    """Write n neighbours of a row past the caches, see `normalize_columns_past_caches`."""
    first = min(n, before_line(y))
    blocks = (n - first) // LANES
    weigh_normalized_columns(x, y, first, mean, scale, rest, weight, bias)
    for block in range(blocks):
        i = first + block * LANES
        weigh_normalized_columns(x + i, room, LANES, mean + i, scale + i, rest + i, weight, bias)
        stream_lanes(y + i, room, x + i + ahead)
    i = first + blocks * LANES
    weigh_normalized_columns(x + i, y + i, n - i, mean + i, scale + i, rest + i, weight, bias)


def layer_norm_block_past_caches(x, y, rows, width, mean, scale, rest, weight, weight_step, bias, bias_step, room):
    """Do the same with rows without gaps: cache lines go over their ends."""
    n = rows * width
    done = min(n, before_line(y))
    weigh_over_rows(x, y, done, 0, width, mean, scale, rest, weight, weight_step, bias, bias_step)
    for row in range(rows):
        column = done - row * width
        w, b = weight + row * weight_step, bias + row * bias_step
        blocks = max(0, width - column) // LANES
        for block in range(blocks):
            j = column + block * LANES
            weigh_normalized_columns(x + row * width + j, room, LANES, mean + j, scale + j, rest + j, w[0], b[0])
            stream_lanes(y + row * width + j, room, x + row * width + j + STREAMED_AHEAD)
        done = done + blocks * LANES
        if done < (row + 1) * width and done + LANES <= n:
            j = done - row * width
            if width < LANES:
                weigh_over_rows(x + done, room, LANES, j, width, mean, scale, rest, w, weight_step, b, bias_step)
            else:
                next_w, next_b = w[weight_step], b[bias_step]
                weigh_two_rows(x + done, room, width - j, mean + j, scale + j, rest + j, w[0], next_w, b[0], next_b)
            stream_lanes(y + done, room, x + done + STREAMED_AHEAD)
            done = done + LANES
    row = done // width
    w, b = weight + row * weight_step, bias + row * bias_step
    weigh_over_rows(x + done, y + done, n - done, done % width, width, mean, scale, rest, w, weight_step, b, bias_step)


def layer_norm_past_caches(
    x, step_x, y, step_y, rows, width, mean, scale, rest, weight, weight_step, bias, bias_step, room
):
    """As `normalize_past_caches`."""
    if are_one_block(width, step_x, step_y):
        layer_norm_block_past_caches(x, y, rows, width, mean, scale, rest, weight, weight_step, bias, bias_step, room)
        rows = 0
    for some in range((rows + ROWS_OF_STRIP - 1) // ROWS_OF_STRIP):
        for strip in range((width + STRIP - 1) // STRIP):
            for i in range(some * ROWS_OF_STRIP, min(rows, (some + 1) * ROWS_OF_STRIP)):
                row = y + i * step_y
                j, end = edge_of_strip(row, strip, width), edge_of_strip(row, strip + 1, width)
                layer_norm_columns_past_caches(
                    x + i * step_x + j,
                    row + j,
                    end - j,
                    STRIPS_AHEAD * step_x,
                    mean + j,
                    scale + j,
                    rest + j,
                    weight[i * weight_step],
                    bias[i * bias_step],
                    room,
                )


def layer_norm_apply_columns(args, lengths):
    """Take one weight and one bias for each row of columns."""
    x, weight, bias, y = operand(args, X), operand(args, X + 1), operand(args, X + 2), output_of(args, X + 3)
    step_x, step_y, width, scratch = lengths[STEP], lengths[STEP + 3], lengths[WIDTH], numbers(args, SCRATCH) + LANES
    weight_step, bias_step, rows = lengths[STEP + 1], lengths[STEP + 2], lengths[ROWS]
    times = periods(width, 1, lengths[COUNT])
    mean, scale, rest = reals(scratch), reals(scratch + times * width), reals(scratch + 2 * times * width)
    is_streamed, later = lengths[COUNT] == 0, max(1, LONG_STRETCH // width)
    stats, kept, are_far = numbers(args, STATS), lengths[KEPT], scratch + 3 * times * width
    near, power, room = are_far + 1, reals(are_far + 1 + 6 * width), reals(numbers(args, SCRATCH))
    if not is_streamed:
        are_far[0] = far_deviations(stats + 3 * kept, width)
        if are_far[0] > 0.0:
            stats, kept = near_stats(stats, kept, width, near, power), width
        layer_norm_parts(stats, kept, width, mean, scale, rest)
        repeat(mean, width, times)
        repeat(scale, width, times)
        repeat(rest, width, times)
    if lengths[COUNT] < 0 and are_far[0] == 0.0:
        layer_norm_past_caches(
            x, step_x, y, step_y, rows, width, mean, scale, rest, weight, weight_step, bias, bias_step, room
        )
        rows = 0
    for i in range(rows):
        source = x + i * step_x
        if are_far[0] > 0.0:
            scale_columns(x + i * step_x, y + i * step_y, width, power)
            source = y + i * step_y
        layer_norm_long_columns(
            source,
            y + i * step_y,
            width,
            later * step_x if is_streamed else 0,
            later * step_y,
            mean,
            scale,
            rest,
            weight[i * weight_step],
            bias[i * bias_step],
        )


# ---- group_norm without anything but samples and channels: what is normalized together differs in its weights.


def group_norm_apply_row(args, lengths):
    layer_norm_apply_row(args, lengths)


def group_norm_whole_row(args, lengths):
    layer_norm_whole_row(args, lengths)


def group_norm_columns(x, weight, bias, y, width, mean, scale, rest):
    for j in range(width):
        y[j] = fma(normalized(x[j], mean[j], scale[j], rest[j]), weight[j], bias[j])


def group_norm_apply_columns(args, lengths):
    x, weight, bias, y = operand(args, X), operand(args, X + 1), operand(args, X + 2), output_of(args, X + 3)
    stats, kept, width, scratch = numbers(args, STATS), lengths[KEPT], lengths[WIDTH], numbers(args, SCRATCH)
    mean, scale, rest = reals(scratch), reals(scratch + width), reals(scratch + 2 * width)
    are_far = scratch + 3 * width
    near, power = are_far + 1, reals(are_far + 1 + 6 * width)
    if lengths[COUNT] > 0:
        are_far[0] = far_deviations(stats + 3 * kept, width)
        if are_far[0] > 0.0:
            stats, kept = near_stats(stats, kept, width, near, power), width
        layer_norm_parts(stats, kept, width, mean, scale, rest)
    for i in range(lengths[ROWS]):
        source = x + i * lengths[STEP]
        if are_far[0] > 0.0:
            scale_columns(x + i * lengths[STEP], y + i * lengths[STEP + 3], width, power)
            source = y + i * lengths[STEP + 3]
        group_norm_columns(
            source,
            weight + i * lengths[STEP + 1],
            bias + i * lengths[STEP + 2],
            y + i * lengths[STEP + 3],
            width,
            mean,
            scale,
            rest,
        )
