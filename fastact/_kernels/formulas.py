"""The mathematics: one scalar function per operator, once, for every compiler and precision.

This file is read by Cython (ahead of time) and by Numba (for this very processor), so it imports nothing.
What it calls comes from three places:

- constants (``ONE``, ``LN2``, ...) and polynomials: `float32.py` or `float64.py`;
- ``fma(a, b, c)`` = a*b + c rounded once. Where only speed matters, not the single rounding, it is written
  ``multiply_add(a, b, c)``, which processors without the instruction may round twice;
- operations on the bits: ``absolute``, ``negative_magnitude``, ``copysign``, ``multiply_sign``, ``negative_part``,
  ``positive_part``, ``limit_negative`` and ``power_of_two(shifted)``, 2 to the exponent left in ``shifted``
  (`primitives.h`).

How the bits are kept. exp(x) = scale*(1 + w) with scale a power of two: sums such as 1 + exp(x) are formed
from these parts by one fma, and its rounding error by another, so that a quotient of such sums can be
corrected by its own residual. Errors below are in ULP of the result; "low" is the part a rounding lost.
No operation branches: a conditional expression is a select, in vector registers.

``rare(condition)`` is a condition that only holds where an argument is rare: NaN, infinite, or of a magnitude above the
row's `usual`. Of a function that asks it the build makes a second one for arguments that are not, in which it never
holds and `limit` limits nothing: of the same bits there, in fewer operations. `blocks.py` has the loops.
"""


def clamp(x, low, high):
    """Return x limited to [low, high]; NaN stays NaN."""
    x = low if x < low else x
    return high if x > high else x


def limit(x, low, high):
    """Return x limited to [low, high], low < 0 < high: NaN is lost, see `not_lost`.

    By integers: two instructions where `clamp` takes four, and compilers cannot move what follows into its selects.
    """
    return limit_positive(limit_negative(x, low), high)


def limit_rare(x, low, high):
    """Return `clamp` of an x that is beyond these limits only where an argument is rare."""
    x = low if rare(x < low) else x
    return high if rare(x > high) else x


def not_lost(y, x):
    """Return y, or x if that is NaN (unequal to itself): limited, or only compared with, it would be lost."""
    return x if rare(x != x) else y  # noqa: PLR0124


def exp_reduced(x, bits):
    """Return (shifted, k, r): x = k*log(2) + r - k*LN2_LOW, k + bits left in shifted (Cody and Waite)."""
    shift = EXPONENT_SHIFT + bits
    shifted = fma(x, LOG2_E, shift)
    k = shifted - shift
    return shifted, k, fma(k, -LN2, x)


def exp_parts(x, bits):
    """Return (shifted, w): exp(x) = 2**k*(1 + w), 1 + w to 0.4 ULP; k + bits left in shifted."""
    shifted, k, r = exp_reduced(x, bits)
    r = fma(k, -LN2_LOW, r)
    return shifted, fma(r * r, exp_polynomial(r), r)


def exp_parts_low(x, x_low):
    """Return (shifted, w, w_low): exp(x + x_low) = 2**k*(1 + w + w_low), to 0.1 ULP."""
    shifted, k, r = exp_reduced(x, ZERO)
    z = exp_rest(r, fma(k, -LN2_LOW, x_low))
    w = r + z
    return shifted, w, z - (w - r)


def scaled(x, shifted):
    """Return (scale, unscale): scale*unscale**2 = 2**k. Below SCALED_MIN the scale is larger than 2**k."""
    shifted = shifted + TWO * TINY_BITS if rare(x < SCALED_MIN) else shifted
    return power_of_two(shifted), TINY if rare(x < SCALED_MIN) else ONE


def scaled_product(dy, slope, unscale):
    """Return dy*slope*unscale**2, with dy brought down first: neither overflow nor a second rounding on the way."""
    return dy * unscale * slope * unscale


def identity(x):
    return x


def grad_identity(dy, x):
    return dy


def sigmoid(x):
    # d + d_low = UNIT*(1 + exp(-x)); lost is what the sum of the two powers of two rounds off.
    shifted, w = exp_parts(-limit(x, EXP_MIN, SATURATION), -UNIT_BITS)
    scale = power_of_two(shifted)
    total = UNIT + scale
    lost = UNIT - (total - scale)
    d = not_lost(fma(scale, w, total), x)
    d_low = fma(scale, w, total - d) + lost
    y = ONE / d
    residual = fma(-y, d_low, fma(-y, d, ONE))
    return fma(y, residual, y) * UNIT


def exp_of_parts(scale, w, w_low):
    """Return (t, t_low): t + t_low = scale*(1 + w + w_low)."""
    t = fma(scale, w, scale)
    return t, fma(scale, w_low, fma(scale, w, scale - t))


def exp_halves(r):
    """Return (even, odd): exp(r) = 1 + even + odd, exp(-r) = 1 + even - odd."""
    z = r * r
    return z * cosh_polynomial(z), fma(r * z, sinh_polynomial(z), r)


def exp_pair(x, bits):
    """Return (shifted, even, odd): exp(-x) = 2**-k*(1 + even - odd), k + bits left in shifted.

    exp(x) = 2**k*(1 + even + odd) as well, but for the low part of the reduction, which only exp(-x) has.
    """
    shifted, k, r = exp_reduced(x, bits)
    r_low = k * LN2_LOW
    even, odd = exp_halves(r)
    return shifted, fma(r_low, even - odd, r_low) + even, odd


