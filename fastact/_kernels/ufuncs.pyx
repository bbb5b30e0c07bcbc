"""The front door: real np.ufuncs over the compiled kernels.

What a call does is in calls.pyx. Calls of operators with parameters on plain arrays go round NumPy's machinery altogether
(`evaluate`), those on large arrays that are not plain round its loops (`call`).
"""

import os
from _thread import allocate_lock
from typing import NamedTuple

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t
from libc.stdlib cimport calloc
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid, PyCapsule_New
from cpython.ref cimport PyObject, Py_CLEAR, Py_INCREF
cimport numpy as np

from fastact._kernels.calls cimport MOST_OPERANDS, Copy, Loop, Operand, compute_directly, inner_loop
from fastact._kernels.copies cimport copy_items
from fastact._kernels.environment cimport Environment, enter_environment, leave_environment
from fastact._kernels.programs cimport create_program
from fastact._kernels.rows cimport BY_ROWS_FROM, compute_rows
from fastact._kernels.tiers cimport (
    BlockFunction, BlockKernel, Kernel, Tiers, create_block_tiers, create_tiers, tiers_at
)

from fastact._kernels import cpu, docstrings, promotion, registry
from fastact._kernels.arguments import prepared

np.import_array()
np.import_ufunc()

cdef extern from "cpu.h":
    bint has_avx2 "fastact_has_avx2"()
    bint has_avx512 "fastact_has_avx512"()
    bint has_fused_multiply_add "fastact_has_fused_multiply_add"()

cdef extern from "numpy/ufuncobject.h":
    int PyUFunc_AddPromoter(object ufunc, object dtypes, object promoter) except -1
    ctypedef PyObject* (*Call "vectorcallfunc")(PyObject*, PyObject* const*, size_t, PyObject*) except NULL
    ctypedef struct Called "PyUFuncObject":
        Call vectorcall

cdef extern from "Python.h":
    Py_ssize_t PyVectorcall_NARGS(size_t count)


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
        operands = arrays + parameters
        if result is None and not are_arrays_of_one_type(operands):
            operands = prepared(ufunc, arrays, parameters, names, options)
    finally:
        leave_environment(callers)
    if result is not None:
        return result
    if options.get("dtype") is not None:
        # NumPy 2.0 cannot be given a loop while it looks for exactly that one.
        add_if_bfloat16(ufunc, np.dtype(options["dtype"]))
    return ufunc(*operands, **options)


cdef bint are_arrays_of_one_type(tuple operands):
    """Return whether there is nothing to be fitted, and nothing to be refused."""
    first = operands[0]
    if not np.PyArray_CheckExact(first) or np.PyArray_TYPE(first) not in (np.NPY_FLOAT32, np.NPY_FLOAT64):
        return False
    for operand in operands:
        if not np.PyArray_CheckExact(operand) or np.PyArray_TYPE(operand) != np.PyArray_TYPE(first):
            return False
    return True


cdef object evaluate_plain(np.ufunc ufunc, tuple arrays, tuple parameters, dict options):
    """Return the result for contiguous arrays of one shape and type with scalar parameters, else None."""
    cdef int dtype, k, arrays_count = len(arrays), inputs = arrays_count + len(parameters)
    cdef np.npy_intp steps[MOST_OPERANDS]
    cdef char* args[MOST_OPERANDS]
    cdef double scalars[MOST_OPERANDS]
    cdef const Loop* loop
    x = arrays[0]
    if not is_plain(x):
        return None
    dtype = np.PyArray_TYPE(x)
    loop = find_plain_loop(ufunc, dtype)
    if loop == NULL:
        return None
    for k in range(arrays_count):
        operand = arrays[k]
        if k > 0 and not (is_plain(operand) and is_like(operand, x)):
            return None
        args[k] = np.PyArray_BYTES(operand)
        steps[k] = loop.operands[k].item_size
    for k in range(arrays_count, inputs):
        if not read_scalar(parameters[k - arrays_count], loop.kernel_item_size, &scalars[k]):
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
    steps[inputs] = loop.operands[inputs].item_size
    return out if compute_directly(loop, args, steps, np.PyArray_SIZE(x)) else None


