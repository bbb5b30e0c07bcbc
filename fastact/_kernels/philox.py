"""Random numbers by counting, and the loops that draw from them, for every compiler.

Philox4x32-10 (Salmon, Moraes, Dror and Shaw, 2011) makes four 32-bit words of a 128-bit counter and a 64-bit key:
no state, so any element's draw can be computed by itself, in any order. An element's draw is a word of 32 bits, too,
but almost always its upper half decides, and so that is all that is drawn at first. Which half-word an element gets:

- 64 elements share eight counters. Element i is in block b = i // 64, whose counters are 8*b ... 8*b + 7. The counter
  fills the low 64 bits; the high 64 bits and the key are the seed;
- each counter gives two pairs of words, (w1, w0) and (w3, w2). The sixteen words of the eight first pairs have the
  upper halves of the block's first 32 elements: their lower halves those of the first sixteen, their upper halves
  those of the next. The eight second pairs have those of the other 32;
- the lower half of an element's word is drawn in the same way, with 2**63 more on the counter, which no element
  reaches. Only if the upper half is the threshold's does it matter: in one of 256 of the groups below.

A pair is what a product of two words leaves in a 64-bit lane of a vector register: so nothing is moved from lane to
lane, and the halves come out in the order in which they are compared and stored. Loops take groups of 256 elements:
the four chains of multiplications that they make fill each other's latency.

The lanes' type and what cannot be spelled in Python are in `philox.h`. In the upper half of a lane is whatever the
last product left there: only lower halves are multiplied.
"""

PHILOX_MULTIPLIER_0 = 0xD2511F53
PHILOX_MULTIPLIER_1 = 0xCD9E8D57
PHILOX_WEYL_0 = 0x9E3779B9
PHILOX_WEYL_1 = 0xBB67AE85
# Added to the counter for the lower halves.
LOWER_HALVES = 0x8000000000000000
UPPER_BITS = 0xFFFF0000
LOWER_BITS = 0x0000FFFF


def philox_round(x0, x1, x2, x3, key_0, key_1):
    """Return the four words and the two keys after one round."""
    product_0 = multiply_words(x0, each_lane(PHILOX_MULTIPLIER_0))
    product_1 = multiply_words(x2, each_lane(PHILOX_MULTIPLIER_1))
    x0 = upper_word(product_1) ^ x1 ^ key_0
    x2 = upper_word(product_0) ^ x3 ^ key_1
    return x0, product_1, x2, product_0, key_0 + each_lane(PHILOX_WEYL_0), key_1 + each_lane(PHILOX_WEYL_1)


def philox_pairs(x0, x1, x2, x3, key_0, key_1):
    """Return the pairs (w1, w0) and (w3, w2) of each lane's counter, the first of a pair in the lower half."""
    x0, x1, x2, x3, key_0, key_1 = philox_round(x0, x1, x2, x3, key_0, key_1)
    x0, x1, x2, x3, key_0, key_1 = philox_round(x0, x1, x2, x3, key_0, key_1)
    x0, x1, x2, x3, key_0, key_1 = philox_round(x0, x1, x2, x3, key_0, key_1)
    x0, x1, x2, x3, key_0, key_1 = philox_round(x0, x1, x2, x3, key_0, key_1)
    x0, x1, x2, x3, key_0, key_1 = philox_round(x0, x1, x2, x3, key_0, key_1)
    x0, x1, x2, x3, key_0, key_1 = philox_round(x0, x1, x2, x3, key_0, key_1)
    x0, x1, x2, x3, key_0, key_1 = philox_round(x0, x1, x2, x3, key_0, key_1)
    x0, x1, x2, x3, key_0, key_1 = philox_round(x0, x1, x2, x3, key_0, key_1)
    x0, x1, x2, x3, key_0, key_1 = philox_round(x0, x1, x2, x3, key_0, key_1)
    # The tenth: its products have the pairs' second words where they belong.
    product_0 = multiply_words(x0, each_lane(PHILOX_MULTIPLIER_0))
    product_1 = multiply_words(x2, each_lane(PHILOX_MULTIPLIER_1))
    return product_1 ^ to_upper_word(x1 ^ key_0), product_0 ^ to_upper_word(x3 ^ key_1)


def prepared(seed, counter):
    """Return what does not change in a loop: the counters' words but the first, and the key."""
    return each_lane(high_word(counter)), each_lane(seed[2]), each_lane(seed[3]), each_lane(seed[0]), each_lane(seed[1])