def slope_divisor(t, even, odd):
    """Return exp(-r) + t + t**2*exp(r)/4 with the parts of `exp_pair`, for t <= 2."""
    total = ONE + t
    lost = t - (total - ONE)
    return total + (fma(t * t, fma(even + odd, QUARTER, QUARTER), even + lost) - odd)


def logistic_slope_product(dy, x, factor):
    """Return dy*factor*exp(x)/(1 + exp(x))**2 for x <= 0, to 1.9 ULP. An infinite dy stays so.

    That is dy*t/(exp(-r) + 2*t + t**2*exp(r)) with exp(x) = t*exp(r): a divisor rounded once, and one quotient. Half of
    dy is divided, since the divisor may be below 1, and scale is 2*t.
    """
    x = SCALED_EXP_MIN if rare(x < SCALED_EXP_MIN) else x
    shifted, even, odd = exp_pair(x, ONE)
    scale = power_of_two(shifted + (TWO * TINY_BITS - ONE) if rare(x < SCALED_MIN) else shifted)
    d = slope_divisor(ZERO if rare(x < SCALED_MIN) else scale, even, odd)
    quotient = dy * (TINY if rare(x < SCALED_MIN) else HALF) / d
    return quotient * (factor * scale) * (TINY if rare(x < SCALED_MIN) else ONE)


def grad_sigmoid(dy, x):
    return logistic_slope_product(dy, negative_magnitude(x), ONE)


def glu(a, b):
    return gate_product(a, b, ZERO)


def glu_gradients(dy, a, b):
    """Return the gradients with respect to a and b, of one exponential: dy*sigmoid(b) and dy*a*sigmoid'(b)."""
    # The second as `logistic_slope_product`, of dy*a in two parts. Where that may be infinite, both are scaled down by
    # TINY, and exp(-abs(b)) is followed further down.
    x = negative_magnitude(b)
    x = GLU_EXP_MIN if rare(x < GLU_EXP_MIN) else x
    shifted, even, odd = exp_pair(x, ONE)
    t = ZERO if rare(x < SCALED_MIN) else power_of_two(shifted)
    d = slope_divisor(t, even, odd)
    size = absolute(dy * a)
    factor = dy * TINY if rare(size > FOUR / TINY) else dy
    other = a * TINY if rare(size > FOUR / TINY) else a
    product = factor * other
    product_low = fma(factor, other, -product)
    reciprocal = ONE / d
    y = product * reciprocal
    excess = fma(y, d, -product) - product_low
    y = y if rare(not absolute(product) <= LARGEST) else fma(excess, -reciprocal, y)
    # The power of two may be out of range: two factors that are not, first the one that leaves the product normal.
    half_shift = shifted - ONE
    bits = half_shift + TWO * TINY_BITS if rare(size > FOUR / TINY) else half_shift
    bits = GLU_LOWEST_SHIFT if rare(bits < GLU_LOWEST_SHIFT) else bits
    first = limit_rare(bits, LOWEST_SHIFT, EXPONENT_SHIFT + TINY_BITS)
    second = power_of_two(EXPONENT_SHIFT + (bits - first)) if rare(bits != first) else ONE
    db = y * second * power_of_two(first)
    # The first: dy*t/(exp(-r) + t) for b < 0, else dy/(1 + t*exp(r)), where exp(-abs(b)) = t*exp(r).
    t = ZERO if rare(x < SCALED_MIN) else power_of_two(half_shift)
    total = ONE + t
    lost = t - (total - ONE)
    d = total + fma(ONE if b < ZERO else t, even - odd if b < ZERO else even + odd, lost)
    bits = half_shift + TWO * TINY_BITS if rare(x < SCALED_MIN) else half_shift
    scale = power_of_two(LOWEST_SHIFT if rare(bits < LOWEST_SHIFT) else bits)
    unscale = TINY if rare(b < SCALED_MIN) else ONE
    da = dy * unscale * (scale if b < ZERO else ONE) / d * unscale
    return da, db


def grad_glu(dy, a, b):
    # That with respect to a is dy*sigmoid(b).
    da, db = glu_gradients(dy, a, b)
    return db


def tanh(x):
    # a = k*log(2)/2 + r, k = 0 below TANH_BEND, t = tanh(r), scale = 2**(1 - k): tanh(a) = 1 - u/(1 + t + u/2) with
    # u = scale*(1 - t). Where that is above 1/2 its rounding errors are small beside it; below, tanh(a) = t. From
    # SATURATION on scale may be anything: to leave out the quotient is shorter than to limit a, which all waits for.
    a = absolute(x)
    shifted = fma(a, -TWO * LOG2_E, EXPONENT_SHIFT + ONE)
    k = shifted - (EXPONENT_SHIFT + ONE) if a >= TANH_BEND else ZERO
    r = fma(k, HALF * LN2, a)
    z = r * r
    t = fma(r * z, tanh_polynomial(z), r)
    scale = power_of_two(shifted)
    u = fma(-scale, t, scale)
    quotient = ZERO if a >= SATURATION else u / fma(HALF, u, ONE + t)
    y = ONE - quotient if a >= TANH_BEND else t
    return copysign(y, x)


def grad_tanh(dy, x):
    # tanh'(x) = 4*sigmoid'(2*x).
    return logistic_slope_product(dy, TWO * negative_magnitude(x), FOUR)


def relu(x):
    return ZERO if x < ZERO else x


def grad_relu(dy, x):
    return ZERO if x <= ZERO else dy


