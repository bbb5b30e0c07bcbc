/* binary32 from the 16-bit floats and back. Widening is exact; narrowing rounds once, to nearest even, and overflows to
   infinity. NaN stays NaN, quiet. float16 is IEEE 754's binary16, bfloat16 the upper half of binary32. */
#ifndef FASTACT_CONVERSIONS_H
#define FASTACT_CONVERSIONS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t fastact_bits_of_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float fastact_float_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* ---- One element. Selects only: the compiler makes vectors of them. */

#if defined(__F16C__)
#include <immintrin.h>
#define FASTACT_NEAREST_EVEN 0

static inline float fastact_widened_float16(uint16_t x) { return _cvtsh_ss(x); }
static inline uint16_t fastact_float16_rounded(float x) { return _cvtss_sh(x, FASTACT_NEAREST_EVEN); }

#else

static inline float fastact_widened_float16(uint16_t x)
{
    const uint32_t infinity = 0x7C00u << 13, exponent_shift = (127u - 15u) << 23, smallest_normal = 0x0400u << 13;
    uint32_t magnitude = (x & 0x7FFFu) << 13;
    uint32_t normal = magnitude + exponent_shift + (magnitude >= infinity ? exponent_shift : 0);
    /* A subnormal's fraction behind a leading 1 is 2**-14 too much. */
    float subnormal = fastact_float_of_bits(magnitude + exponent_shift + smallest_normal) - 0x1p-14f;
    uint32_t bits = magnitude < smallest_normal ? fastact_bits_of_float(subnormal) : normal;
    bits |= magnitude > infinity ? 0x00400000u : 0;
    return fastact_float_of_bits(bits | (uint32_t)(x & 0x8000u) << 16);
}

static inline uint16_t fastact_float16_rounded(float x)
{
    const uint32_t exponent_shift = (127u - 15u) << 23, smallest_normal = (127u - 14u) << 23;
    const uint32_t overflow = (127u + 16u) << 23;
    uint32_t bits = fastact_bits_of_float(x);
    uint32_t magnitude = bits & 0x7FFFFFFFu;
    /* Half a unit less one bit, and the bit that makes it half a unit where the last digit kept is odd. */
    uint32_t normal = (magnitude - exponent_shift + 0x0FFFu + ((magnitude >> 13) & 1u)) >> 13;
    /* The last bit of 1/2 is float16's smallest subnormal: the sum is rounded there by the processor. */
    uint32_t subnormal = fastact_bits_of_float(fastact_float_of_bits(magnitude) + 0.5f) - (126u << 23);
    uint32_t rounded = magnitude < smallest_normal ? subnormal : normal;
    rounded = magnitude >= overflow ? 0x7C00u : rounded;
    rounded = x != x ? 0x7E00u : rounded;
    return (uint16_t)(rounded | (bits >> 16 & 0x8000u));
}

#endif

static inline float fastact_widened_bfloat16(uint16_t x) { return fastact_float_of_bits((uint32_t)x << 16); }

static inline uint16_t fastact_bfloat16_rounded(float x)
{
    uint32_t bits = fastact_bits_of_float(x);
    uint32_t rounded = bits + 0x7FFFu + ((bits >> 16) & 1u);
    rounded = x != x ? bits | 0x00400000u : rounded;
    return (uint16_t)(rounded >> 16);
}

/* For what comes of widened numbers and infinities alone: a NaN of these has no lower half, and no sum carries into it. */
static inline uint16_t fastact_bfloat16_of_widened(float x)
{
    uint32_t bits = fastact_bits_of_float(x);
    return (uint16_t)((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

/* ---- Contiguous memory. gcc 12 makes no vectors of float16 by itself. */

static inline void fastact_float32_of_float16(float *__restrict target, const uint16_t *source, ptrdiff_t n)
{
    ptrdiff_t i = 0;
#if defined(__AVX512F__)
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_ps(target + i, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(source + i))));
#elif defined(__F16C__)
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(target + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(source + i))));
#endif
    for (; i < n; i++)
        target[i] = fastact_widened_float16(source[i]);
}

static inline void fastact_float16_of_float32(uint16_t *__restrict target, const float *source, ptrdiff_t n)
{
    ptrdiff_t i = 0;
#if defined(__AVX512F__)
    for (; i + 16 <= n; i += 16)
        _mm256_storeu_si256((__m256i *)(target + i), _mm512_cvtps_ph(_mm512_loadu_ps(source + i), FASTACT_NEAREST_EVEN));
#elif defined(__F16C__)
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(target + i), _mm256_cvtps_ph(_mm256_loadu_ps(source + i), FASTACT_NEAREST_EVEN));
#endif
    for (; i < n; i++)
        target[i] = fastact_float16_rounded(source[i]);
}

static inline void fastact_float32_of_bfloat16(float *__restrict target, const uint16_t *source, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++)
        target[i] = fastact_widened_bfloat16(source[i]);
}

static inline void fastact_bfloat16_of_float32(uint16_t *__restrict target, const float *source, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++)
        target[i] = fastact_bfloat16_rounded(source[i]);
}

static inline void fastact_bfloat16_of_widened_float32(uint16_t *__restrict target, const float *source, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++)
        target[i] = fastact_bfloat16_of_widened(source[i]);
}

#endif
