"""What the mathematics needs to know about binary32: constants and polynomials.

`float64.py` has the same names for binary64; `formulas.py` is written on top of either.
The coefficients are Sollya's (https://www.sollya.org) ``fpminimax``; each polynomial names the call and
the relative error of the function it approximates, so that anybody can check or replace it.
"""

ZERO = 0.0
SIXTEENTH = 0.0625
EIGHTH = 0.125
QUARTER = 0.25
THIRD = 0.3333333333333333
HALF = 0.5
ONE = 1.0
TWO = 2.0
THREE = 3.0
FOUR = 4.0
SIX = 6.0
LARGEST = 3.4028234663852886e38
# 1/6 and 1/3 as sums of two. The low parts are positive: see SELU_SCALE.
SIXTH = 0.1666666567325592
SIXTH_LOW = 9.934107758624577e-09
THIRD = 0.3333333134651184
THIRD_LOW = 1.9868215517249155e-08

LOG2_E = 1.4426950216293335
# log(2) as the sum of two. The first ends in three zero bits: x - k*LN2 is exact for every k that occurs.
LN2 = 0.6931471824645996
LN2_LOW = -1.9046542e-09
# The same with a first part that a k times is exact, too.
LN2_SHORT = 0.693145751953125
LN2_REST = 1.4286068203094172e-06
# Adding 1.5*2**23 + bias rounds to an integer and leaves the biased exponent in the low bits.
EXPONENT_SHIFT = 12583039.0
# The same without a bias. 1.5*2**23.
INTEGER_SHIFT = 12582912.0
# 2**-64 and 2**64.
QUOTIENT_MIN = 5.421010862427522e-20
QUOTIENT_MAX = 1.8446744073709552e19

# sigmoid(x) and tanh(x) are 1, expm1(-x) is -1 and softplus(x) is x to the last bit from here on.
SATURATION = 20.0
# exp(x) rounds to 0 from here down.
EXP_MIN = -104.0
# Below SCALED_MIN a result may be subnormal: exp(x) carries a factor 1/TINY, or 1/TINY**2, until the last operation,
# so that the result is rounded once. At SCALED_EXP_MIN it is 0 even where the largest number, and 1000, multiply it.
SCALED_MIN = -86.0
TINY_BITS = 96.0
TINY = 1.262177448353619e-29
SCALED_EXP_MIN = -220.0
# What sigmoid measures 1 + exp(-x) in, so that it is finite.
UNIT_BITS = 32.0
UNIT = 2.3283064365386963e-10

# log1p(t) is about LOG1P_SLOPE*t on all of [0, 1]: the rest is small, and so are its errors.
LOG1P_SLOPE = 0.828125
# As far down as a factor 1/TINY alone reaches.
SOFTPLUS_EXP_MIN = -153.0
# Below it x is added to the small part of softplus(x), above it to the whole: either way the smaller rounding.
SOFTPLUS_BEND = 0.4375
# x/(1 + x) is 1 to the last bit from here on.
SOFTSIGN_SATURATION = 4294967296.0
# tanh(x) is a polynomial up to TANH_BEND and 1 - 2/(exp(2*x) + 1) from there on.
TANH_BEND = 0.65625

# Klambauer et al. (2017), each constant as the sum of two. The low parts are positive: of two signs, an
# infinite x would give inf - inf.
SELU_SCALE = 1.0507009029388428
SELU_SCALE_LOW = 8.441664e-08
SELU_SCALE_ALPHA = 1.7580993175506592
SELU_SCALE_ALPHA_LOW = 2.3296717e-08
# As SCALED_MIN and SCALED_EXP_MIN where x/exp(x) must not overflow. At SILU_MIN, x*exp(x) rounds to 0.
GATE_SCALED_MIN = -80.0
SILU_MIN = -109.0
# 1 -/+ 2**-16: its square is nothing beside 1.
BELOW_ONE = 0.9999847412109375
ABOVE_ONE = 1.0000152587890625
# glu_gradients: from here down dy*a*exp(x) rounds to 0 also for the largest dy and a; and what leaves the smallest
# exponent, or the sum of two such, in the low bits.
GLU_EXP_MIN = -307.0
LOWEST_SHIFT = 12582913.0
GLU_LOWEST_SHIFT = 12582787.0

# x - tanh(x) is a polynomial up to TANHSHRINK_BEND. At 1 the terms of x - 1 + 2*t/(1 + t) do not cancel yet, but the
# quotient alone has all of the error.
TANHSHRINK_BEND = 1.0625