cdef inline const Loop* find_plain_loop(np.ufunc ufunc, int dtype) noexcept:
    """Return the loop for arrays of one type, whose parameters are of the kernel's type; NULL if there is none."""
    if dtype == np.NPY_FLOAT32:
        return <const Loop*>ufunc.data[ufunc.ntypes + FLOAT32_LOOP]
    if dtype == np.NPY_FLOAT64:
        return <const Loop*>ufunc.data[ufunc.ntypes + FLOAT64_LOOP]
    if dtype == np.NPY_FLOAT16:
        return <const Loop*>ufunc.data[ufunc.ntypes + FLOAT16_LOOP]
    if dtype == bfloat16_number:
        return <const Loop*>ufunc.data[ufunc.ntypes + BFLOAT16_LOOP]
    return NULL


cdef inline bint is_plain(object x):
    return (
        np.PyArray_CheckExact(x)
        and np.PyArray_ISCARRAY_RO(x)
        and np.PyArray_NDIM(x) > 0
    )


cdef inline bint is_like(object x, object y):
    return np.PyArray_TYPE(x) == np.PyArray_TYPE(y) and np.PyArray_SAMESHAPE(x, y)


cdef inline bint read_scalar(object parameter, Py_ssize_t item_size, double* memory):
    """Write a Python float or int to `memory` as a float of that size; return False if it is something else."""
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
    if item_size == 4:
        (<float*>memory)[0] = <float>value
    else:
        memory[0] = value
    return True


# ---- Large arrays that are not plain.

# NumPy's own, of every ufunc.
cdef Call call_numpy = NULL


cdef PyObject* call(PyObject* ufunc, PyObject* const* given, size_t count, PyObject* names) except NULL:
    """Call a ufunc. See Python's vectorcall."""
    cdef Environment callers
    if (
        PyVectorcall_NARGS(count) > 0
        and np.PyArray_CheckExact(<object>given[0])
        and np.PyArray_SIZE(<object>given[0]) >= BY_ROWS_FROM
    ):
        # Here as well: a Python number must not be rounded to float32 as the caller rounds, nor raise his flags.
        callers = enter_environment()
        try:
            result = evaluate_by_rows(<object>ufunc, given, PyVectorcall_NARGS(count), names)
        finally:
            leave_environment(callers)
        if result is not None:
            Py_INCREF(result)
            return <PyObject*>result
    return call_numpy(ufunc, given, count, names)


cdef object evaluate_by_rows(np.ufunc ufunc, PyObject* const* given, Py_ssize_t count, PyObject* names):
    """Return the result for arrays of a loop's types that are not all contiguous and of one shape, else None."""
    cdef int dtype = np.PyArray_TYPE(<object>given[0])
    cdef const Loop* loop = find_plain_loop(ufunc, dtype)
    cdef np.PyArrayObject* arrays[MOST_OPERANDS]
    cdef double numbers[MOST_OPERANDS]
    cdef char* scalars[MOST_OPERANDS]
    cdef bint are_plain = True
    cdef int k
    if loop == NULL or not are_operands(count, names, loop.inputs):
        return None
    arrays[loop.inputs] = NULL
    for k in range(count + (names != NULL)):
        operand = <object>given[k]
        scalars[k] = <char*>&numbers[k]
        arrays[k] = NULL
        if is_of_loop(operand, dtype, loop.operands[k].item_size):
            arrays[k] = <np.PyArrayObject*>operand
            are_plain = are_plain and is_plain(operand) and is_like(operand, <object>given[0])
        elif not (loop.arrays <= k < loop.inputs and read_scalar(operand, loop.kernel_item_size, &numbers[k])):
            return None
    if are_plain or (arrays[loop.inputs] != NULL and not np.PyArray_ISWRITEABLE(<object>arrays[loop.inputs])):
        return None
    return compute_rows(loop, arrays, scalars, dtype)


cdef void divert(object ufunc) noexcept:
    global call_numpy
    cdef Called* called = <Called*><PyObject*>ufunc
    call_numpy = called.vectorcall
    called.vectorcall = call


cdef inline bint are_operands(Py_ssize_t count, PyObject* names, int inputs):
    """Return whether a call has all inputs, perhaps an output, and nothing else."""
    if names == NULL:
        return inputs <= count <= inputs + 1
    return count == inputs and len(<tuple>names) == 1 and (<tuple>names)[0] == "out"


