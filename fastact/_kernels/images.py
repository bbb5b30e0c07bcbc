"""Pixels to (x*scale - mean)/std, rounded once to binary32, for every compiler.

A ``row`` is of one channel: args are x, y and the channel's parameters, lengths[0] elements, lengths[1] between two
parameters. ``columns`` are of neighbouring channels: each element has parameters of its own.
"""


def on_lines(x, origin, slope, slope_low, value, value_low):
    """Return the value at `origin` plus slope*(x - origin), slope and value being in two parts each.

    The first line is exact for bytes: `slope` has 16 bits, the difference 8, and `value` is a multiple of what `slope`
    is one of. So one rounding is left, but for the second line's, which are 2**-15 of that. About the origin, where
    the result is near 0, nothing is cancelled. `plan` has found parts for which the result is the nearest binary32 number
    for each of the 256 bytes, or it takes the table.
    """
    d = x - origin
    return multiply_add(d, slope, value) + multiply_add(d, slope_low, value_low)


def bytes_to_tensor(x, y, n, origin, slope, slope_low, value, value_low):
    for i in range(n):
        y[i] = on_lines(byte_value(x[i]), origin, slope, slope_low, value, value_low)


def image_bytes_row(args, lengths):
    p, step = operand(args, 2), lengths[1]
    bytes_to_tensor(
        bytes_operand(args, 0), operand(args, 1), lengths[0], p[0], p[step], p[2 * step], p[3 * step], p[4 * step]
    )


def image_bytes_columns(args, lengths):
    x, y, p, step = bytes_operand(args, 0), output_operand(args, 1), operand(args, 2), lengths[1]
    slope, slope_low, value, value_low = p + step, p + 2 * step, p + 3 * step, p + 4 * step
    for i in range(lengths[0]):
        y[i] = on_lines(byte_value(x[i]), p[i], slope[i], slope_low[i], value[i], value_low[i])


def image_table_row(args, lengths):
    x, y, table, step = bytes_operand(args, 0), output_operand(args, 1), operand(args, 2), lengths[1]
    for i in range(lengths[0]):
        y[i] = table[x[i] * step]


def image_table_columns(args, lengths):
    x, y, table, step = bytes_operand(args, 0), output_operand(args, 1), operand(args, 2), lengths[1]
    for i in range(lengths[0]):
        y[i] = table[x[i] * step + i]


def pixels_to_tensor(x, y, n, scale, mean, inverse):
    for i in range(n):
        y[i] = narrow((x[i] * scale - mean) * inverse)


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


def split_pixels_3(args, lengths):
    """Write each channel of lengths[0] packed pixels of three bytes to a row of lengths[1] bytes."""
    split_3(bytes_operand(args, 0), bytes_operand(args, 1), lengths[1], lengths[0])


def split_pixels_4(args, lengths):
    split_4(bytes_operand(args, 0), bytes_operand(args, 1), lengths[1], lengths[0])


def split_4(pixels, planes, step, n):
    for i in range(n):
        planes[i] = pixels[4 * i]
        planes[step + i] = pixels[4 * i + 1]
        planes[2 * step + i] = pixels[4 * i + 2]
        planes[3 * step + i] = pixels[4 * i + 3]