# exp(x) of a softmax is kept as a multiple of 2**TERM_BITS times the largest power of two in its row: 2**TERM_BITS is
# so large that the smallest quotient, a subnormal number, is rounded once. TERM_ZERO powers of two below the largest
# the bits of the power are 0, and so is the term: a subnormal one would take 100 times as long.
TERM_BITS = 64.0
TERM_UNIT = 5.421010862427522e-20
TERM_ZERO = 191.0
# From here on x - max(x) is exact where its exp is not 0 (Sterbenz); up to here exp_reduced(x) is as good as
# for small x.
EXACT_DIFFERENCE = 4096.0
# exp(x) is a normal number of binary64 from here on.
EXP_NORMAL = -700.0
# A product with it cuts the center of a chain, see chains.py.
CUT = 65.0
# And one with what elements of a row are apart is added to its center, to cut that.
COARSE = 8388608.0
# Do sums in binary64 need a low part?
SUM_ROUNDS = 0.0
# Norms whose factor is less or greater have their elements multiplied by DOWN = 2**-64 or UP = 2**64, see sums.py:
# 2**-100 and 2**100. Sums in binary64 need no such thing.
LEAST_FACTOR = 7.888609052210118e-31
GREATEST_FACTOR = 1.2676506002282294e30
DOWN = 5.421010862427522e-20
UP = 1.8446744073709552e19
# In place of powers of two that are all 1.
ORDINARY = 0.0
LEAST_SUM = 0.0
GREATEST_SUM = 3.4028234663852886e38
# exp(x) and expm1(x) are infinite from here on; so they are here.
EXP_MAX = 89.0
# Below it numbers are subnormal.
NORMAL_MIN = 1.1754943508222875e-38

# gelu's tanh form is x*sigmoid(x*(SLOPE + CUBIC*x**2)), each constant as the sum of two. The first ends in so many
# zero bits that SLOPE - (SLOPE + CUBIC*x**2) is exact. At the MINs the value rounds to 0, at GELU_TANH_MAX to x, where
# exp's argument is still one that `gate` takes.
GELU_TANH_SLOPE = 1.5957679748535156
GELU_TANH_SLOPE_LOW = 1.1467522e-06
GELU_TANH_CUBIC = 0.071354814
GELU_TANH_CUBIC_LOW = 2.3988325e-09
GELU_TANH_MIN = -10.78
GELU_TANH_MAX = 8.0
GRAD_GELU_TANH_CUBIC = 0.21406445
GRAD_GELU_TANH_CUBIC_LOW = -2.5408342e-10
GRAD_GELU_TANH_MIN = -13.6
GRAD_GELU_TANH_MAX = 9.0
# gelu(x) rounds to 0 from GELU_MIN down; below GELU_SCALED_MIN a power of two may be out of range. The constant is the
# value at the centre, which was chosen so that it is nearly a binary32 number.
GELU_MIN = -14.5
GELU_SCALED_MIN = -13.0
GELU_POLE = 3.2734375
GELU_CENTRE = 0.395751953125
GELU_CONSTANT = 1.7280778884887695
# dy*gelu'(x) rounds to 0 from GRAD_GELU_MIN down even for the largest dy. The constant is the value at the centre,
# which was chosen so that it is nearly a binary32 number. What gaussian_tail's residual counts is about
# 1 + GRAD_GELU_BEND*u.
GRAD_GELU_POLE = 3.5
GRAD_GELU_BEND = 5.8
GRAD_GELU_CONSTANT = 0.8311612010002136
GRAD_GELU_CENTRE = 0.1630859375
# 1/sqrt(2*pi) as the sum of two.
GAUSSIAN = 0.3989422917366028
GAUSSIAN_LOW = -1.133517010526318e-08
GRAD_GELU_MIN = -19.9
# Of usual arguments all but the last are at most this: 2**48, see blocks.py. A gate's last is at most USUAL_GATE.
USUAL_FACTOR = 281474976710656.0
USUAL_GATE = 60.0


def exp_polynomial(r):
    """Return (exp(r) - 1 - r)/r**2 for abs(r) <= log(2)/2, to 2**-27.6 of exp(r).

    fpminimax(exp(x), [|2,...,6|], [|SG...|], [-0.34658;0.34658], floating, absolute, 1+x): in absolute terms, since
    expm1 is at its largest error where r is negative.
    """
    q = multiply_add(r, 0.0013657017, 0.008368952)
    q = multiply_add(r, q, 0.041671455)
    q = multiply_add(r, q, 0.16666518)
    return multiply_add(r, q, 0.4999998)


def cosh_polynomial(z):
    """Return (cosh(r) - 1)/r**2, z = r**2, for abs(r) <= log(2)/2, to 2**-32 of exp(r).

    fpminimax((cosh(sqrt(x)) - 1)/x, 2, [|SG...|], [1b-20;0.34658^2], floating, absolute)
    """
    return multiply_add(z, multiply_add(z, 0.0013930502, 0.041666511), 0.5)


def sinh_polynomial(z):
    """Return (sinh(r) - r)/r**3, z = r**2, for abs(r) <= log(2)/2, to 2**-34 of exp(r).

    fpminimax((sinh(sqrt(x))/sqrt(x) - 1)/x, 2, [|SG...|], [1b-20;0.34658^2], floating, absolute)
    """
    return multiply_add(z, multiply_add(z, 0.00019998028, 0.0083331503), 0.16666667)