def relu6(x):
    x = ZERO if x < ZERO else x
    return SIX if x > SIX else x


def grad_relu6(dy, x):
    y = ZERO if x <= ZERO else dy
    return ZERO if x >= SIX else y


def hardtanh(x, min_val, max_val):
    return not_lost(not_lost(clamp(x, min_val, max_val), min_val), max_val)


def grad_hardtanh(dy, x, min_val, max_val):
    dx = ZERO if x <= min_val else dy
    dx = ZERO if x >= max_val else dx
    return not_lost(not_lost(dx, min_val), max_val)


def threshold(x, threshold, value):
    return not_lost(value if x <= threshold else x, threshold)


def grad_threshold(dy, x, threshold, value):
    # The derivative of a constant that is NaN is NaN.
    return not_lost(not_lost(ZERO, value) if x <= threshold else dy, threshold)


def hardshrink(x, lambd):
    return not_lost(ZERO if absolute(x) <= lambd else x, lambd)


def grad_hardshrink(dy, x, lambd):
    return not_lost(ZERO if absolute(x) <= lambd else dy, lambd)


def softshrink(x, lambd):
    return ZERO if absolute(x) <= lambd else x - multiply_sign(lambd, x)


def grad_softshrink(dy, x, lambd):
    return grad_hardshrink(dy, x, lambd)


def hardsigmoid(x):
    # 1/6 in two parts: the second sum is exact to half an ULP also near -3, where the first one cancels.
    y = fma(x, SIXTH_LOW, fma(x, SIXTH, HALF))
    y = ZERO if x <= -THREE else y
    return ONE if x >= THREE else y


def grad_hardsigmoid(dy, x):
    return fma(SIXTH, dy, SIXTH_LOW * dy) if absolute(x) < THREE else ZERO


def hardswish(x):
    # factor + low = (x + 3)/6, where s + s_low is the sum: 0 from -3 down. x comes last, so that a subnormal result is
    # rounded once.
    limited = limit_negative(x, -THREE)
    s = limited + THREE
    s_low = limited - (s - THREE)
    factor = s * SIXTH
    low = fma(s_low, SIXTH, fma(s, SIXTH_LOW, fma(s, SIXTH, -factor)))
    # Of -0.0 the two products may be zeros of two signs.
    y = copysign(fma(limited, factor, limited * low), x)
    return y if x < THREE else x


def grad_hardswish(dy, x):
    # (x + 3/2)/3, which is exactly 0 at -3/2.
    s = x + HALF * THREE
    slope = fma(s, THIRD, THIRD_LOW * s)
    dx = ZERO if x <= -THREE else dy * slope
    return dy if x >= THREE else dx


def one_plus_magnitude(a):
    """Return (y, residual): y*(1 + residual) = 1/(1 + a) for a >= 0, y rounded."""
    # To find the larger one first costs more than the additions it saves: comparisons wait for the multipliers.
    d, d_low = two_sum(ONE, a)
    y = ONE / d
    return y, fma(-y, d_low, fma(-y, d, ONE))


def softsign(x):
    a = limit_positive(absolute(x), SOFTSIGN_SATURATION)
    reciprocal, residual = one_plus_magnitude(a)
    return not_lost(copysign(fma(a, reciprocal, a * reciprocal * residual), x), x)


def grad_softsign(dy, x):
    # One factor 1/(1 + |x|) after the other: their product may be 0 where dx is not. An infinite dy stays so.
    a = absolute(x)
    a = LARGEST if rare(a > LARGEST) else a
    reciprocal, residual = one_plus_magnitude(a)
    product = dy * reciprocal
    exact = product + fma(TWO * residual, product, fma(dy, reciprocal, -product))
    return (product if rare(not absolute(product) <= LARGEST) else exact) * reciprocal


def leaky_relu(x, negative_slope):
    return x if x > ZERO else negative_slope * x


def grad_leaky_relu(dy, x, negative_slope):
    return dy if x > ZERO else negative_slope * dy


def prelu(x, weight):
    return leaky_relu(x, weight)


def grad_prelu(dy, x, weight):
    return grad_leaky_relu(dy, x, weight)


def expm1_negative(x):
    """Return (high, low): expm1(x) = high + low for x < 0, with abs(low) < abs(high)/5."""
    shifted, k, r = exp_reduced(limit_negative(negative_part(x), -SATURATION), ZERO)
    high, low = expm1_of_parts(power_of_two(shifted), r)
    return high, low


def expm1_of_parts(scale, r):
    """Return (high, low): high + low = scale*exp(r) - 1 for a scale of at most 1."""
    difference = scale - ONE
    high = fma(scale, r, difference)
    return high, fma(scale * (r * r), exp_polynomial(r), fma(scale, r, difference - high))


def elu(x, alpha):
    # The low part's factor is kept finite: an infinite alpha gives -inf, not inf - inf. For an alpha of 0 the low part
    # would take away the sign of the product.
    high, low = expm1_negative(x)
    finite = clamp(alpha, -LARGEST, LARGEST)
    negative = alpha * high if alpha == ZERO else fma(alpha, high, finite * low)
    return negative if x < ZERO else x


def exp_scaled(x):
    """Return (scale, w, w_low, unscale): exp(x) = scale*(1 + w + w_low)*unscale**2 for x <= 0; NaN stays NaN."""
    x = SCALED_EXP_MIN if rare(x < SCALED_EXP_MIN) else x
    x = ZERO if x > ZERO else x
    shifted, w, w_low = exp_parts_low(x, ZERO)
    scale, unscale = scaled(x, shifted)
    return scale, w, w_low, unscale


