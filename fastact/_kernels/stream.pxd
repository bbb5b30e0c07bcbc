# Results that no cache holds go past the caches.

cdef extern from "stream.h" nogil:
    bint CAN_STREAM "FASTACT_CAN_STREAM"
    void fetch "fastact_fetch"(const char* memory, Py_ssize_t size) noexcept
    void stream "fastact_stream"(char* target, const char* source, Py_ssize_t size) noexcept
    void end_stream "fastact_end_stream"() noexcept

cdef enum:
    # Bytes of arrays from which on they do. 2**24 float32 take (time of relu, sigmoid, one relu after another) 0.5, 0.7, 0.6
    # of what they took; half as many, which a cache of 260 MiB holds, 0.7, 0.95, 0.7, but relu and a sum of what it wrote
    # 1.27.
    BEYOND_CACHES = 1 << 26
