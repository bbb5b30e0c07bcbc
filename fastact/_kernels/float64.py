"""What the mathematics needs to know about binary64: see `float32.py`."""

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
LARGEST = 1.7976931348623157e308
SIXTH = 0.16666666666666666
SIXTH_LOW = 9.25185853854297e-18
THIRD = 0.3333333333333333
THIRD_LOW = 1.850371707708594e-17

LOG2_E = 1.4426950408889634
# log(2) as the sum of two.
LN2 = 0.6931471805599453
LN2_LOW = 2.3190468138462996e-17
# The same with a first part that a k times is exact, too.
LN2_SHORT = 0.6931471805601177
LN2_REST = -1.7239444525614835e-13
# 1.5*2**52 + bias.
EXPONENT_SHIFT = 6755399441056767.0
# The same without a bias. 1.5*2**52.
INTEGER_SHIFT = 6755399441055744.0
# 2**-64 and 2**64.
QUOTIENT_MIN = 5.421010862427522e-20
QUOTIENT_MAX = 1.8446744073709552e19

SATURATION = 40.0
EXP_MIN = -745.2
SCALED_MIN = -690.0
TINY_BITS = 560.0
TINY = 2.6497349136889905e-169
SCALED_EXP_MIN = -1480.0
UNIT_BITS = 64.0
UNIT = 5.421010862427522e-20

LOG1P_SLOPE = 0.875
SOFTPLUS_EXP_MIN = -1090.0
SOFTPLUS_BEND = 0.4375
SOFTSIGN_SATURATION = 1.8446744073709552e19
# tanh(x) is a polynomial up to TANH_BEND and 1 - 2/(exp(2*x) + 1) from there on.
TANH_BEND = 0.65625

SELU_SCALE = 1.0507009873554805
SELU_SCALE_LOW = 3.9874847667154144e-17
SELU_SCALE_ALPHA = 1.7580993408473768
SELU_SCALE_ALPHA_LOW = 1.41535193800845e-17
GATE_SCALED_MIN = -690.0
SILU_MIN = -752.0
# 1 -/+ 2**-32: its square is nothing beside 1.
BELOW_ONE = 0.9999999997671694
ABOVE_ONE = 1.0000000002328306
GLU_EXP_MIN = -2190.0
LOWEST_SHIFT = 6755399441055745.0
GLU_LOWEST_SHIFT = 6755399441054723.0

TANHSHRINK_BEND = 1.0625

TERM_BITS = 500.0
TERM_UNIT = 3.054936363499605e-151
TERM_ZERO = 1523.0
EXACT_DIFFERENCE = 4096.0
EXP_NORMAL = -700.0
CUT = 65.0
COARSE = 8388608.0
SUM_ROUNDS = 1.0
# Norms whose factor, or sum, is less or greater have their elements multiplied by DOWN or UP. Powers of two: -480 and
# 450, 650, -900 and 960.
LEAST_FACTOR = 3.2033329522929615e-145
GREATEST_FACTOR = 2.9073548971824276e135
DOWN = 2.1404388173910186e-196
UP = 4.671939192445128e195
# In place of powers of two that are all 1.
ORDINARY = 0.0
LEAST_SUM = 1.1830521861667747e-271
GREATEST_SUM = 9.7453140114e288
# exp(x) and expm1(x) are infinite from here on; so they are here.
EXP_MAX = 710.0
# Below it numbers are subnormal.
NORMAL_MIN = 2.2250738585072014e-308