def grad_elu(dy, x, alpha):
    scale, w, w_low, unscale = exp_scaled(x)
    scale = alpha * scale
    slope = fma(scale, w_low, fma(scale, w, scale))
    return dy if x > ZERO else scaled_product(dy, slope, unscale)


def quotient(x, alpha):
    """Return (u, u_low): u + u_low = x/alpha for x < 0, by 1/alpha in two parts.

    alpha and x are scaled where 1/alpha would not have all its bits. What is so small that exp(x/alpha) is 1 becomes
    0 at once, and all x > 0: subnormal numbers further on would take 20 times as long.
    """
    size = absolute(alpha)
    x = ZERO if x > -size * UNIT else x
    scale = ONE / TINY if size < TINY else ONE
    scale = TINY if size > ONE / TINY else scale
    inverse = ONE / (alpha * scale)
    inverse_low = fma(-inverse, alpha * scale, ONE) * inverse
    x = x * scale
    u = x * inverse
    return u, fma(x, inverse_low, fma(x, inverse, -u))


def celu(x, alpha):
    return celu_saturating(x, alpha) if alpha >= ZERO else celu_growing(x, alpha)


def celu_saturating(x, alpha):
    # As elu(x/alpha)*alpha. Where x/alpha is small, x is not to be had back from it: x + x*(expm1(r)/r - 1).
    lowest = -SATURATION * alpha
    lowest = -LARGEST if lowest < -LARGEST else lowest
    u, u_low = quotient(limit_negative(x, lowest), alpha)
    shifted, k, r = exp_reduced(u, ZERO)
    r = r + u_low
    near = fma(x, r * exp_polynomial(r), x)
    high, low = expm1_of_parts(power_of_two(shifted), r)
    negative = near if k == ZERO else fma(alpha, high, alpha * low)
    return negative if x < ZERO else x


def scaled_growing(u, u_low):
    """Return (scale, w, w_low, unscale): exp(u + u_low) = scale*(1 + w + w_low)*unscale**2 for u >= 0; NaN stays NaN.

    From -SCALED_EXP_MIN on, the smallest number times exp(u) is infinite.
    """
    u_low = u_low if u < -SCALED_EXP_MIN else ZERO
    u = -SCALED_EXP_MIN if u > -SCALED_EXP_MIN else u
    shifted, w, w_low = exp_parts_low(u, u_low)
    shifted = shifted - TWO * TINY_BITS if u > -SCALED_MIN else shifted
    return power_of_two(shifted), w, w_low, ONE / TINY if u > -SCALED_MIN else ONE


def celu_growing(x, alpha):
    # For a negative alpha x/alpha is positive: alpha*exp(u) may be finite where exp(u) is not.
    u, u_low = quotient(x, alpha)
    shifted, k, r = exp_reduced(u, ZERO)
    near = fma(x, r * exp_polynomial(r), x)
    scale, w, w_low, unscale = scaled_growing(u, u_low)
    one = ZERO if u > -SCALED_MIN else ONE
    difference = scale - one
    lost = scale - difference - one
    high = fma(scale, w, difference)
    low = fma(scale, w_low, fma(scale, w, difference - high)) + lost
    factor = alpha * unscale
    y = factor * high
    y = fma(factor, high, factor * low) if absolute(y) <= LARGEST else y
    return x if x >= ZERO else (near if k == ZERO else y * unscale)


def grad_celu(dy, x, alpha):
    return grad_celu_saturating(dy, x, alpha) if alpha >= ZERO else grad_celu_growing(dy, x, alpha)


def grad_celu_saturating(dy, x, alpha):
    u, u_low = quotient(x, alpha)
    u_low = u_low if u > SCALED_EXP_MIN else ZERO
    u = SCALED_EXP_MIN if u < SCALED_EXP_MIN else u
    shifted, w, w_low = exp_parts_low(u, u_low)
    scale, unscale = scaled(u, shifted)
    slope = fma(scale, w_low, fma(scale, w, scale))
    return dy if x > ZERO else scaled_product(dy, slope, unscale)


def grad_celu_growing(dy, x, alpha):
    u, u_low = quotient(x, alpha)
    scale, w, w_low, unscale = scaled_growing(u, u_low)
    slope = fma(scale, w_low, fma(scale, w, scale))
    return dy if x > ZERO else scaled_product(dy, slope, unscale)


def selu(x):
    high, low = expm1_negative(x)
    negative = fma(SELU_SCALE_ALPHA, high, fma(SELU_SCALE_ALPHA, low, SELU_SCALE_ALPHA_LOW * high))
    return negative if x < ZERO else fma(SELU_SCALE, x, SELU_SCALE_LOW * x)


def grad_selu(dy, x):
    scale, w, w_low, unscale = exp_scaled(x)
    slope = SELU_SCALE_ALPHA + fma(SELU_SCALE_ALPHA, w, fma(SELU_SCALE_ALPHA, w_low, SELU_SCALE_ALPHA_LOW))
    negative = scaled_product(dy, slope * scale, unscale)
    return fma(SELU_SCALE, dy, SELU_SCALE_LOW * dy) if x > ZERO else negative


