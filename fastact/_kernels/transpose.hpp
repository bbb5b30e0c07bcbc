/* Rows to columns, and back: neighbouring rows too short for vectors are packed as columns of a block. */
#ifndef FASTACT_TRANSPOSE_HPP
#define FASTACT_TRANSPOSE_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace fastact {

/* Items of a side of what is transposed in registers. */
constexpr ptrdiff_t SIDE = 4;

template <typename row> inline row load_row(const char *from)
{
    row loaded;
    memcpy(&loaded, from, sizeof loaded);
    return loaded;
}

template <typename row> inline void store_row(char *to, row stored) { memcpy(to, &stored, sizeof stored); }

template <typename item>
inline void transpose_block(char *to, ptrdiff_t to_step, const char *from, ptrdiff_t from_step)
{
    typedef item row __attribute__((vector_size(SIDE * sizeof(item))));
    const row first{0, 4, 1, 5}, second{2, 6, 3, 7};
    const row a = load_row<row>(from), b = load_row<row>(from + from_step);
    const row c = load_row<row>(from + 2 * from_step), d = load_row<row>(from + 3 * from_step);
    const row ac_low = __builtin_shuffle(a, c, first), ac_high = __builtin_shuffle(a, c, second);
    const row bd_low = __builtin_shuffle(b, d, first), bd_high = __builtin_shuffle(b, d, second);
    store_row(to, __builtin_shuffle(ac_low, bd_low, first));
    store_row(to + to_step, __builtin_shuffle(ac_low, bd_low, second));
    store_row(to + 2 * to_step, __builtin_shuffle(ac_high, bd_high, first));
    store_row(to + 3 * to_step, __builtin_shuffle(ac_high, bd_high, second));
}

/* to[i][j] = from[j][i] for i < rows, j < columns, both at least SIDE; the last blocks overlap. */
template <typename item>
inline void transpose(
    char *to, ptrdiff_t to_step, const char *from, ptrdiff_t from_step, ptrdiff_t rows, ptrdiff_t columns)
{
    const bool is_tall = rows > columns;
    const ptrdiff_t outer = std::max(rows, columns), inner = std::min(rows, columns);
    for (ptrdiff_t i = 0; i < outer; i += SIDE) {
        const ptrdiff_t outer_start = std::min(i, outer - SIDE);
        for (ptrdiff_t j = 0; j < inner; j += SIDE) {
            const ptrdiff_t inner_start = std::min(j, inner - SIDE);
            const ptrdiff_t row = is_tall ? outer_start : inner_start, column = is_tall ? inner_start : outer_start;
            transpose_block<item>(
                to + row * to_step + column * (ptrdiff_t)sizeof(item), to_step,
                from + column * from_step + row * (ptrdiff_t)sizeof(item), from_step);
        }
    }
}

/* Items of 8 bytes are moved as fast one by one: a register of the baseline holds two, so a block is four items only. */
inline bool can_transpose(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t size)
{
    return std::min(rows, columns) >= SIDE && (size == 2 || size == 4);
}

inline void transpose_items(
    char *to, ptrdiff_t to_step, const char *from, ptrdiff_t from_step, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t size)
{
    if (size == 2)
        transpose<uint16_t>(to, to_step, from, from_step, rows, columns);
    else
        transpose<uint32_t>(to, to_step, from, from_step, rows, columns);
}
}
#endif