# gelu's tanh form is x*sigmoid(x*(SLOPE + CUBIC*x**2)), each constant as the sum of two. The first ends in so many
# zero bits that SLOPE - (SLOPE + CUBIC*x**2) is exact. At the MINs the value rounds to 0, at GELU_TANH_MAX to x, where
# exp's argument is still one that `gate` takes.
GELU_TANH_SLOPE = 1.5957691216057412
GELU_TANH_SLOPE_LOW = -1.053578951956758e-14
GELU_TANH_CUBIC = 0.07135481627260025
GELU_TANH_CUBIC_LOW = -6.175149918155315e-19
GELU_TANH_MIN = -21.55
GELU_TANH_MAX = 8.0
GRAD_GELU_TANH_CUBIC = 0.21406444881780073
GRAD_GELU_TANH_CUBIC_LOW = 1.2025242832367862e-17
GRAD_GELU_TANH_MIN = -27.15
GRAD_GELU_TANH_MAX = 20.0
# gelu(x) rounds to 0 from GELU_MIN down; below GELU_SCALED_MIN a power of two may be out of range. The constant is the
# value at the centre.
GELU_MIN = -38.6
GELU_SCALED_MIN = -37.5
GELU_POLE = 3.421875
GELU_CENTRE = 0.41796875
GELU_CONSTANT = 1.6850161574222142
# dy*gelu'(x) rounds to 0 from GRAD_GELU_MIN down even for the largest dy. What gaussian_tail's residual counts is
# about 1 + GRAD_GELU_BEND*u.
GRAD_GELU_POLE = 3.0
GRAD_GELU_BEND = 4.2
GRAD_GELU_CONSTANT = 0.7964337625475115
GRAD_GELU_CENTRE = 0.1875
# 1/sqrt(2*pi) as the sum of two.
GAUSSIAN = 0.3989422804014327
GAUSSIAN_LOW = -2.49232720227773e-17
GRAD_GELU_MIN = -54.05
# Of usual arguments all but the last are at most this: 2**48, see blocks.py. A gate's last is at most USUAL_GATE.
USUAL_FACTOR = 281474976710656.0
USUAL_GATE = 60.0


def exp_polynomial(r):
    """Return (exp(r) - 1 - r)/r**2 for abs(r) <= log(2)/2, to 2**-57.9 of exp(r).

    fpminimax(exp(x), [|2,...,11|], [|D...|], [-0.34658;0.34658], floating, relative, 1+x)
    """
    q = multiply_add(r, 2.5004469476879477e-08, 2.763043895704491e-07)
    q = multiply_add(r, q, 2.7557572329195426e-06)
    q = multiply_add(r, q, 2.4801492495636072e-05)
    q = multiply_add(r, q, 0.00019841269522449036)
    q = multiply_add(r, q, 0.0013888888944304325)
    q = multiply_add(r, q, 0.008333333333487052)
    q = multiply_add(r, q, 0.04166666666652707)
    q = multiply_add(r, q, 0.16666666666666424)
    return multiply_add(r, q, 0.5000000000000011)


def cosh_polynomial(z):
    """Return (cosh(r) - 1)/r**2, z = r**2, for abs(r) <= log(2)/2, to 2**-56 of exp(r).

    fpminimax((cosh(sqrt(x)) - 1)/x, 4, [|D...|], [1b-30;0.34658^2], floating, absolute)
    """
    q = multiply_add(z, 2.762020104437896e-07, 2.480152098604379e-05)
    q = multiply_add(z, q, 0.00138888889174978)
    q = multiply_add(z, q, 0.041666666666623164)
    return multiply_add(z, q, 0.5000000000000001)


def sinh_polynomial(z):
    """Return (sinh(r) - r)/r**3, z = r**2, for abs(r) <= log(2)/2, to 2**-61 of exp(r).

    fpminimax((sinh(sqrt(x))/sqrt(x) - 1)/x, 4, [|D...|], [1b-30;0.34658^2], floating, absolute)
    """
    q = multiply_add(z, 2.510183287188905e-08, 2.755726454371755e-06)
    q = multiply_add(z, q, 0.0001984126986658579)
    q = multiply_add(z, q, 0.008333333333328882)
    return multiply_add(z, q, 0.16666666666666669)


def exp_rest(r, r_low):
    """Return exp(r + r_low) - 1 - r."""
    argument = r + r_low
    return fma(argument * argument, exp_polynomial(argument), r_low)


