/* Stores past the caches. A store reads the cache line that it changes, a stream of stores of whole lines does not: what no
   cache holds moves two thirds of the bytes. */
#ifndef FASTACT_STREAM_H
#define FASTACT_STREAM_H

#include "cpu.h"
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FASTACT_LINE 64

/* Bytes of arrays from which on they do: what the third-level cache does not hold, but no more than that of a large
   server. On a Zen 4 with 32 MiB of it, 32 (48, 64) MiB of arrays take 0.7 (0.65, 0.65) of the time of plain stores, and
   with a pass over the result behind it 0.9 (0.9, 0.85); 16 MiB 0.8 and 1.1. On a Xeon with 260 MiB of it, 64 MiB take 0.7,
   but relu and a sum of what it wrote 1.27. */
#define FASTACT_MOST_STREAMED_FROM (1LL << 26)
static const long long fastact_third_level_size = fastact_third_level();
static const ptrdiff_t fastact_streamed_from =
    fastact_third_level_size > 0 && fastact_third_level_size < FASTACT_MOST_STREAMED_FROM ? fastact_third_level_size
                                                                                          : FASTACT_MOST_STREAMED_FROM;

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
__attribute__((target("avx512f"))) static void fastact_stream_512(
    char *lines, const char *source, const char *next, ptrdiff_t size)
{
    for (ptrdiff_t i = 0; i < size; i += 64) {
        __builtin_prefetch(next + i);
        _mm512_stream_si512((__m512i *)(lines + i), _mm512_loadu_si512(source + i));
    }
}

__attribute__((target("avx"))) static void fastact_stream_256(
    char *lines, const char *source, const char *next, ptrdiff_t size)
{
    for (ptrdiff_t i = 0; i < size; i += 32) {
        __builtin_prefetch(next + i);
        _mm256_stream_si256((__m256i *)(lines + i), _mm256_loadu_si256((const __m256i *)(source + i)));
    }
}

static void fastact_stream_128(char *lines, const char *source, const char *next, ptrdiff_t size)
{
    for (ptrdiff_t i = 0; i < size; i += 16) {
        __builtin_prefetch(next + i);
        _mm_stream_si128((__m128i *)(lines + i), _mm_loadu_si128((const __m128i *)(source + i)));
    }
}

static void (*const fastact_stream_lines)(char *, const char *, const char *, ptrdiff_t) =
    fastact_has_avx512() ? fastact_stream_512
    : fastact_has_avx2() ? fastact_stream_256
                         : fastact_stream_128;

/* What is before the first whole line and behind the last is copied. Between two lines one of what is read next is fetched:
   while the memory only takes stores, none comes from it. `next` is the source itself where nothing is to be fetched. */
static inline void fastact_stream(char *target, const char *source, ptrdiff_t size, const char *next)
{
    ptrdiff_t before = -(uintptr_t)target & (FASTACT_LINE - 1);
    before = before < size ? before : size;
    const ptrdiff_t lines = (size - before) & -(ptrdiff_t)FASTACT_LINE;
    memcpy(target, source, before);
    fastact_stream_lines(target + before, source + before, next + before, lines);
    memcpy(target + before + lines, source + before + lines, size - before - lines);
}

/* Before other threads are told of what was stored. */
static inline void fastact_end_stream(void) { _mm_sfence(); }

#else
#define FASTACT_CAN_STREAM 0
static inline void fastact_stream(char *target, const char *source, ptrdiff_t size, const char *)
{
    memcpy(target, source, size);
}
static inline void fastact_end_stream(void) {}
#endif
#endif
