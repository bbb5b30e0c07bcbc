"""What fused functions are made of besides the operators: NumPy's functions, one formula each, as in `formulas.py`.

A condition is a number, too: 1 where it holds, else 0. NaN and infinities come out as IEEE 754 has them.
"""


def add(a, b):
    return a + b


def subtract(a, b):
    return a - b


def multiply(a, b):
    return a * b


def divide(a, b):
    return a / b


def negative(x):
    return -x


def magnitude(x):
    return absolute(x)


def minimum(a, b):
    y = a if a < b else b
    return y if a == a else a  # noqa: PLR0124


def maximum(a, b):
    y = a if a > b else b
    return y if a == a else a  # noqa: PLR0124


def less(a, b):
    return ONE if a < b else ZERO


def less_equal(a, b):
    return ONE if a <= b else ZERO


def equal(a, b):
    return ONE if a == b else ZERO


def not_equal(a, b):
    return ONE if a != b else ZERO


def where(condition, a, b):
    return b if condition == ZERO else a


def sqrt(x):
    return square_root(x)


def exp(x):
    # Half of the scale, so that it is finite for every finite result. Beyond the limits the result is infinite, or 0.
    x = clamp(x, SCALED_EXP_MIN, EXP_MAX)
    shifted, w = exp_parts(x, ZERO)
    scale, unscale = scaled(x, shifted - ONE)
    return fma(scale, w, scale) * unscale * (unscale * TWO)


def expm1(x):
    # (scale - 1/2 + scale*expm1(r))*2, the difference with what its rounding lost; by itself expm1(r) where k is 0.
    shifted, k, r = exp_reduced(clamp(x, -SATURATION, EXP_MAX), ZERO)
    r = fma(k, -LN2_LOW, r)
    square = r * r
    curve = exp_polynomial(r)
    scale = power_of_two(shifted - ONE)
    difference = scale - HALF
    lost = scale - difference - HALF
    high = fma(scale, r, difference)
    low = fma(scale * square, curve, fma(scale, r, difference - high)) + lost
    return copysign(fma(square, curve, r) if k == ZERO else (high + low) * TWO, x)


def log_of_parts(k, f, low):
    """Return k*log(2) + log1p(f) + low for sqrt(1/2) <= 1 + f < sqrt(2) (the steps of fdlibm's log)."""
    s = f / (TWO + f)
    half = HALF * f * f
    curve = log_polynomial(s * s)
    return fma(k, LN2, f - (half - fma(s, half + curve, fma(k, LN2_LOW, low))))


def log(x):
    # Subnormal numbers have no leading 1: they are scaled up.
    normal = x * (ONE / TINY) if x < NORMAL_MIN else x
    k = exponent(normal) - (TINY_BITS if x < NORMAL_MIN else ZERO)
    y = log_of_parts(k, mantissa(normal) - ONE, ZERO)
    y = x if x > LARGEST else y
    y = -(LARGEST * LARGEST) if x == ZERO else y
    return y if x >= ZERO else LARGEST * LARGEST * ZERO


def log1p(x):
    # u + u_low = 1 + x.
    u = ONE + x
    large = x if x > ONE else ONE
    small = ONE if x > ONE else x
    u_low = small - (u - large)
    k = exponent(u)
    y = log_of_parts(k, x if k == ZERO else mantissa(u) - ONE, ZERO if k == ZERO else u_low / u)
    y = x if x > LARGEST else y
    y = LARGEST * LARGEST if x == -ONE else y
    return copysign(y, x) if x >= -ONE else LARGEST * LARGEST * ZERO
