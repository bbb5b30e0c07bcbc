/* Which of the instruction sets of setup.py this processor and its operating system offer. */
#ifndef FASTACT_CPU_H
#define FASTACT_CPU_H

#if defined(__x86_64__)
#include <cpuid.h>

/* __builtin_cpu_supports knows "f16c" only since gcc 11. */
static inline int fastact_has_f16c(void)
{
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C) != 0;
}

static inline int fastact_has_avx2(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && fastact_has_f16c();
}

static inline int fastact_has_avx512(void)
{
    return fastact_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}

static inline int fastact_has_fused_multiply_add(void) { return fastact_has_avx2(); }

/* Bytes of the third-level cache, of which processors with several share one each; 0 if there is none. */
static inline long long fastact_third_level(void)
{
    unsigned eax, ebx, ecx, edx;
    __builtin_cpu_init();
    const unsigned leaf = __builtin_cpu_is("amd") ? 0x8000001D : 4;
    for (unsigned k = 0; __get_cpuid_count(leaf, k, &eax, &ebx, &ecx, &edx) && (eax & 31) != 0; ++k)
        if ((eax >> 5 & 7) == 3)
            return ((ebx >> 22) + 1LL) * ((ebx >> 12 & 1023) + 1) * ((ebx & 4095) + 1) * (ecx + 1LL);
    return 0;
}

#else

static inline int fastact_has_fused_multiply_add(void)
{
#if defined(__aarch64__) || defined(__powerpc64__) || defined(__s390x__)
    return 1;
#else
    return 0;
#endif
}

static inline int fastact_has_avx2(void) { return 0; }
static inline int fastact_has_avx512(void) { return 0; }
static inline long long fastact_third_level(void) { return 0; }

#endif
#endif
