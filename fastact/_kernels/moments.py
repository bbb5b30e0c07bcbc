"""Moments: kernels for a row (contiguous) and for a block of columns.

One read of memory. A piece of a row (at most 4096 elements, in the first-level cache; of float32 and 2**20 elements and
more, 65536) is reduced to its number of elements, a shift c, sum(x - c) and sum((x - c)**2); pieces are combined as
Chan, Golub and LeVeque (1983) do, all positive terms. Accumulators are binary64.

For float32, c is the first element, or, of rows, the mean of a few. The first one is one of the data, so
sum((x - c)**2) is at most n + 1 times the sum about the mean: of binary64's 53 bits at most 12 are lost, and 24 are
needed, whatever mean/std is. What is added up there are sums of a few elements in float32: see `chains.py`. Columns
beyond the caches are added up in binary64 element by element: the memory takes as long. For float64 the piece is read a
second time, from the cache, with c its mean, or close to it: the error of a two-pass algorithm, with one pass over
memory.
Welford's update would need a division an element; a shift by the first element of all fails where the data drift.
"""


def finite(x, otherwise):
    return x if absolute(x) <= LARGEST else otherwise


def add_deviations(x, width, c, total, square):
    for j in range(width):
        d = wide_sum(x[j], -c)
        total[j] = total[j] + d
        square[j] = wide_multiply_add(d, d, square[j])


