# C types for chains.py.

cdef enum:
    # Columns that a row is taken as.
    CHAINS = 16

cdef real sum_of_8(const real* x, size step) noexcept nogil
cdef real sum_of_16(const real* x, size step) noexcept nogil
cdef real shortened(real center) noexcept nogil
cdef real coarse(real center, real unit) noexcept nogil
cdef real center_of_8(const real* x) noexcept nogil
cdef real center_of_sums(size n, wide c, wide total, wide square) noexcept nogil
cdef (real, real) chain_of_4(const real* x, size step, real center) noexcept nogil
cdef (real, real) chains_of_8(const real* x, size step, real center) noexcept nogil
cdef (real, real) chains_of_16(const real* x, size step, real center) noexcept nogil
cdef (wide, wide) about(wide c, wide center, wide n, wide s, wide q) noexcept nogil
cdef (wide, wide) moments_of_8(const real* x, size step, wide c) noexcept nogil
cdef (wide, wide) moments_of_16(const real* x, size step, wide c) noexcept nogil
cdef bint is_off_center(wide n, wide total, wide square) noexcept nogil
cdef bint chains_suffice(wide n, wide total, wide square, wide eps) noexcept nogil
cdef real squares_of_4(const real* x, size step) noexcept nogil
cdef real squares_of_8(const real* x, size step) noexcept nogil
cdef real squares_of_16(const real* x, size step) noexcept nogil
cdef wide sum_of_folded(const wide* lanes) noexcept nogil
cdef wide wide_greater(wide a, wide b) noexcept nogil
cdef void greater_neighbours(const wide* source, wides target, size n) noexcept nogil
cdef wide greatest_of_folded(const wide* lanes) noexcept nogil
cdef wide square_of_lanes(wide square, wide greatest) noexcept nogil
cdef void fold_chains(wide* total, wide* other, size rows) noexcept nogil