cdef inline bint is_of_loop(object x, int dtype, Py_ssize_t item_size):
    """Return whether an operand is an array of this type and the loop's: parameters beside 16 bits are no arrays."""
    return (
        np.PyArray_CheckExact(x)
        and np.PyArray_TYPE(x) == dtype
        and np.PyArray_ITEMSIZE(x) == item_size
        and np.PyArray_ISBEHAVED_RO(x)
    )


# ---- Creation. Nothing allocated here is ever freed: NumPy keeps pointers to it.

class Types(NamedTuple):
    """The types of a loop by name, and the kernels it runs: their kind and what their names end with."""

    array: str
    parameter: str
    output: str
    kind: str
    suffix: str = ""


BOOL = (Types("bool", "float32", "float32", "float32"),)
# All of C's: int64 is one of two types of that size, and ``dtype=`` may ask for the other one.
INTEGERS = tuple(
    Types(name, name, name, "integers", f"_{np.dtype(name).name}")
    for name in ("byte", "ubyte", "short", "ushort", "intc", "uintc", "long", "ulong", "longlong", "ulonglong")
)
FLOATING = (
    Types("float16", "float16", "float16", "float32"),
    Types("float16", "float32", "float16", "float32"),
    Types("float32", "float32", "float32", "float32"),
    Types("float64", "float64", "float64", "float64"),
)
# They stand behind those that NumPy knows of, until there is such a type.
BFLOAT16 = (
    Types("bfloat16", "float32", "bfloat16", "float32"),
    Types("bfloat16", "bfloat16", "bfloat16", "float32"),
)
# From the end of the loops that NumPy knows of.
cdef enum:
    FLOAT16_LOOP = -3
    FLOAT32_LOOP = -2
    FLOAT64_LOOP = -1
    BFLOAT16_LOOP = 0

cdef const char* BLOCK_FUNCTION = b"void (char **, Py_ssize_t const *)"

# NumPy's number of ml_dtypes' type, once there is one.
cdef int bfloat16_number = -1

cdef list kept_alive = []
# By ufunc: fused functions may share a name.
cdef dict known_rows = {}
cdef set with_bfloat16 = set()
cdef object adding = allocate_lock()


cdef void* allocate(size_t count, size_t size) except NULL:
    cdef void* memory = calloc(count, size)
    if memory == NULL:
        raise MemoryError
    return memory


cdef Kernel find_kernel(dict functions, str name) except NULL:
    return <Kernel>PyCapsule_GetPointer(functions[name], b"void (char **, Py_ssize_t)")


cdef Copy find_copy(Py_ssize_t item_size) noexcept:
    if item_size == 1:
        return <Copy>copy_items[int8_t]
    if item_size == 2:
        return <Copy>copy_items[int16_t]
    return <Copy>copy_items[int32_t] if item_size == 4 else <Copy>copy_items[int64_t]


cdef Py_ssize_t item_size_of(str dtype):
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


cdef int number_of(str dtype):
    return bfloat16_number if dtype == "bfloat16" else np.dtype(dtype).num


cdef Operand create_operand(str dtype, Kernel convert):
    cdef Operand operand
    operand.item_size = item_size_of(dtype)
    operand.copy = find_copy(operand.item_size)
    operand.convert = convert
    return operand


cdef Kernel find_conversion(dict functions, str target, str source) except? NULL:
    if target == source:
        return NULL
    return find_kernel(functions, f"{target}_of_{source}")


cdef Loop* create_loop(row, types, dict functions) except NULL:
    """Create the loop of a row for these types; the kernels of a row that is none of the registry's are its steps."""
    cdef Loop* loop = <Loop*>allocate(1, sizeof(Loop))
    cdef str computed = types.kind if types.suffix == "" else types.array
    cdef int k
    if isinstance(row, Fused):
        loop.tiers = create_tiers(NULL, NULL, None)
        loop.program = create_program(functions, computed, row.arrays, row.values, row.memories, row.steps)
    else:
        loop.tiers = find_tiers(row, types, functions)
    loop.arrays = row.arrays
    loop.inputs = row.arrays + len(row.parameters)
    loop.kernel_item_size = item_size_of(computed)
    for k in range(loop.inputs):
        dtype = types.array if k < loop.arrays else types.parameter
        loop.operands[k] = create_operand(dtype, find_conversion(functions, computed, dtype))
        loop.is_converting = loop.is_converting or loop.operands[k].convert != NULL
    loop.operands[loop.inputs] = create_operand(types.output, find_conversion(functions, types.output, computed))
    return loop


