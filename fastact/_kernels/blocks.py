"""The loops over a block of contiguous memory, for every compiler.

``each_A_S(f, arrays..., scalars..., y, n)``: y[i] = f(arrays[i]..., scalars...). A loop is compiled once for each
formula, which is inlined into it; nothing else may stand between two elements, or they do not go to vectors.

``mostly_A_0(f, usual, arrays..., limit, y, n)``: the same by `usual`, which has fewer operations and the bits of f
where no argument is rare: the last up to the limit, the others up to USUAL_FACTOR. Whether one was is known when a span
is done, and then f computes it once more: to look beforehand would wait for memory twice (1.2 of the time where it is
beyond the second-level cache). So f computes what is in place at once, and what follows a rare argument, for where one
is there may be more; the next spans are short ones.

``mostly_A_1(f, unit, usual, arrays..., s, limit, y, n)``: f with the parameter s. `unit` is f where that is 1, and
`usual` the version of `unit` for usual arguments.
"""


def each_1_0(f, a, y, n):
    for i in range(n):
        y[i] = f(a[i])


def each_1_1(f, a, s, y, n):
    for i in range(n):
        y[i] = f(a[i], s)


def each_1_2(f, a, s, t, y, n):
    for i in range(n):
        y[i] = f(a[i], s, t)


def each_2_0(f, a, b, y, n):
    for i in range(n):
        y[i] = f(a[i], b[i])


def each_2_1(f, a, b, s, y, n):
    for i in range(n):
        y[i] = f(a[i], b[i], s)


def each_2_2(f, a, b, s, t, y, n):
    for i in range(n):
        y[i] = f(a[i], b[i], s, t)


def each_3_0(f, a, b, c, y, n):
    for i in range(n):
        y[i] = f(a[i], b[i], c[i])


def each_4_0(f, a, b, c, d, y, n):
    for i in range(n):
        y[i] = f(a[i], b[i], c[i], d[i])


def mostly_1_0(f, usual, a, limit, y, n):
    is_in_place = is_same(a, y)
    start, span = 0, FIRST_SPAN
    while start < n:
        length = min(span, n - start)
        span = min(2 * span, LONGEST_SPAN)
        if is_in_place or not usual_1(usual, a + start, limit, y + start, length):
            length, span = min(AFTER_RARE, n - start), FIRST_SPAN
            each_1_0(f, a + start, y + start, length)
        start += length


def mostly_1_1(f, unit, usual, a, s, limit, y, n):
    if s == ONE:
        mostly_1_0(unit, usual, a, limit, y, n)
    else:
        each_1_1(f, a, s, y, n)


def mostly_2_1(f, unit, usual, a, b, s, limit, y, n):
    if s == ONE:
        mostly_2_0(unit, usual, a, b, limit, y, n)
    else:
        each_2_1(f, a, b, s, y, n)


def usual_1(f, a, limit, y, n):
    most = magnitude_bits(ZERO)
    for i in range(n):
        y[i] = f(a[i])
        size = magnitude_bits(a[i])
        most = size if size > most else most
    return most <= magnitude_bits(limit)


def mostly_2_0(f, usual, a, b, limit, y, n):
    is_in_place = is_same(a, y) or is_same(b, y)
    start, span = 0, FIRST_SPAN
    while start < n:
        length = min(span, n - start)
        span = min(2 * span, LONGEST_SPAN)
        if is_in_place or not usual_2(usual, a + start, b + start, limit, y + start, length):
            length, span = min(AFTER_RARE, n - start), FIRST_SPAN
            each_2_0(f, a + start, b + start, y + start, length)
        start += length


def usual_2(f, a, b, limit, y, n):
    most = magnitude_bits(ZERO)
    most_factor = most
    for i in range(n):
        y[i] = f(a[i], b[i])
        size, factor = magnitude_bits(b[i]), magnitude_bits(a[i])
        most = size if size > most else most
        most_factor = factor if factor > most_factor else most_factor
    return most <= magnitude_bits(limit) and most_factor <= magnitude_bits(USUAL_FACTOR)


def mostly_3_0(f, usual, a, b, c, limit, y, n):
    is_in_place = is_same(a, y) or is_same(b, y) or is_same(c, y)
    start, span = 0, FIRST_SPAN
    while start < n:
        length = min(span, n - start)
        span = min(2 * span, LONGEST_SPAN)
        if is_in_place or not usual_3(usual, a + start, b + start, c + start, limit, y + start, length):
            length, span = min(AFTER_RARE, n - start), FIRST_SPAN
            each_3_0(f, a + start, b + start, c + start, y + start, length)
        start += length


def usual_3(f, a, b, c, limit, y, n):
    most = magnitude_bits(ZERO)
    most_factor = most
    for i in range(n):
        y[i] = f(a[i], b[i], c[i])
        size, first, second = magnitude_bits(c[i]), magnitude_bits(a[i]), magnitude_bits(b[i])
        most = size if size > most else most
        factor = first if first > second else second
        most_factor = factor if factor > most_factor else most_factor
    return most <= magnitude_bits(limit) and most_factor <= magnitude_bits(USUAL_FACTOR)
