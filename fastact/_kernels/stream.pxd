# Results that no cache holds go past the caches.

cdef extern from "stream.h" nogil:
    bint CAN_STREAM "FASTACT_CAN_STREAM"
    # Bytes of arrays from which on they do, where the memory is all that counts.
    const Py_ssize_t STREAMED_FROM "fastact_streamed_from"
    void fetch "fastact_fetch"(const char* memory, Py_ssize_t size) noexcept
    void stream "fastact_stream"(char* target, const char* source, Py_ssize_t size, const char* next) noexcept
    void end_stream "fastact_end_stream"() noexcept

cdef enum:
    # The same of what has more to calculate, as nothing is written meanwhile: 40 MiB of relu take 0.65 of the time of plain
    # stores, 40 MiB of sigmoid 1.28, 128 MiB 0.94.
    BEYOND_CACHES = 1 << 26
