"""Linear quantization, for every compiler.

A ``row`` has one scale and zero point, ``columns`` have one for each element: args are the input, the output and the
parameters (scales, and lengths[1] numbers behind them zero points), lengths[0] elements, lengths[2] the integers' type.
"""


def integer_bits(x):
    """Return x rounded to an integer, halves to even, for less than 2**21 in magnitude; other bits above the 16th."""
    return low_bits(x + INTEGER_SHIFT)


def limited(x, low, high):
    """Return x within the limits, the lower one for NaN."""
    x = x if x > low else low
    return x if x < high else high


def is_ordinary(scale):
    """Return whether a scale is positive and nothing overflows or underflows in the quotient of what is in range."""
    return scale > QUOTIENT_MIN and scale < QUOTIENT_MAX


def dequantize_one(q, scale, zero):
    return real_of(q - zero) * scale


def quantize_items(x, q, n, scale, zero, lowest, highest):
    """Write x/scale rounded, plus zero, within the limits; the lowest for NaN."""
    low, high = real_of(lowest - zero), real_of(highest - zero)
    if is_ordinary(scale):
        inverse, first, last = ONE / scale, low * scale, high * scale
        for i in range(n):
            q[i] = integer_bits(divided(limited(x[i], first, last), scale, inverse)) + zero
    else:
        for i in range(n):
            q[i] = integer_bits(limited(x[i] / scale, low, high)) + zero


def quantize_columns_of(x, q, n, scale, zero, lowest, highest):
    for i in range(n):
        low, high = real_of(lowest) - zero[i], real_of(highest) - zero[i]
        q[i] = integer_bits(limited(x[i] / scale[i], low, high)) + integer_of(zero[i])


def quantize_row(args, lengths):
    x, p, n = operand(args, 0), operand(args, 2), lengths[0]
    scale, zero = p[0], integer_of(p[lengths[1]])
    if lengths[2] == QUANTIZED_UINT8:
        quantize_items(x, uint8_items(args, 1), n, scale, zero, 0, 255)
    elif lengths[2] == QUANTIZED_INT8:
        quantize_items(x, int8_items(args, 1), n, scale, zero, -128, 127)
    elif lengths[2] == QUANTIZED_UINT16:
        quantize_items(x, uint16_items(args, 1), n, scale, zero, 0, 65535)
    else:
        quantize_items(x, int16_items(args, 1), n, scale, zero, -32768, 32767)


def quantize_columns(args, lengths):
    x, scale, n = operand(args, 0), operand(args, 2), lengths[0]
    zero = scale + lengths[1]
    if lengths[2] == QUANTIZED_UINT8:
        quantize_columns_of(x, uint8_items(args, 1), n, scale, zero, 0, 255)
    elif lengths[2] == QUANTIZED_INT8:
        quantize_columns_of(x, int8_items(args, 1), n, scale, zero, -128, 127)
    elif lengths[2] == QUANTIZED_UINT16:
        quantize_columns_of(x, uint16_items(args, 1), n, scale, zero, 0, 65535)
    else:
        quantize_columns_of(x, int16_items(args, 1), n, scale, zero, -32768, 32767)


def dequantize_items(q, y, n, scale, zero):
    whole = n // TILE * TILE
    for tile in range(n // TILE):
        i = tile * TILE
        will_write(y + i + 2 * TILE)
        for j in range(TILE):
            y[i + j] = dequantize_one(q[i + j], scale, zero)
    for i in range(n - whole):
        y[whole + i] = dequantize_one(q[whole + i], scale, zero)


def dequantize_columns_of(q, y, n, scale, zero):
    for i in range(n):
        y[i] = dequantize_one(q[i], scale[i], integer_of(zero[i]))


def dequantize_row(args, lengths):
    y, p, n = operand(args, 1), operand(args, 2), lengths[0]
    scale, zero = p[0], integer_of(p[lengths[1]])
    if lengths[2] == QUANTIZED_UINT8:
        dequantize_items(uint8_items(args, 0), y, n, scale, zero)
    elif lengths[2] == QUANTIZED_INT8:
        dequantize_items(int8_items(args, 0), y, n, scale, zero)
    elif lengths[2] == QUANTIZED_UINT16:
        dequantize_items(uint16_items(args, 0), y, n, scale, zero)
    else:
        dequantize_items(int16_items(args, 0), y, n, scale, zero)


def dequantize_columns(args, lengths):
    y, scale, n = operand(args, 1), operand(args, 2), lengths[0]
    zero = scale + lengths[1]
    if lengths[2] == QUANTIZED_UINT8:
        dequantize_columns_of(uint8_items(args, 0), y, n, scale, zero)
    elif lengths[2] == QUANTIZED_INT8:
        dequantize_columns_of(int8_items(args, 0), y, n, scale, zero)
    elif lengths[2] == QUANTIZED_UINT16:
        dequantize_columns_of(uint16_items(args, 0), y, n, scale, zero)
    else:
        dequantize_columns_of(int16_items(args, 0), y, n, scale, zero)
