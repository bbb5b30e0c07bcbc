"""The front door of the kernels that draw random numbers (`philox.py`): memory, types and threads.

Arguments have been checked. Arrays of a type that kernels take are worked on in chunks that threads share: where they
lie if they are contiguous, else in blocks that are copied in the order of the elements' indices. What has to be
converted goes through NumPy's iterator.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.pycapsule cimport PyCapsule_GetPointer
cimport numpy as np

import numpy as np

from fastact._kernels.promotion import is_bfloat16
from fastact._kernels.environment cimport Environment, enter_environment, leave_environment
from fastact._kernels.operands cimport is_same, may_share_memory
from fastact._kernels.tiers cimport Task
from fastact._kernels.ufuncs cimport BlockKernel, find_block_kernel, run_block, run_chunks
from fastact._kernels.walks cimport Walk, copy_next, go_to, has_distinct_elements, walk_over

np.import_array()

# NumPy's conversions leave flags in the x87's register as well, where there is one.
cdef extern from "fenv.h" nogil:
    ctypedef struct fenv_t:
        pass
    int fegetenv(fenv_t*)
    int fesetenv(const fenv_t*)

cdef extern from "numpy/random/bitgen.h":
    ctypedef struct bitgen_t:
        void* state
        uint32_t (*next_uint32)(void*) nogil

cdef enum:
    CACHE_LINE = 64
    # The words that a kernel draws at a time. There is room for as many more, and twice for as
    # many converted elements.
    WORDS = 256
    WORDS_BYTES = 2048
    BUFFER_BYTES = 1024
    # Elements whose bits are put into a buffer at a time, a multiple of WORDS, and the bytes of these bits.
    BLOCK = 4096
    LARGEST_ITEM = 8
    BLOCK_BYTES = 512
    # As of the ufuncs: a chunk takes 2 us, and what is shared by threads 16 us at least.
    CHUNK = 8192
    SERIAL_BELOW = 65536
    # Elements of other strides that are copied at a time: their buffer stays in the first-level cache.
    COPIED = 1024
    # From here on, types are other libraries'.
    FIRST_USER_DEFINED = 256


# A type of arrays: the kernels for it.
cdef struct Type:
    BlockKernel draw_mask
    BlockKernel dropout
    BlockKernel apply_mask
    BlockKernel uniform
    BlockKernel rectify
    Py_ssize_t item_size

# Kept elements become x*scale + shift: scale, shift and the dropped value, for either kind of kernels.
cdef struct Values:
    float narrow[3]
    double wide[3]

# What is to be done with each element: x to y, by words or by the mask; or, without y, only a mask.
cdef struct Call:
    const Type* type
    char* x
    char* y
    uint8_t* mask
    void* values
    bint is_drawing
    Py_ssize_t n
    uint64_t seed[4]
    uint32_t threshold
    # Where x and y are not both contiguous.
    bint is_copied
    Walk x_walk
    Walk y_walk


cdef Type type_of_arrays(str precision, Py_ssize_t item_size, str suffix):
    cdef Type of_arrays
    of_arrays.draw_mask = find_block_kernel(precision, "draw_mask")
    of_arrays.dropout = find_block_kernel(precision, f"dropout{suffix}")
    of_arrays.apply_mask = find_block_kernel(precision, f"apply_mask{suffix}")
    of_arrays.uniform = find_block_kernel(precision, "uniform")
    of_arrays.rectify = find_block_kernel(precision, f"rectify{suffix}")
    of_arrays.item_size = item_size
    return of_arrays


cdef Type FLOAT32 = type_of_arrays("float32", 4, "")
cdef Type FLOAT64 = type_of_arrays("float64", 8, "")
cdef Type FLOAT16 = type_of_arrays("float32", 2, "_float16")
cdef Type BFLOAT16 = type_of_arrays("float32", 2, "_bfloat16")
cdef BlockKernel PHILOX_WORDS = find_block_kernel("float32", "philox_words")


cdef inline uint32_t* aligned(char* storage) noexcept nogil:
    return <uint32_t*>(storage + (-<uintptr_t>storage & (CACHE_LINE - 1)))


# ---- Blocks of contiguous memory.

cdef inline void draw_mask(const Call* call, uint8_t* mask, Py_ssize_t first, Py_ssize_t n) noexcept nogil:
    """Write the bits of elements first to first + n; first is a multiple of WORDS."""
    cdef char storage[WORDS_BYTES + CACHE_LINE]
    cdef Py_ssize_t[2] lengths
    cdef char* args[4]
    args[0], args[1], args[2], args[3] = <char*>mask, <char*>call.seed, <char*>aligned(storage), <char*>&call.threshold
    lengths[0], lengths[1] = n, first
    run_block(call.type.draw_mask, args, lengths)


cdef inline void dropout(
    const Call* call, char* x, char* y, uint8_t* mask, Py_ssize_t first, Py_ssize_t n
) noexcept nogil:
    """Write what is left of n elements from the one of index first on, and their bits if there is a mask."""
    cdef char storage[WORDS_BYTES + 2 * BUFFER_BYTES + CACHE_LINE]
    cdef Py_ssize_t[3] lengths
    cdef char* args[9]
    args[0], args[1], args[2], args[3] = x, y, <char*>call.seed, <char*>aligned(storage)
    args[4], args[5], args[6], args[7] = <char*>&call.threshold, <char*>call.values, <char*>mask, args[3] + WORDS_BYTES
    args[8] = args[7] + BUFFER_BYTES
    lengths[0], lengths[1], lengths[2] = n, first, mask != NULL
    run_block(call.type.dropout, args, lengths)


cdef inline void apply_mask(const Call* call, char* x, char* y, uint8_t* mask, Py_ssize_t n) noexcept nogil:
    cdef char storage[2 * BUFFER_BYTES + CACHE_LINE]
    cdef char* args[6]
    args[0], args[1], args[2], args[3], args[4] = x, y, <char*>mask, <char*>call.values, <char*>aligned(storage)
    args[5] = args[4] + BUFFER_BYTES
    run_block(call.type.apply_mask, args, &n)


cdef void compute_chunk(void* context, Py_ssize_t chunk) noexcept nogil:
    cdef const Call* call = <const Call*>context
    cdef Py_ssize_t first = chunk * CHUNK
    cdef Py_ssize_t n = min(<Py_ssize_t>CHUNK, call.n - first)
    cdef char* x = call.x + first * call.type.item_size
    cdef char* y = call.y + first * call.type.item_size
    cdef uint8_t* mask = call.mask + first // 8 if call.mask != NULL else NULL
    if call.y == NULL:
        draw_mask(call, mask, first, n)
    elif call.is_copied:
        compute_copied(call, mask, first, n)
    else:
        compute_elements(call, x, y, mask, first, n)


cdef inline void compute_elements(
    const Call* call, char* x, char* y, uint8_t* mask, Py_ssize_t first, Py_ssize_t n
) noexcept nogil:
    if call.is_drawing:
        dropout(call, x, y, mask, first, n)
    else:
        apply_mask(call, x, y, mask, n)


cdef void compute_copied(const Call* call, uint8_t* mask, Py_ssize_t first, Py_ssize_t n) noexcept nogil:
    """Compute elements that are copied to a buffer, and their results back."""
    cdef char storage[COPIED * LARGEST_ITEM + CACHE_LINE]
    cdef char* buffer = <char*>aligned(storage)
    cdef Walk x = call.x_walk
    cdef Walk y = call.y_walk
    cdef Py_ssize_t end = first + n
    go_to(&x, first)
    go_to(&y, first)
    while first < end:
        n = min(<Py_ssize_t>COPIED, end - first)
        copy_next(&x, buffer, n, False)
        compute_elements(call, buffer, buffer, mask, first, n)
        copy_next(&y, buffer, n, True)
        first += n
        mask += COPIED // 8 if mask != NULL else 0


cdef void compute(Task task, void* call, Py_ssize_t n):
    """Call the task for each chunk of n elements."""
    cdef Py_ssize_t chunk, chunks = (n + CHUNK - 1) // CHUNK
    with nogil:
        if n >= SERIAL_BELOW:
            run_chunks(task, call, chunks)
        else:
            for chunk in range(chunks):
                task(call, chunk)


# ---- Seeds.

def bytes_of(generator):
    """Return ``generator.bytes(16)``, which takes 5 us by itself: its array of four words is not made."""
    cdef bitgen_t* source
    cdef unsigned char seed[16]
    cdef uint32_t word = 0
    cdef int k
    bit_generator = generator.bit_generator
    with bit_generator.lock:
        source = <bitgen_t*>PyCapsule_GetPointer(bit_generator.capsule, b"BitGenerator")
        for k in range(16):
            if k % 4 == 0:
                word = source.next_uint32(source.state)
            seed[k] = word >> (8 * (k % 4)) & 255
    return PyBytes_FromStringAndSize(<char*>seed, 16)


# ---- Arrays.

cdef void set_seed(Call* call, bytes seed, object threshold):
    """Read the seed's four words, the least significant byte first: the key, and the counters' upper half."""
    read_seed(call.seed, seed)
    call.threshold = threshold


cdef void read_seed(uint64_t* words, bytes seed):
    cdef const unsigned char* byte = seed
    cdef int k
    for k in range(4):
        words[k] = byte[4 * k] | byte[4 * k + 1] << 8 | byte[4 * k + 2] << 16 | <uint64_t>byte[4 * k + 3] << 24


cdef void set_type(Call* call, Values* rounded, const Type* of_arrays, values):
    """Round the values to the type of the kernels."""
    cdef int k
    for k in range(3):
        rounded.wide[k] = values[k]
        rounded.narrow[k] = <float>rounded.wide[k]
    call.type = of_arrays
    call.values = <void*>rounded.wide if of_arrays == &FLOAT64 else <void*>rounded.narrow


cdef const Type* kernel_type(np.ndarray array):
    """Return the type of an array that kernels take, whatever its strides, else NULL."""
    cdef int dtype = np.PyArray_TYPE(array)
    if not np.PyArray_ISBEHAVED_RO(array):
        return NULL
    if dtype == np.NPY_FLOAT32:
        return &FLOAT32
    if dtype == np.NPY_FLOAT64:
        return &FLOAT64
    if dtype == np.NPY_FLOAT16:
        return &FLOAT16
    if dtype >= FIRST_USER_DEFINED and is_bfloat16(array.dtype.type):
        return &BFLOAT16
    return NULL


cdef inline bint is_in_place_or_apart(np.ndarray x, np.ndarray y) noexcept:
    return is_same(x, y) or not may_share_memory(x, y)


cdef bint set_arrays(Call* call, Values* rounded, np.ndarray x, np.ndarray y, values):
    """Set where the arrays are and how they are computed; return False if NumPy has to convert one of them."""
    cdef const Type* of_arrays = kernel_type(x)
    if of_arrays == NULL or kernel_type(y) != of_arrays or not is_in_place_or_apart(x, y):
        return False
    call.is_copied = not (np.PyArray_IS_C_CONTIGUOUS(x) and np.PyArray_IS_C_CONTIGUOUS(y))
    if call.is_copied:
        call.x_walk, call.y_walk = walk_over(x), walk_over(y)
        if not has_distinct_elements(&call.y_walk):
            return False
    call.x, call.y, call.n = np.PyArray_BYTES(x), np.PyArray_BYTES(y), np.PyArray_SIZE(x)
    set_type(call, rounded, of_arrays, values)
    return True


cdef object new_mask(Py_ssize_t n):
    return np.empty((n + 7) // 8, np.uint8)


def draw(np.ndarray x, np.ndarray y, bytes seed, threshold, values, bint with_mask):
    """Write to `y` what is left of `x`, and return the mask if it is asked for.

    Parameters
    ----------
    x, y : ndarray
        Of one shape. `y` may be `x`.
    seed : bytes
        128 bits.
    threshold : int
        Elements whose words are less are dropped; below 2**32.
    values : tuple of float
        scale, shift and the dropped value: kept elements become ``x*scale + shift``.
    with_mask : bool
        Whether to return the mask, else None.
    """
    cdef Call call
    cdef Values rounded
    cdef np.ndarray mask
    if not set_arrays(&call, &rounded, x, y, values):
        mask = draw_bits(np.PyArray_SIZE(x), seed, threshold)
        apply(x, y, mask, values)
        return mask if with_mask else None
    mask = new_mask(np.PyArray_SIZE(x)) if with_mask else None
    call.mask = <uint8_t*>np.PyArray_BYTES(mask) if with_mask else NULL
    call.is_drawing = True
    set_seed(&call, seed, threshold)
    compute(compute_chunk, &call, call.n)
    return mask


def draw_bits(Py_ssize_t n, bytes seed, threshold):
    """Return the mask of n elements: bit i is set where element i is kept."""
    cdef Call call
    cdef np.ndarray mask = new_mask(n)
    call.type = &FLOAT32
    call.x = call.y = NULL
    call.mask = <uint8_t*>np.PyArray_BYTES(mask)
    call.is_drawing = True
    call.n = n
    set_seed(&call, seed, threshold)
    compute(compute_chunk, &call, call.n)
    return mask


def draw_runs(np.ndarray starts, Py_ssize_t n, bytes seed, threshold):
    """Return whether elements are kept, n of them from each start on: a piece of a larger array.

    Parameters
    ----------
    starts : ndarray of int64
        Indices of the first element of each run; one-dimensional and contiguous.
    n : int
        The length of the runs.
    seed, threshold
        As of `draw`.

    Returns
    -------
    ndarray of bool
        Of shape ``(len(starts), n)``.
    """
    cdef Call call
    cdef uint8_t bits[BLOCK_BYTES]
    cdef np.ndarray keep = np.empty((starts.size, n), np.bool_)
    cdef uint8_t* kept = <uint8_t*>np.PyArray_BYTES(keep)
    cdef const np.npy_int64* first = <const np.npy_int64*>np.PyArray_BYTES(starts)
    cdef Py_ssize_t run, runs = starts.size, i, element, end, begin_of_block, end_of_block
    call.type = &FLOAT32
    set_seed(&call, seed, threshold)
    with nogil:
        for run in range(runs):
            element, end = first[run], first[run] + n
            while element < end:
                begin_of_block = element - element % WORDS
                end_of_block = min(end, element - element % BLOCK + BLOCK)
                draw_mask(&call, bits, begin_of_block, end_of_block - begin_of_block)
                for i in range(element - begin_of_block, end_of_block - begin_of_block):
                    kept[0] = bits[i // 8] >> (i % 8) & 1
                    kept += 1
                element = end_of_block
    return keep


def apply(np.ndarray x, np.ndarray y, np.ndarray mask, values):
    """Write ``x*scale + shift`` to `y` where the mask's bit is set, else the dropped value.

    Parameters
    ----------
    x, y : ndarray
        Of one shape; they may share memory in any way.
    mask : ndarray of uint8
        One-dimensional, contiguous, and apart from `y`.
    values : tuple of float
        scale, shift and the dropped value.
    """
    cdef Call call
    cdef Values rounded
    call.mask = <uint8_t*>np.PyArray_BYTES(mask)
    call.is_drawing = False
    if set_arrays(&call, &rounded, x, y, values):
        compute(compute_chunk, &call, call.n)
        return
    dtype = np.dtype(np.float32 if np.can_cast(x.dtype, np.float32) else np.float64)
    set_type(&call, &rounded, &FLOAT32 if dtype.num == np.NPY_FLOAT32 else &FLOAT64, values)
    cdef fenv_t before
    fegetenv(&before)
    try:
        with np.errstate(all="ignore"):
            apply_in_buffers(&call, x, y, dtype)
    finally:
        fesetenv(&before)


cdef object apply_in_buffers(const Call* call, np.ndarray x, np.ndarray y, object dtype):
    cdef np.ndarray source, target
    iterator = np.nditer(
        [x, y],
        ["external_loop", "buffered", "copy_if_overlap", "zerosize_ok"],
        [["readonly", "contig", "aligned", "overlap_assume_elementwise"],
         ["writeonly", "contig", "aligned", "overlap_assume_elementwise"]],
        [dtype, dtype],
        order="C",
        casting="unsafe",
        buffersize=2 * BLOCK,
    )
    with iterator:
        for source, target in iterator:
            apply_from(
                call, np.PyArray_BYTES(source), np.PyArray_BYTES(target), iterator.iterindex, np.PyArray_SIZE(source)
            )


cdef void apply_from(const Call* call, char* x, char* y, Py_ssize_t first, Py_ssize_t n) noexcept nogil:
    """Apply the bits from `first` on, which need not begin a byte."""
    cdef uint8_t bits[BLOCK_BYTES]
    cdef const uint8_t* mask = call.mask + first // 8
    cdef int shift = first % 8
    cdef Py_ssize_t length, k
    while n > 0:
        length = min(<Py_ssize_t>BLOCK, n)
        for k in range((length + 7) // 8):
            bits[k] = mask[k] >> shift
            # The mask ends where its last bit is.
            if shift + length > 8 * k + 8:
                bits[k] |= <uint8_t>(mask[k + 1] << (8 - shift))
        apply_mask(call, x, y, bits, length)
        x += length * call.type.item_size
        y += length * call.type.item_size
        mask += BLOCK_BYTES
        n -= length


def copy(np.ndarray y, x):
    """Write x to y, whatever the types are, without a warning or a flag."""
    cdef fenv_t before
    fegetenv(&before)
    try:
        with np.errstate(all="ignore"):
            np.copyto(y, x, casting="unsafe")
    finally:
        fesetenv(&before)


def undisturbed(function, *arguments):
    """Return the function's result, computed in the kernels' floating-point environment; the caller's is put back."""
    cdef Environment callers = enter_environment()
    try:
        return function(*arguments)
    finally:
        leave_environment(callers)