def log1p_exp_low(x, x_low, scale_bits, unit):
    """Return (h, s): log1p(exp(x + x_low)) = (LOG1P_SLOPE*h + s)*unit for x <= 0, unit = 2**-scale_bits, to 0.3 ULP."""
    shifted, k, r = exp_reduced(x, scale_bits)
    z = exp_rest(r, fma(k, -LN2_LOW, x_low))
    scale = power_of_two(shifted)
    h = fma(scale, r, scale)
    rest = fma(scale, z, fma(scale, r, scale - h))
    curve = log1p_polynomial(fma(h + rest, unit, -HALF))
    return h, fma(h, curve, fma(rest, curve, LOG1P_SLOPE * rest))


def softplus(x, beta):
    return softplus_unit(x) if beta == ONE else softplus_scaled(x, beta)


def softplus_unit(x):
    # max(x, 0) + log1p(t), t = exp(-abs(x)); LOG1P_SLOPE times the power of two, high, is exact.
    a = limit_negative(negative_magnitude(x), EXP_MIN)
    shifted, w = exp_parts(a, ZERO)
    scale = power_of_two(shifted + TINY_BITS if rare(a < SCALED_MIN) else shifted)
    high = LOG1P_SLOPE * scale
    t = fma(scale, w, scale)
    curve = log1p_polynomial((ZERO if rare(a < SCALED_MIN) else t) - HALF)
    y = (high + (fma(high, w, t * curve) + positive_part(x))) * (TINY if rare(a < SCALED_MIN) else ONE)
    return x if rare(not x <= -SCALED_MIN) else y


def softplus_scaled(x, beta):
    # The same of u = beta*x in two parts, divided by beta as a product with 1/beta in two parts. TINY alone reaches
    # down to SOFTPLUS_EXP_MIN, which is 0 for abs(beta) above 1e-21.
    u = beta * x
    u_low = fma(beta, x, -u)
    negative = limit_negative(negative_magnitude(u), SOFTPLUS_EXP_MIN)
    scaled_min = -ONE if absolute(beta) > ONE else SCALED_MIN
    scale_bits = TINY_BITS if negative < scaled_min else ZERO
    unit = TINY if negative < scaled_min else ONE
    h, s = log1p_exp_low(negative, -multiply_sign(u_low, u), scale_bits, unit)
    inverse = ONE / beta
    inverse_low = fma(-inverse, beta, ONE) * inverse
    slope = LOG1P_SLOPE * inverse
    slope_low = fma(LOG1P_SLOPE, inverse, -slope) + LOG1P_SLOPE * inverse_low
    linear = ZERO if u <= ZERO else x
    y = fma(h, slope, fma(h, slope_low, fma(s, inverse, linear if u < SOFTPLUS_BEND else ZERO)))
    y = y * unit if u < SOFTPLUS_BEND else fma(y, unit, x)
    # Plus u, which is NaN where x is, and else far smaller.
    y = inverse + u if absolute(inverse) > LARGEST else y
    y = copysign(ZERO, beta) if u < SOFTPLUS_EXP_MIN else y
    return x if u > SATURATION else y


def logsigmoid(x):
    return -softplus_unit(-x)


def grad_logsigmoid(dy, x):
    return grad_softplus_unit(dy, -x)


def grad_softplus(dy, x, beta):
    # dy*sigmoid(u) with u = beta*x in two parts.
    u = beta * x
    u_low = fma(beta, x, -u)
    u_low = u_low if absolute(u) < -SCALED_EXP_MIN else ZERO
    return gate_quotient(dy, u, u_low)


def grad_softplus_unit(dy, x):
    return gate_quotient(dy, x, ZERO)


def gate(x, exponent, exponent_low):
    """Return x/(1 + exp(-exponent - exponent_low)), for an exponent as low as SILU_MIN."""
    # d + d_low = UNIT*(1 + exp(...)) as in sigmoid; x/d is corrected by its excess, +0 for both zeros (not in -excess:
    # gcc negates inside the fma). The reduction's low part is multiplied in afterwards: in r it would be rounded away.
    # It is times the power, which is as good as d - UNIT: an addition instead of an fma.
    shifted = fma(-exponent, LOG2_E, EXPONENT_SHIFT - UNIT_BITS)
    k = shifted - (EXPONENT_SHIFT - UNIT_BITS)
    r = fma(k, -LN2, -exponent)
    r_low = fma(k, -LN2_LOW, -exponent_low)
    w = fma(r * r, exp_polynomial(r), r)
    scale = power_of_two(shifted)
    total = UNIT + scale
    lost = UNIT - (total - scale)
    d = fma(scale, w, total)
    d_low = fma(d - UNIT, r_low, fma(scale, w, total - d) + lost)
    reciprocal = ONE / d
    y = x * reciprocal
    excess = fma(y, d_low, fma(y, d, -x))
    return fma(excess, -reciprocal, y) * UNIT


def silu(x):
    limited = limit_negative(x, SILU_MIN)
    y = gate(limited, limited, ZERO)
    return y if x <= SATURATION else x


def gate_divisor(exponent, exponent_low):
    """Return (d, d_low, unscale): 1 + exp(-exponent - exponent_low) = (d + d_low)/unscale**2. NaN stays NaN."""
    limited = limit(exponent, SCALED_EXP_MIN, SATURATION)
    shifted, k, r = exp_reduced(-limited, ZERO)
    z = exp_rest(r, fma(k, -LN2_LOW, -exponent_low))
    scale = power_of_two(shifted - TWO * TINY_BITS if rare(exponent < GATE_SCALED_MIN) else shifted)
    one = ZERO if rare(exponent < GATE_SCALED_MIN) else ONE
    total = one + scale
    lost = one - (total - scale)
    rest = fma(scale, r, fma(scale, z, lost))
    d = not_lost(total + rest, exponent)
    return d, rest - (d - total), TINY if rare(exponent < GATE_SCALED_MIN) else ONE


