# C types for halves.py. setup.py puts it into the .pxd of every kernel module for binary32, behind conversions.pxd.

ctypedef void (*widening)(float*, const uint16_t*, Py_ssize_t) noexcept nogil
ctypedef void (*narrowing)(uint16_t*, const float*, Py_ssize_t) noexcept nogil

cdef inline uint16_t* element(uint16_t* x, Py_ssize_t k) noexcept nogil:
    return x + k

cdef void dropout_halves(widening widen, narrowing narrow, char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void dropout_float16(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void dropout_bfloat16(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void apply_mask_halves(widening widen, narrowing narrow, char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void apply_mask_float16(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void apply_mask_bfloat16(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void slopes_of_words(const uint32_t* words, real low, real width, Py_ssize_t n, output slopes) noexcept nogil
cdef void rectify_by_slopes(
    const real* values, const real* x, const real* slopes, Py_ssize_t n, output y
) noexcept nogil
cdef void rectify_halves(widening widen, narrowing narrow, char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void rectify_float16(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void rectify_bfloat16(char** args, const Py_ssize_t* lengths) noexcept nogil