# ---- Uniform draws.

cdef void uniform_chunk(void* context, Py_ssize_t chunk) noexcept nogil:
    cdef char storage[WORDS_BYTES + CACHE_LINE]
    cdef const Call* call = <const Call*>context
    cdef char* args[3]
    cdef Py_ssize_t[2] lengths
    lengths[1] = chunk * CHUNK
    lengths[0] = min(<Py_ssize_t>CHUNK, call.n - lengths[1])
    args[0], args[1], args[2] = call.y + lengths[1] * call.type.item_size, <char*>call.seed, <char*>aligned(storage)
    run_block(call.type.uniform, args, lengths)


def uniform(shape, dtype, bytes seed):
    """Return numbers in [0, 1), element i's a function of the seed and i alone.

    Parameters
    ----------
    shape : int or tuple of int
        The shape of the result, which is in C order.
    dtype : dtype
        float32 or float64. Both get the same numbers: multiples of 2**-24.
    seed : bytes
        128 bits.
    """
    cdef np.ndarray y = np.empty(shape, dtype)
    cdef Call call
    call.type = &FLOAT32 if np.PyArray_TYPE(y) == np.NPY_FLOAT32 else &FLOAT64
    call.y, call.n = np.PyArray_BYTES(y), np.PyArray_SIZE(y)
    set_seed(&call, seed, 0)
    compute(uniform_chunk, &call, call.n)
    return y


