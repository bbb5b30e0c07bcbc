/* The floating-point environment of kernels: round to nearest, subnormals kept, no trap. */
#ifndef FASTACT_ENVIRONMENT_H
#define FASTACT_ENVIRONMENT_H

#if defined(__SSE2__)
#include <xmmintrin.h>

#define FASTACT_DEFAULT_CONTROL 0x1F80u
#define FASTACT_STATUS_FLAGS 0x003Fu

typedef unsigned fastact_environment;

/* Loading the register costs more than a kernel on one element: only where something is to be changed. */
static inline fastact_environment fastact_enter_environment(void)
{
    fastact_environment caller = _mm_getcsr();
    if ((caller & ~FASTACT_STATUS_FLAGS) != FASTACT_DEFAULT_CONTROL)
        _mm_setcsr(FASTACT_DEFAULT_CONTROL);
    return caller;
}

static inline void fastact_leave_environment(fastact_environment caller)
{
    if (_mm_getcsr() != caller)
        _mm_setcsr(caller);
}

#else
#include <fenv.h>

typedef fenv_t fastact_environment;

static inline fastact_environment fastact_enter_environment(void)
{
    fastact_environment caller;
    fegetenv(&caller);
    fesetenv(FE_DFL_ENV);
    return caller;
}

static inline void fastact_leave_environment(fastact_environment caller) { fesetenv(&caller); }

#endif
#endif
