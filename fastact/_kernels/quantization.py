"""Linear quantization, for every compiler.

A ``row`` has one scale and zero point, ``columns`` have one for each element: args are the input, the output and the
parameters (numbers of a kind are neighbours, lengths[1] before those of the next), lengths[0] elements, lengths[2] the
integers' type. The first two kinds are scales and zero points; the rest are `quantize_parameters`'.
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


def is_far_from_ties(scale, most):
    """Return whether x*inverse in two parts is rounded to the same integer as the quotient, for any up to `most`.

    Write x and scale as integers X and S of p bits, times powers of two. The product with both parts, before its own
    rounding, is within 2**(1 - 2*p) of the quotient, relatively. So it is rounded to another number only if a midpoint
    M, an odd integer of p + 1 bits times a power of two, is that close: if X*2**i = M*S + r for some i of at least
    p - 1, with abs(r) at most 4, and not 0, as M does not divide X. And to another integer only if that number is a
    half, or next to one: if M is an odd multiple of 2**(p - 1 - e) plus or minus 1 for a quotient below 2**(e + 1).
    Then S or -S is r, modulo 2**(p - 1 - e): at least 2**16 for 8 bits, 2**8 for 16 bits. Modulo a smaller power of
    two, as is tested here for binary64, it is so all the more.
    """
    mask = 0xFFFF if most < 256 else 0xFF
    rest = low_bits(scale) & mask
    return rest == 0 or (rest > 4 and rest < mask - 3)


def inverse_rest(scale, inverse):
    """Return what the inverse, rounded, is less than the exact one."""
    return fma(-scale, inverse, ONE) / scale


def dequantize_one(q, scale, zero):
    return real_of(q - zero) * scale


def quantize_parameters(args, lengths):
    """Write what is made of lengths[0] scales and zero points: inverses in two parts, and the limits of x.

    Last, in every place, whether all quotients are products with the inverse (2), or corrected ones (1), or not (0).
    """
    p, n, step = operand(args, 0), lengths[0], lengths[1]
    zero, inverse, rest, first, last = p + step, p + 2 * step, p + 3 * step, p + 4 * step, p + 5 * step
    kind = lengths[2]
    lowest, highest = lowest_of(kind), highest_of(kind)
    least = TWO
    for i in range(n):
        scale = p[i]
        inverse[i] = ONE / scale
        rest[i] = inverse_rest(scale, inverse[i])
        first[i], last[i] = (real_of(lowest) - zero[i]) * scale, (real_of(highest) - zero[i]) * scale
        way = (TWO if is_far_from_ties(scale, highest - lowest) else ONE) if is_ordinary(scale) else ZERO
        least = way if way < least else least
    for i in range(n):
        p[6 * step + i] = least


def lowest_of(kind):
    return -128 if kind == QUANTIZED_INT8 else -32768 if kind == QUANTIZED_INT16 else 0


def highest_of(kind):
    return lowest_of(kind) + (255 if kind < QUANTIZED_UINT16 else 65535)


def quantize_items(x, q, n, p, step, lowest, highest):
    """Write x/scale rounded, plus zero, within the limits; the lowest for NaN."""
    scale, zero = p[0], integer_of(p[step])
    inverse, rest, first, last = p[2 * step], p[3 * step], p[4 * step], p[5 * step]
    low, high = real_of(lowest - zero), real_of(highest - zero)
    if p[6 * step] == TWO:
        for i in range(n):
            q[i] = integer_bits(near_quotient(limited(x[i], first, last), scale, inverse, rest)) + zero
    elif p[6 * step] == ONE:
        for i in range(n):
            q[i] = integer_bits(divided(limited(x[i], first, last), scale, inverse)) + zero
    else:
        for i in range(n):
            q[i] = integer_bits(limited(x[i] / scale, low, high)) + zero


def quantize_columns_of(x, q, n, scale, step, lowest, highest):
    zero, inverse, rest = scale + step, scale + 2 * step, scale + 3 * step
    first, last = scale + 4 * step, scale + 5 * step
    if scale[6 * step] == TWO:
        for i in range(n):
            t = near_quotient(limited(x[i], first[i], last[i]), scale[i], inverse[i], rest[i])
            q[i] = integer_bits(t) + integer_of(zero[i])
    else:
        for i in range(n):
            low, high = real_of(lowest) - zero[i], real_of(highest) - zero[i]
            q[i] = integer_bits(limited(x[i] / scale[i], low, high)) + integer_of(zero[i])


def quantize_row(args, lengths):
    x, p, n, step = operand(args, 0), operand(args, 2), lengths[0], lengths[1]
    if lengths[2] == QUANTIZED_UINT8:
        quantize_items(x, uint8_items(args, 1), n, p, step, 0, 255)
    elif lengths[2] == QUANTIZED_INT8:
        quantize_items(x, int8_items(args, 1), n, p, step, -128, 127)
    elif lengths[2] == QUANTIZED_UINT16:
        quantize_items(x, uint16_items(args, 1), n, p, step, 0, 65535)
    else:
        quantize_items(x, int16_items(args, 1), n, p, step, -32768, 32767)


def quantize_columns(args, lengths):
    x, p, n, step = operand(args, 0), operand(args, 2), lengths[0], lengths[1]
    if lengths[2] == QUANTIZED_UINT8:
        quantize_columns_of(x, uint8_items(args, 1), n, p, step, 0, 255)
    elif lengths[2] == QUANTIZED_INT8:
        quantize_columns_of(x, int8_items(args, 1), n, p, step, -128, 127)
    elif lengths[2] == QUANTIZED_UINT16:
        quantize_columns_of(x, uint16_items(args, 1), n, p, step, 0, 65535)
    else:
        quantize_columns_of(x, int16_items(args, 1), n, p, step, -32768, 32767)


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
