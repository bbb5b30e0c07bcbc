/* Binary64 scalars of the reductions, in modules of either precision. */
#ifndef FASTACT_WIDE_H
#define FASTACT_WIDE_H

#include <stdint.h>
#include <string.h>

typedef double *__restrict fastact_wide_output;

/* A few per row: a call of libm's where there is no such instruction does not matter. */
static inline double fastact_wide_fma(double a, double b, double c) { return __builtin_fma(a, b, c); }

/* a*b + c in loops, where only speed matters: rounded once if there is such an instruction. */
#if defined(__FMA__) || defined(__aarch64__)
static inline double fastact_wide_multiply_add(double a, double b, double c) { return __builtin_fma(a, b, c); }
#else
static inline double fastact_wide_multiply_add(double a, double b, double c) { return a * b + c; }
#endif

static inline double fastact_wide_sqrt(double x) { return __builtin_sqrt(x); }
static inline double fastact_wide_magnitude(double x) { return __builtin_fabs(x); }

/* k for 2**k <= x < 2**(k + 1), x normal. */
static inline double fastact_exponent_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (double)((int64_t)(bits >> 52 & 0x7FF) - 1023);
}

/* 2**-k for -1023 < k < 1023. */
static inline double fastact_power_of_minus(double k)
{
    uint64_t bits = (uint64_t)(1023 - (int64_t)k) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

#endif
