"""Random numbers by counting, and the loops that draw from them, for every compiler.

Philox4x32-10 (Salmon, Moraes, Dror and Shaw, 2011) makes four 32-bit words of a 128-bit counter and a 64-bit key:
no state, so any element's draw can be computed by itself, in any order. Which word an element gets:

- 32 elements share eight counters. Element i is in block b = i // 32, whose counters are 8*b ... 8*b + 7. The counter
  fills the low 64 bits; the high 64 bits and the key are the seed;
- each counter gives two pairs of words, (w1, w0) and (w3, w2). The first sixteen elements of the block take the
  eight first pairs, the other sixteen the eight second pairs.

A pair is what a product of two words leaves in a 64-bit lane of a vector register: so nothing is moved from lane to
lane, and the words come out in the order in which they are compared and stored. Loops take 128 elements at a time:
the four chains of multiplications that they make fill each other's latency.

The lanes' type and what cannot be spelled in Python are in `philox.h`. In the upper half of a lane is whatever the
last product left there: only lower halves are multiplied.
"""

PHILOX_MULTIPLIER_0 = 0xD2511F53
PHILOX_MULTIPLIER_1 = 0xCD9E8D57
PHILOX_WEYL_0 = 0x9E3779B9
PHILOX_WEYL_1 = 0xBB67AE85


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


def draw_32(seed, counter, first, words):
    """Write the words of one block of 32 elements, whose counters begin at counter + first."""
    x1, x2, x3, key_0, key_1 = seed
    for part in range(8 // PHILOX_LANES):
        lane = part * PHILOX_LANES
        pairs_0, pairs_1 = philox_pairs(counting_lanes(counter, first + lane), x1, x2, x3, key_0, key_1)
        store_pairs(words, 4 * first + 2 * lane, pairs_0)
        store_pairs(words, 4 * first + 2 * lane + 16, pairs_1)


def draw_128(seed, counter, words):
    """Write the words of four blocks."""
    draw_32(seed, counter, 0, words)
    draw_32(seed, counter, 8, words)
    draw_32(seed, counter, 16, words)
    draw_32(seed, counter, 24, words)


def philox_words(args, lengths):
    """Write the 128 words of the 32 counters from lengths[0] on: Philox itself, for the tests."""
    words = words_operand(args, 0)
    seed = prepared(seed_operand(args, 1), lengths[0])
    scratch = words_operand(args, 2)
    draw_128(seed, lengths[0], scratch)
    for i in range(128):
        words[i] = scratch[i]


def pack_less_than_128(words, n, threshold, mask, offset):
    for start in range(0, n, 8):
        pack_at_most_8(words, start, n, threshold, mask, offset + start // 8)


def draw_mask(args, lengths):
    """Write the bits of lengths[0] elements from element lengths[1] on: set where the word reaches the threshold.

    lengths[1] is a multiple of 128, and no multiple of 2**34 lies inside. The same holds for the loops below.
    """
    mask = bytes_operand(args, 0)
    seed = prepared(seed_operand(args, 1), counter_of(lengths[1]))
    words = words_operand(args, 2)
    threshold = words_operand(args, 3)[0]
    n = lengths[0]
    whole = n - n % 128
    for start in range(0, whole, 128):
        draw_128(seed, counter_of(lengths[1] + start), words)
        pack_128(words, threshold, mask, start // 8)
    if whole < n:
        draw_128(seed, counter_of(lengths[1] + whole), words)
        pack_less_than_128(words, n - whole, threshold, mask, whole // 8)


def keep_by_words(x, words, threshold, scale, shift, dropped, start, n, y):
    for i in range(n):
        kept = multiply_add(x[start + i], scale, shift)
        y[start + i] = kept if words[i] >= threshold else dropped


def keep_by_bits(x, bits, scale, shift, dropped, start, n, y):
    for i in range(n):
        kept = multiply_add(x[start + i], scale, shift)
        y[start + i] = kept if is_set(bits, i) else dropped


def dropout(args, lengths):
    """Write x*scale + shift, or the dropped value, as each element's word says. A shift of -0.0 changes no product."""
    x = operand(args, 0)
    y = output_operand(args, 1)
    seed = prepared(seed_operand(args, 2), counter_of(lengths[1]))
    words = words_operand(args, 3)
    threshold = words_operand(args, 4)[0]
    scale, shift, dropped = operand(args, 5)[0], operand(args, 5)[1], operand(args, 5)[2]
    n = lengths[0]
    whole = n - n % 128
    for start in range(0, whole, 128):
        draw_128(seed, counter_of(lengths[1] + start), words)
        keep_by_words(x, words, threshold, scale, shift, dropped, start, 128, y)
    if whole < n:
        draw_128(seed, counter_of(lengths[1] + whole), words)
        keep_by_words(x, words, threshold, scale, shift, dropped, whole, n - whole, y)


def dropout_with_mask(args, lengths):
    """Do what dropout does, and write the bits."""
    x = operand(args, 0)
    y = output_operand(args, 1)
    seed = prepared(seed_operand(args, 2), counter_of(lengths[1]))
    words = words_operand(args, 3)
    threshold = words_operand(args, 4)[0]
    scale, shift, dropped = operand(args, 5)[0], operand(args, 5)[1], operand(args, 5)[2]
    mask = bytes_operand(args, 6)
    n = lengths[0]
    whole = n - n % 128
    for start in range(0, whole, 128):
        draw_128(seed, counter_of(lengths[1] + start), words)
        pack_128(words, threshold, mask, start // 8)
        keep_by_words(x, words, threshold, scale, shift, dropped, start, 128, y)
    if whole < n:
        draw_128(seed, counter_of(lengths[1] + whole), words)
        pack_less_than_128(words, n - whole, threshold, mask, whole // 8)
        keep_by_words(x, words, threshold, scale, shift, dropped, whole, n - whole, y)


def apply_mask(args, lengths):
    """Write x*scale + shift where the mask's bit is set, else the dropped value."""
    x = operand(args, 0)
    y = output_operand(args, 1)
    mask = bytes_operand(args, 2)
    scale, shift, dropped = operand(args, 3)[0], operand(args, 3)[1], operand(args, 3)[2]
    n = lengths[0]
    whole = n - n % 32
    for start in range(0, whole, 32):
        keep_by_bits(x, load_32(mask, start // 8), scale, shift, dropped, start, 32, y)
    for start in range(whole, n, 8):
        keep_by_bits(x, mask[start // 8], scale, shift, dropped, start, min(8, n - start), y)


def uniform_of_words(words, start, n, y):
    for i in range(n):
        y[start + i] = unit_interval(words[i])


def uniform(args, lengths):
    """Write numbers in [0, 1), all multiples of 2**-24 equally likely."""
    y = output_operand(args, 0)
    seed = prepared(seed_operand(args, 1), counter_of(lengths[1]))
    words = words_operand(args, 2)
    n = lengths[0]
    whole = n - n % 128
    for start in range(0, whole, 128):
        draw_128(seed, counter_of(lengths[1] + start), words)
        uniform_of_words(words, start, 128, y)
    if whole < n:
        draw_128(seed, counter_of(lengths[1] + whole), words)
        uniform_of_words(words, whole, n - whole, y)