def sums_of_row(x, n, ahead, c, total, square, rest):
    """Add up x - c and (x - c)**2 in lanes. What is `ahead` elements further on is read next."""
    clear(total, square, LANES)
    for block in range(n // LANES):
        will_read_lanes(x + block * LANES + ahead)
        add_deviations(x + block * LANES, LANES, c, total, square)
    if n % LANES > 0:
        pad_lanes(rest, x + n // LANES * LANES, n % LANES, c)
        add_deviations(rest, LANES, c, total, square)


def sums_of_rows(x, step, n, rows, c, scratch, rest):
    """Leave the sums of each row in scratch: of x - c, and GRID further of (x - c)**2."""
    total, square = scratch + 2 * GRID, scratch + 3 * GRID
    for i in range(rows):
        sums_of_row(x + i * step, n, rows * step, c[i], total + i * LANES, square + i * LANES, rest)
    fold_sums(total, scratch, rows)
    fold_sums(square, scratch + GRID, rows)


def add_8_of_row(x, c, total, square):
    for j in range(CHAINS):
        s, q = chains_of_8(x + j, CHAINS, c)
        total[j] = total[j] + s
        square[j] = square[j] + q


def add_few_of_row(x, n, c, total, square, rest):
    """Half a vector of float32 is widened by its load, a whole one by three instructions more."""
    for block in range(n // FOLDED):
        add_deviations(x + block * FOLDED, FOLDED, c, total, square)
    if n % FOLDED > 0:
        pad_lanes(rest, x + n // FOLDED * FOLDED, n % FOLDED, c)
        add_deviations(rest, FOLDED, c, total, square)


def read_ahead(lengths, n, step):
    """Return how far ahead rows are fetched: not at all in arrays that stay in the second-level cache."""
    return FEW_ELEMENTS // n * step if lengths[ELEMENTS] > SECOND_LEVEL else 0


def next_rows(lengths):
    """Return how far ahead rows are fetched that nothing is written between: where they are short.

    Of others the processor fetches what comes next itself: without, a row of 256 takes 0.9 of the time.
    """
    n = lengths[ROWS]
    return read_ahead(lengths, n, lengths[STEP]) if n < 8 * CHAINS else 0


def add_8_of_row_ahead(x, ahead, c, total, square):
    for pair in range(4):
        will_read_pair_later(x + ahead + pair * LANES)
    add_8_of_row(x, c, total, square)


def add_8_of_written_row_ahead(x, ahead, c, total, square):
    for pair in range(4):
        will_read_lanes_later(x + ahead + pair * LANES)
    add_8_of_row(x, c, total, square)


def fetch_row(x, n):
    for some in range((n + LANES - 1) // LANES):
        will_read_lanes_later(x + some * LANES)


def chained_sums_of_row(x, n, ahead, c, total, square, rest):
    """As `sums_of_row`, by chains, in CHAINS lanes; those of a row without chains are FOLDED.

    Less than no elements ahead: that many, where results are written between the rows. There the processor fetches
    little by itself, and all lines are fetched: layer_norm takes 0.85 of the time.
    """
    blocks, distance = n // (8 * CHAINS), max(ahead, -ahead)
    i = blocks * (8 * CHAINS)
    clear(total, square, CHAINS if blocks > 0 else FOLDED)
    if ahead < 0:
        for block in range(blocks):
            add_8_of_written_row_ahead(x + block * (8 * CHAINS), distance, c, total, square)
    elif ahead > 0:
        for block in range(blocks):
            add_8_of_row_ahead(x + block * (8 * CHAINS), distance, c, total, square)
    else:
        for block in range(blocks):
            add_8_of_row(x + block * (8 * CHAINS), c, total, square)
    if distance > 0:
        fetch_row(x + i + distance, n - i)
    add_few_of_row(x + i, n - i, c, total, square, rest)


def folded_sums_of_row(x, n, ahead, c, lanes, total, square, rest):
    """As `chained_sums_of_row`, in FOLDED lanes."""
    chained_sums_of_row(x, n, ahead, c, lanes, lanes + CHAINS, rest)
    add_halves(lanes, total)
    add_halves(lanes + CHAINS, square)


def sums_of_chains(x, n, ahead, c, lanes, sums, rest):
    """Leave the sums of one row: of x - c, and GRID further of (x - c)**2."""
    total, square = lanes + 2 * CHAINS, lanes + 3 * CHAINS
    folded_sums_of_row(x, n, ahead, c, lanes, total, square, rest)
    sums[0] = sum_of_folded(total)
    sums[GRID] = square_of_lanes(sum_of_folded(square), greatest_of_folded(square))


def fold_rows_of_grid(total, square, lanes, sums):
    """Leave what `sums_of_chains` does of ROWS_OF_GRID rows, in whole vectors: of each its FOLDED lanes are given."""
    greatest = lanes + GRID // 4
    greater_neighbours(square, lanes, 4 * ROWS_OF_GRID)
    greater_neighbours(lanes, greatest, 2 * ROWS_OF_GRID)
    greater_neighbours(greatest, lanes, ROWS_OF_GRID)
    sum_neighbours(square, greatest, 4 * ROWS_OF_GRID)
    sum_neighbours(greatest, square, 2 * ROWS_OF_GRID)
    sum_neighbours(square, greatest, ROWS_OF_GRID)
    for i in range(ROWS_OF_GRID):
        sums[GRID + i] = square_of_lanes(greatest[i], lanes[i])
    sum_neighbours(total, lanes, 4 * ROWS_OF_GRID)
    sum_neighbours(lanes, total, 2 * ROWS_OF_GRID)
    sum_neighbours(total, sums, ROWS_OF_GRID)


def chained_sums_of_rows(x, step, n, rows, ahead, c, scratch, rest):
    """As `sums_of_rows`, by chains about centers that it finds.

    Eight rows are folded together, fewer one by one, to the same bits: one by one all take 1.1 to 1.5 of the time; of
    more at once the memory waits, 1.2.
    """
    total, square, lanes = scratch + 2 * GRID, scratch + 2 * GRID + GRID // 2, scratch + 3 * GRID
    together = rows // ROWS_OF_GRID * ROWS_OF_GRID
    for batch in range(rows // ROWS_OF_GRID):
        first = batch * ROWS_OF_GRID
        for i in range(ROWS_OF_GRID):
            row, j = first + i, i * FOLDED
            c[row] = center_of_8(x + row * step)
            folded_sums_of_row(x + row * step, n, ahead, c[row], lanes, total + j, square + j, rest)
        fold_rows_of_grid(total, square, lanes, scratch + first)
    for i in range(together, rows):
        c[i] = center_of_8(x + i * step)
        sums_of_chains(x + i * step, n, ahead, c[i], scratch + 2 * GRID, scratch + i, rest)


def rows_off_center(x, step, n, rows, c, scratch, rest):
    """Sum rows again, about their mean, whose center was too far from it. See `chains.py`."""
    few = 0
    for i in range(rows):
        few = few + (1 if is_off_center(n, scratch[i], scratch[GRID + i]) else 0)
    if few > 0:
        for i in range(rows):
            if is_off_center(n, scratch[i], scratch[GRID + i]):
                c[i] = center_of_sums(n, c[i], scratch[i], scratch[GRID + i])
                sums_of_chains(x + i * step, n, 0, c[i], scratch + 2 * GRID, scratch + i, rest)


def short_sums_of_rows(x, step, n, rows, ahead, c, scratch, rest):
    """As `sums_of_rows`, of rows that are too short for chains."""
    total, square = scratch + 2 * GRID, scratch + 3 * GRID
    for i in range(rows):
        c[i] = finite(x[i * step], ZERO)
        chained_sums_of_row(x + i * step, n, ahead, c[i], total + i * FOLDED, square + i * FOLDED, rest)
    fold_eight(total, scratch, rows)
    fold_eight(square, scratch + GRID, rows)


def sums_without_chains(x, n, c, scratch, sums, rest):
    """Replace the sums of one row."""
    total, square = scratch + 2 * GRID, scratch + 3 * GRID
    sums_of_row(x, n, 0, c, total, square, rest)
    sums[0] = sum_of_lanes(total, total + LANES)
    sums[GRID] = sum_of_lanes(square, square + LANES)


def rows_without_chains(x, step, n, rows, c, scratch, rest, eps):
    """Replace the sums of rows where chains do not suffice."""
    few = 0
    for i in range(rows):
        few = few + (0 if chains_suffice(n, scratch[i], scratch[GRID + i], eps) else 1)
    if few > 0:
        for i in range(rows):
            if not chains_suffice(n, scratch[i], scratch[GRID + i], eps):
                c[i] = finite(x[i * step], ZERO)
                sums_without_chains(x + i * step, n, c[i], scratch, scratch + i, rest)


def centers(x, step, rows, c):
    for i in range(rows):
        c[i] = finite(x[i * step], ZERO)


def better_centers(total, n, rows, c):
    for i in range(rows):
        c[i] = finite(narrow(c[i] + total[i] / n), c[i])


def moments_of_rows(x, step, n, rows, ahead, scratch, eps):
    """Return the shifts of at most `short_rows_at_once` rows; their sums are left in scratch, see `sums_of_rows`."""
    c, rest = reals(scratch + 4 * GRID), reals(scratch + 4 * GRID + MOST_ROWS)
    if SUM_ROUNDS > ZERO:
        centers(x, step, rows, c)
        sums_of_rows(x, step, n, rows, c, scratch, rest)
        better_centers(scratch, n, rows, c)
        sums_of_rows(x, step, n, rows, c, scratch, rest)
    elif n >= 8 * CHAINS:
        chained_sums_of_rows(x, step, n, rows, ahead, c, scratch, rest)
        rows_off_center(x, step, n, rows, c, scratch, rest)
        rows_without_chains(x, step, n, rows, c, scratch, rest, eps)
    else:
        short_sums_of_rows(x, step, n, rows, ahead, c, scratch, rest)
    return c


def moments_row(args, lengths):
    scratch, piece = numbers(args, SCRATCH), numbers(args, PIECES)
    n = lengths[ROWS]
    c = moments_of_rows(operand(args, X), n, n, 1, next_rows(lengths), scratch, numbers(args, PARAMETERS)[0])
    piece[0] = n
    piece[1] = c[0]
    piece[2] = scratch[0]
    piece[3] = scratch[GRID]


def add_moments(x, width, c, total, square):
    for j in range(width):
        d = wide_sum(x[j], -c[j])
        total[j] = total[j] + d
        square[j] = wide_multiply_add(d, d, square[j])


def add_moments_of_4(x, step, width, c, total, square):
    """Four rows, one after the other: the sums are read and written once."""
    for j in range(width):
        d = wide_sum(x[j], -c[j])
        e = wide_sum(x[step + j], -c[j])
        f = wide_sum(x[2 * step + j], -c[j])
        g = wide_sum(x[3 * step + j], -c[j])
        total[j] = (((total[j] + d) + e) + f) + g
        square[j] = wide_multiply_add(
            g, g, wide_multiply_add(f, f, wide_multiply_add(e, e, wide_multiply_add(d, d, square[j])))
        )


def add_8_of_columns(x, step, width, c, total, square):
    for j in range(width):
        s, q = moments_of_8(x + j, step, c[j])
        total[j] = total[j] + s
        square[j] = square[j] + q


def add_16_of_columns(x, step, width, c, total, square):
    for j in range(width):
        s, q = moments_of_16(x + j, step, c[j])
        total[j] = total[j] + s
        square[j] = square[j] + q


def rows_ahead(i, blocks, step, width, pieces):
    """Return how far the 16 rows that follow are from the i-th block of 16 rows.

    The last rows of columns that are one piece are followed by those of the next columns. The processor does not follow
    as many rows by itself: 2**24 numbers in 256 columns take 0.4 of the time on a Zen 4.
    """
    return width - 16 * i * step if pieces == 1 and i + 1 == blocks else 16 * step


def add_16_of_columns_ahead(x, step, width, ahead, c, total, square):
    """As `add_16_of_columns`, and fetch 16 rows that are `ahead`."""
    for tile in range(width // LANES):
        j = tile * LANES
        for i in range(16):
            will_read_lanes_later(x + ahead + i * step + j)
        add_16_of_columns(x + j, step, LANES, c + j, total + j, square + j)
    j = width // LANES * LANES
    add_16_of_columns(x + j, step, width - j, c + j, total + j, square + j)


def add_16_of_narrow_columns_ahead(x, width, c, total, square):
    """Do the same where rows are shorter than that and without gaps: fetch what is FEW_ELEMENTS further on."""
    for some in range(width // 2):
        will_read_lanes_later(x + FEW_ELEMENTS + some * LANES)
    if width == CHAINS:
        add_16_of_columns(x, CHAINS, CHAINS, c, total, square)
    else:
        add_16_of_columns(x, width, width, c, total, square)


def add_8_moments(x, step, width, c, total, square):
    """Eight rows in binary64, one after the other."""
    for j in range(width):
        d = wide_sum(x[j], -c[j])
        e = wide_sum(x[step + j], -c[j])
        f = wide_sum(x[2 * step + j], -c[j])
        g = wide_sum(x[3 * step + j], -c[j])
        s = (((total[j] + d) + e) + f) + g
        q = wide_multiply_add(d, d, square[j])
        q = wide_multiply_add(g, g, wide_multiply_add(f, f, wide_multiply_add(e, e, q)))
        d = wide_sum(x[4 * step + j], -c[j])
        e = wide_sum(x[5 * step + j], -c[j])
        f = wide_sum(x[6 * step + j], -c[j])
        g = wide_sum(x[7 * step + j], -c[j])
        total[j] = (((s + d) + e) + f) + g
        q = wide_multiply_add(d, d, q)
        square[j] = wide_multiply_add(g, g, wide_multiply_add(f, f, wide_multiply_add(e, e, q)))


def fetch_rows(x, step, width, first, count):
    """Fetch so many times LANES elements of rows one after the other, from the `first` element of the first row on."""
    following = x + first // width * step + first % width
    for some in range(count):
        will_read_lanes_later(following + some * LANES)


def add_4_far_rows(x, step, width, ahead, c, total, square):
    """Add four rows, and fetch four that are `ahead`, in the order of memory: others take up to thrice the time."""
    for tile in range(width // LANES):
        j = tile * LANES
        fetch_rows(x + ahead, step, width, 4 * j, 4)
        add_moments_of_4(x + j, step, LANES, c + j, total + j, square + j)
    j = width // LANES * LANES
    fetch_rows(x + ahead, step, width, 4 * j, (width - j) // 4)
    add_moments_of_4(x + j, step, width - j, c + j, total + j, square + j)


def add_8_far_rows(x, step, width, first, ahead, c, total, square):
    """As `add_4_far_rows`, to the same bits, where the sums fill the first-level cache: they are read half as often.

    The `first` columns are those before a cache line. LANES columns at a time take 1.05 of the time.
    """
    add_8_moments(x, step, first, c, total, square)
    tiles = (width - first) // CHAINS
    for tile in range(tiles):
        j = first + tile * CHAINS
        fetch_rows(x + ahead, step, width, 8 * tile * CHAINS, 4)
        add_8_moments(x + j, step, CHAINS, c + j, total + j, square + j)
    j = first + tiles * CHAINS
    fetch_rows(x + ahead, step, width, 8 * tiles * CHAINS, (width - tiles * CHAINS) // 4)
    add_8_moments(x + j, step, width - j, c + j, total + j, square + j)


def moments_of_far_columns(x, step, rows, width, c, total, square):
    """Sum columns of arrays beyond the caches in binary64: the memory takes as long, and each element is read once."""
    clear(total, square, width)
    if width < LONG_STRETCH:
        ahead = max(8, FAR_AHEAD // width // 8 * 8) * step
        for i in range(rows // 4):
            add_4_far_rows(x + 4 * i * step, step, width, ahead, c, total, square)
    else:
        first = unaligned_columns(x, step, width)
        for i in range(rows // 8):
            add_8_far_rows(x + 8 * i * step, step, width, first, 16 * step, c, total, square)
    i = rows // 4 * 4 if width < LONG_STRETCH else rows // 8 * 8
    add_few_of_columns(x + i * step, step, rows - i, width, c, total, square)


def are_far(lengths):
    """Return whether columns lie beyond the caches, and are long enough that what is fetched ahead is theirs.

    Of at most 256 rows, a piece, the next tile is fetched: see `rows_ahead`.
    """
    return lengths[ELEMENTS] > 16 * SECOND_LEVEL and lengths[COUNT] * lengths[ROWS] > 256


def add_few_of_columns(x, step, rows, width, c, total, square):
    for i in range(rows // 4):
        add_moments_of_4(x + 4 * i * step, step, width, c, total, square)
    for i in range(rows // 4 * 4, rows):
        add_moments(x + i * step, width, c, total, square)


def moments_of_columns(x, step, rows, width, c, total, square):
    clear(total, square, width)
    add_few_of_columns(x, step, rows, width, c, total, square)


# Columns of binary64, in which each addition rounds. The squares of 256 rows, added one after the other, were up to 18
# ULP off. So 8 rows are summed, then these sums in two parts: 14 additions more for 8 rows, fewer than the mean of all
# rows took. The shift has only to be near: it is the mean of some rows. Where it is not near, since the data have a
# period, the sums are made again about the mean that they tell.


def add_shares(x, width, share, c, shift):
    for j in range(width):
        shift[j] = wide_multiply_add(share, wide_sum(x[j], -c[j]), shift[j])


def add_shares_of_4(x, step, width, share, c, shift):
    for j in range(width):
        d = wide_sum(x[j], -c[j])
        e = wide_sum(x[step + j], -c[j])
        f = wide_sum(x[2 * step + j], -c[j])
        g = wide_sum(x[3 * step + j], -c[j])
        first = wide_multiply_add(share, e, wide_multiply_add(share, d, shift[j]))
        shift[j] = wide_multiply_add(share, g, wide_multiply_add(share, f, first))


def move_to_means(x, step, rows, width, c, shift):
    """Move the shifts from the first row to the mean of 22 to 43 rows, an odd number of rows apart; of few, of all."""
    apart = rows // ROWS_OF_MEANS | 1
    some = (rows + apart - 1) // apart
    clear(shift, shift, width)
    for i in range(some // 4):
        add_shares_of_4(x + 4 * i * apart * step, apart * step, width, 1.0 / some, c, shift)
    for i in range(some // 4 * 4, some):
        add_shares(x + i * apart * step, width, 1.0 / some, c, shift)
    for j in range(width):
        c[j] = finite(narrow(c[j] + shift[j]), narrow(c[j]))


def accumulate_moments(x, width, c, total, total_low, square, square_low):
    for j in range(width):
        d = wide_sum(x[j], -c[j])
        total[j], total_low[j] = accumulate_always(total[j], total_low[j], d)
        square[j], square_low[j] = accumulate_always(square[j], square_low[j], d * d)


def sums_of_4(d, e, f, g):
    """Return their sum and that of their squares."""
    q = wide_multiply_add(g, g, wide_multiply_add(f, f, wide_multiply_add(e, e, d * d)))
    return (d + e) + (f + g), q


def accumulate_moments_of_8(x, step, width, c, total, total_low, square, square_low):
    """Add up 8 rows.

    They are read here, where pointers say that nothing else lies in the places of the sums. Where `chains_of_8` reads
    them, gcc gives up 32 comparisons of places, and vectors with them: 3.5 times the time.
    """
    for j in range(width):
        s, q = sums_of_4(
            wide_sum(x[j], -c[j]),
            wide_sum(x[step + j], -c[j]),
            wide_sum(x[2 * step + j], -c[j]),
            wide_sum(x[3 * step + j], -c[j]),
        )
        t, r = sums_of_4(
            wide_sum(x[4 * step + j], -c[j]),
            wide_sum(x[5 * step + j], -c[j]),
            wide_sum(x[6 * step + j], -c[j]),
            wide_sum(x[7 * step + j], -c[j]),
        )
        total[j], total_low[j] = accumulate_always(total[j], total_low[j], s + t)
        square[j], square_low[j] = accumulate_always(square[j], square_low[j], q + r)


def accumulate_moments_of_8_ahead(x, step, width, c, total, total_low, square, square_low):
    """Do the same, and fetch 8 rows that are 16 rows further on."""
    for tile in range(width // LANES):
        j = tile * LANES
        for i in range(16, 24):
            will_read_lanes_later(x + i * step + j)
        accumulate_moments_of_8(x + j, step, LANES, c + j, total + j, total_low + j, square + j, square_low + j)
    j = width // LANES * LANES
    accumulate_moments_of_8(x + j, step, width - j, c + j, total + j, total_low + j, square + j, square_low + j)


def exact_moments_of_columns(x, step, rows, width, is_fetched, c, total, square, low):
    clear(total, low, width)
    clear(square, low + width, width)
    for i in range(rows // 8):
        if is_fetched:
            accumulate_moments_of_8_ahead(x + 8 * i * step, step, width, c, total, low, square, low + width)
        else:
            accumulate_moments_of_8(x + 8 * i * step, step, width, c, total, low, square, low + width)
    for i in range(rows // 8 * 8, rows):
        accumulate_moments(x + i * step, width, c, total, low, square, low + width)
    add_lows(width, low, total)
    add_lows(width, low + width, square)


def is_near(n, total, square):
    """Return whether squares about the shift are at most twice those about the mean; not for NaN."""
    return total * share_of(total, n) <= 0.5 * square


def columns_about_means(x, step, rows, width, c, total, square, scratch):
    """Replace the sums about shifts that are not near."""
    few = 0
    for j in range(width):
        few = few + (0 if is_near(rows, total[j], square[j]) else 1)
    if few > 0:
        mean, again, squares = scratch, scratch + width, scratch + 2 * width
        for j in range(width):
            mean[j] = finite(narrow(c[j] + share_of(total[j], rows)), narrow(c[j]))
        exact_moments_of_columns(x, step, rows, width, False, mean, again, squares, scratch + 3 * width)
        for j in range(width):
            near = is_near(rows, total[j], square[j])
            c[j] = c[j] if near else mean[j]
            total[j] = total[j] if near else again[j]
            square[j] = square[j] if near else squares[j]


def unaligned_columns(x, step, width):
    """Return how many columns there are before a cache line, where rows are whole pages of binary32 apart.

    They are summed by themselves: of vectors that lie on two lines each, 16 below one another find no room in the
    first-level cache. (1024, 1024) takes 0.67 of the time on a Zen 4.
    """
    return before_line(x) if width >= LONG_STRETCH // 2 and step % LONG_STRETCH == 0 else 0


def are_fetched(lengths):
    """Return whether columns are fetched ahead. Long stretches need it beyond the third-level cache only."""
    return lengths[ELEMENTS] > (SECOND_LEVEL if lengths[WIDTH] < LONG_STRETCH else 16 * SECOND_LEVEL)


def chained_moments_of_columns(x, step, rows, width, is_fetched, pieces, c, total, square):
    clear(total, square, width)
    for i in range(rows // 16):
        if is_fetched and step == width and width < LANES:
            add_16_of_narrow_columns_ahead(x + 16 * i * step, width, c, total, square)
        elif is_fetched:
            ahead = rows_ahead(i, rows // 16, step, width, pieces)
            add_16_of_columns_ahead(x + 16 * i * step, step, width, ahead, c, total, square)
        else:
            add_16_of_columns(x + 16 * i * step, step, width, c, total, square)
    i = rows // 16 * 16
    if rows - i >= 8:
        add_8_of_columns(x + i * step, step, width, c, total, square)
        i = i + 8
    add_few_of_columns(x + i * step, step, rows - i, width, c, total, square)


def columns_without_chains(x, step, rows, width, c, total, square, scratch, eps):
    """Replace the sums of columns where chains do not suffice."""
    few = 0
    for j in range(width):
        few = few + (0 if chains_suffice(rows, total[j], square[j], eps) else 1)
    if few > 0:
        moments_of_columns(x, step, rows, width, c, scratch, scratch + width)
        for j in range(width):
            suffice = chains_suffice(rows, total[j], square[j], eps)
            total[j] = total[j] if suffice else scratch[j]
            square[j] = square[j] if suffice else scratch[width + j]


def moments_columns(args, lengths):
    x, rows, width, step = operand(args, X), lengths[ROWS], lengths[WIDTH], lengths[STEP]
    piece, eps = numbers(args, PIECES), numbers(args, PARAMETERS)[0]
    c, total, square = piece + width, piece + 2 * width, piece + 3 * width
    for j in range(width):
        piece[j] = rows
        c[j] = finite(x[j], ZERO)
    if SUM_ROUNDS > ZERO:
        move_to_means(x, step, rows, width, c, total)
        exact_moments_of_columns(x, step, rows, width, are_fetched(lengths), c, total, square, numbers(args, SCRATCH))
        columns_about_means(x, step, rows, width, c, total, square, numbers(args, SCRATCH))
    elif are_far(lengths):
        moments_of_far_columns(x, step, rows, width, c, total, square)
    else:
        first, pieces = unaligned_columns(x, step, width), lengths[COUNT]
        chained_moments_of_columns(x, step, rows, first, False, pieces, c, total, square)
        chained_moments_of_columns(
            x + first,
            step,
            rows,
            width - first,
            are_fetched(lengths),
            pieces,
            c + first,
            total + first,
            square + first,
        )
        columns_without_chains(x, step, rows, width, c, total, square, numbers(args, SCRATCH), eps)


def add_totals(piece, width, first, total, low):
    """Add up the elements, from which the first piece's shift is taken."""
    n = piece[0]
    for j in range(width):
        d, d_low = wide_two_sum(piece[width + j], -first[j])
        total[j], low[j] = accumulate(total[j], low[j], n * d, 0.0)
        total[j], low[j] = accumulate(total[j], low[j], n * d_low + piece[2 * width + j], 0.0)


def means_of_totals(width, n, first, total, low, mean, mean_low):
    for j in range(width):
        # An infinite sum has no low part.
        is_finite = wide_magnitude(total[j]) <= 1.7976931348623157e308
        share = (total[j] + low[j] if is_finite else total[j]) / n
        mean[j], mean_low[j] = wide_two_sum(first[j], share)
        if SUM_ROUNDS > ZERO:
            # A first piece that is far from all others, since an outlier is there, makes the share large.
            rest = (wide_fma(-share, n, total[j]) + low[j]) / n if is_finite else 0.0
            mean[j], mean_low[j] = wide_two_sum(mean[j], mean_low[j] + rest)


def squares_inside(square, total, share):
    """Return the sum of squares about the mean, from those about a shift. Only infinite elements make it NaN."""
    inside = square - total * share
    inside = 0.0 if inside < 0.0 else inside
    is_too_large = square > 1.7976931348623157e308 and wide_magnitude(total) <= 1.7976931348623157e308
    return square if is_too_large else inside


def add_squares(piece, width, mean, mean_low, square, low):
    """Add up squares about the mean: those inside the piece, and that of the piece's own mean."""
    n = piece[0]
    for j in range(width):
        share = share_of(piece[2 * width + j], n)
        inside = squares_inside(piece[3 * width + j], piece[2 * width + j], share)
        between = ((piece[width + j] - mean[j]) - mean_low[j]) + share
        square[j], low[j] = accumulate(square[j], low[j], inside, 0.0)
        square[j], low[j] = accumulate(square[j], low[j], n * between * between, 0.0)


def add_lows(width, low, square):
    for j in range(width):
        square[j] = square[j] + low[j] if wide_magnitude(square[j]) <= 1.7976931348623157e308 else square[j]


def combine_moments(pieces, count, n, width, stats, kept, scratch, eps):
    """Statistics: the mean in two parts, the sum of squares about it, and 1/sqrt(variance + eps)."""
    total, low = scratch, scratch + width
    clear(total, low, width)
    for b in range(count):
        add_totals(pieces + 4 * b * width, width, pieces + width, total, low)
    means_of_totals(width, n, pieces + width, total, low, stats, stats + kept)
    clear(stats + 2 * kept, low, width)
    for b in range(count):
        add_squares(pieces + 4 * b * width, width, stats, stats + kept, stats + 2 * kept, low)
    add_lows(width, low, stats + 2 * kept)
    inverse_deviations(width, n, stats + 2 * kept, eps, stats + 3 * kept)


def share_of(x, n):
    """Return x/n; to float32 arrays x*(1/n) is as exact, and many of them take no time."""
    return x / n if SUM_ROUNDS > ZERO else x * (1.0 / n)


def moments_of_sums(n, c, total, square):
    """Return the mean in two parts and the sum of squares about it, of one piece."""
    share = share_of(total, n)
    mean, mean_low = wide_two_sum(c, share)
    return mean, mean_low, squares_inside(square, total, share)


def inverse_deviations(width, n, inside, eps, factor):
    """Leave 1/sqrt(variance + eps); nothing where eps is infinite: nobody asks for it."""
    if eps <= 1.7976931348623157e308:
        for j in range(width):
            factor[j] = 1.0 / wide_sqrt(inside[j] / n + eps)


def statistics_of_columns(width, n, c, total, square, mean, mean_low, inside):
    for j in range(width):
        mean[j], mean_low[j], inside[j] = moments_of_sums(n, c[j], total[j], square[j])


def moments_of_piece(piece, n, width, stats, kept, eps):
    """As `combine_moments` of one piece."""
    c, total, square = piece + width, piece + 2 * width, piece + 3 * width
    statistics_of_columns(width, n, c, total, square, stats, stats + kept, stats + 2 * kept)
    inverse_deviations(width, n, stats + 2 * kept, eps, stats + 3 * kept)


def moments_of_pieces(args, lengths, stats, kept):
    """Statistics: the mean in two parts, the sum of squares about it, and 1/sqrt(variance + eps)."""
    pieces, count, width, eps = numbers(args, PIECES), lengths[COUNT], lengths[WIDTH], numbers(args, PARAMETERS)[0]
    if count == 1:
        moments_of_piece(pieces, lengths[ROWS], width, stats, kept, eps)
    else:
        combine_moments(pieces, count, lengths[ROWS], width, stats, kept, numbers(args, SCRATCH), eps)


def moments_combine(args, lengths):
    moments_of_pieces(args, lengths, numbers(args, STATS), lengths[KEPT])


def round_moments(width, divisor, stats, kept, mean, var):
    for j in range(width):
        mean[j] = narrow(stats[j])
        var[j] = narrow(share_of(stats[2 * kept + j], divisor))


def variance_combine(args, lengths):
    """Arrays: x, mean, variance. Parameters: eps, what the sum of squares is divided by."""
    width = lengths[WIDTH]
    stats = numbers(args, SCRATCH) + 4 * width
    moments_of_pieces(args, lengths, stats, width)
    round_moments(width, numbers(args, PARAMETERS)[1], stats, width, output_of(args, X + 1), output_of(args, X + 2))


def statistics_of_rows(rows, n, c, total, square, mean, mean_low, inside):
    for i in range(rows):
        mean[i], mean_low[i], inside[i] = moments_of_sums(n, wide_of(c[i]), total[i], square[i])


def whole_moments_of_rows(x, step, n, rows, ahead, scratch, eps):
    """Return the statistics of at most ROWS_AT_ONCE rows, as `moments_combine` leaves them, in scratch."""
    c, stats = moments_of_rows(x, step, n, rows, ahead, scratch, eps), scratch + 5 * GRID
    mean_low, inside, factor = stats + ROWS_AT_ONCE, stats + 2 * ROWS_AT_ONCE, stats + 3 * ROWS_AT_ONCE
    statistics_of_rows(rows, n, c, scratch, scratch + GRID, stats, mean_low, inside)
    inverse_deviations(rows, n, inside, eps, factor)
    return stats


def moments_whole_row(args, lengths):
    """Statistics of whole rows that stay in the first-level cache."""
    rows, at_once, stats, kept = lengths[WIDTH], ROWS_AT_ONCE, numbers(args, STATS), lengths[KEPT]
    for batch in range((rows + at_once - 1) // at_once):
        first = batch * at_once
        some = min(at_once, rows - first)
        found = whole_moments_of_rows(
            operand(args, X) + first * lengths[STEP],
            lengths[STEP],
            lengths[ROWS],
            some,
            next_rows(lengths),
            numbers(args, SCRATCH),
            numbers(args, PARAMETERS)[0],
        )
        for k in range(4):
            for i in range(some):
                stats[k * kept + first + i] = found[k * ROWS_AT_ONCE + i]


def short_rows_at_once(n):
    """Return of how many rows the moments are found together: of short ones, where what is done at a time counts."""
    return MOST_ROWS if SUM_ROUNDS == ZERO and n <= SHORT_CHAINS else ROWS_AT_ONCE


def round_rows(rows, n, divisor, c, total, square, mean, var):
    for i in range(rows):
        exact, _, inside = moments_of_sums(n, wide_of(c[i]), total[i], square[i])
        mean[i] = narrow(exact)
        var[i] = narrow(share_of(inside, divisor))


def variance_whole_row(args, lengths):
    """As `variance_combine`."""
    n, rows, step, scratch = lengths[ROWS], lengths[WIDTH], lengths[STEP], numbers(args, SCRATCH)
    mean, var = output_of(args, X + 1), output_of(args, X + 2)
    eps, divisor, at_once = numbers(args, PARAMETERS)[0], numbers(args, PARAMETERS)[1], short_rows_at_once(n)
    for batch in range((rows + at_once - 1) // at_once):
        first = batch * at_once
        some = min(at_once, rows - first)
        ahead = next_rows(lengths)
        c = moments_of_rows(operand(args, X) + first * step, step, n, some, ahead, scratch, eps)
        round_rows(some, n, divisor, c, scratch, scratch + GRID, mean + first, var + first)
