# C types for images.py, and its primitive. setup.py puts it into the .pxd of every kernel module for binary32.

from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef extern from "images.h":
    ctypedef uint8_t* bytes_output "fastact_bytes"
    void split_3_bytes "fastact_split_3"(const uint8_t*, bytes_output, Py_ssize_t, Py_ssize_t) noexcept nogil
    void widen_pixels "fastact_widen_pixels"(const uint8_t*, uint32_t*, Py_ssize_t, Py_ssize_t) noexcept nogil
    real byte_of_word "fastact_byte_of_word"(uint32_t, Py_ssize_t) noexcept nogil

ctypedef fused pixel:
    uint16_t
    float

ctypedef fused pixel_item:
    uint8_t
    uint16_t
    float

cdef void split_1(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void split_2(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void split_4(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void split_pixels(
    pixel* pixels, pixel* planes, size step, size n, size channels, bint is_backwards
) noexcept nogil
cdef void split_into_3(const pixel_item* pixels, pixel_item* planes, size step, size n) noexcept nogil
cdef void split_into_4(const pixel_item* pixels, pixel_item* planes, size step, size n) noexcept nogil
cdef void turn_round(const pixel_item* x, pixel_item* y, size step, size n, size channels) noexcept nogil
cdef void turn_row_round(const pixel_item* x, pixel_item* y, size n) noexcept nogil

cdef real on_lines(real x, real origin, real slope, real slope_low, real value, real value_low) noexcept nogil
cdef void bytes_to_tensor(
    const uint8_t* x, output y, size n, real origin, real slope, real slope_low, real value, real value_low
) noexcept nogil
cdef void image_bytes_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void image_bytes_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void image_bytes_packed(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void words_to_tensor(
    const uint32_t* words, size channel, output y, size n, const real* p, size step
) noexcept nogil
cdef void image_table_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void image_table_columns(char** args, const Py_ssize_t* lengths) noexcept nogil

cdef void pixels_to_tensor(const pixel* x, output y, size n, wide scale, wide mean, wide inverse) noexcept nogil
cdef void pixels_to_tensors(
    const pixel* x, output y, size n, const wide* scale, const wide* mean, const wide* inverse
) noexcept nogil
cdef void image_words_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void image_words_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void image_floats_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void image_floats_columns(char** args, const Py_ssize_t* lengths) noexcept nogil

cdef inline uint16_t* word_pixels(char** args, Py_ssize_t k) noexcept nogil:
    return <uint16_t*>args[k]

cdef inline real byte_value(uint8_t x) noexcept nogil:
    return x
