"""Sums of float32 in chains: a few terms in the arrays' own precision, then one addition in binary64.

A conversion to binary64 and the operations on half vectors take 12 instructions for what float32 does in 3. So of 8
elements at a time sums of d = x - center and of d*d are made in float32, and added up in binary64.

Columns of 8 or 16 elements are read twice from the first-level cache: once for their center, about their mean, and
once for the sums, which are moved to the shift of the piece in binary64. A row is 16 such columns side by side, and is
read once, with one center: about the mean of its first 8 elements, a multiple of a power of two that is some tenths of
what these are apart. So the distance of an outlier is exact, unless it is a million times as far. Where the center
turns out to lie so far from the mean of all that the sum of squares is more than twice that about the mean, the row is
summed again about its mean. That happens to one row in 200 if elements are independent, to nearly all that are sorted,
and is no more work than to read all of them twice. Of long rows, with more roundings that are independent, it may be
five times as large: rows with a trend are read once then, and the variance of 512 sorted numbers is right to 2 ULP (of
128 it were 4.4).

With u = 2**-24: d has an error of u, a chain of four squares adds at most 4*u and the tree over the chains u a level.
Of many squares these errors are independent, and little remains; of one that is larger than all others together they
do: one row in 100000 with an outlier was 4 to 6 ULP off. So a row that has more than half of its sum of squares in one
of 8 lanes is summed again in binary64. Centers that are off do no harm: d is exact where the mean is far larger than
the deviations. What lies between centers is exact in binary64. So it does not matter whether the data are sorted, have
a step or drift. Measured on such data, the variance of rows is right to 3.3 ULP, that of columns to 3.5; of columns
where one element is far from all others, one in 40000 to 5.

float32 ends: a square beyond 3e38 is inf, one below 1e-38 loses digits or is 0, which does not matter where eps or the
other squares are larger. `chains_suffice` says so; where it does not, the sums are made again in binary64.
"""


def sum_of_8(x, step):
    low = (x[0] + x[step]) + (x[2 * step] + x[3 * step])
    high = (x[4 * step] + x[5 * step]) + (x[6 * step] + x[7 * step])
    return low + high


def sum_of_16(x, step):
    return sum_of_8(x, step) + sum_of_8(x + 8 * step, step)


def shortened(center):
    """Return 18 bits of the center (Veltkamp): for most x its distance is exact then, an outlier's first of all."""
    t = center * CUT
    return t - (t - center)


def coarse(center, unit):
    """Return a multiple of unit/2**23 near the center, if that is less than the unit."""
    return (center + unit) - unit


def center_of_8(x):
    """Return about the mean of 8 elements, in so few bits that the distance of an outlier is exact."""
    spread = absolute(x[0] - x[7]) + absolute(x[3] - x[4])
    return coarse(sum_of_8(x, 1), spread * COARSE) * EIGHTH


def center_of_sums(n, c, total, square):
    """Return about the mean in as few bits."""
    share = total / n
    return coarse(narrow(c + share), narrow(2097152.0 * wide_sqrt(square / n - share * share)))


def chain_of_4(x, step, center):
    """Return the sum of deviations and that of their squares."""
    d = x[0] - center
    e = x[step] - center
    f = x[2 * step] - center
    g = x[3 * step] - center
    return (d + e) + (f + g), multiply_add(g, g, multiply_add(f, f, multiply_add(e, e, d * d)))


def chains_of_8(x, step, center):
    s, q = chain_of_4(x, step, center)
    t, r = chain_of_4(x + 4 * step, step, center)
    return s + t, q + r


def chains_of_16(x, step, center):
    s, q = chains_of_8(x, step, center)
    t, r = chains_of_8(x + 8 * step, step, center)
    return s + t, q + r


def about(c, center, n, s, q):
    """Return the sums about c of n elements with sums about their center."""
    shift = wide_sum(center, -c)
    total = wide_multiply_add(n, shift, s)
    return total, wide_multiply_add(shift, total + s, q)


def moments_of_8(x, step, c):
    center = shortened(sum_of_8(x, step) * EIGHTH)
    s, q = chains_of_8(x, step, center)
    return about(c, center, 8.0, s, q)


def moments_of_16(x, step, c):
    center = shortened(sum_of_16(x, step) * SIXTEENTH)
    s, q = chains_of_16(x, step, center)
    return about(c, center, 16.0, s, q)


def is_off_center(n, total, square):
    """Return whether the sum of squares is more than two (long rows: five) times that about the mean."""
    return (1.25 if n >= 512.0 else 2.0) * (total * total) > n * square


def chains_suffice(n, total, square, eps):
    """Return whether no square can have left float32, or lost digits that variance + eps shows; not for NaN."""
    return n * square - total * total >= n * n * (7.888609052210118e-31 - eps) and square <= 1e100


def squares_of_4(x, step):
    return multiply_add(
        x[3 * step], x[3 * step], multiply_add(x[2 * step], x[2 * step], multiply_add(x[step], x[step], x[0] * x[0]))
    )


def squares_of_8(x, step):
    return squares_of_4(x, step) + squares_of_4(x + 4 * step, step)


def squares_of_16(x, step):
    return squares_of_8(x, step) + squares_of_8(x + 8 * step, step)


def sum_of_folded(lanes):
    return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]))


def wide_greater(a, b):
    return b if b > a else a


def greater_neighbours(source, target, n):
    for k in range(n):
        target[k] = wide_greater(source[2 * k], source[2 * k + 1])


def greatest_of_folded(lanes):
    low = wide_greater(wide_greater(lanes[0], lanes[1]), wide_greater(lanes[2], lanes[3]))
    return wide_greater(low, wide_greater(wide_greater(lanes[4], lanes[5]), wide_greater(lanes[6], lanes[7])))


def square_of_lanes(square, greatest):
    """Return the sum of squares, or what chains do not suffice for where one lane has more than half of it."""
    return square if greatest + greatest <= square else 1e200


def fold_chains(total, other, rows):
    """Leave the sum of the lanes of each row, one row behind the other, in `total`."""
    sum_neighbours(total, other, 8 * rows)
    sum_neighbours(other, total, 4 * rows)
    sum_neighbours(total, other, 2 * rows)
    sum_neighbours(other, total, rows)
