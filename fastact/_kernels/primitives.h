/* The few operations that neither Python nor Cython can spell, for FASTACT_BITS = 32 or 64. */
#ifndef FASTACT_PRIMITIVES_H
#define FASTACT_PRIMITIVES_H

#include <stdint.h>
#include <string.h>

#if FASTACT_BITS == 32
typedef float real;
typedef uint32_t bits_of_real;
typedef int32_t signed_bits_of_real;
#define FASTACT_MANTISSA 23
#define FASTACT_BUILTIN(name) __builtin_##name##f
#else
typedef double real;
typedef uint64_t bits_of_real;
typedef int64_t signed_bits_of_real;
#define FASTACT_MANTISSA 52
#define FASTACT_BUILTIN(name) __builtin_##name
#endif

/* What a loop writes. It may be one of the inputs, element by element: a load never follows the store of its own
   element, so without aliases between different elements the compiler may interleave iterations (5-10% measured). */
typedef real *__restrict fastact_output;

/* 2 to the biased exponent that stands in the low bits of shifted. */
static inline real fastact_power_of_two(real shifted)
{
    bits_of_real bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits <<= FASTACT_MANTISSA;
    memcpy(&shifted, &bits, sizeof bits);
    return shifted;
}

/* The sign of a float is that of its bits, and a larger magnitude has larger bits: where the processor has vectors of
   such integers, a limit is one instruction, and a floating-point select two. They do not keep NaN: the caller selects
   it later. */
#if FASTACT_BITS == 32 || defined(__AVX512F__)
static inline real fastact_negative_part(real x)
{
    bits_of_real bits;
    memcpy(&bits, &x, sizeof bits);
    bits = (signed_bits_of_real)bits < 0 ? bits : 0;
    memcpy(&x, &bits, sizeof bits);
    return x;
}

