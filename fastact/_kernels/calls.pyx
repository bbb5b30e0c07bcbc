"""One call of a loop: what NumPy may ask for besides contiguous memory of one floating-point type.

A kernel knows nothing else. Strides and types (blocks are packed into a buffer that stays in the first-level cache),
threads, the floating-point environment and operands that overlap are dealt with here, once for all operators.
"""

from libc.stdint cimport int64_t, uintptr_t
cimport numpy as np

from fastact._kernels.copies cimport CACHE_LINE, aligned, distance
from fastact._kernels.environment cimport Environment, enter_environment, leave_environment
from fastact._kernels.programs cimport execute
from fastact._kernels.stream cimport BEYOND_CACHES, CAN_STREAM, end_stream, fetch, stream
from fastact._kernels.workers cimport get_threads, run_chunks
from fastact._kernels.tiers cimport Kernel, Kernels, add_time, is_timed, kernels_for, now

cdef enum:
    LARGEST_ITEM = 8
    # Elements that are packed at a time: five buffers of these fit the first-level cache.
    BLOCK = 1024
    # Where a block's items stand in its buffer before their conversion or after it: behind its binary32 numbers.
    UNCONVERTED = 4 * BLOCK
    # From here on stores begin where a cache line does: NumPy's large arrays begin 16 bytes behind.
    ALIGNED_FROM = 16384
    # The same of rows, each of which is two short calls more then: 256 elements of sigmoid take 1.25 of the time so.
    ROW_ALIGNED_FROM = 512
    # As NumPy does: below, releasing the GIL costs more than others would gain.
    HOLD_GIL_UP_TO = 500
    # Elements of what goes past the caches at a time, of one array and of more: with them the next as many are fetched.
    # 2**24 of grad.silu with both threads of a Zen 4 take .92 of the time of 256 and those 1024 ahead, and x*silu(gate)
    # .82; 512 of two arrays 1.05 of that.
    TILE = 512
    TILE_OF_MORE = 384
    # The same of a chunk: the stores of each are waited for, .96 of the time of sigmoid as with chunks of CHUNK.
    STREAMED_CHUNK = 32768


# ---- What is known of one call. The output is the last operand.

cdef struct Call:
    const Loop* loop
    Kernel kernel
    int inputs
    Py_ssize_t n
    # Elements before the output's first whole cache line.
    Py_ssize_t lead
    # And how many of those behind it one thread computes in one go.
    Py_ssize_t chunk
    char* args[MOST_OPERANDS]
    Py_ssize_t steps[MOST_OPERANDS]
    float converted[MOST_OPERANDS]
    bint is_packed[MOST_OPERANDS]
    bint is_any_packed
    bint is_streamed


cdef inline char* converted(const Operand* operand, char* source, char* target, Py_ssize_t n) noexcept nogil:
    """Return where the operand's items are after its conversion to the kernel's type or from it."""
    cdef char* args[2]
    if operand.convert == NULL:
        return source
    args[0] = source
    args[1] = target
    operand.convert(args, n)
    return target


cdef inline void begin(
    Call* call, const Loop* loop, char** args, const np.npy_intp* steps, Py_ssize_t n
) noexcept nogil:
    """Choose the kernel, and the operands that have to be packed for it."""
    cdef const Kernels* kernels = kernels_for(loop.tiers, n)
    cdef bint is_scalar = True
    cdef bint is_parameter
    cdef int k
    for k in range(loop.arrays, loop.inputs):
        is_scalar = is_scalar and (steps[k] == 0 or n == 1)
    call.loop = loop
    call.kernel = kernels.scalar if is_scalar else kernels.array
    call.inputs = loop.inputs
    call.n = n
    call.lead = 0
    call.chunk = CHUNK
    call.is_any_packed = call.is_streamed = False
    for k in range(loop.inputs + 1):
        is_parameter = is_scalar and loop.arrays <= k < loop.inputs
        call.args[k] = args[k]
        call.steps[k] = 0 if is_parameter else steps[k]
        call.is_packed[k] = not is_parameter and (
            loop.operands[k].convert != NULL or (steps[k] != loop.operands[k].item_size and n > 1)
        )
        if is_parameter:
            call.args[k] = converted(&loop.operands[k], args[k], <char*>&call.converted[k], 1)
        call.is_any_packed = call.is_any_packed or call.is_packed[k]


cdef inline bint must_be_sequential(const Call* call) noexcept nogil:
    """Return whether an element may depend on the one before: the output shares memory with an input and is not it.

    NumPy's reduce and accumulate call a loop so, and outputs that begin before their input.
    """
    cdef int out = call.inputs
    cdef uintptr_t out_first, out_last, first, last
    cdef int k
    extent(call, out, &out_first, &out_last)
    for k in range(call.inputs):
        if call.args[k] == call.args[out] and call.steps[k] == call.steps[out] and call.steps[k] != 0:
            continue
        extent(call, k, &first, &last)
        if first < out_last and out_first < last:
            return True
    return False


