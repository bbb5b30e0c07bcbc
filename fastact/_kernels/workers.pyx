"""Threads of large calls: the pool of pool.cpp, for the front doors and for runtime.py."""

from fastact._kernels.tiers cimport Task, run_in_numba

cdef extern from "pool.hpp" namespace "fastact" nogil:
    ctypedef void (*PoolTask "fastact::Task")(void* context, Py_ssize_t chunk) noexcept nogil
    void run_in_threads "fastact::run"(PoolTask, void* context, Py_ssize_t chunks, int threads) noexcept
    int pool_started "fastact::started"() noexcept
    void pool_set_processors "fastact::set_processors"(int) noexcept
    void pool_set_default_threads "fastact::set_default_threads"(int) noexcept
    void pool_set_local_threads "fastact::set_local_threads"(int) noexcept
    int pool_get_local_threads "fastact::get_local_threads"() noexcept
    int pool_get_threads "fastact::get_threads"() noexcept


cpdef int get_threads() noexcept nogil:
    """Return the number of threads a large call from this thread is computed with."""
    return pool_get_threads()


cdef void run_chunks(Task task, void* context, Py_ssize_t chunks) noexcept nogil:
    """Call the task for every chunk, in as many threads as the caller may use. The caller has entered the environment."""
    cdef int threads = get_threads() if chunks > 1 else 1
    cdef Py_ssize_t chunk
    if threads == 1:
        for chunk in range(chunks):
            task(context, chunk)
    elif not run_in_numba(task, context, chunks, threads):
        run_in_threads(<PoolTask>task, context, chunks, threads)


def started_workers():
    """Return the number of worker threads there are in this process."""
    return pool_started()


def set_processors(int processors):
    """Set how many processors this process has for itself: threads wait for each other without sleeping on no more."""
    pool_set_processors(processors)


def set_default_threads(int threads):
    """Set the thread count of the process."""
    pool_set_default_threads(threads)


def set_local_threads(int threads):
    """Set the calling thread's own thread count; 0 for none of its own."""
    pool_set_local_threads(threads)


def get_local_threads():
    """Return the calling thread's own thread count, 0 if it has none."""
    return pool_get_local_threads()
