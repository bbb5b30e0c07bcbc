"""Linear quantization, for every compiler.

A ``row`` has one scale and zero point, ``columns`` have one for each element: args are the input, the output and the
parameters (scales, and lengths[1] numbers behind them zero points), lengths[0] elements, lengths[2] the integers' type.
"""


def nearest_integer(x):
    """Return x rounded to an integer, halves to even, for less than 2**21 in magnitude."""
    return (x + INTEGER_SHIFT) - INTEGER_SHIFT


def quantize_one(x, scale, zero, lowest, highest):
    """Return x/scale rounded, plus zero, within the limits. NaN gives the lowest."""
    low, high = real_of(lowest - zero), real_of(highest - zero)
    q = x / scale
    q = q if q > low else low
    q = q if q < high else high
    return integer_of(nearest_integer(q)) + zero


def dequantize_one(q, scale, zero):
    return real_of(q - zero) * scale


def quantize_items(x, q, n, scale, zero, lowest, highest):
    for i in range(n):
        q[i] = quantize_one(x[i], scale, zero, lowest, highest)


def quantize_columns_of(x, q, n, scale, zero, lowest, highest):
    for i in range(n):
        q[i] = quantize_one(x[i], scale[i], integer_of(zero[i]), lowest, highest)


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
    for i in range(n):
        y[i] = dequantize_one(q[i], scale, zero)


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
