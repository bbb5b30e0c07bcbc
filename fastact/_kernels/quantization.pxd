# C types for quantization.py.

from libc.stdint cimport int8_t, int16_t, uint8_t, uint16_t

cdef enum:
    # The types of quantized arrays: the kernels' last length.
    QUANTIZED_UINT8 = 0
    QUANTIZED_INT8 = 1
    QUANTIZED_UINT16 = 2
    QUANTIZED_INT16 = 3

ctypedef fused quantized:
    uint8_t
    int8_t
    uint16_t
    int16_t

cdef int integer_bits(real x) noexcept nogil
cdef real limited(real x, real low, real high) noexcept nogil
cdef bint is_ordinary(real scale) noexcept nogil
cdef bint is_far_from_ties(real scale, int most) noexcept nogil
cdef real inverse_rest(real scale, real inverse) noexcept nogil
cdef real dequantize_one(int q, real scale, int zero) noexcept nogil

cdef int lowest_of(int kind) noexcept nogil
cdef int highest_of(int kind) noexcept nogil
@cython.locals(least=real, way=real)
cdef void quantize_parameters(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void quantize_items(
    const real* x, quantized* q, size n, const real* p, size step, int lowest, int highest
) noexcept nogil
cdef void quantize_columns_of(
    const real* x, quantized* q, size n, const real* scale, size step, int lowest, int highest
) noexcept nogil
cdef void quantize_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void quantize_columns(char** args, const Py_ssize_t* lengths) noexcept nogil

cdef void dequantize_items(const quantized* q, output y, size n, real scale, int zero) noexcept nogil
cdef void dequantize_columns_of(
    const quantized* q, output y, size n, const real* scale, const real* zero
) noexcept nogil
cdef void dequantize_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void dequantize_columns(char** args, const Py_ssize_t* lengths) noexcept nogil

cdef inline int integer_of(real x) noexcept nogil:
    return <int>x

cdef inline real real_of(int x) noexcept nogil:
    return x

cdef inline uint8_t* uint8_items(char** args, Py_ssize_t k) noexcept nogil:
    return <uint8_t*>args[k]

cdef inline int8_t* int8_items(char** args, Py_ssize_t k) noexcept nogil:
    return <int8_t*>args[k]

cdef inline uint16_t* uint16_items(char** args, Py_ssize_t k) noexcept nogil:
    return <uint16_t*>args[k]

cdef inline int16_t* int16_items(char** args, Py_ssize_t k) noexcept nogil:
    return <int16_t*>args[k]
