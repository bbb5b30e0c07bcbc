"""The front door: real np.ufuncs over the compiled kernels.

A kernel takes contiguous memory of one floating-point type and knows nothing else. What NumPy may ask for besides is
dealt with here, once for all operators: strides and types (blocks are packed into a buffer that stays in the
first-level cache), threads, the floating-point environment and operands that overlap. Calls of operators with
parameters on plain arrays go round NumPy's machinery altogether (`evaluate`).
"""

import os

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uintptr_t
from libc.stdlib cimport calloc
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.exc cimport PyErr_SetString
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from cpython.ref cimport PyObject
cimport numpy as np

from fastact._kernels.tiers cimport (
    Kernel, Kernels, Tiers, add_time, create_tiers, is_timed, kernels_for, now, run_in_numba
)

from fastact._kernels import cpu, docstrings, registry
from fastact._kernels.arguments import ARRAY, prepared

np.import_array()
np.import_ufunc()

cdef extern from "cpu.h":
    bint has_avx2 "fastact_has_avx2"()
    bint has_avx512 "fastact_has_avx512"()
    bint has_fused_multiply_add "fastact_has_fused_multiply_add"()

cdef extern from "numpy/ufuncobject.h":
    int PyUFunc_AddPromoter(object ufunc, object dtypes, object promoter) except -1

cdef extern from "environment.h" nogil:
    ctypedef struct Environment "fastact_environment":
        pass
    Environment enter_environment "fastact_enter_environment"() noexcept
    void leave_environment "fastact_leave_environment"(Environment) noexcept

cdef extern from "pool.hpp" namespace "fastact" nogil:
    ctypedef void (*PoolTask "fastact::Task")(void* context, Py_ssize_t chunk) noexcept nogil
    void run_in_threads "fastact::run"(PoolTask, void* context, Py_ssize_t chunks, int threads) noexcept
    int pool_started "fastact::started"() noexcept
    void pool_set_default_threads "fastact::set_default_threads"(int) noexcept
    void pool_set_local_threads "fastact::set_local_threads"(int) noexcept
    int pool_get_local_threads "fastact::get_local_threads"() noexcept
    int pool_get_threads "fastact::get_threads"() noexcept

ctypedef void (*Copy)(
    char* target, Py_ssize_t target_step, const char* source, Py_ssize_t source_step, Py_ssize_t n
) noexcept nogil

cdef enum:
    MOST_OPERANDS = 5
    CACHE_LINE = 64
    LARGEST_ITEM = 8
    # Elements that are packed at a time: five buffers of these fit the first-level cache.
    BLOCK = 1024
    # Elements of a chunk, and how many stay in one thread. Measured on two processors: waking a worker costs about
    # 30 us, float32 sigmoid 0.45 ns an element, so 60 us for 2**17. A chunk takes 2 us (relu) to 20 us (float64).
    CHUNK = 16384
    SERIAL_BELOW = 131072
    # As NumPy does: below, releasing the GIL costs more than others would gain.
    HOLD_GIL_UP_TO = 500


# ---- What is known of a loop for ever: one for each ufunc and type, NumPy hands it back as `data`.

cdef struct Operand:
    Py_ssize_t item_size
    Copy copy
    bint converts

cdef struct Loop:
    Tiers* tiers
    int arrays
    int inputs
    Py_ssize_t kernel_item_size
    bint is_converting
    Operand operands[MOST_OPERANDS]


# ---- What is known of one call. The output is the last operand.

cdef struct Call:
    const Loop* loop
    Kernel kernel
    int inputs
    Py_ssize_t n
    char* args[MOST_OPERANDS]
    Py_ssize_t steps[MOST_OPERANDS]
    bint is_packed[MOST_OPERANDS]
    bint is_any_packed


cdef void copy_1(
    char* target, Py_ssize_t target_step, const char* source, Py_ssize_t source_step, Py_ssize_t n
) noexcept nogil:
    for i in range(n):
        (<int8_t*>(target + i * target_step))[0] = (<const int8_t*>(source + i * source_step))[0]


cdef void copy_2(
    char* target, Py_ssize_t target_step, const char* source, Py_ssize_t source_step, Py_ssize_t n
) noexcept nogil:
    for i in range(n):
        (<int16_t*>(target + i * target_step))[0] = (<const int16_t*>(source + i * source_step))[0]


