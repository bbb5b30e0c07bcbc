/* What several threads read and write of a kernel, and the clock its time is taken with. */
#ifndef FASTACT_ATOMICS_H
#define FASTACT_ATOMICS_H

#include <stdint.h>
#include <time.h>

static inline int64_t fastact_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static inline int fastact_load(const int* source) { return __atomic_load_n(source, __ATOMIC_ACQUIRE); }

static inline void fastact_store(int* target, int value) { __atomic_store_n(target, value, __ATOMIC_RELEASE); }

static inline int fastact_replace(int* target, int expected, int value)
{
    return __atomic_compare_exchange_n(target, &expected, value, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static inline int64_t fastact_add(int64_t* target, int64_t value)
{
    return __atomic_add_fetch(target, value, __ATOMIC_RELAXED);
}

#endif
