# C types for blocks.py, and the primitives of formulas.py. setup.py puts it into every kernel module's .pxd,
# after the declaration of `real`, with a line for each formula and constant.

cdef extern from "primitives.h":
    real fma "fastact_fma"(real, real, real) noexcept nogil
    real multiply_add "fastact_multiply_add"(real, real, real) noexcept nogil
    real absolute "fastact_absolute"(real) noexcept nogil
    real negative_magnitude "fastact_negative_magnitude"(real) noexcept nogil
    real copysign "fastact_copysign"(real, real) noexcept nogil
    real negative_part "fastact_negative_part"(real) noexcept nogil
    real positive_part "fastact_positive_part"(real) noexcept nogil
    real limit_negative "fastact_limit_negative"(real, real) noexcept nogil
    real limit_positive "fastact_limit_positive"(real, real) noexcept nogil
    real limit_negative_usual "fastact_limit_negative_usual"(real, real) noexcept nogil
    real limit_positive_usual "fastact_limit_positive_usual"(real, real) noexcept nogil
    bint rare "fastact_rare"(bint) noexcept nogil
    bint rare_usual "fastact_rare_usual"(bint) noexcept nogil
    ctypedef long bits "signed_bits_of_real"
    bint is_same "fastact_is_same"(const real*, const real*) noexcept nogil
    bits magnitude_bits "fastact_magnitude_bits"(real) noexcept nogil
    real multiply_sign "fastact_multiply_sign"(real, real) noexcept nogil
    real square_root "fastact_square_root"(real) noexcept nogil
    real exponent "fastact_exponent"(real) noexcept nogil
    real mantissa "fastact_mantissa"(real) noexcept nogil
    ctypedef real* output "fastact_output"
    real power_of_two "fastact_power_of_two"(real) noexcept nogil
    real divided "fastact_divided"(real, real, real) noexcept nogil
    real near_quotient "fastact_near_quotient"(real, real, real, real) noexcept nogil
    int low_bits "fastact_low_bits"(real) noexcept nogil
    enum:
        TILE "FASTACT_TILE"
    void will_write "fastact_will_write"(const real*) noexcept nogil
    void will_read_later "fastact_will_read_later"(const real*) noexcept nogil

ctypedef real (*formula_1)(real) noexcept nogil
ctypedef real (*formula_2)(real, real) noexcept nogil
ctypedef real (*formula_3)(real, real, real) noexcept nogil
ctypedef real (*formula_4)(real, real, real, real) noexcept nogil

cdef void each_1_0(formula_1 f, const real* a, output y, Py_ssize_t n) noexcept nogil
cdef void each_1_1(formula_2 f, const real* a, real s, output y, Py_ssize_t n) noexcept nogil
cdef void each_1_2(formula_3 f, const real* a, real s, real t, output y, Py_ssize_t n) noexcept nogil
cdef void each_2_0(formula_2 f, const real* a, const real* b, output y, Py_ssize_t n) noexcept nogil
cdef void each_2_1(formula_3 f, const real* a, const real* b, real s, output y, Py_ssize_t n) noexcept nogil
cdef void each_2_2(formula_4 f, const real* a, const real* b, real s, real t, output y, Py_ssize_t n) noexcept nogil
cdef void each_3_0(formula_3 f, const real* a, const real* b, const real* c, output y, Py_ssize_t n) noexcept nogil
cdef void each_4_0(
    formula_4 f, const real* a, const real* b, const real* c, const real* d, output y, Py_ssize_t n
) noexcept nogil

cdef enum:
    # Elements that are tried at first, those that are at most, and how many f computes where one was rare: with NaN at
    # every 1500th of them glu takes 1.13 of the time it takes by f alone, with nothing but NaN 1.03.
    FIRST_SPAN = 128
    LONGEST_SPAN = 1024
    AFTER_RARE = 4096

cdef void mostly_1_0(
    formula_1 f, formula_1 usual, const real* a, real limit, output y, Py_ssize_t n
) noexcept nogil
cdef void mostly_2_0(
    formula_2 f, formula_2 usual, const real* a, const real* b, real limit, output y, Py_ssize_t n
) noexcept nogil
cdef void mostly_3_0(
    formula_3 f, formula_3 usual, const real* a, const real* b, const real* c, real limit, output y, Py_ssize_t n
) noexcept nogil
cdef void mostly_1_1(
    formula_2 f, formula_1 unit, formula_1 usual, const real* a, real s, real limit, output y, Py_ssize_t n
) noexcept nogil
cdef void mostly_2_1(
    formula_3 f, formula_2 unit, formula_2 usual,
    const real* a, const real* b, real s, real limit, output y, Py_ssize_t n
) noexcept nogil
cdef bint usual_1(formula_1 f, const real* a, real limit, output y, Py_ssize_t n) noexcept nogil
cdef bint usual_2(formula_2 f, const real* a, const real* b, real limit, output y, Py_ssize_t n) noexcept nogil
cdef bint usual_3(
    formula_3 f, const real* a, const real* b, const real* c, real limit, output y, Py_ssize_t n
) noexcept nogil

cdef inline real* operand(char** args, Py_ssize_t k) noexcept nogil:
    return <real*>args[k]
