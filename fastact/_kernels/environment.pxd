# The floating-point environment that kernels run in: entered before, left after, in every thread by itself.

cdef extern from "environment.h" nogil:
    ctypedef struct Environment "fastact_environment":
        pass
    Environment enter_environment "fastact_enter_environment"() noexcept
    void leave_environment "fastact_leave_environment"(Environment) noexcept
