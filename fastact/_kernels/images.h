/* The bytes of packed pixels, one array for each channel. No compiler finds the shuffles by itself. */
#ifndef FASTACT_IMAGES_H
#define FASTACT_IMAGES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

typedef uint8_t *__restrict fastact_bytes;

/* Channel c of n pixels to planes + c*step, for three channels. Reads 3*n bytes and no more. */
static inline void fastact_split_3(const uint8_t *pixels, fastact_bytes planes, ptrdiff_t step, ptrdiff_t n)
{
    ptrdiff_t i = 0;
#if defined(__AVX512BW__)
    /* The 12 bytes of four pixels in each quarter; there, the four bytes of each channel together; then the quarters'. */
    const __m512i quarters = _mm512_setr_epi32(0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 8, 9, 10, 11, 11);
    const __m512i channels =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, -1, -1, -1, -1));
    const __m512i together = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    for (; i + 16 <= n; i += 16) {
        __m512i bytes = _mm512_maskz_loadu_epi32(0x0FFF, pixels + 3 * i);
        bytes = _mm512_shuffle_epi8(_mm512_permutexvar_epi32(quarters, bytes), channels);
        bytes = _mm512_permutexvar_epi32(together, bytes);
        _mm_storeu_si128((__m128i *)(planes + i), _mm512_castsi512_si128(bytes));
        _mm_storeu_si128((__m128i *)(planes + step + i), _mm512_extracti32x4_epi32(bytes, 1));
        _mm_storeu_si128((__m128i *)(planes + 2 * step + i), _mm512_extracti32x4_epi32(bytes, 2));
    }
#elif defined(__AVX2__)
    /* The same with halves. 16 bytes are loaded where 12 are wanted: the pixels end two behind the last ones. */
    const __m256i channels =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, -1, -1, -1, -1));
    const __m256i together = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (; i + 10 <= n; i += 8) {
        const __m128i low = _mm_loadu_si128((const __m128i *)(pixels + 3 * i));
        const __m128i high = _mm_loadu_si128((const __m128i *)(pixels + 3 * i + 12));
        __m256i bytes = _mm256_shuffle_epi8(_mm256_set_m128i(high, low), channels);
        bytes = _mm256_permutevar8x32_epi32(bytes, together);
        _mm_storel_epi64((__m128i *)(planes + i), _mm256_castsi256_si128(bytes));
        _mm_storel_epi64(
            (__m128i *)(planes + step + i), _mm_unpackhi_epi64(_mm256_castsi256_si128(bytes), _mm_setzero_si128()));
        _mm_storel_epi64((__m128i *)(planes + 2 * step + i), _mm256_extracti128_si256(bytes, 1));
    }
#endif
    for (; i < n; i++)
        for (int c = 0; c < 3; c++)
            planes[c * step + i] = pixels[3 * i + c];
}

/* n pixels of three or four bytes to a word each, the bytes as they lie in memory. Reads these and no more. */
static inline void fastact_widen_pixels(const uint8_t *pixels, uint32_t *words, ptrdiff_t n, ptrdiff_t channels)
{
    ptrdiff_t i = 0;
    if (channels == 4) {
        for (; i < n; i++)
            memcpy(words + i, pixels + 4 * i, 4);
        return;
    }
#if defined(__AVX512BW__)
    /* The 12 bytes of four pixels in each quarter; there, each pixel's to its word. */
    const __m512i quarters = _mm512_setr_epi32(0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 8, 9, 10, 11, 11);
    const __m512i apart = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1));
    for (; i + 16 <= n; i += 16) {
        const __m512i bytes = _mm512_maskz_loadu_epi32(0x0FFF, pixels + 3 * i);
        _mm512_storeu_si512(words + i, _mm512_shuffle_epi8(_mm512_permutexvar_epi32(quarters, bytes), apart));
    }
#elif defined(__AVX2__)
    /* The same with halves. 16 bytes are loaded where 12 are wanted: the pixels end two behind the last ones. */
    const __m256i apart =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1));
    for (; i + 10 <= n; i += 8) {
        const __m128i low = _mm_loadu_si128((const __m128i *)(pixels + 3 * i));
        const __m128i high = _mm_loadu_si128((const __m128i *)(pixels + 3 * i + 12));
        _mm256_storeu_si256((__m256i *)(words + i), _mm256_shuffle_epi8(_mm256_set_m128i(high, low), apart));
    }
#endif
    for (; i < n; i++) {
        words[i] = 0;
        memcpy(words + i, pixels + 3 * i, 3);
    }
}

/* 2**23 plus the byte of a word that lies there in memory: it is the number's lowest bits. */
static inline float fastact_byte_of_word(uint32_t word, ptrdiff_t byte)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    byte = 3 - byte;
#endif
    const uint32_t bits = (word >> 8 * byte & 0xFF) | 0x4B000000;
    float number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

#endif
