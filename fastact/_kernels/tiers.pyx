"""Which version of a kernel runs, Cython's or Numba's, and when Numba's is compiled.

Every kernel begins on Cython. When it is hot (auto) or called for the first time (numba), it is wanted: a background
thread calls `compile_wanted`, which `backend.py` has put here, and that installs Numba's version or notes that there is
none. Numba's threads are wanted, compiled and installed in the same way, by the first large call of backend numba.
"""

from libc.stdint cimport int64_t, uintptr_t
from libc.stdlib cimport calloc

cdef extern from "atomics.h" nogil:
    void store "fastact_store"(int* target, int value) noexcept
    bint replace "fastact_replace"(int* target, int expected, int value) noexcept
    int64_t add "fastact_add"(int64_t* target, int64_t value) noexcept

cdef extern from "background.hpp" namespace "fastact" nogil:
    ctypedef void (*Work)() noexcept nogil
    void start_work "fastact::start_work"(Work) noexcept
    void wait_for_work "fastact::wait_for_work"(const int* status, int waiting) noexcept
    void announce_work "fastact::announce_work"() noexcept
    bint close_work "fastact::close_work"() noexcept
    bint is_at_work "fastact::is_at_work"() noexcept

cdef extern from "gate.hpp" namespace "fastact" nogil:
    ctypedef void (*GateTask "fastact::Task")(void* context, Py_ssize_t chunk) noexcept nogil
    ctypedef void (*Launcher "fastact::Launcher")(
        GateTask, void* context, Py_ssize_t chunks, Py_ssize_t* next, Py_ssize_t threads
    ) noexcept nogil
    void open_gate "fastact::open_gate"(Launcher, int most_threads) noexcept
    bint is_gate_open "fastact::is_gate_open"() noexcept
    bint pass_gate "fastact::run_in_numba"(GateTask, void* context, Py_ssize_t chunks, int threads) noexcept
    bint close_gate "fastact::close_gate"() noexcept

cdef extern from "Python.h" nogil:
    int PyGILState_Check()
    ctypedef struct PyThreadState:
        pass
    PyThreadState* PyEval_SaveThread()
    void PyEval_RestoreThread(PyThreadState*)

# Compiling takes 0.2 s of another processor: what a kernel may cost before that is worth it.
cdef int64_t HOT_AFTER_NANOSECONDS = 50_000_000
# The key of Numba's threads among those of kernels, which are (name, type).
THREADS = ("threads", "")
BACKENDS = {"auto": AUTO, "numba": NUMBA, "cython": CYTHON}
STATUSES = {NOT_COMPILED: "not compiled", WANTED: "wanted", COMPILED: "compiled", FAILED: "failed"}

compile_wanted = None
cdef dict tiers_of = {}


# ---- For the front doors.

cdef Tiers* create_tiers(Kernel scalar, Kernel array, object key) except NULL:
    """Return the tiers of a kernel, or those that there are for its key; without a key it has no Numba version."""
    cdef Tiers* tiers
    if key in tiers_of:
        return tiers_at(key)
    tiers = <Tiers*>calloc(1, sizeof(Tiers))
    if tiers == NULL:
        raise MemoryError
    tiers.cython.scalar = scalar
    tiers.cython.array = array
    tiers.status = FAILED if key is None else NOT_COMPILED
    if key is not None:
        tiers_of[key] = <uintptr_t>tiers
    return tiers


cdef Tiers* create_block_tiers(BlockFunction function, object key) except NULL:
    """Return the tiers of a kernel that is not element by element, or those that there are for its key."""
    cdef Tiers* tiers = create_tiers(NULL, NULL, key)
    tiers.cython_block = function
    return tiers


cdef void want(Tiers* tiers) noexcept nogil:
    if replace(&tiers.status, NOT_COMPILED, WANTED):
        start_work(<Work>compile_in_background)


cdef void compile_in_background() noexcept nogil:
    with gil:
        try:
            compile_wanted()
        except BaseException:
            # Nobody is there to be told: the process ends, or the kernels stay as they are.
            pass


cdef void compile_first(Tiers* tiers) noexcept nogil:
    """Have a kernel compiled and wait for it. NumPy holds the GIL for short arrays: the compiler needs it."""
    cdef PyThreadState* state = NULL
    want(tiers)
    if PyGILState_Check():
        state = PyEval_SaveThread()
    wait_for_work(&tiers.status, WANTED)
    if state != NULL:
        PyEval_RestoreThread(state)


cdef void add_time(Tiers* tiers, int64_t nanoseconds) noexcept nogil:
    """Add the time of a call; a hot kernel is compiled in the background."""
    if add(&tiers.nanoseconds, nanoseconds) >= HOT_AFTER_NANOSECONDS:
        want(tiers)


cdef bint run_in_numba(Task task, void* context, Py_ssize_t chunks, int threads) noexcept nogil:
    """Compute all chunks in Numba's threads; return False if they are not to be had, now or at all."""
    if load(&backend) != NUMBA:
        return False
    # They take 0.7 s to start: until then who has threads does not wait.
    want(numba_threads)
    return pass_gate(<GateTask>task, context, chunks, threads)


# ---- For backend.py.

cdef Tiers* tiers_at(tuple key) except NULL:
    return <Tiers*><uintptr_t>tiers_of[key]


def compilable():
    """Return (name, type) of every kernel that Numba may compile."""
    return [key for key in tiers_of if key != THREADS]


def status_of(key):
    """Return what is known of a kernel's Numba version: one of `STATUSES`."""
    return STATUSES[load(&tiers_at(key).status)]


def install(key, uintptr_t address, uintptr_t array_address=0):
    """Let a kernel run on its Numba version, unless the backend is cython. One of blocks has only one address."""
    cdef Tiers* tiers = tiers_at(key)
    if tiers.cython_block != NULL:
        tiers.numba_block = <BlockFunction><void*>address
    else:
        tiers.numba.scalar = <Kernel><void*>address
        tiers.numba.array = <Kernel><void*>array_address
    store(&tiers.status, COMPILED)
    announce_work()


def install_threads(uintptr_t launcher, int most_threads):
    """Compute large calls of backend numba in Numba's threads, by the launcher at this address."""
    open_gate(<Launcher><void*>launcher, most_threads)
    store(&numba_threads.status, COMPILED)


def fail(key):
    """Note that there is no Numba version, and let those go on who wait for it."""
    store(&tiers_at(key).status, FAILED)
    announce_work()


def forget_wanted():
    """Note that nobody is compiling what was wanted: it may be wanted again."""
    for key in tiers_of:
        replace(&tiers_at(key).status, WANTED, NOT_COMPILED)


def set_backend(name):
    """Let kernels run as the backend says from now on."""
    store(&backend, BACKENDS[name])


def get_backend():
    """Return the name of the backend."""
    return next(name for name, number in BACKENDS.items() if number == load(&backend))


def runs_numba(key):
    """Return whether Numba's version of a kernel is what runs."""
    return load(&tiers_at(key).status) == COMPILED and load(&backend) != CYTHON


def uses_numba_threads():
    """Return whether large calls are computed in Numba's threads."""
    return is_gate_open() and load(&backend) == NUMBA


def is_compiling():
    """Return whether there is a thread that compiles."""
    return is_at_work()


def close():
    """Begin no work and enter no parallel region of Numba's from now on. Return whether none is under way."""
    cdef bint is_idle = close_work()
    return close_gate() and is_idle


cdef Tiers* numba_threads = create_tiers(NULL, NULL, THREADS)
