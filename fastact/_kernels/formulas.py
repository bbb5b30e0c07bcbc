"""The mathematics: one scalar function per operator, once, for every compiler and precision.

This file is read by Cython (ahead of time) and by Numba (for this very processor), so it imports nothing.
What it calls comes from three places:

- constants (``ONE``, ``LN2``, ...) and polynomials: `float32.py` or `float64.py`;
- ``fma(a, b, c)`` = a*b + c rounded once. Where only speed matters, not the single rounding, it is written
  ``multiply_add(a, b, c)``, which processors without the instruction may round twice;
- operations on the bits: ``absolute``, ``negative_magnitude``, ``copysign``, ``multiply_sign``, ``negative_part``,
  ``limit_negative`` and ``power_of_two(shifted)``, 2 to the exponent left in ``shifted`` (`primitives.h`).

How the bits are kept. exp(x) = scale*(1 + w) with scale a power of two: sums such as 1 + exp(x) are formed
from these parts by one fma, and its rounding error by another, so that a quotient of such sums can be
corrected by its own residual. Errors below are in ULP of the result; "low" is the part a rounding lost.
No operation branches: a conditional expression is a select, in vector registers.
"""


def clamp(x, low, high):
    """Return x limited to [low, high]; NaN stays NaN."""
    x = low if x < low else x
    return high if x > high else x


def exp_reduced(x):
    """Return (shifted, k, r): x = k*log(2) + r - k*LN2_LOW with k the integer left in shifted (Cody and Waite)."""
    shifted = fma(x, LOG2_E, EXPONENT_SHIFT)
    k = shifted - EXPONENT_SHIFT
    return shifted, k, fma(k, -LN2, x)


def exp_parts(x):
    """Return (shifted, w): exp(x) = 2**k*(1 + w), 1 + w to 0.4 ULP."""
    shifted, k, r = exp_reduced(x)
    r = fma(k, -LN2_LOW, r)
    return shifted, fma(r * r, exp_polynomial(r), r)


def exp_parts_low(x, x_low):
    """Return (shifted, w, w_low): exp(x + x_low) = 2**k*(1 + w + w_low), to 0.1 ULP."""
    shifted, k, r = exp_reduced(x)
    z = exp_rest(r, fma(k, -LN2_LOW, x_low))
    w = r + z
    return shifted, w, z - (w - r)


def scaled(x, shifted):
    """Return (scale, unscale): scale*unscale**2 = 2**k. Below SCALED_MIN the scale is larger than 2**k."""
    shifted = shifted + TWO * TINY_BITS if x < SCALED_MIN else shifted
    return power_of_two(shifted), TINY if x < SCALED_MIN else ONE


def scaled_product(dy, slope, unscale):
    """Return dy*slope*unscale**2, with dy brought down first: neither overflow nor a second rounding on the way."""
    return dy * unscale * slope * unscale


def identity(x):
    return x


def grad_identity(dy, x):
    return dy


def sigmoid(x):
    # d + d_low = UNIT*(1 + exp(-x)); lost is what the sum of the two powers of two rounds off.
    shifted, w = exp_parts(clamp(-x, -SATURATION, -EXP_MIN))
    scale = power_of_two(shifted - UNIT_BITS)
    total = UNIT + scale
    lost = UNIT - (total - scale)
    d = fma(scale, w, total)
    d_low = fma(scale, w, total - d) + lost
    y = ONE / d
    residual = fma(-y, d_low, fma(-y, d, ONE))
    return fma(y, residual, y) * UNIT


def one_plus(t, t_low, unscale):
    """Return (d, d_low): d + d_low = 1 + (t + t_low)*unscale for 0 <= t*unscale <= 1."""
    d = fma(t, unscale, ONE)
    return d, fma(t_low, unscale, fma(t, unscale, ONE - d))


def exp_of_parts(scale, w, w_low):
    """Return (t, t_low): t + t_low = scale*(1 + w + w_low)."""
    t = fma(scale, w, scale)
    return t, fma(scale, w_low, fma(scale, w, scale - t))


def sigmoid_slope(x):
    """Return (high, low, scale, unscale): exp(x)/(1 + exp(x))**2 = (high + low)*scale*unscale**2 for x <= 0."""
    x = SCALED_EXP_MIN if x < SCALED_EXP_MIN else x
    shifted, w, w_low = exp_parts_low(x, ZERO)
    scale, unscale = scaled(x, shifted)
    t, t_low = exp_of_parts(scale, w, w_low)
    d, d_low = one_plus(t, t_low, unscale)
    y = ONE / d
    residual = TWO * fma(-y, d_low, fma(-y, d, ONE))
    square = y * y
    square_low = fma(y, y, -square)
    return square, fma(square, fma(residual, w, residual) + w_low + w, square_low), scale, unscale


