# C types for philox.py, and its primitives. setup.py puts it into every kernel module's .pxd, as blocks.pxd.

from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef extern from "philox.h":
    enum:
        PHILOX_LANES "FASTACT_LANES"
    # One 64-bit number for Cython, PHILOX_LANES of them in a vector register for the C compiler.
    ctypedef uint64_t lanes "fastact_lanes"
    ctypedef uint32_t* words_output "fastact_words"
    const uint64_t PHILOX_MULTIPLIER_0, PHILOX_MULTIPLIER_1, PHILOX_WEYL_0, PHILOX_WEYL_1
    const uint64_t LOWER_HALVES, UPPER_BITS, LOWER_BITS
    lanes each_lane "fastact_each_lane"(uint64_t) noexcept nogil
    lanes counting_lanes "fastact_counting_lanes"(uint64_t, Py_ssize_t) noexcept nogil
    lanes multiply_words "fastact_multiply_words"(lanes, lanes) noexcept nogil
    lanes upper_word "fastact_upper_word"(lanes) noexcept nogil
    lanes to_upper_word "fastact_to_upper_word"(lanes) noexcept nogil
    lanes to_upper_half "fastact_to_upper_half"(lanes) noexcept nogil
    void prefetch "fastact_prefetch"(const void*, void*, Py_ssize_t, Py_ssize_t) noexcept nogil
    bint rarely "fastact_rarely"(bint) noexcept nogil
    void store_pairs "fastact_store_pairs"(words_output, Py_ssize_t, lanes) noexcept nogil
    uint64_t high_word "fastact_high_word"(uint64_t) noexcept nogil
    uint64_t counter_of "fastact_counter_of"(Py_ssize_t) noexcept nogil
    void pack_256 "fastact_pack_256"(const uint32_t*, uint32_t, uint8_t*, Py_ssize_t) noexcept nogil
    void pack_at_most_8 "fastact_pack_at_most_8"(
        const uint32_t*, Py_ssize_t, Py_ssize_t, uint32_t, uint8_t*, Py_ssize_t
    ) noexcept nogil
    uint32_t load_32 "fastact_load_32"(const uint8_t*, Py_ssize_t) noexcept nogil
    bint is_set "fastact_is_set"(uint32_t, Py_ssize_t) noexcept nogil
    real unit_interval "fastact_unit_interval"(uint32_t) noexcept nogil

cdef (lanes, lanes, lanes, lanes, lanes, lanes) philox_round(
    lanes x0, lanes x1, lanes x2, lanes x3, lanes key_0, lanes key_1
) noexcept nogil
cdef (lanes, lanes) philox_pairs(lanes x0, lanes x1, lanes x2, lanes x3, lanes key_0, lanes key_1) noexcept nogil
ctypedef (lanes, lanes, lanes, lanes, lanes) prepared_seed
cdef prepared_seed prepared(const uint64_t* seed, uint64_t counter) noexcept nogil
cdef void draw_64(
    prepared_seed seed, uint64_t counter, Py_ssize_t first, words_output words, Py_ssize_t offset
) noexcept nogil
cdef void draw_256(prepared_seed seed, uint64_t counter, words_output words, Py_ssize_t offset) noexcept nogil
cdef bint is_tied(const uint32_t* words, uint32_t threshold) noexcept nogil
cdef void complete(const uint64_t* seed, uint64_t counter, words_output words) noexcept nogil
cdef void draw_to_compare(
    const uint64_t* seed, prepared_seed prepared_seed, uint64_t counter, uint32_t threshold, words_output words
) noexcept nogil
cdef void pack_bits(
    const uint32_t* words, Py_ssize_t n, uint32_t threshold, uint8_t* mask, Py_ssize_t offset
) noexcept nogil
cdef void keep_by_words(
    const real* x, const uint32_t* words, uint32_t threshold, real scale, real shift, real dropped, Py_ssize_t start,
    Py_ssize_t n, output y
) noexcept nogil
cdef void keep_by_bits(
    const real* x, uint32_t bits, real scale, real shift, real dropped, Py_ssize_t start, Py_ssize_t n, output y
) noexcept nogil
cdef void keep_256_by_bits(
    const real* x, const uint8_t* mask, Py_ssize_t offset, real scale, real shift, real dropped, Py_ssize_t start,
    output y
) noexcept nogil
cdef void keep_rest_by_bits(
    const real* x, const uint8_t* mask, Py_ssize_t offset, real scale, real shift, real dropped, Py_ssize_t start,
    Py_ssize_t n, output y
) noexcept nogil
cdef void draw_whole(
    prepared_seed prepared_seed, prepared_seed lower_seed, uint64_t counter, words_output words
) noexcept nogil
cdef uint32_t whole(const uint32_t* words, Py_ssize_t i) noexcept nogil
cdef void uniform_of_words(const uint32_t* words, Py_ssize_t start, Py_ssize_t n, output y) noexcept nogil
cdef void rectify_by_words(
    const real* values, const real* x, const uint32_t* words, real low, real width, Py_ssize_t start, Py_ssize_t n,
    output y
) noexcept nogil
cdef void philox_words(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void draw_mask(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void dropout(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void apply_mask(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void uniform(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void rectify(char** args, const Py_ssize_t* lengths) noexcept nogil

# Of 32 bits for every compiler: Numba would make 64 of two words' 32, and half as many of them fit a register.
cdef inline uint32_t difference_of(uint32_t a, uint32_t b) noexcept nogil:
    return a ^ b

cdef inline output output_operand(char** args, Py_ssize_t k) noexcept nogil:
    return <output>args[k]

cdef inline words_output words_operand(char** args, Py_ssize_t k) noexcept nogil:
    return <words_output>args[k]

cdef inline const uint64_t* seed_operand(char** args, Py_ssize_t k) noexcept nogil:
    return <const uint64_t*>args[k]

cdef inline uint8_t* bytes_operand(char** args, Py_ssize_t k) noexcept nogil:
    return <uint8_t*>args[k]