def log1p_polynomial(v):
    """Return log1p(t)/t - LOG1P_SLOPE, v = t - 1/2, for 0 <= t <= 1, to 2**-53.7 of log1p(t)/t.

    fpminimax(log1p(x + 1/2)/(x + 1/2) - 7/8, 19, [|D...|], [-1/2;1/2], absolute)
    Odd and even powers apart, for half the latency; the first terms, whose roundings count, one after the other.
    """
    w = v * v
    odd = multiply_add(w, 5.884611485234195e-05, 7.308035694970986e-05)
    odd = multiply_add(w, odd, 0.00022597687049527132)
    odd = multiply_add(w, odd, 0.0005721929757823238)
    odd = multiply_add(w, odd, 0.0015154789553380873)
    odd = multiply_add(w, odd, 0.0041361726685504455)
    odd = multiply_add(w, odd, 0.011833792358821071)
    odd = multiply_add(w, odd, 0.03661185451825795)
    even = multiply_add(w, -3.9430045474669556e-05, -4.3561565413864666e-05)
    even = multiply_add(w, even, -0.00014273285850269712)
    even = multiply_add(w, even, -0.00035464765472795196)
    even = multiply_add(w, even, -0.0009288854693775956)
    even = multiply_add(w, even, -0.002491838446576201)
    even = multiply_add(w, even, -0.006945395133052562)
    even = multiply_add(w, even, -0.02054881191420474)
    even = multiply_add(w, even, -0.06768864331103353)
    q = multiply_add(v, odd, even)
    q = multiply_add(v, q, 0.1326097537542406)
    q = multiply_add(v, q, -0.2885270990993236)
    return multiply_add(v, q, -0.06406978378367129)


def log_polynomial(z):
    """Return log((1 + s)/(1 - s))/s - 2, z = s**2, for abs(s) <= 0.1716, to 2**-58.5.

    fpminimax(log((1+sqrt(x))/(1-sqrt(x)))/sqrt(x) - 2, [|1,...,7|], [|D...|], [1b-40;0.0294373], floating, absolute)
    """
    q = multiply_add(z, 0.147955950053128, 0.1531408666894107)
    q = multiply_add(z, q, 0.18183562703810260)
    q = multiply_add(z, q, 0.22222198607775762)
    q = multiply_add(z, q, 0.28571428742004384)
    q = multiply_add(z, q, 0.3999999999941672)
    return z * multiply_add(z, q, 0.6666666666666734)


def tanh_polynomial(z):
    """Return (tanh(r) - r)/r**3, z = r**2, for abs(r) <= TANH_BEND, to 2**-54.9 of tanh(r).

    fpminimax(tanh(x), [|3,...,23|], [|D...|], [0;21/32], floating, relative, x)
    """
    q = multiply_add(z, -1.4744717850094495e-05, 7.429515821184546e-05)
    q = multiply_add(z, q, -0.00022593065779708465)
    q = multiply_add(z, q, 0.0005849451381102522)
    q = multiply_add(z, q, -0.001454517169740392)
    q = multiply_add(z, q, 0.003591898255979913)
    q = multiply_add(z, q, -0.008863209071032)
    q = multiply_add(z, q, 0.021869486610502562)
    q = multiply_add(z, q, -0.05396825388652075)
    q = multiply_add(z, q, 0.1333333333315981)
    return multiply_add(z, q, -0.3333333333333205)


def tanhshrink_polynomial(z):
    """Return (r - tanh(r))/r**3 - 1/4, z = r**2, for abs(r) <= TANHSHRINK_BEND, to 2**-56.1 of r - tanh(r).

    fpminimax((sqrt(x) - tanh(sqrt(x)))/x^(3/2), 17, [|D...|], [1b-16;(17/16)^2], floating, relative, 1/4)
    """
    q = multiply_add(z, -1.784955077933114e-09, 2.3191241196704916e-08)
    q = multiply_add(z, q, -1.4812643646185245e-07)
    q = multiply_add(z, q, 6.335270870047402e-07)
    q = multiply_add(z, q, -2.101387470993434e-06)
    q = multiply_add(z, q, 5.964052695946558e-06)
    q = multiply_add(z, q, -1.5555113688390603e-05)
    q = multiply_add(z, q, 3.906600010604682e-05)
    q = multiply_add(z, q, -9.68190326772118e-05)
    q = multiply_add(z, q, 0.00023909545836419432)
    q = multiply_add(z, q, -0.0005900185249197143)
    q = multiply_add(z, q, 0.0014558326342410171)
    q = multiply_add(z, q, -0.0035921277887080248)
    q = multiply_add(z, q, 0.00886323550580539)
    q = multiply_add(z, q, -0.021869488534650604)
    q = multiply_add(z, q, 0.05396825396819988)
    q = multiply_add(z, q, -0.13333333333333242)
    return multiply_add(z, q, 0.08333333333333333)