def gate_quotient(dy, exponent, exponent_low):
    """Return dy/(1 + exp(-exponent - exponent_low)), to 1.8 ULP. An infinite dy stays so."""
    d, d_low, unscale = gate_divisor(exponent, exponent_low)
    return dy * unscale / d * unscale


def gate_product(dy, exponent, exponent_low):
    """Return dy/(1 + exp(-exponent - exponent_low)), rounded once. An infinite dy stays so."""
    d, d_low, unscale = gate_divisor(exponent, exponent_low)
    reciprocal = ONE / d
    dy = dy * unscale
    y = dy * reciprocal
    excess = fma(y, d_low, fma(y, d, -dy))
    return (y if rare(not absolute(y) <= LARGEST) else fma(excess, -reciprocal, y)) * unscale


def slope_quotient(n, n_low, d, d_low):
    """Return (high, low): high + low = 4*(n + n_low)/(d + d_low)**2.

    The quotient is that of a quarter by halves: the residual of 2/d is what a square counts twice.
    """
    y = TWO / d
    residual = fma(-y, d_low, fma(-y, d, TWO))
    ratio = n * y
    high = ratio * y
    return high, fma(y, fma(n_low, y, fma(n, y, -ratio)), fma(high, residual, fma(ratio, y, -high)))


def gate_slope(exponent, exponent_low, m, m_low):
    """Return (high, low, unscale): (1 + 4*m*e)/(1 + e)**2 = (high + low)*unscale**2, e = exp(-exponent).

    scale*m is exact, and e never rounded. m_low counts for little: it may be what the sum m was rounded by, no more.
    """
    shifted, k, r = exp_reduced(-exponent, ZERO)
    r = r + fma(k, -LN2_LOW, -exponent_low)
    w = fma(r * r, exp_polynomial(r), r)
    scale = power_of_two(shifted - TWO * TINY_BITS if rare(exponent < GATE_SCALED_MIN) else shifted)
    one = ZERO if rare(exponent < GATE_SCALED_MIN) else ONE
    total = one + scale
    lost = one - (total - scale)
    d = fma(scale, w, total)
    d_low = fma(scale, w, total - d) + lost
    factor = scale * m
    quarter = ZERO if rare(exponent < GATE_SCALED_MIN) else QUARTER
    total = quarter + factor
    lost = factor - (total - quarter)
    n = fma(factor, w, total)
    n_low = fma(factor, w, total - n) + fma(scale, m_low, lost)
    high, low = slope_quotient(n, n_low, d, d_low)
    return high, low, TINY if rare(exponent < GATE_SCALED_MIN) else ONE


def parts_product(dy, high, low, unscale):
    """Return dy*(high + low)*unscale**2, the sum not rounded before the product. An infinite dy stays so."""
    dy = dy * unscale
    y = fma(dy, high, ZERO if rare(not absolute(dy) <= LARGEST) else dy * low)
    # A dy of 0 gives two zeros, perhaps of two signs: their sum would not keep the product's.
    return (y if dy != ZERO else dy * high) * unscale


def grad_silu(dy, x):
    # With a = -abs(x): n/d, n = e*(1 + a + e), d = (1 + e)**2, e = exp(a), and 1 - n/d for x > 0. n and d are
    # those divided by exp(r), e = t*exp(r), as in `slope_divisor`: only products by powers of two, and sums, whose low
    # parts take additions, not fmas, for which Zen 4 has as many ports again. 1 + a is exact where its error counts.
    a = negative_magnitude(x)
    a = SCALED_EXP_MIN if rare(a < SCALED_EXP_MIN) else a
    shifted, k, r = exp_reduced(a, ZERO)
    even, odd = exp_halves(fma(k, -LN2_LOW, r))
    t = ZERO if rare(a < SCALED_MIN) else power_of_two(shifted)
    scale = power_of_two(shifted + TWO * TINY_BITS if rare(a < SCALED_MIN) else shifted)
    square = t * t
    square = fma(square, even + odd, square)
    rest = square + (even - odd)
    t = t + t
    total = ONE + t
    d = total + rest
    d_low = (rest - (d - total)) + (t - (total - ONE))
    line = fma(scale, a, scale)
    # A reciprocal that is a little too small leaves a correction of the quotient's sign, one too large of the other:
    # so a dy of 0 keeps its sign, in the sum or in the subtraction, but for x within 0.001 of the derivative's zero.
    y = (ABOVE_ONE if x > ZERO else BELOW_ONE) / d
    high = (line + square) * y
    low = -fma(high, d_low, fma(high, d, -line) - square) * y
    unscale = TINY if rare(a < SCALED_MIN) else ONE
    part = dy * unscale
    tail = fma(part, high, ZERO if rare(not absolute(dy) <= LARGEST) else part * low) * unscale
    mirrored = dy if rare(not absolute(dy) <= LARGEST) else dy - tail
    return mirrored if x > ZERO else tail


def two_sum(a, b):
    """Return (s, s_low): s + s_low = a + b, exactly."""
    s = a + b
    b_part = s - a
    return s, (a - (s - b_part)) + (b - b_part)