def exp_rest(r, r_low):
    """Return exp(r + r_low) - 1 - r."""
    argument = r + r_low
    return fma(argument * argument, exp_polynomial(argument), r_low)


def log1p_polynomial(v):
    """Return log1p(t)/t - LOG1P_SLOPE, v = t - 1/2, 0 <= t <= 1, to 2**-27.2 of log1p(t)/t, 2**-30 next to 0.

    By linear programming, the relative error times 1 + 7*exp(-50*t): it is next to 0, where the logarithm is all of
    the result, that softplus has its largest error. Odd and even powers apart, for half the latency; the first terms,
    whose roundings count, one after the other.
    """
    w = v * v
    even = multiply_add(w, -0.0034948643, -0.006617164)
    even = multiply_add(w, even, -0.020593105)
    even = multiply_add(w, even, -0.06768631)
    odd = multiply_add(w, 0.005294843, 0.011556593)
    odd = multiply_add(w, odd, 0.036638238)
    q = multiply_add(v, odd, even)
    q = multiply_add(v, q, 0.13260889)
    q = multiply_add(v, q, -0.28852713)
    return multiply_add(v, q, -0.01719478)


def log_polynomial(z):
    """Return log((1 + s)/(1 - s))/s - 2, z = s**2, for abs(s) <= 0.1716, to 2**-33.9.

    fpminimax(log((1+sqrt(x))/(1-sqrt(x)))/sqrt(x) - 2, [|1,...,4|], [|SG...|], [1b-40;0.0294373], floating, absolute)
    """
    q = multiply_add(z, 0.24023767, 0.285104)
    q = multiply_add(z, q, 0.40000847)
    return z * multiply_add(z, q, 0.6666666)


def tanh_polynomial(z):
    """Return (tanh(r) - r)/r**3, z = r**2, for abs(r) <= TANH_BEND, to 2**-27.0 of tanh(r).

    fpminimax(tanh(x), [|3,...,11|], [|SG...|], [0;21/32], floating, relative, x)
    """
    q = multiply_add(z, -0.0054695583, 0.020426957)
    q = multiply_add(z, q, -0.0536746)
    q = multiply_add(z, q, 0.13330667)
    return multiply_add(z, q, -0.33333254)


def tanhshrink_polynomial(z):
    """Return (r - tanh(r))/r**3 - 1/4, z = r**2, for abs(r) <= TANHSHRINK_BEND, to 2**-26.0 of r - tanh(r).

    fpminimax((sqrt(x) - tanh(sqrt(x)))/x^(3/2), 7, [|SG...|], [1b-16;(17/16)^2], floating, relative, 1/4)
    """
    q = multiply_add(z, -0.000121383986, 0.00084873266)
    q = multiply_add(z, q, -0.0031044045)
    q = multiply_add(z, q, 0.0086284)
    q = multiply_add(z, q, -0.021805367)
    q = multiply_add(z, q, 0.053959385)
    q = multiply_add(z, q, -0.13333285)
    return multiply_add(z, q, 0.08333333)


def gelu_polynomial(v):
    """Return q: exp(a**2/2)*erfc(a/sqrt(2))*(GELU_POLE + a) = GELU_CONSTANT + q*v.

    v = GELU_CENTRE - a/(GELU_POLE + a). For 0 <= a <= 13.2, to 2**-26.1 of it. Of some thousand such polynomials, by
    linear programming with the first two coefficients moved by some ULP, the pole and the centre by more, this one has
    the least error of gelu over every third number.
    """
    q = multiply_add(v, -0.13035165, -0.036201276)
    q = multiply_add(v, q, 0.28443748)
    q = multiply_add(v, q, 0.030910064)
    q = multiply_add(v, q, -0.57593185)
    q = multiply_add(v, q, -0.21583109)
    q = multiply_add(v, q, 1.3189291)
    q = multiply_add(v, q, 2.647602)
    return multiply_add(v, q, 2.6767511)


def grad_gelu_polynomial(v):
    """Return q: exp(a**2/2)*erfc(a/sqrt(2))/2 = u*(GRAD_GELU_CONSTANT + q*v), v = u - GRAD_GELU_CENTRE.

    u = 1/(GRAD_GELU_POLE + a). For 0 <= a <= 14.6, to 2**-26.7 of it.
    f = exp((1/(x+c)-3.5)^2/2)*erfc((1/(x+c)-3.5)/sqrt(2))/(2*(x+c)); c = 167/1024;
    fpminimax(f, 9, [|SG...|], [1/18.1-c;1/3.5-c], floating, relative)
    """
    q = multiply_add(v, -4439.8203, 1621.5182)
    q = multiply_add(v, q, 734.5477)
    q = multiply_add(v, q, -291.1819)
    q = multiply_add(v, q, -149.92622)
    q = multiply_add(v, q, 28.607567)
    q = multiply_add(v, q, 42.682236)
    q = multiply_add(v, q, 17.96419)
    return multiply_add(v, q, 4.6343894)
