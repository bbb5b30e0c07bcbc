"""Normalizations of arrays whose planes are contiguous: NCHW. A plane is what a sample has of a channel.

A row is what is normalized together: of batch_norm the planes of one channel, of instance_norm one plane, of group_norm
those of neighbouring channels. Weights differ from row to row, or from plane to plane. Rows go through both passes in
one go, some at a time, as many as stay in the first-level cache: so a small plane needs neither a call nor a sum of its
own. To be summed, planes that are apart in memory are copied to be one behind the other, in pieces of at most 4096
elements: chains go over their ends, and there is one remainder for all of them.
"""


def planes_of_piece(n, count):
    """Return how many planes of n elements are summed together."""
    return max(1, min(count, FEW_ELEMENTS // n))


def pieces_of_plane(n):
    """Return in how many pieces a plane is summed, if not with others."""
    return (n + FEW_ELEMENTS - 1) // FEW_ELEMENTS


def gather(x, step, n, count, ahead, room):
    """Copy planes to be one behind the other, and fetch those that are so far ahead.

    Of planes that are shorter than a page and apart the processor fetches nothing by itself: (128, 256, 14, 14) in
    training takes 0.85 of the time.
    """
    for i in range(count):
        source, target = x + i * step, room + i * n
        for block in range((n + LANES - 1) // LANES):
            will_read_lanes_later(source + ahead + block * LANES)
        for block in range(n // LANES):
            for j in range(LANES):
                target[block * LANES + j] = source[block * LANES + j]
        if n % LANES > 0:
            # What is written behind the plane is overwritten by the next one.
            pad_lanes(target + n // LANES * LANES, source + n // LANES * LANES, n % LANES, ZERO)


def gather_rows(x, row_step, step, n, count, rows, room):
    for i in range(rows):
        gather(x + i * row_step, step, n, count, rows * row_step, room + i * count * n)


# ---- Statistics of at most ROWS_AT_ONCE rows: mean in two parts, squares about it, factor, ROWS_AT_ONCE apart.


def keep_pieces(pieces, rows, n, c, scratch):
    for i in range(rows):
        pieces[i] = n
        pieces[rows + i] = c[i]
        pieces[2 * rows + i] = scratch[i]
        pieces[3 * rows + i] = scratch[GRID + i]


def moments_of_planes(x, row_step, step, n, count, rows, scratch, eps):
    """Return the statistics; they are in scratch."""
    at_once, parts, stats = planes_of_piece(n, count), pieces_of_plane(n), scratch + 5 * GRID
    pieces, room = stats + 4 * ROWS_AT_ONCE, reals(stats + 4 * ROWS_AT_ONCE + PLANE_PIECES)
    number = (count + at_once - 1) // at_once * parts
    for b in range(number):
        first = b // parts * at_once
        start = b % parts * FEW_ELEMENTS
        some = min(at_once, count - first)
        length = min(FEW_ELEMENTS, some * n - start)
        place, following = first * step + start, (b + 1) // parts * at_once * step + (b + 1) % parts * FEW_ELEMENTS
        # Less than none, as results are written between: see `chained_sums_of_row`. (32, 64, 56, 56) takes 0.75.
        source, source_step, ahead = x + place, row_step, place - (following if b + 1 < number else rows * row_step)
        if some > 1 and step != n:
            gather_rows(source, row_step, step, n, some, rows, room)
            source, source_step, ahead = room, length, 0
        c = moments_of_rows(source, source_step, length, rows, ahead, scratch, eps)
        if number == 1:
            mean_low, inside, factor = stats + ROWS_AT_ONCE, stats + 2 * ROWS_AT_ONCE, stats + 3 * ROWS_AT_ONCE
            statistics_of_rows(rows, length, c, scratch, scratch + GRID, stats, mean_low, inside)
            inverse_deviations(rows, length, inside, eps, factor)
        else:
            keep_pieces(pieces + 4 * b * rows, rows, length, c, scratch)
    if number > 1:
        combine_moments(pieces, number, n * count, rows, stats, ROWS_AT_ONCE, scratch, eps)
    return stats


# ---- (x - mean)*scale + bias. Arrays: x, y; weight and bias in binary64. Statistics: the moments', if they are wanted.
# Parameters: eps, the lowest y, whether the arrays are beyond the second-level cache: then the planes to come are
# fetched.


def normalize_plane(x, y, n, is_far, mean, scale, bias, lowest):
    if n < LONG_PLANE:
        for block in range((n + LANES - 1) // LANES if is_far else 0):
            will_write_lanes(y + LONG_PLANE + block * LANES)
        normalize_elements(x, y, n, mean, scale, bias, lowest)
    else:
        normalize_long(x, y, n, mean, scale, bias, lowest)


def parts_of_rows(facts, rows, weight, bias, step, mean, scale, rest):
    for i in range(rows):
        mean[i], mean_low = mean_parts(facts + i, ROWS_AT_ONCE)
        scale[i] = narrow(facts[3 * ROWS_AT_ONCE + i] * weight[i * step])
        rest[i] = offset(narrow(bias[i * step]), mean_low, scale[i])


def normalize_rows(x, x_step, x_plane, y, y_step, y_plane, n, count, rows, is_far, mean, scale, rest, lowest):
    """Write some rows, each with one weight: in the order of memory."""
    for plane in range(count):
        for i in range(rows):
            source, target = x + i * x_step + plane * x_plane, y + i * y_step + plane * y_plane
            normalize_plane(source, target, n, is_far, mean[i], scale[i], rest[i], lowest)


def normalize_groups(
    x, x_step, x_plane, y, y_step, y_plane, n, count, rows, is_far, weight, bias, step, plane_step, facts, lowest
):
    """Write some rows, each with a weight for each of its planes."""
    for i in range(rows):
        mean, mean_low = mean_parts(facts + i, ROWS_AT_ONCE)
        for plane in range(count):
            place = i * step + plane * plane_step
            scale = narrow(facts[3 * ROWS_AT_ONCE + i] * weight[place])
            rest = offset(narrow(bias[place]), mean_low, scale)
            source, target = x + i * x_step + plane * x_plane, y + i * y_step + plane * y_plane
            normalize_plane(source, target, n, is_far, mean, scale, rest, lowest)


def facts_of_planes(x, row_step, step, n, count, rows, scratch, eps, facts):
    """Leave the statistics of at most ROWS_AT_ONCE rows in `facts`; as many as the cache holds are summed together."""
    at_once = rows_at_once(n * count)
    for part in range((rows + at_once - 1) // at_once):
        first = part * at_once
        some = min(at_once, rows - first)
        found = moments_of_planes(x + first * row_step, row_step, step, n, count, some, scratch, eps)
        for k in range(4):
            for i in range(some):
                facts[k * ROWS_AT_ONCE + first + i] = found[k * ROWS_AT_ONCE + i]


def keep_facts(facts, rows, kept, stats):
    for k in range(4):
        for i in range(rows):
            stats[k * kept + i] = facts[k * ROWS_AT_ONCE + i]


def moments_planes(args, lengths):
    """Array: x. Statistics: the moments'. Parameters: eps."""
    rows, kept, scratch = lengths[WIDTH], lengths[KEPT], numbers(args, SCRATCH)
    facts = scratch + PLANE_FACTS
    for batch in range((rows + ROWS_AT_ONCE - 1) // ROWS_AT_ONCE):
        first = batch * ROWS_AT_ONCE
        some = min(ROWS_AT_ONCE, rows - first)
        x = operand(args, X) + first * lengths[STEP]
        eps = numbers(args, PARAMETERS)[0]
        facts_of_planes(x, lengths[STEP], lengths[PLANE], lengths[ROWS], lengths[COUNT], some, scratch, eps, facts)
        keep_facts(facts, some, kept, numbers(args, STATS) + first)


def bring_planes_near(x, x_step, x_plane, y, y_step, y_plane, n, count, rows, facts, power):
    """Multiply rows by powers of two, and change their statistics: see `bring_near`."""
    bring_near(facts, ROWS_AT_ONCE, rows, power)
    for plane in range(count):
        scale_rows(x + plane * x_plane, x_step, y + plane * y_plane, y_step, n, rows, power)


def normalize_planes(args, lengths):
    n, count, rows, kept = lengths[ROWS], lengths[COUNT], lengths[WIDTH], lengths[KEPT]
    x_step, x_plane, y_step, y_plane = lengths[STEP], lengths[PLANE], lengths[STEP + 1], lengths[PLANE + 1]
    step, plane_step, scratch = lengths[STEP + 2], lengths[PLANE + 2], numbers(args, SCRATCH)
    eps, lowest = numbers(args, PARAMETERS)[0], narrow(numbers(args, PARAMETERS)[1])
    is_far = numbers(args, PARAMETERS)[2] > 0.0
    mean, scale, rest = reals(scratch), reals(scratch + GRID), reals(scratch + 2 * GRID)
    facts = scratch + PLANE_FACTS
    # Rows whose planes are apart are written together, so that memory is gone through in longer stretches.
    at_once = rows_at_once(n * count) if x_plane == n else min(ROWS_AT_ONCE, max(1, PLANES_AT_ONCE // (n * count)))
    for batch in range((rows + at_once - 1) // at_once):
        first = batch * at_once
        some = min(at_once, rows - first)
        x, y = operand(args, X) + first * x_step, output_of(args, X + 1) + first * y_step
        weight, bias = numbers(args, X + 2) + first * step, numbers(args, X + 3) + first * step
        facts_of_planes(x, x_step, x_plane, n, count, some, scratch, eps, facts)
        if kept > 0:
            keep_facts(facts, some, kept, numbers(args, STATS) + first)
        source, source_step, source_plane = x, x_step, x_plane
        if far_deviations(facts + 3 * ROWS_AT_ONCE, some) > 0:
            bring_planes_near(x, x_step, x_plane, y, y_step, y_plane, n, count, some, facts, mean)
            source, source_step, source_plane = y, y_step, y_plane
        if plane_step == 0:
            parts_of_rows(facts, some, weight, bias, step, mean, scale, rest)
            normalize_rows(
                source,
                source_step,
                source_plane,
                y,
                y_step,
                y_plane,
                n,
                count,
                some,
                is_far,
                mean,
                scale,
                rest,
                lowest,
            )
        else:
            normalize_groups(
                source,
                source_step,
                source_plane,
                y,
                y_step,
                y_plane,
                n,
                count,
                some,
                is_far,
                weight,
                bias,
                step,
                plane_step,
                facts,
                lowest,
            )


# ---- x*scale + shift. Arrays: x, y; scale and shift in binary64.


def affine_planes(args, lengths):
    n, count, rows = lengths[ROWS], lengths[COUNT], lengths[WIDTH]
    scale, shift, step, plane_step = numbers(args, X + 2), numbers(args, X + 3), lengths[STEP + 2], lengths[PLANE + 2]
    lowest, is_far = narrow(numbers(args, PARAMETERS)[1]), numbers(args, PARAMETERS)[2] > 0.0
    for plane in range(count):
        for i in range(rows):
            x = operand(args, X) + i * lengths[STEP] + plane * lengths[PLANE]
            y = output_of(args, X + 1) + i * lengths[STEP + 1] + plane * lengths[PLANE + 1]
            place = i * step + plane * plane_step
            if n < LONG_PLANE:
                for block in range((n + LANES - 1) // LANES if is_far else 0):
                    will_read_lanes_later(x + LONG_PLANE + block * LANES)
                    will_write_lanes(y + LONG_PLANE + block * LANES)
                scale_and_shift(x, y, n, narrow(scale[place]), narrow(shift[place]), lowest)
            else:
                scale_and_shift_long(x, y, n, narrow(scale[place]), narrow(shift[place]), lowest)


def affine_over_end(x, y, some, scale, shift, next_scale, next_shift, lowest):
    """Write LANES neighbours of which only some are of the first plane."""
    for j in range(LANES):
        factor, summand = scale if j < some else next_scale, shift if j < some else next_shift
        y[j] = at_least(fma(x[j], factor, summand), lowest)


def affine_neighbours_past_caches(x, y, n, count, scale, shift, step, lowest, room):
    """Write planes of at least LANES elements past the caches. Cache lines go over the ends of those without gaps."""
    done = before_line(y)
    scale_and_shift(x, y, done, narrow(scale[0]), narrow(shift[0]), lowest)
    for plane in range(count):
        factor, summand = narrow(scale[plane * step]), narrow(shift[plane * step])
        blocks = ((plane + 1) * n - done) // LANES
        for block in range(blocks):
            i = done + block * LANES
            scale_and_shift(x + i, room, LANES, factor, summand, lowest)
            stream_lanes(y + i, room, x + i + PLANES_AHEAD)
        done = done + blocks * LANES
        some = (plane + 1) * n - done
        if some > 0 and plane + 1 < count:
            next_factor, next_summand = narrow(scale[(plane + 1) * step]), narrow(shift[(plane + 1) * step])
            affine_over_end(x + done, room, some, factor, summand, next_factor, next_summand, lowest)
            stream_lanes(y + done, room, x + done + PLANES_AHEAD)
            done = done + LANES
    last = (count - 1) * step
    scale_and_shift(x + done, y + done, count * n - done, narrow(scale[last]), narrow(shift[last]), lowest)


def affine_planes_past_caches(args, lengths):
    """As `affine_planes`, which takes a tenth longer on small planes if it has this as well."""
    n, count, rows, step = lengths[ROWS], lengths[COUNT], lengths[WIDTH], lengths[STEP + 2]
    lowest, room = narrow(numbers(args, PARAMETERS)[1]), reals(numbers(args, SCRATCH))
    together = rows if lengths[STEP] == n and lengths[STEP + 1] == n else 1
    for plane in range(count):
        for some in range(rows // together):
            i = some * together
            x = operand(args, X) + i * lengths[STEP] + plane * lengths[PLANE]
            y = output_of(args, X + 1) + i * lengths[STEP + 1] + plane * lengths[PLANE + 1]
            scale = numbers(args, X + 2) + i * step + plane * lengths[PLANE + 2]
            shift = numbers(args, X + 3) + i * step + plane * lengths[PLANE + 2]
            affine_neighbours_past_caches(x, y, n, together, scale, shift, step, lowest, room)


# ---- The gradient of batch_norm. Arrays: dy, x, dx. Statistics: see gradients.py.


def pad_chains(target, source, n, rest):
    """As `pad_lanes`, to four chains: n is less."""
    if n < LANES:
        pad_lanes(target, source, n, rest)
        pad_lanes(target + LANES, source, 0, rest)
    else:
        for j in range(LANES):
            target[j] = source[j]
        pad_lanes(target + LANES, source + LANES, n - LANES, rest)


def add_4_slopes_of_row(dy, x, mean, mean_low, scale, total, product):
    for j in range(CHAINS):
        s, p = slopes_of_4(dy + j, CHAINS, x + j, CHAINS, mean, mean_low, scale)
        total[j] = total[j] + s
        product[j] = product[j] + p


def add_3_slopes_of_row(dy, x, last_dy, last_x, mean, mean_low, scale, total, product):
    """Do the same where the fourth ones are elsewhere."""
    for j in range(CHAINS):
        p = dy[j] * deviation(x[j], mean, mean_low, scale)
        p = multiply_add(dy[CHAINS + j], deviation(x[CHAINS + j], mean, mean_low, scale), p)
        p = multiply_add(dy[2 * CHAINS + j], deviation(x[2 * CHAINS + j], mean, mean_low, scale), p)
        p = multiply_add(last_dy[j], deviation(last_x[j], mean, mean_low, scale), p)
        total[j] = total[j] + ((dy[j] + dy[CHAINS + j]) + (dy[2 * CHAINS + j] + last_dy[j]))
        product[j] = product[j] + p


def products_of_plane(dy, x, n, mean, mean_low, scale, totals, products, rest):
    """Add up dy and dy*(x - mean)*scale in lanes, by chains: see `normal_products_columns`."""
    for block in range(n // (4 * CHAINS)):
        i = block * 4 * CHAINS
        add_4_slopes_of_row(dy + i, x + i, mean, mean_low, scale, totals, products)
    i = n // (4 * CHAINS) * (4 * CHAINS)
    last = i + 3 * CHAINS
    if n >= last:
        # 7 by 7.
        pad_lanes(rest, dy + last, n - last, ZERO)
        pad_lanes(rest + LANES, x + last, n - last, mean)
        add_3_slopes_of_row(dy + i, x + i, rest, rest + LANES, mean, mean_low, scale, totals, products)
    elif n > i:
        pad_chains(rest, dy + i, n - i, ZERO)
        pad_chains(rest + 4 * CHAINS, x + i, n - i, mean)
        add_4_slopes_of_row(rest, rest + 4 * CHAINS, mean, mean_low, scale, totals, products)


def products_without_chains(dy, dy_step, x, x_step, n, count, mean, mean_low, scratch):
    """Return the sums of a row in binary64: chains may have left the arrays' precision."""
    total = 0.0
    product = 0.0
    for plane in range(count):
        products_of_row(dy + plane * dy_step, x + plane * x_step, n, mean, mean_low, scratch, scratch + LANES)
        s, p = both_sums(scratch)
        total = total + s
        product = product + p
    return total, product


def facts_of_rows(stats, kept, rows, mean, mean_low, factor):
    for i in range(rows):
        mean[i], mean_low[i] = mean_parts(stats + i, kept)
        factor[i] = narrow(wide_sqrt(stats[5 * kept + i]))


def grad_normalize_plane(dy, x, dx, n, mean, mean_low, c1, c2, scale):
    for j in range(n):
        dx[j] = grad_normalized(dy[j], x[j], mean, mean_low, c1, c2, scale)


def grad_normalize_planes(args, lengths):
    n, count, rows, kept = lengths[ROWS], lengths[COUNT], lengths[WIDTH], lengths[KEPT]
    dy_step, x_step, dx_step = lengths[STEP], lengths[STEP + 1], lengths[STEP + 2]
    dy_plane, x_plane, dx_plane = lengths[PLANE], lengths[PLANE + 1], lengths[PLANE + 2]
    scratch = numbers(args, SCRATCH)
    totals, products, memory = scratch, scratch + GRID, reals(scratch + 3 * GRID)
    mean, mean_low, factor = memory, memory + ROWS_AT_ONCE, memory + 2 * ROWS_AT_ONCE
    c1, c2, scale = memory + 3 * ROWS_AT_ONCE, memory + 4 * ROWS_AT_ONCE, memory + 5 * ROWS_AT_ONCE
    at_once = max(1, min(ROWS_AT_ONCE, PLANES_AT_ONCE // (n * count)))
    for batch in range((rows + at_once - 1) // at_once):
        first = batch * at_once
        some = min(at_once, rows - first)
        dy, x = operand(args, X) + first * dy_step, operand(args, X + 1) + first * x_step
        dx, stats = output_of(args, X + 2) + first * dx_step, numbers(args, STATS) + first
        facts_of_rows(stats, kept, some, mean, mean_low, factor)
        clear(totals, products, some * CHAINS)
        for plane in range(count):
            for i in range(some):
                products_of_plane(
                    dy + i * dy_step + plane * dy_plane,
                    x + i * x_step + plane * x_plane,
                    n,
                    mean[i],
                    mean_low[i],
                    factor[i],
                    totals + i * CHAINS,
                    products + i * CHAINS,
                    memory + GRID,
                )
        fold_chains(totals, scratch + 2 * GRID, some)
        fold_chains(products, scratch + 2 * GRID, some)
        for i in range(some):
            total, product = totals[i], products[i] / factor[i]
            if not (wide_magnitude(total) <= LARGEST and wide_magnitude(product) <= LARGEST):
                total, product = products_without_chains(
                    dy + i * dy_step,
                    dy_plane,
                    x + i * x_step,
                    x_plane,
                    n,
                    count,
                    mean[i],
                    mean_low[i],
                    scratch + 4 * GRID,
                )
            stats[2 * kept + i] = total
            stats[3 * kept + i] = product
            c1[i], c2[i] = narrow(total * stats[4 * kept + i]), narrow(product * stats[5 * kept + i])
            scale[i] = narrow(stats[6 * kept + i])
        for plane in range(count):
            for i in range(some):
                grad_normalize_plane(
                    dy + i * dy_step + plane * dy_plane,
                    x + i * x_step + plane * x_plane,
                    dx + i * dx_step + plane * dx_plane,
                    n,
                    mean[i],
                    mean_low[i],
                    c1[i],
                    c2[i],
                    scale[i],
                )