def tanh_pieces(a):
    """Return (small, ratio) for a <= 0: tanh(a) = a - small above -TANHSHRINK_BEND, else 2*ratio - 1; NaN stays NaN."""
    # As tanh, whose polynomial is here that of r - tanh(r): 1/4 of the cube in one rounding, the
    # square's low part included (2.12 -> 1.3 ULP).
    limited = limit_negative(a, -SATURATION)
    shifted = fma(limited, TWO * LOG2_E, EXPONENT_SHIFT)
    k = ZERO if a > -TANHSHRINK_BEND else shifted - EXPONENT_SHIFT
    r = fma(k, -HALF * LN2, limited)
    z = r * r
    z_low = fma(r, r, -z)
    small = fma(QUARTER * r, z, r * fma(THIRD, z_low, z * tanhshrink_polynomial(z)))
    v = ONE + (r - small)
    scale = power_of_two(shifted)
    return small, scale * v / fma(scale - ONE, v, TWO)


def tanhshrink(x):
    # a - tanh(a) at a = -abs(x): from TANHSHRINK_BEND on, nothing cancels any more in a + 1 - 2*ratio.
    a = negative_magnitude(x)
    small, ratio = tanh_pieces(a)
    return copysign(small if a > -TANHSHRINK_BEND else fma(-TWO, ratio, a + ONE), x)


def grad_tanhshrink(dy, x):
    # tanh(x)**2, dy between its factors: the square alone may underflow.
    a = negative_magnitude(x)
    small, ratio = tanh_pieces(a)
    low = small if a > -TANHSHRINK_BEND else -TWO * ratio
    high = a if a > -TANHSHRINK_BEND else -ONE
    y = high - low
    y_low = (high - y) - low
    product = dy * y
    low = fma(fma(dy, y, -product), y, product * (TWO * y_low)) if absolute(dy) <= LARGEST else ZERO
    return copysign(fma(product, y, low), dy) if a <= ZERO else a


def mish(x):
    # x*n/(n + 2), n = e**2 + 2*e, e = exp(x); e and n are in units of UNIT, so that the tail is rounded once. What e is
    # rounded by is left out (1.08 -> 1.73 ULP, .78 of the time), and n_low is of no use where 2*e < e**2 - nor needed.
    limited = limit_negative(x, SILU_MIN)
    shifted = fma(limited, LOG2_E, EXPONENT_SHIFT + UNIT_BITS)
    k = shifted - (EXPONENT_SHIFT + UNIT_BITS)
    r = fma(k, -LN2_LOW, fma(k, -LN2, limited))
    w = fma(r * r, exp_polynomial(r), r)
    scale = power_of_two(shifted)
    e = fma(scale, w, scale)
    part = e * UNIT
    twice = e + e
    n = fma(part, e, twice)
    n_low = fma(part, e, twice - n)
    d = fma(n, UNIT, TWO)
    d_low = fma(n_low, UNIT, fma(n, UNIT, TWO - d))
    product = limited * n
    product_low = fma(limited, n_low, fma(limited, n, -product))
    reciprocal = ONE / d
    y = product * reciprocal
    excess = fma(y, d, -product) + fma(y, d_low, -product_low)
    y = fma(excess, -reciprocal, y) * UNIT
    return y if x <= HALF * SATURATION else x


def grad_mish(dy, x):
    # e*((e + 2)*d + 4*x*(e + 1))/d**2, d = e*(e + 2) + 2, e = exp(x); t is e where it is not negligible.
    x = limit_rare(x, SCALED_EXP_MIN, SATURATION)
    shifted, w, w_low = exp_parts_low(x, ZERO)
    scale, unscale = scaled(x, shifted)
    e, e_low = exp_of_parts(scale, w, w_low)
    t = ZERO if rare(x < SCALED_MIN) else e
    t_low = ZERO if rare(x < SCALED_MIN) else e_low
    factor, factor_low = two_sum(TWO, t)
    factor_low = factor_low + t_low
    d = fma(t, factor, TWO)
    d_low = fma(t, factor, TWO - d) + fma(t, factor_low, t_low * factor)
    first = factor * d
    first_low = fma(factor, d, -first) + fma(factor, d_low, factor_low * d)
    x = FOUR * x
    second = fma(x, t, x)
    second_low = fma(x, t, x - second) + x * t_low
    n, n_low = two_sum(first, second)
    n_low = n_low + (first_low + second_low)
    y = ONE / d
    residual = TWO * fma(-y, d_low, fma(-y, d, ONE))
    ratio = n * y
    slope = ratio * y
    slope_low = fma(slope, residual, fma(ratio, y, -slope)) + y * fma(n_low, y, fma(n, y, -ratio))
    high = slope * e
    low = fma(slope, e, -high) + fma(slope, e_low, slope_low * e)
    return parts_product(dy, high, low, unscale)


def cubic(x, square, square_low, slope, slope_low, factor, factor_low):
    """Return (y, y_low): y + y_low = x*(slope + factor*x**2), where slope - fma(factor, square, slope) is exact."""
    s = fma(factor, square, slope)
    s_low = fma(factor, square, slope - s) + fma(factor, square_low, fma(factor_low, square, slope_low))
    y = x * s
    return y, fma(x, s_low, fma(x, s, -y))


