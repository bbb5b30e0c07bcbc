"""What the reductions have in common: lanes of accumulators, their combination, and a few functions of one number.

A row is summed in `LANES` lanes, element i in lane i modulo `LANES`, and neighbours are added until one lane is left,
of several rows together, since one alone waits for each addition. So the result depends on the number of elements only:
not on threads, not on how wide the processor's vectors are. A block of columns has a lane for each column and needs no
combination.

Accumulators are binary64 (``wide``). To binary64 arrays that is their own precision: there, what each addition rounds
off is added up beside the sum (Knuth's two-sum), so that n additions cost about one rounding.
"""


def wide_two_sum(a, b):
    """Return (s, lost): s + lost = a + b exactly, s rounded."""
    s = a + b
    part = s - a
    return s, (a - (s - part)) + (b - part)


def accumulate(total, low, t, t_low):
    """Return (total, low) after the addition of t + t_low; `low` is what the additions rounded off."""
    s, lost = wide_two_sum(total, t)
    return s, (low + (lost + t_low) if SUM_ROUNDS > ZERO else low)


def accumulate_always(total, low, t):
    """Return (total, low) after the addition of t, in two parts whatever the precision of the arrays."""
    s, lost = wide_two_sum(total, t)
    return s, low + lost


def greater(a, b):
    return b if b > a else a


def largest_of_block(x, m):
    for j in range(LANES):
        m[j] = greater(m[j], x[j])


def largest_of_blocks(x, m):
    """Four blocks for one step of a chain: half the time of one."""
    for j in range(LANES):
        m[j] = greater(m[j], greater(greater(x[j], x[LANES + j]), greater(x[2 * LANES + j], x[3 * LANES + j])))


def lanes_of_largest(x, n, m):
    """Leave the largest of each lane in m, -inf where there is none. NaN may be passed over.

    A row without an incomplete block starts with two whole ones: what is padded goes through memory.
    """
    fours, left = n // (4 * LANES), n % (2 * LANES)
    if left > 0:
        pad_lanes(m, x + n // LANES * LANES, n % LANES, -TWO * LARGEST)
    else:
        for j in range(LANES):
            m[j] = greater(x[j], x[LANES + j])
    for some in range(fours):
        largest_of_blocks(x + 4 * some * LANES, m)
    for block in range(max(4 * fours, 0 if left > 0 else 2), n // LANES):
        largest_of_block(x + block * LANES, m)


def larger_neighbours(source, target, n):
    for k in range(n):
        target[k] = source[2 * k + 1] if source[2 * k + 1] > source[2 * k] else source[2 * k]


def fold_largest_lanes(m, folded):
    """Leave the largest of the lanes in the first LARGEST_LANES. There are LANES steps so that they go to vectors."""
    for j in range(LANES):
        folded[j] = greater(m[j], m[LARGEST_LANES + j])


def add_neighbours(total, low, sums, sums_low, n):
    for k in range(n):
        sums[k], sums_low[k] = accumulate(total[2 * k], low[2 * k], total[2 * k + 1], low[2 * k + 1])


def fold_eighths(total, low, sums, sums_low, rows):
    """Leave the sum of the FOLDED lanes of each row, one row behind the other, in `sums`.

    Several rows hide the latency.
    """
    add_neighbours(total, low, sums, sums_low, 4 * rows)
    add_neighbours(sums, sums_low, total, low, 2 * rows)
    add_neighbours(total, low, sums, sums_low, rows)


def fold_rows(total, low, sums, sums_low, rows):
    """Do the same, with low parts where sums have some. Without their loads and stores rows of 64 take 0.95."""
    if SUM_ROUNDS > ZERO:
        fold_eighths(total, low, sums, sums_low, rows)
    else:
        fold_eight(total, sums, rows)


def sum_neighbours(source, target, n):
    for k in range(n):
        target[k] = source[2 * k] + source[2 * k + 1]


def add_halves(lanes, total):
    """Leave FOLDED of twice as many lanes: halves need no shuffles."""
    for j in range(FOLDED):
        total[j] = lanes[j] + lanes[FOLDED + j]


def fold_eight(total, sums, rows):
    """Leave the sum of the FOLDED lanes of each row, one row behind the other, in `sums`."""
    sum_neighbours(total, sums, 4 * rows)
    sum_neighbours(sums, total, 2 * rows)
    sum_neighbours(total, sums, rows)


def fold_sums(total, sums, rows):
    """Leave the sum of the lanes of each row, one row behind the other, in `sums`."""
    sum_neighbours(total, sums, 16 * rows)
    sum_neighbours(sums, total, 8 * rows)
    fold_eight(total, sums, rows)


def sum_of_lanes(total, other):
    """Return the sum of the lanes of one row."""
    fold_sums(total, other, 1)
    return other[0]


def clear(total, low, width):
    for j in range(width):
        total[j] = 0.0
        low[j] = 0.0


def are_one_block(width, step_x, step_y):
    """Return whether rows that go past the caches are one block of neighbours.

    What is known of the columns of wider ones would leave the first-level cache no room for what was fetched: these go
    strip by strip.
    """
    return step_x == width and step_y == width and width <= MOST_COLUMNS_OF_BLOCK


def edge_of_strip(y, strip, width):
    """Return in which column of a row a strip begins: at a whole cache line, but for the first one and the end."""
    return min(width, strip * STRIP + before_line(y)) if strip > 0 else 0


def log1p_parts(rest, rest_low):
    """Return (high, low): their sum is log(1 + rest + rest_low) to 2**-58, for rest >= 0.

    log(1 + rest) = k*log(2) + log(f), and log(f) = 2*artanh(s) = 2*s + s**3*(2/3 + 2/5*s**2 + ...) with
    s = (f - 1)/(f + 1), f in [sqrt(1/2), sqrt(2)]. Only 2*s is needed in two parts. For k = 0, f - 1 is rest itself.
    """
    one_plus, one_plus_low = wide_two_sum(1.0, rest)
    one_plus_low = one_plus_low + rest_low
    k = exponent_of(one_plus * 0.7071067811865476) + 1.0 if rest > 0.41421356237309503 else 0.0
    unit = power_of_minus(k)
    f = one_plus * unit
    f_low = one_plus_low * unit
    top = rest if k == 0.0 else f - 1.0
    top_low = rest_low if k == 0.0 else f_low
    bottom, bottom_low = wide_two_sum(1.0, f)
    bottom_low = bottom_low + f_low
    inverse = 1.0 / bottom
    s = top * inverse
    s_low = (wide_fma(-s, bottom, top) + (top_low - s * bottom_low)) * inverse
    z = s * s
    q = 2.0 / 21.0 * z + 2.0 / 19.0
    q = q * z + 2.0 / 17.0
    q = q * z + 2.0 / 15.0
    q = q * z + 2.0 / 13.0
    q = q * z + 2.0 / 11.0
    q = q * z + 2.0 / 9.0
    q = q * z + 2.0 / 7.0
    q = q * z + 2.0 / 5.0
    q = q * z + 2.0 / 3.0
    # log(2) as the sum of two, the first with 21 zero bits: its product with k is exact.
    high, low = wide_two_sum(k * 0.6931471803691238, 2.0 * s)
    low = low + (2.0 * s_low + s * z * q + k * 1.9082149292705877e-10)
    total = high + low
    return total, low - (total - high)