cdef void copy_4(
    char* target, Py_ssize_t target_step, const char* source, Py_ssize_t source_step, Py_ssize_t n
) noexcept nogil:
    for i in range(n):
        (<int32_t*>(target + i * target_step))[0] = (<const int32_t*>(source + i * source_step))[0]


cdef void copy_8(
    char* target, Py_ssize_t target_step, const char* source, Py_ssize_t source_step, Py_ssize_t n
) noexcept nogil:
    for i in range(n):
        (<int64_t*>(target + i * target_step))[0] = (<const int64_t*>(source + i * source_step))[0]


cdef void bool_to_float32(
    char* target, Py_ssize_t target_step, const char* source, Py_ssize_t source_step, Py_ssize_t n
) noexcept nogil:
    for i in range(n):
        (<float*>(target + i * target_step))[0] = <float>((<const int8_t*>(source + i * source_step))[0] != 0)


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
    call.is_any_packed = False
    for k in range(loop.inputs + 1):
        is_parameter = is_scalar and loop.arrays <= k < loop.inputs
        call.args[k] = args[k]
        call.steps[k] = 0 if is_parameter else steps[k]
        call.is_packed[k] = not is_parameter and (
            loop.operands[k].converts or (steps[k] != loop.operands[k].item_size and n > 1)
        )
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


cdef inline void compute_contiguous(const Call* call, Py_ssize_t start, Py_ssize_t n) noexcept nogil:
    cdef char* args[MOST_OPERANDS]
    cdef int k
    for k in range(call.inputs + 1):
        args[k] = call.args[k] + start * call.steps[k]
    call.kernel(args, n)


cdef void compute_packed(const Call* call, Py_ssize_t start, Py_ssize_t n) noexcept nogil:
    """Compute [start, start + n) block by block, through a buffer for each operand that needs one."""
    cdef char storage[MOST_OPERANDS * BLOCK * LARGEST_ITEM + CACHE_LINE]
    cdef char* buffers = storage + (-<uintptr_t>storage & (CACHE_LINE - 1))
    cdef Py_ssize_t item_size = call.loop.kernel_item_size
    cdef char* args[MOST_OPERANDS]
    cdef Py_ssize_t end = start + n
    cdef Py_ssize_t length
    cdef char* memory
    cdef int out = call.inputs
    cdef int k
    while start < end:
        length = min(<Py_ssize_t>BLOCK, end - start)
        for k in range(out + 1):
            memory = call.args[k] + start * call.steps[k]
            args[k] = buffers + k * BLOCK * LARGEST_ITEM if call.is_packed[k] else memory
            if call.is_packed[k] and k != out:
                call.loop.operands[k].copy(args[k], item_size, memory, call.steps[k], length)
        call.kernel(args, length)
        if call.is_packed[out]:
            memory = call.args[out] + start * call.steps[out]
            call.loop.operands[out].copy(memory, call.steps[out], args[out], item_size, length)
        start += length


cdef inline void compute(const Call* call, Py_ssize_t start, Py_ssize_t n) noexcept nogil:
    if call.is_any_packed:
        compute_packed(call, start, n)
    else:
        compute_contiguous(call, start, n)


cdef void compute_chunk(void* context, Py_ssize_t chunk) noexcept nogil:
    cdef const Call* call = <const Call*>context
    cdef Py_ssize_t start = chunk * CHUNK
    compute(call, start, min(<Py_ssize_t>CHUNK, call.n - start))


cdef inline void compute_all(Call* call) noexcept nogil:
    cdef int64_t start
    if is_timed(call.loop.tiers, call.n):
        start = now()
        compute_now(call)
        add_time(call.loop.tiers, now() - start)
    else:
        compute_now(call)