cdef Tiers* find_tiers(row, types, dict functions) except NULL:
    return create_tiers(
        find_kernel(functions, f"scalar_{row.name}{types.suffix}"),
        find_kernel(functions, f"array_{row.name}{types.suffix}"),
        # Numba compiles one version for float32 and what is converted to it, and none for integers.
        None if types.suffix else (row.name, types.kind),
    )


cdef tuple dtypes_of(row, types):
    return (types.array,) * row.arrays + (types.parameter,) * len(row.parameters) + (types.output,)


cdef object create_ufunc(row, str doc, dict kernels):
    """Create the ufunc of one row. Which loop a call gets is said in `promotion`."""
    known = (BOOL + INTEGERS if row.keeps_integers else ()) + distinct(row, FLOATING)
    loops = known + distinct(row, BFLOAT16)
    cdef int inputs = row.arrays + len(row.parameters)
    cdef np.PyUFuncGenericFunction* functions = <np.PyUFuncGenericFunction*>allocate(len(known), sizeof(void*))
    cdef void** data = <void**>allocate(len(loops), sizeof(void*))
    cdef char* numbers = <char*>allocate(len(known), inputs + 1)
    cdef bytes name_text = row.name.encode()
    cdef bytes doc_text = doc.encode()
    cdef int i, k
    for i, types in enumerate(loops):
        data[i] = create_loop(row, types, kernels[types.kind])
    for i, types in enumerate(known):
        functions[i] = <np.PyUFuncGenericFunction><void*>inner_loop
        for k, dtype in enumerate(dtypes_of(row, types)):
            numbers[i * (inputs + 1) + k] = number_of(dtype)
    kept_alive.append((name_text, doc_text))
    ufunc = np.PyUFunc_FromFuncAndData(
        functions, data, numbers, len(known), inputs, 1, np.PyUFunc_None, name_text, doc_text, 0
    )
    known_rows[ufunc] = row
    divert(ufunc)
    add_promoter(ufunc, (None,) * (inputs + 1))
    if row.parameters:
        add_mixed_promoter(ufunc, row, np.dtype("float16"))
    return ufunc


def distinct(row, loops):
    """Return the loops without those that only differ in the parameters' type, for a row that has none."""
    return tuple(types for types in loops if row.parameters or types.parameter == types.array)


# ---- Promotion: NumPy asks where no loop is for exactly the operands' types.

cdef void add_promoter(object ufunc, tuple dtypes) except *:
    PyUFunc_AddPromoter(ufunc, dtypes, PyCapsule_New(<void*>promote, "numpy._ufunc_promoter", NULL))


cdef void add_mixed_promoter(object ufunc, row, half) except *:
    """Have NumPy ask for float32 parameters beside a 16-bit type: there is such a loop, for Python numbers alone."""
    dtypes = (type(half),) * row.arrays + (type(np.dtype("float32")),) * len(row.parameters)
    add_promoter(ufunc, (*dtypes, None))