def slope_product(dy, high, low, scale, unscale):
    """Return dy*(high + low)*scale*unscale**2, the sum not rounded before the product. An infinite dy stays so.

    What is subtracted is +0 where the product is a zero, which keeps its sign.
    """
    dy = dy * unscale
    product = dy * high
    exact = product - fma(-dy, low, fma(-dy, high, product))
    return (exact if absolute(product) <= LARGEST else product) * scale * unscale


def grad_sigmoid(dy, x):
    high, low, scale, unscale = sigmoid_slope(negative_magnitude(x))
    return slope_product(dy, high, low, scale, unscale)


def tanh(x):
    # a = k*log(2)/2 + r, k = 0 below TANH_BEND, t = tanh(r), scale = 2**-k: tanh(a) = 1 - 2*u/(1 + t + u) with
    # u = scale*(1 - t). Where that is above 1/2 its rounding errors are small beside it; below, tanh(a) = t.
    a = absolute(x)
    a = SATURATION if a > SATURATION else a
    shifted = fma(a, -TWO * LOG2_E, EXPONENT_SHIFT)
    k = shifted - EXPONENT_SHIFT if a >= TANH_BEND else ZERO
    r = fma(k, HALF * LN2, a)
    z = r * r
    t = fma(r * z, tanh_polynomial(z), r)
    u = power_of_two(shifted) * (ONE - t)
    y = fma(-TWO, u / (ONE + t + u), ONE) if a >= TANH_BEND else t
    return copysign(y, x)


def grad_tanh(dy, x):
    # tanh'(x) = 4*sigmoid'(2*x).
    high, low, scale, unscale = sigmoid_slope(TWO * negative_magnitude(x))
    return slope_product(dy, high, low, FOUR * scale, unscale)


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


def leaky_relu(x, negative_slope):
    return x if x > ZERO else negative_slope * x


def grad_leaky_relu(dy, x, negative_slope):
    return dy if x > ZERO else negative_slope * dy


def expm1_negative(x):
    """Return (high, neg_low): expm1(x) = high - neg_low for x < 0."""
    shifted, k, r = exp_reduced(limit_negative(negative_part(x), -SATURATION))
    z = r * r * exp_polynomial(r)
    w = r + z
    w_low = z - (w - r)
    scale = power_of_two(shifted)
    difference = scale - ONE
    high = fma(scale, w, difference)
    return high, fma(-scale, w_low, fma(-scale, w, high - difference))


def elu(x, alpha):
    # The low part's factor is kept finite: an infinite alpha gives -inf, not inf - inf. For an alpha of 0 the low part
    # would take away the sign of the product.
    high, neg_low = expm1_negative(x)
    finite = clamp(alpha, -LARGEST, LARGEST)
    negative = alpha * high if alpha == ZERO else fma(alpha, high, -finite * neg_low)
    return negative if x < ZERO else x


def exp_scaled(x):
    """Return (scale, w, w_low, unscale): exp(x) = scale*(1 + w + w_low)*unscale**2 for x <= 0; NaN stays NaN."""
    x = clamp(x, SCALED_EXP_MIN, ZERO)
    shifted, w, w_low = exp_parts_low(x, ZERO)
    scale, unscale = scaled(x, shifted)
    return scale, w, w_low, unscale


def grad_elu(dy, x, alpha):
    scale, w, w_low, unscale = exp_scaled(x)
    scale = alpha * scale
    slope = fma(scale, w_low, fma(scale, w, scale))
    return dy if x > ZERO else scaled_product(dy, slope, unscale)


def selu(x):
    high, neg_low = expm1_negative(x)
    negative = fma(SELU_SCALE_ALPHA, high, fma(SELU_SCALE_ALPHA_LOW, high, -SELU_SCALE_ALPHA * neg_low))
    return negative if x < ZERO else fma(SELU_SCALE, x, SELU_SCALE_LOW * x)


def grad_selu(dy, x):
    scale, w, w_low, unscale = exp_scaled(x)
    slope = SELU_SCALE_ALPHA + fma(SELU_SCALE_ALPHA, w, fma(SELU_SCALE_ALPHA, w_low, SELU_SCALE_ALPHA_LOW))
    negative = scaled_product(dy, slope * scale, unscale)
    return fma(SELU_SCALE, dy, SELU_SCALE_LOW * dy) if x > ZERO else negative