# ---- Leaky rectifiers with a slope for each element.

# What is multiplied, x or dy; where it is, x; and the result. low and high - low, for either kind of kernels.
cdef struct Rectifier:
    const Type* type
    char* data[3]
    Py_ssize_t n
    uint64_t seed[4]
    float narrow[2]
    double wide[2]


cdef void rectify_chunk(void* context, Py_ssize_t chunk) noexcept nogil:
    cdef char storage[WORDS_BYTES + 4 * BUFFER_BYTES + CACHE_LINE]
    cdef const Rectifier* call = <const Rectifier*>context
    cdef char* args[10]
    cdef Py_ssize_t[2] lengths
    cdef int k
    lengths[1] = chunk * CHUNK
    lengths[0] = min(<Py_ssize_t>CHUNK, call.n - lengths[1])
    for k in range(3):
        args[k] = call.data[k] + lengths[1] * call.type.item_size
    args[3], args[4] = <char*>call.seed, <char*>aligned(storage)
    args[5] = <char*>call.wide if call.type.item_size == sizeof(double) else <char*>call.narrow
    args[6] = args[4] + WORDS_BYTES
    for k in range(7, 10):
        args[k] = args[k - 1] + BUFFER_BYTES
    run_block(call.type.rectify, args, lengths)


def rectify(tuple arrays, out, double low, double high, bytes seed):
    """Return what a leaky rectifier makes of arrays that can be worked on where they lie, else None.

    Parameters
    ----------
    arrays : tuple
        x, or dy and x. Element i's slope is low + (high - low)*u, with u as of `uniform`.
    out : ndarray, optional
        Where the result goes; may be one of the arrays.
    low, high : float
        The interval of slopes.
    seed : bytes
        128 bits.
    """
    cdef Rectifier call
    cdef Environment callers
    cdef const Type* of_arrays
    cdef int k
    x = arrays[0]
    if not is_array(x) or not all([is_array(array) and array.shape == x.shape for array in arrays]):
        return None
    of_arrays = kernel_type(x)
    if of_arrays == NULL:
        return None
    if out is not None and not (is_array(out) and out.shape == x.shape and out.flags.writeable):
        return None
    y = np.empty(x.shape, x.dtype) if out is None else out
    if any([not is_plain(array, of_arrays) or not is_in_place_or_apart(array, y) for array in (*arrays, y)]):
        return None
    call.type, call.n = of_arrays, np.PyArray_SIZE(x)
    for k, array in enumerate((arrays[0], arrays[-1], y)):
        call.data[k] = np.PyArray_BYTES(array)
    read_seed(call.seed, seed)
    callers = enter_environment()
    call.wide[0], call.wide[1] = low, high - low
    for k in range(2):
        call.narrow[k] = <float>call.wide[k]
    compute(rectify_chunk, &call, call.n)
    leave_environment(callers)
    return y


cdef inline bint is_plain(np.ndarray array, const Type* of_arrays):
    return kernel_type(array) == of_arrays and np.PyArray_IS_C_CONTIGUOUS(array)


cdef inline bint is_array(object x):
    return np.PyArray_CheckExact(x) and np.PyArray_NDIM(x) > 0


# ---- For the tests.

def philox(counter, bytes seed):
    """Return the words that 32 counters from the given one on, a multiple of 32, make for 256 elements, in two rows:
    with anything in their lower halves, and complete. Philox's own are the second and the fourth sixteen of each 64 of
    the first row.
    """
    cdef char storage[WORDS_BYTES + CACHE_LINE]
    cdef np.ndarray words = np.empty((2, WORDS), np.uint32)
    cdef uint64_t first = counter
    cdef Py_ssize_t length = <Py_ssize_t>first
    cdef char* args[3]
    cdef Call call
    set_seed(&call, seed, 0)
    args[0], args[1], args[2] = np.PyArray_BYTES(words), <char*>call.seed, <char*>aligned(storage)
    run_block(PHILOX_WORDS, args, &length)
    return words