cdef int promote(PyObject* ufunc, PyObject** given, PyObject** signature, PyObject** chosen) except -1:
    """Choose the types of the loop for a call. See NumPy's PyArrayMethod_PromoterFunction."""
    row = known_rows[<object>ufunc]
    cdef int inputs = row.arrays + len(row.parameters)
    cdef int k
    names = row.operands + row.parameters
    # A reduction has no type of its first operand.
    operands = [(<object>given[k if given[k] != NULL else 1]).type for k in range(inputs)]
    output = (<object>signature[inputs]).type if signature[inputs] != NULL else None
    types = promotion.loop_of(
        row.name.replace("grad_", "grad.", 1), names, row.arrays, row.keeps_integers, operands, output
    )
    is_new = add_if_bfloat16(<object>ufunc, np.dtype(types[inputs]))
    for k, scalar in enumerate(types):
        dtype = <object>signature[k] if signature[k] != NULL else type(np.dtype(scalar))
        Py_INCREF(dtype)
        chosen[k] = <PyObject*>dtype
        is_new = is_new and chosen[k] == given[k]
    if is_new:
        # These very types were asked for, and NumPy looks for their loop again only if one of them changes. It keeps
        # what it finds: without a type of the output, that may only be what it would find without ``dtype=``.
        if types[inputs - 1] is types[inputs]:
            Py_CLEAR(chosen[inputs])
        else:
            # No loop takes a float64 parameter beside these: NumPy asks here again, and the loop is there by then.
            Py_CLEAR(chosen[inputs - 1])
            float64 = type(np.dtype("float64"))
            Py_INCREF(float64)
            chosen[inputs - 1] = <PyObject*>float64
    return 0


cdef bint add_if_bfloat16(np.ufunc ufunc, object dtype) except -1:
    """Give a ufunc its loops for bfloat16, which was no type when it was made; return whether they are new."""
    if not promotion.is_bfloat16(dtype.type):
        return False
    with adding:
        if ufunc in with_bfloat16:
            return False
        add_bfloat16(ufunc, known_rows[ufunc], dtype)
        with_bfloat16.add(ufunc)
    return True


cdef int add_bfloat16(np.ufunc ufunc, row, object bfloat16) except -1:
    global bfloat16_number
    cdef int numbers[MOST_OPERANDS]
    cdef int i, k
    bfloat16_number = bfloat16.num
    for i, types in enumerate(distinct(row, BFLOAT16)):
        for k, dtype in enumerate(dtypes_of(row, types)):
            numbers[k] = number_of(dtype)
        np.PyUFunc_RegisterLoopForType(
            ufunc, bfloat16.num, <np.PyUFuncGenericFunction><void*>inner_loop, numbers, ufunc.data[ufunc.ntypes + i]
        )
    if row.parameters:
        add_mixed_promoter(ufunc, row, bfloat16)
    return 0


def create_block_kernels(kernels):
    """Return the names of the kernels that are not element by element, each of which has its tiers now."""
    names = {}
    for precision in ("float32", "float64"):
        for name, capsule in kernels[precision].items():
            if PyCapsule_IsValid(capsule, BLOCK_FUNCTION):
                create_block_tiers(<BlockFunction>PyCapsule_GetPointer(capsule, BLOCK_FUNCTION), (name, precision))
                names[name] = None
    return tuple(names)


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


class Fused(NamedTuple):
    """What a row of the registry says of an operator, for a fused function, and its steps: see `create_program`."""

    name: str
    operands: tuple[str, ...]
    values: tuple[float, ...]
    memories: int
    steps: list[tuple[str, tuple[int, ...], int]]
    parameters: tuple[str, ...] = ()
    keeps_integers: bool = False

    @property
    def arrays(self):
        return len(self.operands)


def create_fused(row, str doc):
    """Return the ufunc of a fused function.

    Parameters
    ----------
    row : Fused
        Its name, operands and steps.
    doc : str
        Its docstring.
    """
    if row.arrays >= MOST_OPERANDS:
        raise TypeError(f"fuse(): {row.name} must have at most {MOST_OPERANDS - 1} parameters, got {row.arrays}")
    cdef Environment callers = enter_environment()
    try:
        return create_ufunc(row, doc, KERNELS)
    finally:
        leave_environment(callers)


# ---- For the other front doors.

cdef BlockKernel find_block_kernel(str precision, str name) except NULL:
    """Return the kernel of that name in ``float32`` or ``float64``, to be called by `run_block`."""
    return tiers_at((name, precision))


AVAILABLE = ("baseline", *(("avx2",) if has_avx2() else ()), *(("avx512",) if has_avx512() else ()))
CHOSEN, REASON = cpu.choose(AVAILABLE, os.environ.get(cpu.VARIABLE))
KERNELS = import_kernels(CHOSEN)
FUSED = bool(has_fused_multiply_add())
UFUNCS = create_ufuncs(KERNELS)
BLOCK_KERNELS = create_block_kernels(KERNELS)