def log1p_exp(x, x_low, scale_bits, unit):
    """Return (h, s): log1p(exp(x + x_low)) = (LOG1P_SLOPE*h + s)*unit for x <= 0, with unit = 2**-scale_bits."""
    shifted, k, r = exp_reduced(x)
    r_low = fma(k, -LN2_LOW, x_low)
    z = exp_rest(r, r_low)
    scale = power_of_two(shifted + scale_bits)
    h = fma(scale, r, scale)
    rest = fma(scale, z, fma(scale, r, scale - h))
    t = h + rest
    return h, fma(t, log1p_polynomial(fma(t, unit, -HALF)), LOG1P_SLOPE * rest)


def softplus(x, beta):
    return softplus_unit(x) if beta == ONE else softplus_scaled(x, beta)


def softplus_unit(x):
    # max(x, 0) + log1p(exp(-|x|)); NaN comes in by the maximum.
    h, s = log1p_exp(limit_negative(negative_magnitude(x), EXP_MIN), ZERO, TINY_BITS, TINY)
    linear = ZERO if x <= ZERO else x
    y = fma(h, LOG1P_SLOPE * TINY, fma(s, TINY, linear if x < SOFTPLUS_BEND else ZERO))
    return y if x < SOFTPLUS_BEND else y + x


def softplus_scaled(x, beta):
    # The same of u = beta*x in two parts, divided by beta as a product with 1/beta in two parts. TINY alone reaches
    # down to SOFTPLUS_EXP_MIN, which is 0 for abs(beta) above 1e-21.
    u = beta * x
    u_low = fma(beta, x, -u)
    negative = limit_negative(negative_magnitude(u), SOFTPLUS_EXP_MIN)
    scale_bits = TINY_BITS if negative < SCALED_MIN else ZERO
    unit = TINY if negative < SCALED_MIN else ONE
    h, s = log1p_exp(negative, -multiply_sign(u_low, u), scale_bits, unit)
    inverse = ONE / beta
    inverse_low = fma(-inverse, beta, ONE) * inverse
    slope = LOG1P_SLOPE * inverse
    slope_low = fma(LOG1P_SLOPE, inverse, -slope) + LOG1P_SLOPE * inverse_low
    linear = ZERO if u <= ZERO else x
    y = fma(h, slope, fma(h, slope_low, fma(s, inverse, linear if u < SOFTPLUS_BEND else ZERO)))
    y = y * unit if u < SOFTPLUS_BEND else y + x
    y = inverse if absolute(inverse) > LARGEST else y
    y = copysign(ZERO, beta) if u < SOFTPLUS_EXP_MIN else y
    return x if u > SATURATION else y


def logsigmoid(x):
    return -softplus_unit(-x)


def grad_logsigmoid(dy, x):
    return gate_product(dy, -x, ZERO)


def grad_softplus(dy, x, beta):
    # sigmoid(u) = n/(1 + t), t = exp(-|u|), n = t or 1, with u = beta*x in two parts.
    u = beta * x
    u_low = fma(beta, x, -u)
    u_low = u_low if absolute(u) < -SCALED_EXP_MIN else ZERO
    negative = negative_magnitude(u)
    negative = SCALED_EXP_MIN if negative < SCALED_EXP_MIN else negative
    shifted, w, w_low = exp_parts_low(negative, -multiply_sign(u_low, u))
    scale, unscale = scaled(negative, shifted)
    t, t_low = exp_of_parts(scale, w, w_low)
    d, d_low = one_plus(t, t_low, unscale)
    n = t if u < ZERO else ONE
    n_low = t_low if u < ZERO else ZERO
    reciprocal = ONE / d
    y = n * reciprocal
    residual = fma(-y, d, n) + fma(-y, d_low, n_low)
    return scaled_product(dy, fma(reciprocal, residual, y), unscale if u < ZERO else ONE)


def gate(x, exponent, exponent_low):
    """Return x/(1 + exp(-exponent - exponent_low)), for an exponent as low as SILU_MIN."""
    # d + d_low = UNIT*(1 + exp(...)) as in sigmoid; x/d is corrected by its excess, +0 for both zeros (not in -excess:
    # gcc negates inside the fma). The reduction's low part is multiplied in afterwards: in r it would be rounded away.
    shifted = fma(-exponent, LOG2_E, EXPONENT_SHIFT - UNIT_BITS)
    k = shifted - (EXPONENT_SHIFT - UNIT_BITS)
    r = fma(k, -LN2, -exponent)
    r_low = fma(k, -LN2_LOW, -exponent_low)
    w = fma(r * r, exp_polynomial(r), r)
    scale = power_of_two(shifted)
    total = UNIT + scale
    lost = UNIT - (total - scale)
    d = fma(scale, w, total)
    d_low = fma(fma(scale, w, scale), r_low, fma(scale, w, total - d) + lost)
    reciprocal = ONE / d
    y = x * reciprocal
    excess = fma(y, d_low, fma(y, d, -x))
    return fma(excess, -reciprocal, y) * UNIT