def gelu_polynomial(v):
    """Return q: exp(a**2/2)*erfc(a/sqrt(2))*(GELU_POLE + a) = GELU_CONSTANT + q*v.

    v = GELU_CENTRE - a/(GELU_POLE + a). For 0 <= a <= 38.8, to 2**-57.0 of it: least squares of the relative
    error; one coefficient after the other was rounded, and the rest fitted anew.
    """
    q = multiply_add(v, 0.016613809878676028, -0.013245970205207387)
    q = multiply_add(v, q, -0.035183782696560396)
    q = multiply_add(v, q, 0.03776989698391244)
    q = multiply_add(v, q, 0.021477520525424097)
    q = multiply_add(v, q, -0.05286249303396084)
    q = multiply_add(v, q, 0.01995047061724674)
    q = multiply_add(v, q, 0.03789498521343226)
    q = multiply_add(v, q, -0.057720432456131114)
    q = multiply_add(v, q, 0.00652799319779893)
    q = multiply_add(v, q, 0.06738970617339446)
    q = multiply_add(v, q, -0.06368829881419046)
    q = multiply_add(v, q, -0.04283191135960343)
    q = multiply_add(v, q, 0.11956413327824629)
    q = multiply_add(v, q, -0.011445190171406)
    q = multiply_add(v, q, -0.1781803556412481)
    q = multiply_add(v, q, 0.09311353730048261)
    q = multiply_add(v, q, 0.28323855665460207)
    q = multiply_add(v, q, -0.20046149587849132)
    q = multiply_add(v, q, -0.6096201229566656)
    q = multiply_add(v, q, 0.15482789730187663)
    q = multiply_add(v, q, 1.7690594230002357)
    q = multiply_add(v, q, 2.849866561029743)
    return multiply_add(v, q, 2.663563638835279)


def grad_gelu_polynomial(v):
    """Return q: exp(a**2/2)*erfc(a/sqrt(2))/2 = u*(GRAD_GELU_CONSTANT + q*v), v = u - GRAD_GELU_CENTRE.

    u = 1/(GRAD_GELU_POLE + a). For 0 <= a <= 39.2, to 2**-54.0 of it.
    f = exp((1/(x+c)-3)^2/2)*erfc((1/(x+c)-3)/sqrt(2))/(2*(x+c)); c = 3/16;
    fpminimax(f, 24, [|D...|], [1/42.2-c;1/3-c], floating, relative)
    """
    q = multiply_add(v, -2582189793.410245, 3104227775.8926554)
    q = multiply_add(v, q, 376559361.4144131)
    q = multiply_add(v, q, -655929017.6481493)
    q = multiply_add(v, q, 60870922.972161524)
    q = multiply_add(v, q, 54342517.3669291)
    q = multiply_add(v, q, -18745635.60341702)
    q = multiply_add(v, q, 467108.8769796752)
    q = multiply_add(v, q, 1791918.6871157035)
    q = multiply_add(v, q, -664328.1911574889)
    q = multiply_add(v, q, 242.71537013783305)
    q = multiply_add(v, q, 84433.6925206055)
    q = multiply_add(v, q, -25482.17950973854)
    q = multiply_add(v, q, -4222.750487397029)
    q = multiply_add(v, q, 4737.102750812632)
    q = multiply_add(v, q, -529.9966030380124)
    q = multiply_add(v, q, -626.349704086344)
    q = multiply_add(v, q, 201.96636992895833)
    q = multiply_add(v, q, 84.41321781677301)
    q = multiply_add(v, q, -45.80806564896397)
    q = multiply_add(v, q, -18.809282228351915)
    q = multiply_add(v, q, 8.853994020862539)
    q = multiply_add(v, q, 8.878632485966524)
    return multiply_add(v, q, 3.413770971566147)
