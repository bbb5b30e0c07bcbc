# C types for conversions.py. setup.py puts it into the .pxd of every kernel module for binary32.

from libc.stdint cimport uint8_t, uint16_t

cdef extern from "conversions.h":
    void widen_float16 "fastact_float32_of_float16"(float*, const uint16_t*, Py_ssize_t) noexcept nogil
    void round_to_float16 "fastact_float16_of_float32"(uint16_t*, const float*, Py_ssize_t) noexcept nogil
    void widen_bfloat16 "fastact_float32_of_bfloat16"(float*, const uint16_t*, Py_ssize_t) noexcept nogil
    void round_to_bfloat16 "fastact_bfloat16_of_float32"(uint16_t*, const float*, Py_ssize_t) noexcept nogil
    void round_widened_to_bfloat16 "fastact_bfloat16_of_widened_float32"(
        uint16_t*, const float*, Py_ssize_t
    ) noexcept nogil

cdef inline uint16_t* bits_operand(char** args, Py_ssize_t k) noexcept nogil:
    return <uint16_t*>args[k]

cdef inline uint8_t* bool_operand(char** args, Py_ssize_t k) noexcept nogil:
    return <uint8_t*>args[k]

cdef void float32_of_bool(char** args, Py_ssize_t n) noexcept nogil
cdef void float32_of_float16(char** args, Py_ssize_t n) noexcept nogil
cdef void float16_of_float32(char** args, Py_ssize_t n) noexcept nogil
cdef void float32_of_bfloat16(char** args, Py_ssize_t n) noexcept nogil
cdef void bfloat16_of_float32(char** args, Py_ssize_t n) noexcept nogil
