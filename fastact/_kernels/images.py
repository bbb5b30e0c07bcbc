"""Pixels to (x*scale - mean)/std, rounded once to binary32, for every compiler.

A ``row`` is of one channel: args are x, y and the channel's parameters, lengths[0] elements, lengths[1] between two
parameters. ``columns`` are of neighbouring channels: each element has parameters of its own.
"""


def on_lines(x, origin, slope, slope_low, value, value_low):
    """Return the value at `origin` plus slope*(x - origin), slope and value being in two parts each.

    The first line is exact for bytes: `slope` has 16 bits, the difference 8, and `value` is a multiple of what `slope`
    is one of. So one rounding is left, but for the second line's, which are 2**-15 of that. About the origin, where
    the result is near 0, nothing is cancelled. `pixels.py` has found parts for which the result is the nearest binary32
    number for each of the 256 bytes, or it takes the table.
    """
    d = x - origin
    return multiply_add(d, slope, value) + multiply_add(d, slope_low, value_low)


def bytes_to_tensor(x, y, n, origin, slope, slope_low, value, value_low):
    whole = n // TILE * TILE
    for tile in range(n // TILE):
        i = tile * TILE
        will_write(y + i + 2 * TILE)
        for j in range(TILE):
            y[i + j] = on_lines(byte_value(x[i + j]), origin, slope, slope_low, value, value_low)
    for i in range(n - whole):
        y[whole + i] = on_lines(byte_value(x[whole + i]), origin, slope, slope_low, value, value_low)


def image_bytes_row(args, lengths):
    p, step = operand(args, 2), lengths[1]
    x, y, n = bytes_operand(args, 0), operand(args, 1), lengths[0]
    bytes_to_tensor(x, y, n, p[0], p[step], p[2 * step], p[3 * step], p[4 * step])


def image_bytes_columns(args, lengths):
    x, y, p, step = bytes_operand(args, 0), output_operand(args, 1), operand(args, 2), lengths[1]
    slope, slope_low, value, value_low = p + step, p + 2 * step, p + 3 * step, p + 4 * step
    for i in range(lengths[0]):
        y[i] = on_lines(byte_value(x[i]), p[i], slope[i], slope_low[i], value[i], value_low[i])


def image_bytes_packed(args, lengths):
    """Do lengths[0] packed pixels of lengths[2] channels, a tile of them at a time.

    Args are the pixels, scratch, four outputs and four channels' parameters, lengths[1] between two of these. A pixel
    becomes a word, in which each channel finds its byte: to put the bytes of each channel together and widen them took
    1.5 of the time (Zen 4).
    """
    x, words, channels = bytes_operand(args, 0), words_operand(args, 1), lengths[2]
    whole = lengths[0] // TILE
    for block in range(whole):
        widen_pixels(x + block * TILE * channels, words, TILE, channels)
        for c in range(channels):
            words_to_tensor(words, c, operand(args, 2 + c) + block * TILE, TILE, operand(args, 6 + c), lengths[1])
    rest = lengths[0] - whole * TILE
    widen_pixels(x + whole * TILE * channels, words, rest, channels)
    for c in range(channels):
        words_to_tensor(words, c, operand(args, 2 + c) + whole * TILE, rest, operand(args, 6 + c), lengths[1])


def words_to_tensor(words, channel, y, n, p, step):
    # Bytes come with 2**23 added: so is the origin.
    origin = p[0] + byte_of_word(0, 0)
    slope, slope_low, value, value_low = p[step], p[2 * step], p[3 * step], p[4 * step]
    for i in range(n):
        y[i] = on_lines(byte_of_word(words[i], channel), origin, slope, slope_low, value, value_low)


def image_table_row(args, lengths):
    x, y, table, step = bytes_operand(args, 0), output_operand(args, 1), operand(args, 2), lengths[1]
    for i in range(lengths[0]):
        y[i] = table[x[i] * step]


def image_table_columns(args, lengths):
    x, y, table, step = bytes_operand(args, 0), output_operand(args, 1), operand(args, 2), lengths[1]
    for i in range(lengths[0]):
        y[i] = table[x[i] * step + i]


def pixels_to_tensor(x, y, n, scale, mean, inverse):
    whole = n // TILE * TILE
    for tile in range(n // TILE):
        i = tile * TILE
        will_write(y + i + 2 * TILE)
        for j in range(TILE):
            y[i + j] = narrow((x[i + j] * scale - mean) * inverse)
    for i in range(n - whole):
        y[whole + i] = narrow((x[whole + i] * scale - mean) * inverse)


def pixels_to_tensors(x, y, n, scale, mean, inverse):
    for i in range(n):
        y[i] = narrow((x[i] * scale[i] - mean[i]) * inverse[i])


def image_words_row(args, lengths):
    p, step = numbers(args, 2), lengths[1]
    pixels_to_tensor(word_pixels(args, 0), operand(args, 1), lengths[0], p[0], p[step], p[2 * step])


def image_words_columns(args, lengths):
    p, step = numbers(args, 2), lengths[1]
    pixels_to_tensors(word_pixels(args, 0), operand(args, 1), lengths[0], p, p + step, p + 2 * step)


def image_floats_row(args, lengths):
    p, step = numbers(args, 2), lengths[1]
    pixels_to_tensor(operand(args, 0), operand(args, 1), lengths[0], p[0], p[step], p[2 * step])


def image_floats_columns(args, lengths):
    p, step = numbers(args, 2), lengths[1]
    pixels_to_tensors(operand(args, 0), operand(args, 1), lengths[0], p, p + step, p + 2 * step)


# ---- Packed pixels to planes: lengths[0] pixels of lengths[2] channels, each to its row of lengths[1] items; the last
# pixel first if lengths[3].


def split_1(args, lengths):
    """Split pixels of bytes."""
    pixels, planes, n, step = bytes_operand(args, 0), bytes_operand(args, 1), lengths[0], lengths[1]
    target = planes + 4 * step if lengths[3] else planes
    if lengths[2] == 3:
        split_3_bytes(pixels, target, step, n)
    else:
        split_into_4(pixels, target, step, n)
    if lengths[3]:
        turn_round(target, planes, step, n, lengths[2])


def split_2(args, lengths):
    split_pixels(word_pixels(args, 0), word_pixels(args, 1), lengths[1], lengths[0], lengths[2], lengths[3])


def split_4(args, lengths):
    split_pixels(operand(args, 0), operand(args, 1), lengths[1], lengths[0], lengths[2], lengths[3])


def split_pixels(pixels, planes, step, n, channels, is_backwards):
    target = planes + 4 * step if is_backwards else planes
    if channels == 3:
        split_into_3(pixels, target, step, n)
    else:
        split_into_4(pixels, target, step, n)
    if is_backwards:
        turn_round(target, planes, step, n, channels)


def split_into_3(pixels, planes, step, n):
    for i in range(n):
        planes[i] = pixels[3 * i]
        planes[step + i] = pixels[3 * i + 1]
        planes[2 * step + i] = pixels[3 * i + 2]


def split_into_4(pixels, planes, step, n):
    for i in range(n):
        planes[i] = pixels[4 * i]
        planes[step + i] = pixels[4 * i + 1]
        planes[2 * step + i] = pixels[4 * i + 2]
        planes[3 * step + i] = pixels[4 * i + 3]


def turn_round(x, y, step, n, channels):
    for c in range(channels):
        turn_row_round(x + c * step, y + c * step, n)


def turn_row_round(x, y, n):
    for i in range(n):
        y[i] = x[n - 1 - i]
