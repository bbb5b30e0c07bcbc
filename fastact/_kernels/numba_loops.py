"""The primitives that are loops or formulas themselves: plain functions, compiled as any other."""


def divided(x, divisor, inverse):
    q = x * inverse
    q = fma(fma(-divisor, q, x), inverse, q)
    return fma(fma(-divisor, q, x), inverse, q)


def near_quotient(x, divisor, inverse, rest):
    return fma(x, inverse, x * rest)


def pack_at_most_8(words, start, end, threshold, mask, offset):
    bits = 0
    for k in range(min(8, end - start)):
        bits |= (1 if words[start + k] >= threshold else 0) << k
    mask[offset] = bits


def widen_float16(target, source, n):
    for i in range(n):
        target[i] = float_of_half(source[i])


def round_to_float16(target, source, n):
    for i in range(n):
        target[i] = half_of_float(source[i])


def widen_bfloat16(target, source, n):
    for i in range(n):
        target[i] = float_of_bits(word(source[i]) << 16)


def round_to_bfloat16(target, source, n):
    for i in range(n):
        x = source[i]
        bits = bits_of_float(x)
        rounded = word(bits + 0x7FFF + ((bits >> 16) & 1))
        target[i] = (rounded if x == x else word(bits | 0x00400000)) >> 16  # noqa: PLR0124 (not NaN)


def round_widened_to_bfloat16(target, source, n):
    for i in range(n):
        bits = bits_of_float(source[i])
        target[i] = word(bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
