/* Stores past the caches. A store reads the cache line that it changes, a stream of stores of whole lines does not: what no
   cache holds moves two thirds of the bytes. */
#ifndef FASTACT_STREAM_H
#define FASTACT_STREAM_H

#include "cpu.h"
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FASTACT_LINE 64

/* What is read in a while. By itself the processor looks no further than the end of a page. */
static inline void fastact_fetch(const char *memory, ptrdiff_t size)
{
    for (ptrdiff_t i = 0; i < size; i += FASTACT_LINE)
        __builtin_prefetch(memory + i);
}

#if defined(__x86_64__)
#include <immintrin.h>
#define FASTACT_CAN_STREAM 1

/* Whole cache lines, from anywhere. */
__attribute__((target("avx512f"))) static void fastact_stream_512(char *lines, const char *source, ptrdiff_t size)
{
    for (ptrdiff_t i = 0; i < size; i += 64)
        _mm512_stream_si512((__m512i *)(lines + i), _mm512_loadu_si512(source + i));
}

__attribute__((target("avx"))) static void fastact_stream_256(char *lines, const char *source, ptrdiff_t size)
{
    for (ptrdiff_t i = 0; i < size; i += 32)
        _mm256_stream_si256((__m256i *)(lines + i), _mm256_loadu_si256((const __m256i *)(source + i)));
}

static void fastact_stream_128(char *lines, const char *source, ptrdiff_t size)
{
    for (ptrdiff_t i = 0; i < size; i += 16)
        _mm_stream_si128((__m128i *)(lines + i), _mm_loadu_si128((const __m128i *)(source + i)));
}

static void (*const fastact_stream_lines)(char *, const char *, ptrdiff_t) = fastact_has_avx512() ? fastact_stream_512
                                                                             : fastact_has_avx2() ? fastact_stream_256
                                                                                                  : fastact_stream_128;

/* What is before the first whole line and behind the last is copied. */
static inline void fastact_stream(char *target, const char *source, ptrdiff_t size)
{
    ptrdiff_t before = -(uintptr_t)target & (FASTACT_LINE - 1);
    before = before < size ? before : size;
    const ptrdiff_t lines = (size - before) & -(ptrdiff_t)FASTACT_LINE;
    memcpy(target, source, before);
    fastact_stream_lines(target + before, source + before, lines);
    memcpy(target + before + lines, source + before + lines, size - before - lines);
}

/* Before other threads are told of what was stored. */
static inline void fastact_end_stream(void) { _mm_sfence(); }

#else
#define FASTACT_CAN_STREAM 0
static inline void fastact_stream(char *target, const char *source, ptrdiff_t size) { memcpy(target, source, size); }
static inline void fastact_end_stream(void) {}
#endif
#endif