def silu(x):
    limited = limit_negative(x, SILU_MIN)
    y = gate(limited, limited, ZERO)
    return y if x <= SATURATION else x


def gate_product(dy, exponent, exponent_low):
    """Return dy/(1 + exp(-exponent - exponent_low)), rounded once. An infinite dy stays so."""
    exponent = clamp(exponent, SCALED_EXP_MIN, SATURATION)
    shifted, w, w_low = exp_parts_low(-exponent, -exponent_low)
    unscale = TINY if exponent < GATE_SCALED_MIN else ONE
    shifted = shifted - TWO * TINY_BITS if exponent < GATE_SCALED_MIN else shifted
    scale = power_of_two(shifted)
    one = ZERO if exponent < GATE_SCALED_MIN else ONE
    total = one + scale
    lost = one - (total - scale)
    d = fma(scale, w, total)
    d_low = fma(scale, w_low, fma(scale, w, total - d) + lost)
    reciprocal = ONE / d
    dy = dy * unscale
    y = dy * reciprocal
    excess = fma(y, d_low, fma(y, d, -dy))
    return (fma(excess, -reciprocal, y) if absolute(y) <= LARGEST else y) * unscale


def gate_slope(exponent, exponent_low, m, m_low):
    """Return (high, low, unscale): (1 + e + m*e)/(1 + e)**2 = (high + low)*unscale**2, e = exp(-exponent)."""
    shifted, k, r = exp_reduced(-exponent)
    r_low = fma(k, -LN2_LOW, -exponent_low)
    z = r * r * exp_polynomial(r)
    w = r + z
    shifted = shifted - TWO * TINY_BITS if exponent < GATE_SCALED_MIN else shifted
    e, e_low = exp_of_parts(power_of_two(shifted), w, z - (w - r))
    e_low = fma(e, r_low, e_low)
    d, d_low = two_sum(ZERO if exponent < GATE_SCALED_MIN else ONE, e)
    d_low = d_low + e_low
    product = m * e
    product_low = fma(m, e_low, fma(e, m_low, fma(m, e, -product)))
    n = product + d
    n_low = (d - (n - product)) + (product_low + d_low)
    y = ONE / d
    residual = TWO * fma(-y, d_low, fma(-y, d, ONE))
    ratio = n * y
    high = ratio * y
    low = fma(high, residual, fma(ratio, y, -high)) + y * fma(n_low, y, fma(n, y, -ratio))
    return high, low, TINY if exponent < GATE_SCALED_MIN else ONE


def parts_product(dy, high, low, unscale):
    """Return dy*(high + low)*unscale**2, the sum not rounded before the product; low is below an ULP of high."""
    dy = dy * unscale
    product = dy * high
    exact = product + fma(dy, low, fma(dy, high, -product))
    exact = exact if absolute(product) <= LARGEST else product
    return (exact if absolute(product) >= SMALL_PRODUCT else product) * unscale


def grad_silu(dy, x):
    a = clamp(x, SCALED_EXP_MIN, -GATE_SCALED_MIN)
    high, low, unscale = gate_slope(a, ZERO, a, ZERO)
    return parts_product(dy, high, low, unscale)


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
    exact = fma(product, y, fma(fma(dy, y, -product), y, TWO * product * y_low))
    exact = exact if absolute(product) <= LARGEST else product * y
    exact = exact if absolute(product) >= SMALL_PRODUCT else product * y
    return exact if a <= ZERO else a


def mish(x):
    # x*n/(n + 2), n = e*(e + 2), e = exp(x); e and n are in units of UNIT, so that the tail is rounded once.
    limited = limit_negative(x, SILU_MIN)
    shifted = fma(limited, LOG2_E, EXPONENT_SHIFT + UNIT_BITS)
    k = shifted - (EXPONENT_SHIFT + UNIT_BITS)
    r = fma(k, -LN2_LOW, fma(k, -LN2, limited))
    w = fma(r * r, exp_polynomial(r), r)
    e, e_low = exp_of_parts(power_of_two(shifted), w, ZERO)
    factor = fma(e, UNIT, TWO)
    factor_low = fma(e_low, UNIT, fma(e, UNIT, TWO - factor))
    n = e * factor
    n_low = fma(e_low, factor, fma(e, factor_low, fma(e, factor, -n)))
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
    x = clamp(x, SCALED_EXP_MIN, SATURATION)
    shifted, w, w_low = exp_parts_low(x, ZERO)
    scale, unscale = scaled(x, shifted)
    e, e_low = exp_of_parts(scale, w, w_low)
    t = ZERO if x < SCALED_MIN else e
    t_low = ZERO if x < SCALED_MIN else e_low
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
