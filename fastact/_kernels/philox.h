/* The operations of philox.py that neither Python nor Cython can spell. */
#ifndef FASTACT_PHILOX_H
#define FASTACT_PHILOX_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "primitives.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

/* As many 64-bit lanes as a vector register has. gcc and clang know the arithmetic of such types. */
#if defined(__AVX512F__)
#define FASTACT_LANES 8
#elif defined(__AVX2__)
#define FASTACT_LANES 4
#else
#define FASTACT_LANES 2
#endif
typedef uint64_t fastact_lanes __attribute__((vector_size(8 * FASTACT_LANES)));

/* Words are written by one loop and read by the next, and are never the array that is worked on. */
typedef uint32_t *__restrict fastact_words;

static inline fastact_lanes fastact_each_lane(uint64_t value) { return value - (fastact_lanes){0}; }

static inline fastact_lanes fastact_counting_lanes(uint64_t first, ptrdiff_t lane)
{
#if FASTACT_LANES == 8
    const fastact_lanes lanes = {0, 1, 2, 3, 4, 5, 6, 7};
#elif FASTACT_LANES == 4
    const fastact_lanes lanes = {0, 1, 2, 3};
#else
    const fastact_lanes lanes = {0, 1};
#endif
    return lanes + fastact_each_lane(first + (uint64_t)lane);
}

/* The 64-bit products of the lower halves. */
static inline fastact_lanes fastact_multiply_words(fastact_lanes a, fastact_lanes b)
{
#if defined(__AVX512F__)
    return (fastact_lanes)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (fastact_lanes)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
    return (fastact_lanes)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
    const fastact_lanes lower = fastact_each_lane(UINT32_MAX);
    return (a & lower) * (b & lower);
#endif
}

static inline fastact_lanes fastact_upper_word(fastact_lanes a) { return a >> 32; }
static inline fastact_lanes fastact_to_upper_word(fastact_lanes a) { return a << 32; }

/* The lower half of each word to where its upper half is; below it stays whatever comes there. */
static inline fastact_lanes fastact_to_upper_half(fastact_lanes a) { return a << 16; }

/* A condition that hardly ever holds: what depends on it is kept out of the loop. */
#define fastact_rarely(condition) __builtin_expect((condition) != 0, 0)

/* 256 elements of what will be read and written in a while. By itself the processor does not look ahead across pages,
   nor for what is only written: beyond cache, 2**24 float32 took 1.5 times as long as their copy, and take 1.1. What
   is beyond the end may be what another thread writes, and must not be taken from it. */
#define FASTACT_AHEAD 4096
#define fastact_prefetch(x, y, start, n) \
    fastact_prefetch_bytes(x, y, (start) * sizeof *(x), (n) * sizeof *(x), 256 * sizeof *(x))

static inline void fastact_prefetch_bytes(const void *x, const void *y, size_t start, size_t end, size_t size)
{
    const size_t first = start + FASTACT_AHEAD;
    for (size_t i = first; i < first + size; i += 64)
        __builtin_prefetch((const char *)x + i, 0);
    if (first + size <= end)
        for (size_t i = first; i < first + size; i += 64)
            __builtin_prefetch((const char *)y + i, 1);
}

static inline void fastact_store_pairs(fastact_words words, ptrdiff_t offset, fastact_lanes pairs)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    pairs = pairs << 32 | pairs >> 32;
#endif
    memcpy(words + offset, &pairs, sizeof pairs);
}

static inline uint64_t fastact_high_word(uint64_t counter) { return counter >> 32; }

/* Eight counters for 64 elements. */
static inline uint64_t fastact_counter_of(ptrdiff_t element) { return (uint64_t)element / 8; }

/* A table: SSE2 cannot shift each lane by another count, and takes 40 times as long without vectors. */
static const uint32_t fastact_bit[32] = {
#define FASTACT_EIGHT_BITS(k) 1u << (k), 2u << (k), 4u << (k), 8u << (k), 16u << (k), 32u << (k), 64u << (k), 128u << (k)
    FASTACT_EIGHT_BITS(0), FASTACT_EIGHT_BITS(8), FASTACT_EIGHT_BITS(16), FASTACT_EIGHT_BITS(24)};

static inline int fastact_is_set(uint32_t bits, ptrdiff_t i) { return (bits & fastact_bit[i]) != 0; }

static inline uint32_t fastact_load_32(const uint8_t *bytes, ptrdiff_t offset)
{
    uint32_t bits;
    memcpy(&bits, bytes + offset, sizeof bits);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    bits = __builtin_bswap32(bits);
#endif
    return bits;
}

/* Bit k of the byte: whether words[start + k] reaches the threshold. 0 beyond the end. */
static inline void fastact_pack_at_most_8(
    const uint32_t *words, ptrdiff_t start, ptrdiff_t end, uint32_t threshold, uint8_t *bytes, ptrdiff_t offset)
{
    unsigned bits = 0;
    for (ptrdiff_t k = 0; k < 8 && start + k < end; ++k)
        bits |= (unsigned)(words[start + k] >= threshold) << k;
    bytes[offset] = (uint8_t)bits;
}

/* No compiler finds the instructions that make bits of a comparison by itself. */
static inline void fastact_pack_256(const uint32_t *words, uint32_t threshold, uint8_t *bytes, ptrdiff_t offset)
{
#if defined(__AVX512F__)
    const __m512i least = _mm512_set1_epi32((int)threshold);
    for (int i = 0; i < 256; i += 16) {
        const uint16_t bits = _mm512_cmpge_epu32_mask(_mm512_loadu_si512(words + i), least);
        memcpy(bytes + offset + i / 8, &bits, sizeof bits);
    }
#elif defined(__AVX2__)
    const __m256i least = _mm256_set1_epi32((int)threshold);
    for (int i = 0; i < 256; i += 8) {
        const __m256i word = _mm256_loadu_si256((const __m256i *)(words + i));
        const __m256i is_kept = _mm256_cmpeq_epi32(_mm256_max_epu32(word, least), word);
        bytes[offset + i / 8] = (uint8_t)_mm256_movemask_ps(_mm256_castsi256_ps(is_kept));
    }
#else
    for (int i = 0; i < 256; i += 8)
        fastact_pack_at_most_8(words, i, 256, threshold, bytes, offset + i / 8);
#endif
}

/* The upper 24 bits: exact in binary32, and a signed number, which every vector unit converts. */
static inline real fastact_unit_interval(uint32_t word) { return (real)(int32_t)(word >> 8) * (real)0x1p-24; }

#endif