cdef inline void compute_now(Call* call) noexcept nogil:
    cdef Py_ssize_t i
    if call.n > 1 and must_be_sequential(call):
        for i in range(call.n):
            compute(call, i, 1)
        return
    if call.n >= SERIAL_BELOW and pool_get_threads() > 1:
        run_chunks(compute_chunk, call, (call.n + CHUNK - 1) // CHUNK)
    else:
        compute(call, 0, call.n)


cdef void inner_loop(char** args, np.npy_intp* dimensions, np.npy_intp* steps, void* data) noexcept nogil:
    """The loop of every ufunc. `args` is NumPy's and stays as it is: with ``where=`` it is used again."""
    cdef Call call
    cdef const Loop* loop
    cdef Environment callers
    if dimensions[0] == 0:
        return
    callers = enter_environment()
    loop = <const Loop*>data
    if dimensions[0] == 1 and not loop.is_converting:
        # A single element has no strides to look at: 15 of the 290 ns of such a call.
        loop.tiers.cython.scalar(args, 1)
    else:
        begin(&call, loop, args, steps, dimensions[0])
        compute_all(&call)
    leave_environment(callers)


# ---- For the other front doors.

cdef BlockKernel find_block_kernel(str precision, str name) except NULL:
    """Return the kernel of that name in ``float32`` or ``float64``."""
    return <BlockKernel>PyCapsule_GetPointer(KERNELS[precision][name], b"void (char **, Py_ssize_t const *)")


cdef void run_chunks(Task task, void* context, Py_ssize_t chunks) noexcept nogil:
    """Call the task for every chunk, in as many threads as the caller may use. The caller has entered the environment."""
    cdef int threads = pool_get_threads() if chunks > 1 else 1
    cdef Py_ssize_t chunk
    if threads == 1:
        for chunk in range(chunks):
            task(context, chunk)
    elif not run_in_numba(task, context, chunks, threads):
        run_in_threads(<PoolTask>task, context, chunks, threads)


# ---- Operators with parameters.

def evaluate(np.ufunc ufunc, tuple arrays, tuple parameters, tuple names, dict options):
    """Return ``ufunc(*arrays, *parameters, **options)`` with Python scalars fitted to the arrays' type.

    Parameters
    ----------
    ufunc : np.ufunc
        One of `UFUNCS`.
    arrays, parameters : tuple
        The operands.
    names : tuple of str
        The operands' names, for messages.
    options : dict
        Any keyword arguments of a ufunc.
    """
    cdef Environment callers = enter_environment()
    try:
        result = evaluate_plain(ufunc, arrays, parameters, options)
        # Here as well: a Python number must not be rounded to float32 as the caller rounds, nor raise his flags.
        operands = prepared(ufunc, arrays, parameters, names, options) if result is None else ()
    finally:
        leave_environment(callers)
    return ufunc(*operands, **options) if result is None else result


cdef object evaluate_plain(np.ufunc ufunc, tuple arrays, tuple parameters, dict options):
    """Return the result for contiguous arrays of one shape and type with scalar parameters, else None."""
    cdef int dtype, k, arrays_count = len(arrays), inputs = arrays_count + len(parameters)
    cdef np.npy_intp steps[MOST_OPERANDS]
    cdef char* args[MOST_OPERANDS]
    cdef double scalars[MOST_OPERANDS]
    cdef const Loop* loop
    cdef Call call
    cdef Py_ssize_t n
    x = arrays[0]
    if not is_plain(x):
        return None
    dtype = np.PyArray_TYPE(x)
    if dtype != np.NPY_FLOAT32 and dtype != np.NPY_FLOAT64:
        return None
    # The loops of a ufunc end with float32, float64.
    loop = <const Loop*>ufunc.data[ufunc.ntypes - (2 if dtype == np.NPY_FLOAT32 else 1)]
    for k in range(arrays_count):
        operand = arrays[k]
        if k > 0 and not (is_plain(operand) and is_like(operand, x)):
            return None
        args[k] = np.PyArray_BYTES(operand)
        steps[k] = loop.kernel_item_size
    for k in range(arrays_count, inputs):
        if not read_scalar(parameters[k - arrays_count], dtype, &scalars[k]):
            return None
        args[k] = <char*>&scalars[k]
        steps[k] = 0
    if len(options) == 0:
        out = np.PyArray_EMPTY(np.PyArray_NDIM(x), np.PyArray_DIMS(x), dtype, 0)
    elif len(options) == 1 and "out" in options:
        out = options["out"]
        if not (is_plain(out) and is_like(out, x) and np.PyArray_ISWRITEABLE(out)):
            return None
    else:
        return None
    args[inputs] = np.PyArray_BYTES(out)
    steps[inputs] = loop.kernel_item_size
    n = np.PyArray_SIZE(x)
    if n == 1:
        loop.tiers.cython.scalar(args, 1)
        return out
    begin(&call, loop, args, steps, n)
    if n > 1 and must_be_sequential(&call):
        return None
    if n > HOLD_GIL_UP_TO:
        with nogil:
            compute_all(&call)
    elif n > 0:
        compute_all(&call)
    return out


cdef inline bint is_plain(object x):
    return (
        np.PyArray_CheckExact(x)
        and np.PyArray_ISCARRAY_RO(x)
        and np.PyArray_NDIM(x) > 0
    )


cdef inline bint is_like(object x, object y):
    return np.PyArray_TYPE(x) == np.PyArray_TYPE(y) and np.PyArray_SAMESHAPE(x, y)


cdef inline bint read_scalar(object parameter, int dtype, double* memory):
    """Write a Python float or int to `memory` as `dtype`; return False if it is something else."""
    cdef int overflow = 0
    cdef double value
    if type(parameter) is float:
        value = <double>parameter
    elif type(parameter) is int:
        value = <double>PyLong_AsLongLongAndOverflow(parameter, &overflow)
        if overflow:
            return False
    else:
        return False
    if dtype == np.NPY_FLOAT32:
        (<float*>memory)[0] = <float>value
    else:
        memory[0] = value
    return True


# ---- Creation. Nothing allocated here is ever freed: NumPy keeps pointers to it.

FLOATING = ((np.NPY_FLOAT32, np.NPY_FLOAT32, "float32", ""), (np.NPY_FLOAT64, np.NPY_FLOAT64, "float64", ""))
INTEGERS = tuple(
    (dtype, dtype, "integers", f"_{name}")
    for dtype, name in (
        (np.NPY_INT8, "int8"),
        (np.NPY_UINT8, "uint8"),
        (np.NPY_INT16, "int16"),
        (np.NPY_UINT16, "uint16"),
        (np.NPY_INT32, "int32"),
        (np.NPY_UINT32, "uint32"),
        (np.NPY_INT64, "int64"),
        (np.NPY_UINT64, "uint64"),
    )
)
BOOL = ((np.NPY_BOOL, np.NPY_FLOAT32, "float32", ""),)

cdef list kept_alive = []
cdef dict operand_names = {}


cdef void* allocate(size_t count, size_t size) except NULL:
    cdef void* memory = calloc(count, size)
    if memory == NULL:
        raise MemoryError
    return memory


cdef Kernel find_kernel(dict functions, str name) except NULL:
    return <Kernel>PyCapsule_GetPointer(functions[name], b"void (char **, Py_ssize_t)")


cdef Copy find_copy(Py_ssize_t item_size) noexcept:
    if item_size == 1:
        return copy_1
    if item_size == 2:
        return copy_2
    return copy_4 if item_size == 4 else copy_8


cdef Py_ssize_t item_size_of(int dtype):
    return np.PyArray_DescrFromType(dtype).itemsize


cdef Operand operand_of(int dtype, int kernel_dtype):
    """Return what is to be known of an operand of type `dtype` where the kernel takes `kernel_dtype`."""
    cdef Operand operand
    operand.item_size = item_size_of(dtype)
    operand.converts = dtype != kernel_dtype
    operand.copy = bool_to_float32 if operand.converts else find_copy(operand.item_size)
    return operand


cdef Loop* create_loop(row, int input_dtype, int dtype, str kind, dict functions, str suffix) except NULL:
    cdef Loop* loop = <Loop*>allocate(1, sizeof(Loop))
    cdef int k
    loop.tiers = create_tiers(
        find_kernel(functions, f"scalar_{row.name}{suffix}"),
        find_kernel(functions, f"array_{row.name}{suffix}"),
        # Numba compiles one version for float32 and what is converted to it, and none for integers.
        None if suffix else (row.name, kind),
    )
    loop.arrays = row.arrays
    loop.inputs = row.arrays + len(row.parameters)
    loop.kernel_item_size = item_size_of(dtype)
    loop.is_converting = input_dtype != dtype
    for k in range(loop.inputs):
        loop.operands[k] = operand_of(input_dtype, dtype)
    loop.operands[loop.inputs] = operand_of(dtype, dtype)
    return loop


cdef object create_ufunc(row, str doc, dict kernels):
    """Create the ufunc of one row. NumPy takes the first loop its inputs can be cast to safely: narrow ones first."""
    dtypes = BOOL + INTEGERS + FLOATING if row.keeps_integers else FLOATING
    cdef int inputs = row.arrays + len(row.parameters)
    cdef int count = len(dtypes)
    cdef np.PyUFuncGenericFunction* functions = <np.PyUFuncGenericFunction*>allocate(count, sizeof(void*))
    cdef void** data = <void**>allocate(count, sizeof(void*))
    cdef char* types = <char*>allocate(count, inputs + 1)
    cdef bytes name_text = row.name.encode()
    cdef bytes doc_text = doc.encode()
    cdef int i, k
    for i, (input_dtype, dtype, kind, suffix) in enumerate(dtypes):
        functions[i] = <np.PyUFuncGenericFunction><void*>inner_loop
        data[i] = create_loop(row, input_dtype, dtype, kind, kernels[kind], suffix)
        for k in range(inputs):
            types[i * (inputs + 1) + k] = input_dtype
        types[i * (inputs + 1) + inputs] = dtype
    kept_alive.append((name_text, doc_text))
    ufunc = np.PyUFunc_FromFuncAndData(functions, data, types, count, inputs, 1, np.PyUFunc_None, name_text, doc_text, 0)
    operand_names[row.name] = (("dy", "x") if row.arrays == 2 else ("x",)) + row.parameters
    return refuse_other_types(ufunc, inputs)


# NumPy would say only that the ufunc is not supported for these types, not for which operand nor what is.
REFUSED = tuple(
    type(np.PyArray_DescrFromType(dtype))
    for dtype in (
        np.NPY_LONGDOUBLE,
        np.NPY_CFLOAT,
        np.NPY_CDOUBLE,
        np.NPY_CLONGDOUBLE,
        np.NPY_OBJECT,
        np.NPY_STRING,
        np.NPY_UNICODE,
        np.NPY_VOID,
        np.NPY_DATETIME,
        np.NPY_TIMEDELTA,
    )
)


cdef int refuse(PyObject* ufunc, PyObject** dtypes, PyObject** signature, PyObject** chosen) noexcept:
    """Raise TypeError. NumPy asks it to choose a loop where an operand has a type that no operator takes."""
    ufunc_name = (<object>ufunc).__name__
    name = ufunc_name.replace("grad_", "grad.", 1)
    for k, operand in enumerate(operand_names[ufunc_name]):
        if dtypes[k] != NULL and <object>dtypes[k] in REFUSED:
            given = (<object>dtypes[k]).__name__.removesuffix("DType").lower()
            PyErr_SetString(TypeError, f"{name}(): {operand} must be {ARRAY}, got dtype {given}".encode())
            return -1
    PyErr_SetString(TypeError, f"{name}(): every operand must be {ARRAY}".encode())
    return -1


cdef object refuse_other_types(object ufunc, int inputs):
    promoter = PyCapsule_New(<void*>refuse, "numpy._ufunc_promoter", NULL)
    for k in range(inputs):
        for dtype in REFUSED:
            dtypes = [None] * (inputs + 1)
            dtypes[k] = dtype
            PyUFunc_AddPromoter(ufunc, tuple(dtypes), promoter)
    return ufunc


def import_kernels(instruction_set):
    """Return the compiled kernels of each kind: {"float32": {"scalar_sigmoid": capsule, ...}, ...}."""
    return {
        kind: __import__(f"fastact._kernels._{kind}_{instruction_set}", fromlist=["*"]).__pyx_capi__
        for kind in ("float32", "float64", "integers")
    }


def create_ufuncs(kernels):
    """Return the ufuncs of all rows of the registry by name."""
    rows = {row.name: row for row in registry.kernels()}
    docs = docstrings.of_ufuncs()
    return {name: create_ufunc(row, docs[name], kernels) for name, row in rows.items()}


AVAILABLE = ("baseline", *(("avx2",) if has_avx2() else ()), *(("avx512",) if has_avx512() else ()))
CHOSEN, REASON = cpu.choose(AVAILABLE, os.environ.get(cpu.VARIABLE))
KERNELS = import_kernels(CHOSEN)
FUSED = bool(has_fused_multiply_add())
UFUNCS = create_ufuncs(KERNELS)


# ---- Threads, for runtime.py.

def started_workers():
    """Return the number of worker threads there are in this process."""
    return pool_started()


def set_default_threads(int threads):
    """Set the thread count of the process."""
    pool_set_default_threads(threads)


def set_local_threads(int threads):
    """Set the calling thread's own thread count; 0 for none of its own."""
    pool_set_local_threads(threads)


def get_local_threads():
    """Return the calling thread's own thread count, 0 if it has none."""
    return pool_get_local_threads()


def get_threads():
    """Return the number of threads a large call from this thread is computed with."""
    return pool_get_threads()
