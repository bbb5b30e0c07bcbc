"""Dropout of the 16-bit floats, 256 elements at a time: widened, computed in binary32, rounded once.

What is between the steps stays in the first-level cache, and memory is read and written all the time: with blocks of
4096 elements, 2**24 float16 took 3 times as long as their copy, and take 2.3.
"""


def dropout_halves(widen, narrow, args, lengths):
    """Do what `dropout` does, see `philox.py`, between two conversions."""
    x = bits_operand(args, 0)
    y = bits_operand(args, 1)
    seed = seed_operand(args, 2)
    prepared_seed = prepared(seed, counter_of(lengths[1]))
    words = words_operand(args, 3)
    threshold = words_operand(args, 4)[0]
    scale, shift, dropped = operand(args, 5)[0], operand(args, 5)[1], operand(args, 5)[2]
    mask = bytes_operand(args, 6)
    wide = operand(args, 7)
    kept = output_operand(args, 8)
    n = lengths[0]
    whole = n - n % 256
    for start in range(0, whole, 256):
        prefetch(x, y, start, n)
        draw_to_compare(seed, prepared_seed, counter_of(lengths[1] + start), threshold, words)
        if lengths[2]:
            pack_bits(words, 256, threshold, mask, start // 8)
        widen(wide, element(x, start), 256)
        keep_by_words(wide, words, threshold, scale, shift, dropped, 0, 256, kept)
        narrow(element(y, start), kept, 256)
    if whole < n:
        draw_to_compare(seed, prepared_seed, counter_of(lengths[1] + whole), threshold, words)
        if lengths[2]:
            pack_bits(words, n - whole, threshold, mask, whole // 8)
        widen(wide, element(x, whole), n - whole)
        keep_by_words(wide, words, threshold, scale, shift, dropped, 0, n - whole, kept)
        narrow(element(y, whole), kept, n - whole)


def dropout_float16(args, lengths):
    dropout_halves(widen_float16, round_to_float16, args, lengths)


def dropout_bfloat16(args, lengths):
    dropout_halves(widen_bfloat16, round_widened_to_bfloat16, args, lengths)


def apply_mask_halves(widen, narrow, args, lengths):
    """Do what `apply_mask` does, see `philox.py`, between two conversions."""
    x = bits_operand(args, 0)
    y = bits_operand(args, 1)
    mask = bytes_operand(args, 2)
    scale, shift, dropped = operand(args, 3)[0], operand(args, 3)[1], operand(args, 3)[2]
    wide = operand(args, 4)
    kept = output_operand(args, 5)
    n = lengths[0]
    whole = n - n % 256
    for start in range(0, whole, 256):
        prefetch(x, y, start, n)
        widen(wide, element(x, start), 256)
        keep_256_by_bits(wide, mask, start // 8, scale, shift, dropped, 0, kept)
        narrow(element(y, start), kept, 256)
    if whole < n:
        widen(wide, element(x, whole), n - whole)
        keep_rest_by_bits(wide, mask, whole // 8, scale, shift, dropped, 0, n - whole, kept)
        narrow(element(y, whole), kept, n - whole)


def apply_mask_float16(args, lengths):
    apply_mask_halves(widen_float16, round_to_float16, args, lengths)


def apply_mask_bfloat16(args, lengths):
    apply_mask_halves(widen_bfloat16, round_widened_to_bfloat16, args, lengths)


def slopes_of_words(words, low, width, n, slopes):
    for i in range(n):
        slopes[i] = unit_interval(whole(words, i)) * width + low


def rectify_by_slopes(values, x, slopes, n, y):
    for i in range(n):
        y[i] = values[i] if x[i] > ZERO else slopes[i] * values[i]


def rectify_halves(widen, narrow, args, lengths):
    """Do what `rectify` does, see `philox.py`, between conversions; slopes are rounded to the arrays' type first."""
    values = bits_operand(args, 0)
    x = bits_operand(args, 1)
    y = bits_operand(args, 2)
    seed = seed_operand(args, 3)
    prepared_seed = prepared(seed, counter_of(lengths[1]))
    lower_seed = prepared(seed, counter_of(lengths[1]) + LOWER_HALVES)
    words = words_operand(args, 4)
    low, width = operand(args, 5)[0], operand(args, 5)[1]
    wide_values = operand(args, 6)
    wide_x = operand(args, 7)
    slopes = output_operand(args, 8)
    rounded = bits_operand(args, 9)
    for start in range(0, lengths[0], 256):
        n = min(256, lengths[0] - start)
        prefetch(x, y, start, lengths[0])
        draw_whole(prepared_seed, lower_seed, counter_of(lengths[1] + start), words)
        slopes_of_words(words, low, width, n, slopes)
        narrow(rounded, slopes, n)
        widen(slopes, rounded, n)
        widen(wide_values, element(values, start), n)
        widen(wide_x, element(x, start), n)
        rectify_by_slopes(wide_values, wide_x, slopes, n, slopes)
        narrow(element(y, start), slopes, n)


def rectify_float16(args, lengths):
    rectify_halves(widen_float16, round_to_float16, args, lengths)


def rectify_bfloat16(args, lengths):
    rectify_halves(widen_bfloat16, round_widened_to_bfloat16, args, lengths)