static inline real fastact_positive_part(real x)
{
    bits_of_real bits;
    memcpy(&bits, &x, sizeof bits);
    bits = (signed_bits_of_real)bits > 0 ? bits : 0;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The larger of x and low, both negative; a positive x stays. */
static inline real fastact_limit_negative(real x, real low)
{
    bits_of_real bits, low_bits;
    memcpy(&bits, &x, sizeof bits);
    memcpy(&low_bits, &low, sizeof low_bits);
    bits = bits < low_bits ? bits : low_bits;
    memcpy(&x, &bits, sizeof bits);
    return x;
}

/* The smaller of x and high, which is positive; a negative x stays. */
static inline real fastact_limit_positive(real x, real high)
{
    signed_bits_of_real bits, high_bits;
    memcpy(&bits, &x, sizeof bits);
    memcpy(&high_bits, &high, sizeof high_bits);
    bits = bits < high_bits ? bits : high_bits;
    memcpy(&x, &bits, sizeof bits);
    return x;
}
#else
static inline real fastact_negative_part(real x) { return x < 0 ? x : (real)0; }
static inline real fastact_positive_part(real x) { return x > 0 ? x : (real)0; }
static inline real fastact_limit_negative(real x, real low) { return x > low ? x : low; }
static inline real fastact_limit_positive(real x, real high) { return x < high ? x : high; }
#endif

/* In formulas as they stand, and in those for usual arguments: see formulas.py. */
#define fastact_rare(condition) (condition)
#define fastact_rare_usual(condition) 0
#define fastact_limit_negative_usual(x, low) (x)
#define fastact_limit_positive_usual(x, high) (x)

/* Of two arrays, whether one is computed in the other's place. */
static inline int fastact_is_same(const real *a, const real *b) { return a == b; }

/* The bits of -abs(x), a signed integer that is larger where abs(x) is, and largest for NaN. A formula of
   negative_magnitude(x) has them already. */
static inline signed_bits_of_real fastact_magnitude_bits(real x)
{
    bits_of_real bits;
    memcpy(&bits, &x, sizeof bits);
    return (signed_bits_of_real)(bits | (bits_of_real)1 << (8 * sizeof(real) - 1));
}

/* x with its sign flipped where y is negative. */
static inline real fastact_multiply_sign(real x, real y)
{
    bits_of_real x_bits, y_bits, sign = (bits_of_real)1 << (8 * sizeof(real) - 1);
    memcpy(&x_bits, &x, sizeof x_bits);
    memcpy(&y_bits, &y, sizeof y_bits);
    x_bits ^= y_bits & sign;
    memcpy(&x, &x_bits, sizeof x);
    return x;
}

static inline real fastact_negative_magnitude(real x)
{
    bits_of_real bits;
    memcpy(&bits, &x, sizeof bits);
    bits |= (bits_of_real)1 << (8 * sizeof(real) - 1);
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline real fastact_square_root(real x) { return FASTACT_BUILTIN(sqrt)(x); }

/* x = mantissa*2**exponent with sqrt(1/2) <= mantissa < sqrt(2), for x > 0 that is normal. */
#if FASTACT_BITS == 32
#define FASTACT_SQRT_HALF 0x3F3504F3u
#define FASTACT_BIAS 127u
#define FASTACT_INTEGERS 0x4B000000u
#else
#define FASTACT_SQRT_HALF 0x3FE6A09E667F3BCDu
#define FASTACT_BIAS 1023u
#define FASTACT_INTEGERS 0x4330000000000000u
#endif

static inline real fastact_exponent(real x)
{
    const bits_of_real first = FASTACT_INTEGERS + FASTACT_BIAS;
    bits_of_real bits;
    real y, zero;
    memcpy(&bits, &x, sizeof bits);
    bits = (bits - FASTACT_SQRT_HALF + ((bits_of_real)FASTACT_BIAS << FASTACT_MANTISSA)) >> FASTACT_MANTISSA;
    /* Added to the bits of 2**MANTISSA an integer is one: AVX2 converts none of 64 bits. */
    bits += FASTACT_INTEGERS;
    memcpy(&y, &bits, sizeof y);
    memcpy(&zero, &first, sizeof zero);
    return y - zero;
}

static inline real fastact_mantissa(real x)
{
    bits_of_real bits;
    memcpy(&bits, &x, sizeof bits);
    bits = ((bits - FASTACT_SQRT_HALF) & (((bits_of_real)1 << FASTACT_MANTISSA) - 1)) + FASTACT_SQRT_HALF;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline real fastact_absolute(real x) { return FASTACT_BUILTIN(fabs)(x); }
static inline real fastact_copysign(real x, real sign) { return FASTACT_BUILTIN(copysign)(x, sign); }

/* The cache lines of FASTACT_TILE elements that are written soon. Without this a store waits for what its line held: 0.25
   instead of 0.45 ns an element of binary32 where nothing is in the caches, on a Xeon. AMD's processors gain nothing: on a
   Zen 4 it takes up to a quarter more of the time. There other lines are fetched, always the same ones: a branch takes 1.08
   of the time. They are on the thread's own stack: lines that two threads fetch in order to write go to and fro between
   their caches. */
#define FASTACT_TILE 128
static int fastact_fetches_results = 1;

#if defined(__x86_64__)
__attribute__((constructor)) static void fastact_look_at_processor(void)
{
    __builtin_cpu_init();
    fastact_fetches_results = !__builtin_cpu_is("amd");
}
#endif

static inline void fastact_will_write(const real *y)
{
    real unused[FASTACT_TILE];
    y = fastact_fetches_results ? y : unused;
    for (int i = 0; i < FASTACT_TILE; i += 64 / (int)sizeof(real))
        __builtin_prefetch(y + i, 1);
}

/* Those that are read soon, into the second-level cache. */
static inline void fastact_will_read_later(const real *x)
{
    for (int i = 0; i < FASTACT_TILE; i += 64 / (int)sizeof(real))
        __builtin_prefetch(x + i, 0, 2);
}

#if defined(__FMA__) || defined(__aarch64__) || defined(__powerpc64__) || defined(__s390x__) || \
    (defined(__riscv) && defined(__riscv_flen) && __riscv_flen >= 64)
#define FASTACT_HAS_FMA

static inline real fastact_fma(real a, real b, real c) { return FASTACT_BUILTIN(fma)(a, b, c); }
static inline real fastact_multiply_add(real a, real b, real c) { return FASTACT_BUILTIN(fma)(a, b, c); }

#else /* No such instruction. libm's fma would be a call for every element: nothing would go to vectors. */

static inline real fastact_multiply_add(real a, real b, real c) { return a * b + c; }

#if FASTACT_BITS == 32
/* The product is exact in binary64; the sum is rounded twice, which moves a result by at most 2**-53. */
static inline real fastact_fma(real a, real b, real c) { return (real)((double)a * b + c); }
#else
/* Dekker's product and Knuth's sum: a*b + c to 2**-104, then rounded once more. */
static inline real fastact_upper_half(real x)
{
    bits_of_real bits;
    memcpy(&bits, &x, sizeof bits);
    bits &= ~(bits_of_real)0 << 27;
    memcpy(&x, &bits, sizeof bits);
    return x;
}

static inline real fastact_fma(real a, real b, real c)
{
    real product = a * b;
    real a_high = fastact_upper_half(a), b_high = fastact_upper_half(b);
    real a_low = a - a_high, b_low = b - b_high;
    real product_low = a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low);
    real sum = product + c;
    real c_part = sum - product;
    real sum_low = (product - (sum - c_part)) + (c - c_part);
    real fused = sum + (sum_low + product_low);
    /* inf - inf above: an infinite or NaN result is the plain one. So is a zero, for its sign: the product's, if that
       was not zero before it was rounded. */
    real zero = a != 0 && b != 0 && c == 0 ? product : sum;
    real plain = sum == 0 ? zero : sum;
    return fused - fused == 0 && fused != 0 ? fused : plain;
}
#endif
#endif

/* x/divisor, rounded as a division is. A vector of divisions takes 10 cycles, the other operations of a quantization 4:
   with a quotient that is right to 1 ULP and the inverse rounded correctly, this correction is exact (Markstein 1990, IBM
   Journal of Research and Development 34), where nothing overflows or underflows. Here the first one is within 2 ULP. */
static inline real fastact_divided(real x, real divisor, real inverse)
{
#if defined(FASTACT_HAS_FMA)
    real q = x * inverse;
    q = fastact_fma(fastact_fma(-divisor, q, x), inverse, q);
    return fastact_fma(fastact_fma(-divisor, q, x), inverse, q);
#else
    (void)inverse;
    return x / divisor;
#endif
}

/* The same but for some quotients next to midpoints, by the inverse in two parts: see `is_far_from_ties`. Brisebarre,
   Muller and Raina 2004, IEEE Transactions on Computers 53. */
static inline real fastact_near_quotient(real x, real divisor, real inverse, real rest)
{
#if defined(FASTACT_HAS_FMA)
    (void)divisor;
    return fastact_fma(x, inverse, x * rest);
#else
    (void)inverse, (void)rest;
    return x / divisor;
#endif
}

/* The integer that x + INTEGER_SHIFT holds in its low bits. */
static inline int fastact_low_bits(real x)
{
    bits_of_real bits;
    memcpy(&bits, &x, sizeof bits);
    return (int)(uint32_t)bits;
}

#endif