def gelu_tanh(x):
    limited = limit_negative(x, GELU_TANH_MIN)
    square = limited * limited
    square_low = fma(limited, limited, -square)
    u, u_low = cubic(
        limited, square, square_low, GELU_TANH_SLOPE, GELU_TANH_SLOPE_LOW, GELU_TANH_CUBIC, GELU_TANH_CUBIC_LOW
    )
    y = gate(limited, u, u_low)
    return y if x <= GELU_TANH_MAX else x


def grad_gelu_tanh(dy, x):
    a = limit(x, GRAD_GELU_TANH_MIN, GRAD_GELU_TANH_MAX)
    square = a * a
    square_low = fma(a, a, -square)
    u, u_low = cubic(a, square, square_low, GELU_TANH_SLOPE, GELU_TANH_SLOPE_LOW, GELU_TANH_CUBIC, GELU_TANH_CUBIC_LOW)
    m, m_low = cubic(
        a,
        square,
        square_low,
        GELU_TANH_SLOPE,
        GELU_TANH_SLOPE_LOW,
        GRAD_GELU_TANH_CUBIC,
        GRAD_GELU_TANH_CUBIC_LOW,
    )
    m = fma(m, QUARTER, QUARTER)
    factor = fma(m_low, QUARTER, m)
    high, low, unscale = gate_slope(u, u_low, factor, fma(m_low, QUARTER, m - factor))
    return parts_product(dy, not_lost(high, x), low, unscale)


def gaussian_reduced(a, shift):
    """Return (shifted, r): -a**2/2 = k*log(2) + r, k + shift in shifted.

    Neither the square nor k*LN2_SHORT is ever rounded.
    """
    shifted = fma(a * (-HALF * LOG2_E), a, shift)
    k = shifted - shift
    return shifted, fma(k, -LN2_REST, fma(-HALF * a, a, k * -LN2_SHORT))


def gaussian_tail(a):
    """Return (u, s, s_low, slope, residual) for a <= 0.

    u*(s + s_low)*(1 + slope*residual) = exp(a**2/2)*erfc(-a/sqrt(2))/2. u is 1/(GRAD_GELU_POLE - a), the
    residual what was rounded off of it, the slope how much that counts, nearly a straight line.
    """
    d = GRAD_GELU_POLE - a
    d_low = (GRAD_GELU_POLE - d) - a
    u = ONE / d
    v = u - GRAD_GELU_CENTRE
    q = grad_gelu_polynomial(v)
    s = fma(v, q, GRAD_GELU_CONSTANT)
    s_low = fma(v, q, GRAD_GELU_CONSTANT - s)
    residual = fma(-u, d_low, fma(-u, d, ONE))
    return u, s, s_low, fma(GRAD_GELU_BEND, u, ONE), residual


def gelu(x):
    # max(x, 0) + a*erfc(-a/sqrt(2))/2 at a = -abs(x): that is -t*s*exp(-a**2/2)/2, t = a/(a - GELU_POLE), s a
    # polynomial of t. As a factor of its own t counts for less than a and a reciprocal. It is not negative, so that
    # -0.0 has a tail of +0.0.
    a = limit_negative(negative_magnitude(x), GELU_MIN)
    shifted, r = gaussian_reduced(a, EXPONENT_SHIFT - ONE)
    w = fma(r * r, exp_polynomial(r), r)
    t = a / (a - GELU_POLE)
    residual = fma(t, a, fma(-GELU_POLE, t, -a))
    v = GELU_CENTRE - t
    q = gelu_polynomial(v)
    s = fma(v, q, GELU_CONSTANT)
    s_low = fma(v, q, GELU_CONSTANT - s)
    # The power of two may be out of range.
    scale = power_of_two(shifted + TWO * UNIT_BITS if rare(a < GELU_SCALED_MIN) else shifted)
    # What t was rounded by counts for 1 next to 0 and less and less further out: so does the power of two, times which
    # it is exact. From -2 on neither matters.
    tail = fma(t, s, fma(t, fma(s, w, s_low), residual * scale))
    tail = tail * (UNIT * UNIT) if rare(a < GELU_SCALED_MIN) else tail
    return fma(-tail, scale, -ZERO if x < ZERO else x)


def grad_gelu(dy, x):
    # erfc(-a/sqrt(2))/2 + a*exp(-a**2/2)/sqrt(2*pi) at a = -abs(x), both by the one exponential, mirrored for x > 0.
    a = limit_negative(negative_magnitude(x), GRAD_GELU_MIN)
    shifted, r = gaussian_reduced(a, EXPONENT_SHIFT)
    w = fma(r * r, exp_polynomial(r), r)
    scale, unscale = scaled(-HALF * a * a, shifted)
    u, s, s_low, slope, residual = gaussian_tail(a)
    y = u * s
    y_low = fma(y, slope * residual, fma(u, s_low, fma(u, s, -y)))
    product = a * GAUSSIAN
    product_low = fma(a, GAUSSIAN_LOW, fma(a, GAUSSIAN, -product))
    total, total_low = two_sum(y, product)
    low = total_low + (y_low + product_low)
    low = fma(total, w, fma(low, w, low)) * scale
    high = not_lost(total * scale, x)
    # Of a zero only product has the sign; next to the derivative's zero, high may have the wrong one.
    part = dy * unscale
    product = part * high
    corrected = fma(part, high, part * low) if part != ZERO else product
    tail = (product if rare(not absolute(dy) <= LARGEST) else corrected) * unscale
    mirrored = dy - tail if part != ZERO else dy
    mirrored = dy if rare(not absolute(dy) <= LARGEST) else mirrored
    return mirrored if x > ZERO else tail