cdef inline void extent(const Call* call, int k, uintptr_t* first, uintptr_t* last) noexcept nogil:
    cdef Py_ssize_t length = (call.n - 1) * call.steps[k]
    first[0] = <uintptr_t>call.args[k] + (length if length < 0 else 0)
    last[0] = <uintptr_t>call.args[k] + (length if length > 0 else 0) + call.loop.operands[k].item_size


cdef inline void run(const Call* call, char** args, Py_ssize_t n) noexcept nogil:
    if call.loop.program == NULL:
        call.kernel(args, n)
    else:
        execute(call.loop.program, args, n)


cdef inline void compute_contiguous(const Call* call, Py_ssize_t start, Py_ssize_t n) noexcept nogil:
    cdef char* args[MOST_OPERANDS]
    cdef int k
    for k in range(call.inputs + 1):
        args[k] = call.args[k] + start * call.steps[k]
    run(call, args, n)


cdef inline Py_ssize_t block_length(const Call* call, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    """Return how many elements are packed next. What is streamed are whole cache lines, but for both ends."""
    cdef Py_ssize_t step = call.steps[call.inputs]
    cdef char* memory
    if not call.is_streamed:
        return min(<Py_ssize_t>BLOCK, end - start)
    memory = call.args[call.inputs] + start * step
    if aligned(memory) != memory:
        return min((aligned(memory) - memory) // step, end - start)
    return min(<Py_ssize_t>TILE if call.loop.arrays == 1 else <Py_ssize_t>TILE_OF_MORE, end - start)


cdef inline bint is_contiguous(const Call* call, int k) noexcept nogil:
    return call.steps[k] == call.loop.operands[k].item_size


cdef inline void pack(
    const Operand* operand, char* buffer, char* memory, Py_ssize_t step, Py_ssize_t n
) noexcept nogil:
    """Bring a block into its buffer, as the kernel takes it."""
    cdef char* unconverted = buffer if operand.convert == NULL else buffer + UNCONVERTED
    if operand.convert == NULL or step != operand.item_size:
        operand.copy(unconverted, operand.item_size, memory, step, n)
        memory = unconverted
    converted(operand, memory, buffer, n)


cdef inline void unpack(
    const Operand* operand, char* memory, Py_ssize_t step, char* buffer, Py_ssize_t n, const char* next
) noexcept nogil:
    """Bring a block from its buffer to where it belongs: past the caches if there is something to read `next`."""
    cdef bint is_streamed = next != NULL
    cdef bint is_direct = step == operand.item_size and not is_streamed
    cdef char* items = converted(operand, buffer, memory if is_direct else buffer + UNCONVERTED, n)
    if is_streamed:
        stream(memory, items, n * step, next)
    elif items != memory:
        operand.copy(memory, step, items, operand.item_size, n)


cdef void compute_packed(const Call* call, Py_ssize_t start, Py_ssize_t n) noexcept nogil:
    """Compute [start, start + n) block by block, through a buffer for each operand that needs one."""
    cdef char storage[MOST_OPERANDS * BLOCK * LARGEST_ITEM + CACHE_LINE]
    cdef char* buffers = aligned(storage)
    cdef char* args[MOST_OPERANDS]
    cdef Py_ssize_t end = start + n
    cdef Py_ssize_t length
    cdef char* memory
    cdef const char* next = NULL
    cdef int out = call.inputs
    cdef int k
    while start < end:
        length = block_length(call, start, end)
        for k in range(out + 1):
            memory = call.args[k] + start * call.steps[k]
            args[k] = buffers + k * BLOCK * LARGEST_ITEM if call.is_packed[k] else memory
            if call.is_streamed and is_contiguous(call, k) and 0 < k < out:
                fetch(memory + length * call.steps[k], length * call.steps[k])
            if call.is_packed[k] and k != out:
                pack(&call.loop.operands[k], args[k], memory, call.steps[k], length)
        run(call, args, length)
        if call.is_packed[out]:
            memory = call.args[out] + start * call.steps[out]
            if call.is_streamed:
                # The other inputs have been fetched: all of them at a time are too many.
                next = call.args[0] + (start + length) * call.steps[0] if is_contiguous(call, 0) else args[out]
            unpack(&call.loop.operands[out], memory, call.steps[out], args[out], length, next)
        start += length
    if call.is_streamed:
        end_stream()


cdef inline void compute(const Call* call, Py_ssize_t start, Py_ssize_t n) noexcept nogil:
    if call.is_any_packed:
        compute_packed(call, start, n)
    else:
        compute_contiguous(call, start, n)


cdef void compute_chunk(void* context, Py_ssize_t chunk) noexcept nogil:
    cdef const Call* call = <const Call*>context
    cdef Py_ssize_t start = call.lead + chunk * call.chunk
    if chunk == 0 and call.lead > 0:
        compute(call, 0, call.lead)
    compute(call, start, min(call.chunk, call.n - start))


cdef inline void compute_all(Call* call) noexcept nogil:
    cdef int64_t start
    if is_timed(call.loop.tiers, call.n):
        start = now()
        compute_now(call)
        add_time(call.loop.tiers, now() - start)
    else:
        compute_now(call)


cdef inline bint is_beyond_caches(const Call* call, Py_ssize_t n) noexcept nogil:
    """Return whether no cache holds arrays of n elements. What is computed in place is in one: it was read."""
    cdef Py_ssize_t size = 0
    cdef int k
    for k in range(call.inputs + 1):
        size += n * distance(call.steps[k])
    return size >= BEYOND_CACHES and not is_in_place(call)


cdef inline bint is_in_place(const Call* call) noexcept nogil:
    cdef int k
    for k in range(call.inputs):
        if call.args[k] == call.args[call.inputs]:
            return True
    return False


cdef inline void stream_if_large(Call* call, Py_ssize_t n) noexcept nogil:
    """Have the output packed, where it is contiguous, if one of n elements had better go past the caches."""
    cdef int out = call.inputs
    if CAN_STREAM and is_contiguous(call, out) and is_beyond_caches(call, n):
        call.is_streamed = call.is_packed[out] = call.is_any_packed = True
        call.chunk = STREAMED_CHUNK


cdef inline void align(Call* call) noexcept nogil:
    """Set how many elements are computed before the output's first whole cache line."""
    cdef int out = call.inputs
    if not call.is_any_packed:
        call.lead = (aligned(call.args[out]) - call.args[out]) // call.steps[out]


cdef inline void compute_now(Call* call) noexcept nogil:
    cdef Py_ssize_t i
    if call.n > 1 and must_be_sequential(call):
        for i in range(call.n):
            compute(call, i, 1)
        return
    stream_if_large(call, call.n)
    if call.n >= ALIGNED_FROM:
        align(call)
    if call.n >= SERIAL_BELOW and get_threads() > 1:
        run_chunks(compute_chunk, call, (call.n - call.lead + call.chunk - 1) // call.chunk)
        return
    if call.lead > 0:
        compute(call, 0, call.lead)
    compute(call, call.lead, call.n - call.lead)


cdef inline void compute_one(const Loop* loop, char** args) noexcept nogil:
    """Compute a single element. It has no strides to look at: 15 of the 290 ns of such a call."""
    cdef char* places[MOST_OPERANDS]
    cdef float numbers[MOST_OPERANDS]
    cdef int out = loop.inputs
    cdef int k
    if not loop.is_converting:
        loop.tiers.cython.scalar(args, 1)
        return
    for k in range(out):
        places[k] = converted(&loop.operands[k], args[k], <char*>&numbers[k], 1)
    places[out] = args[out] if loop.operands[out].convert == NULL else <char*>&numbers[out]
    loop.tiers.cython.scalar(places, 1)
    converted(&loop.operands[out], places[out], args[out], 1)


cdef void inner_loop(char** args, np.npy_intp* dimensions, np.npy_intp* steps, void* data) noexcept nogil:
    """The loop of every ufunc. `args` is NumPy's and stays as it is: with ``where=`` it is used again."""
    cdef Call call
    cdef const Loop* loop
    cdef Environment callers
    if dimensions[0] == 0:
        return
    callers = enter_environment()
    loop = <const Loop*>data
    if dimensions[0] == 1 and loop.program == NULL:
        compute_one(loop, args)
    else:
        begin(&call, loop, args, steps, dimensions[0])
        compute_all(&call)
    leave_environment(callers)


cdef bint compute_directly(const Loop* loop, char** args, const np.npy_intp* steps, Py_ssize_t n) noexcept:
    """Compute n elements as `inner_loop` does, but for the environment; return False if operands overlap."""
    cdef Call call
    if n == 1:
        compute_one(loop, args)
        return True
    begin(&call, loop, args, steps, n)
    if n > 1 and must_be_sequential(&call):
        return False
    if n > HOLD_GIL_UP_TO:
        with nogil:
            compute_all(&call)
    elif n > 0:
        compute_all(&call)
    return True


cdef void compute_row(
    const Loop* loop, char** args, const np.npy_intp* steps, Py_ssize_t n, Py_ssize_t all_elements
) noexcept nogil:
    """Compute some of all elements, of operands that do not overlap, in this thread and its environment."""
    cdef Call call
    begin(&call, loop, args, steps, n)
    stream_if_large(&call, all_elements)
    if n < CACHE_LINE or call.is_any_packed or is_in_place(&call):
        compute(&call, 0, n)
        return
    if n >= ROW_ALIGNED_FROM:
        align(&call)
    compute_whole_lines(&call)


cdef inline void compute_whole_lines(const Call* call) noexcept nogil:
    """Compute lines of the output, and the elements before and behind them in a vector that overlaps the lines.

    Less than a vector is computed by loops of their own, which take 30 ns.
    """
    cdef Py_ssize_t line = CACHE_LINE // call.steps[call.inputs]
    cdef Py_ssize_t whole = (call.n - call.lead) // line * line
    if call.lead > 0:
        compute_contiguous(call, 0, line)
    compute_contiguous(call, call.lead, whole)
    if call.lead + whole < call.n:
        compute_contiguous(call, call.n - line, line)