def draw_64(seed, counter, first, words, offset):
    """Write a word with the upper half of each of 64 elements, whose counters begin at counter + first."""
    x1, x2, x3, key_0, key_1 = seed
    for part in range(8 // PHILOX_LANES):
        lane = part * PHILOX_LANES
        place = offset + 8 * first + 2 * lane
        pairs_0, pairs_1 = philox_pairs(counting_lanes(counter, first + lane), x1, x2, x3, key_0, key_1)
        store_pairs(words, place, to_upper_half(pairs_0))
        store_pairs(words, place + 16, pairs_0)
        store_pairs(words, place + 32, to_upper_half(pairs_1))
        store_pairs(words, place + 48, pairs_1)


def draw_256(seed, counter, words, offset):
    """Write the words of four blocks, upper halves only: what is in the lower ones is to be overwritten."""
    draw_64(seed, counter, 0, words, offset)
    draw_64(seed, counter, 8, words, offset)
    draw_64(seed, counter, 16, words, offset)
    draw_64(seed, counter, 24, words, offset)


def is_tied(words, threshold):
    """Return whether a word has the upper half of the threshold."""
    smallest = difference_of(words[0], threshold)
    for i in range(256):
        difference = difference_of(words[i], threshold)
        smallest = difference if difference < smallest else smallest
    return smallest <= LOWER_BITS


def complete(seed, counter, words):
    """Give the words their lower halves. Behind them is room for as many."""
    draw_256(prepared(seed, counter + LOWER_HALVES), counter, words, 256)
    for i in range(256):
        words[i] = (words[i] & UPPER_BITS) | words[256 + i] >> 16


def draw_to_compare(seed, prepared_seed, counter, threshold, words):
    """Write 256 words that compare with the threshold as the elements' words do."""
    draw_256(prepared_seed, counter, words, 0)
    if rarely(is_tied(words, threshold)):
        complete(seed, counter, words)


def philox_words(args, lengths):
    """Write the 256 words of the 32 counters from lengths[0] on, without and with their lower halves, for the tests."""
    words = words_operand(args, 0)
    seed = seed_operand(args, 1)
    scratch = words_operand(args, 2)
    draw_256(prepared(seed, lengths[0]), lengths[0], scratch, 0)
    for i in range(256):
        words[i] = scratch[i]
    complete(seed, lengths[0], scratch)
    for i in range(256):
        words[256 + i] = scratch[i]


def pack_bits(words, n, threshold, mask, offset):
    """Write a bit for each of at most 256 words."""
    if n == 256:
        pack_256(words, threshold, mask, offset)
    else:
        for start in range(0, n, 8):
            pack_at_most_8(words, start, n, threshold, mask, offset + start // 8)


def draw_mask(args, lengths):
    """Write the bits of lengths[0] elements from element lengths[1] on: set where the word reaches the threshold.

    lengths[1] is a multiple of 256, and no multiple of 2**35 lies inside. The same holds for the loops below.
    """
    mask = bytes_operand(args, 0)
    seed = seed_operand(args, 1)
    prepared_seed = prepared(seed, counter_of(lengths[1]))
    words = words_operand(args, 2)
    threshold = words_operand(args, 3)[0]
    for start in range(0, lengths[0], 256):
        draw_to_compare(seed, prepared_seed, counter_of(lengths[1] + start), threshold, words)
        pack_bits(words, min(256, lengths[0] - start), threshold, mask, start // 8)


def keep_by_words(x, words, threshold, scale, shift, dropped, start, n, y):
    for i in range(n):
        kept = multiply_add(x[start + i], scale, shift)
        y[start + i] = kept if words[i] >= threshold else dropped


def keep_by_bits(x, bits, scale, shift, dropped, start, n, y):
    for i in range(n):
        kept = multiply_add(x[start + i], scale, shift)
        y[start + i] = kept if is_set(bits, i) else dropped


def dropout(args, lengths):
    """Write x*scale + shift, or the dropped value, as each element's word says, and the bits if lengths[2] is set.

    A shift of -0.0 changes no product.
    """
    x = operand(args, 0)
    y = output_operand(args, 1)
    seed = seed_operand(args, 2)
    prepared_seed = prepared(seed, counter_of(lengths[1]))
    words = words_operand(args, 3)
    threshold = words_operand(args, 4)[0]
    scale, shift, dropped = operand(args, 5)[0], operand(args, 5)[1], operand(args, 5)[2]
    mask = bytes_operand(args, 6)
    n = lengths[0]
    whole = n - n % 256
    for start in range(0, whole, 256):
        prefetch(x, y, start, n)
        draw_to_compare(seed, prepared_seed, counter_of(lengths[1] + start), threshold, words)
        if lengths[2]:
            pack_bits(words, 256, threshold, mask, start // 8)
        keep_by_words(x, words, threshold, scale, shift, dropped, start, 256, y)
    if whole < n:
        draw_to_compare(seed, prepared_seed, counter_of(lengths[1] + whole), threshold, words)
        if lengths[2]:
            pack_bits(words, n - whole, threshold, mask, whole // 8)
        keep_by_words(x, words, threshold, scale, shift, dropped, whole, n - whole, y)


def keep_256_by_bits(x, mask, offset, scale, shift, dropped, start, y):
    for k in range(8):
        keep_by_bits(x, load_32(mask, offset + 4 * k), scale, shift, dropped, start + 32 * k, 32, y)


def keep_rest_by_bits(x, mask, offset, scale, shift, dropped, start, n, y):
    for k in range(0, n, 8):
        keep_by_bits(x, mask[offset + k // 8], scale, shift, dropped, start + k, min(8, n - k), y)


def apply_mask(args, lengths):
    """Write x*scale + shift where the mask's bit is set, else the dropped value."""
    x = operand(args, 0)
    y = output_operand(args, 1)
    mask = bytes_operand(args, 2)
    scale, shift, dropped = operand(args, 3)[0], operand(args, 3)[1], operand(args, 3)[2]
    n = lengths[0]
    whole = n - n % 256
    for start in range(0, whole, 256):
        prefetch(x, y, start, n)
        keep_256_by_bits(x, mask, start // 8, scale, shift, dropped, start, y)
    keep_rest_by_bits(x, mask, whole // 8, scale, shift, dropped, whole, n - whole, y)


def draw_whole(prepared_seed, lower_seed, counter, words):
    """Write 256 words as `complete` has them, upper halves apart from the lower ones behind them: see `whole`."""
    draw_256(prepared_seed, counter, words, 0)
    draw_256(lower_seed, counter, words, 256)


def whole(words, i):
    return (words[i] & UPPER_BITS) | words[256 + i] >> 16


def uniform_of_words(words, start, n, y):
    for i in range(n):
        y[start + i] = unit_interval(whole(words, i))


def uniform(args, lengths):
    """Write numbers in [0, 1), all multiples of 2**-24 equally likely."""
    y = output_operand(args, 0)
    seed = seed_operand(args, 1)
    prepared_seed = prepared(seed, counter_of(lengths[1]))
    lower_seed = prepared(seed, counter_of(lengths[1]) + LOWER_HALVES)
    words = words_operand(args, 2)
    for start in range(0, lengths[0], 256):
        draw_whole(prepared_seed, lower_seed, counter_of(lengths[1] + start), words)
        uniform_of_words(words, start, min(256, lengths[0] - start), y)


def rectify_by_words(values, x, words, low, width, start, n, y):
    for i in range(n):
        value = values[start + i]
        y[start + i] = value if x[start + i] > ZERO else (unit_interval(whole(words, i)) * width + low) * value


def rectify(args, lengths):
    """Write what a leaky rectifier makes of x, or of dy at x, with a slope for each element: low + width*`uniform`.

    All in one loop over 256 numbers: a pass over them for each step, in the first-level cache, took twice as long.
    """
    values = operand(args, 0)
    x = operand(args, 1)
    y = output_operand(args, 2)
    seed = seed_operand(args, 3)
    prepared_seed = prepared(seed, counter_of(lengths[1]))
    lower_seed = prepared(seed, counter_of(lengths[1]) + LOWER_HALVES)
    words = words_operand(args, 4)
    low, width = operand(args, 5)[0], operand(args, 5)[1]
    n = lengths[0]
    for start in range(0, n, 256):
        prefetch(x, y, start, n)
        draw_whole(prepared_seed, lower_seed, counter_of(lengths[1] + start), words)
        rectify_by_words(values, x, words, low, width, start, min(256, n - start), y)
