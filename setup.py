"""Build the kernels: the same formulas for each precision and instruction set.

Cython's pure Python mode compiles `formulas.py` and `blocks.py` as they are; C types come from a .pxd of the same
module name. What differs between the modules is written into the build directory from the one text: a header with
the constants, a .pxd with a line for each formula, and a call of the block loop for each kernel of the registry.
"""

import ast
import importlib.util
import os
import platform
import re
import sys
from pathlib import Path

from Cython.Build import cythonize
from numpy import get_include
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
KERNELS = ROOT / "fastact" / "_kernels"
STAGE = ROOT / "build" / "kernels" / "fastact" / "_kernels"

IS_X86_64 = platform.machine() in {"x86_64", "AMD64"}
INSTRUCTION_SETS = (
    {
        "baseline": [],
        "avx2": ["-mavx2", "-mfma", "-mf16c"],
        "avx512": ["-march=skylake-avx512", "-mprefer-vector-width=512"],
    }
    if IS_X86_64
    else {"baseline": []}
)
# No contraction: results must not depend on what a compiler fuses.
COMPILE_ARGS = [
    "-O3",
    "-g0",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=off",
    "-fvisibility=hidden",
]
if "clang" not in os.environ.get("CC", "") and sys.platform != "darwin":
    COMPILE_ARGS += [
        # Formulas must be inlined into their loops, or nothing is vectorized; without the unit limits gcc stops
        # inlining half-way through the module.
        "-finline-limit=10000",
        "--param=inline-unit-growth=10000",
        "--param=large-unit-insns=1000000",
        # Zeros are written by the vectors that read them next: memset's are half as long, and what is read waits until
        # both have left the store buffer (27 cycles for each row of log_softmax).
        "-fno-tree-loop-distribute-patterns",
        # Threading jumps over two selects in a row makes four comparisons of them.
        "-fno-thread-jumps",
        # A loop for each side of a condition on a parameter (softplus's beta == 1: 2.3 times as fast).
        "--param=max-unswitch-insns=1000",
        # Two iterations side by side: the latency of one is filled by the other (5 to 10% on AVX-512), of long formulas
        # too.
        "-funroll-loops",
        "--param=max-unroll-times=2",
        "--param=max-unrolled-insns=800",
        "--param=max-average-unrolled-insns=400",
        "-fschedule-insns",
        "-fsched-pressure",
    ]

KERNEL_DIRECTIVES = {
    "language_level": 3,
    "infer_types": True,
    "cdivision": True,
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "freethreading_compatible": True,
}
FRONT_DOOR_DIRECTIVES = {
    "language_level": 3,
    "infer_types": True,
    "cdivision": True,
    "freethreading_compatible": True,
}
# The files of loops, each with the C types of its functions beside it in a .pxd.
LOOPS = (
    "blocks",
    "philox",
    "lanes",
    "softmax",
    "logsumexp",
    "chains",
    "moments",
    "normalize",
    "sums",
    "gradients",
    "weight_gradients",
    "row_gradients",
    "grad_softmax",
    "quantization",
    "gates",
    "losses",
    "planes",
)
# Those that only the kernels for binary32 have.
LOOPS_OF_FLOAT32 = ("conversions", "halves", "images")
# What the texts of kernels include.
HEADERS = ("primitives", "philox", "conversions", "wide", "images")
# Public functions of activations.py and grad.py that have no row in the registry.
BY_HAND = ("glu", "rrelu")
INTEGER_TYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")


def load(name):
    """Import a module of the kernels by itself: the package cannot be imported before it is built."""
    spec = importlib.util.spec_from_file_location(name, KERNELS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_if_changed(path, text):
    """Write a staged file; one that is unchanged keeps its time stamp and is not compiled again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def signature(function, c_type="real"):
    """Return the C declaration of a formula: every argument and every result is of one type."""
    returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)][-1]
    results = f"({', '.join([c_type] * len(returned.elts))})" if isinstance(returned, ast.Tuple) else c_type
    arguments = ", ".join(f"{c_type} {argument.arg}" for argument in function.args.args)
    return f"cdef {results} {function.name}({arguments}) noexcept nogil"


def functions(source):
    """Return the functions of a source file as (syntax tree, text)."""
    found = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    return [(node, ast.get_source_segment(source, node)) for node in found]


def constants(file):
    """Return the constants of a file of kernels by name."""
    body = ast.parse((KERNELS / f"{file}.py").read_text()).body
    return {node.targets[0].id: ast.literal_eval(node.value) for node in body if isinstance(node, ast.Assign)}


def words():
    """Return the constants of the files of loops by name: they are integers."""
    return {name: value for file in LOOPS for name, value in constants(file).items()}


def calls_of(formulas):
    """Return the names that each formula calls, from (syntax tree, text)."""
    return {node.name: {part.func.id for part in ast.walk(node) if isinstance(part, ast.Call)} for node, _ in formulas}


def for_usual_arguments(formulas):
    """Return the second versions of formulas, see usual.py, as `functions` returns them."""
    names = usual.second_names(calls_of(formulas))
    pattern = re.compile(rf"\b({'|'.join(names)})\(")
    return functions(
        "\n".join(pattern.sub(r"\1" + usual.SUFFIX + "(", text) for node, text in formulas if node.name in names)
    )


def kernel(row, asking):
    """Return the kernels of one row: with scalar parameters, and with every operand an array.

    A formula that asks what is rare (its name is in `asking`) has a second version, for usual arguments.
    """
    count = len(row.parameters)
    *operands, y = [f"operand(args, {k})" for k in range(row.arrays + count + 1)]
    scalars = [*operands[: row.arrays], *(f"{operand}[0]" for operand in operands[row.arrays :])]
    if row.usual and row.name in asking:
        loop, formulas, outputs = "mostly", usual.versions(row.name, count), [str(row.usual), y, "n"]
    else:
        loop, formulas, outputs = "each", [row.name], [y, "n"]
    with_scalars = f"{loop}_{row.arrays}_{count}({', '.join([*formulas, *scalars, *outputs])})"
    with_arrays = f"each_{row.arrays + count}_0({', '.join([row.name, *operands, y, 'n'])})" if count else with_scalars
    return f"def scalar_{row.name}(args, n):\n    {with_scalars}\n\ndef array_{row.name}(args, n):\n    {with_arrays}\n"


def step(row):
    """Return the kernel of one step of fused functions, with every operand an array."""
    arrays = [f"operand(args, {k})" for k in range(row.arrays)]
    operands = ", ".join([row.name, *arrays, f"operand(args, {row.arrays})", "n"])
    return f"def array_{row.name}(args, n):\n    each_{row.arrays}_0({operands})\n"


def integer_kernel(row, c_type):
    """Return the kernels of a row that keeps integers, for one type."""
    arrays = [f"{c_type}_operand(args, {k})" for k in range(row.arrays + 1)]
    return (
        f"def scalar_{row.name}_{c_type}(args, n):\n    x = {arrays[0]}\n    y = {arrays[1]}\n"
        f"    for i in range(n):\n        y[i] = {row.name}(x[i])\n\n"
        f"def array_{row.name}_{c_type}(args, n):\n    scalar_{row.name}_{c_type}(args, n)\n"
    )


def kernel_declarations(names):
    """Return the C declarations of the kernels of these names."""
    return [
        f"cdef void {kind}_{name}(char** args, Py_ssize_t n) noexcept nogil"
        for name in names
        for kind in ("scalar", "array")
    ]


def stage(name, header, declarations, texts):
    """Write the sources of one kernel module and return the path of the one to compile."""
    write_if_changed(STAGE / "__init__.py", "")
    write_if_changed(STAGE.parent / "__init__.py", "")
    write_if_changed(STAGE / f"{name}.h", header)
    write_if_changed(STAGE / f"{name}.pxd", "\n".join(declarations) + "\n")
    write_if_changed(STAGE / f"{name}.py", "\n\n\n".join(texts))
    return STAGE / f"{name}.py"


def stage_real(name, precision, rows, steps):
    """Stage all kernels for one floating-point type."""
    known = constants(precision)
    files_of_formulas = (precision, "formulas", "elementary")
    formulas = [formula for file in files_of_formulas for formula in functions((KERNELS / f"{file}.py").read_text())]
    asking = usual.asking(calls_of(formulas))
    formulas += for_usual_arguments(formulas)
    c_type, files = {"float32": ("float", LOOPS + LOOPS_OF_FLOAT32), "float64": ("double", LOOPS)}[precision]
    loops = [loop for file in files for loop in functions((KERNELS / f"{file}.py").read_text())]

    defines = [f"#define {constant} ((real){value!r})" for constant, value in known.items()]
    defines += [f"#define {constant} ((uint64_t){value:#x})" for constant, value in words().items()]
    header = '#include "primitives.h"\n' + "\n".join(defines) + "\n"
    declarations = [
        f'cdef extern from "{name}.h":\n    ctypedef {c_type} real\n    const real {", ".join(known)}\n',
        *((KERNELS / f"{file}.pxd").read_text() for file in ("layout", *files)),
        *(signature(node) for node, _ in formulas),
        *kernel_declarations([row.name for row in rows]),
        *(f"cdef void array_{row.name}(char** args, Py_ssize_t n) noexcept nogil" for row in steps),
    ]
    kernels = [*(kernel(row, asking) for row in rows), *(step(row) for row in steps)]
    return stage(name, header, declarations, [text for _, text in formulas + loops] + kernels)


def stage_integers(name, rows):
    """Stage the kernels that keep integers, for all integer types: their formulas, as they stand for floats."""
    rows = [row for row in rows if row.keeps_integers]
    names = {row.name for row in rows}
    formulas = [(node, text) for node, text in functions((KERNELS / "formulas.py").read_text()) if node.name in names]
    used = {part.id for node, _ in formulas for part in ast.walk(node) if isinstance(part, ast.Name)}
    known = {constant: int(value) for constant, value in constants("float32").items() if constant in used}

    c_types = [f"{integer}_t" for integer in INTEGER_TYPES]
    operand = "cdef inline {0}_t* {0}_operand(char** args, Py_ssize_t k) noexcept nogil:\n    return <{0}_t*>args[k]\n"
    declarations = [
        f"from libc.stdint cimport {', '.join(c_types)}\n",
        f'cdef extern from "{name}.h":\n    const int {", ".join(known)}\n',
        "ctypedef fused integer:\n" + "".join(f"    {c_type}\n" for c_type in c_types),
        *(operand.format(integer) for integer in INTEGER_TYPES),
        *(signature(node, "integer") for node, _ in formulas),
        *kernel_declarations([f"{row.name}_{integer}" for row in rows for integer in INTEGER_TYPES]),
    ]
    header = "\n".join(f"#define {constant} {value}" for constant, value in known.items()) + "\n"
    kernels = [integer_kernel(row, integer) for row in rows for integer in INTEGER_TYPES]
    return stage(name, header, declarations, [text for _, text in formulas] + kernels)


def kernel_module(name, source, flags, **options):
    """Return the extension of one staged kernel module."""
    return Extension(
        f"fastact._kernels.{name}",
        [str(source.relative_to(ROOT))],
        include_dirs=[str(STAGE), str(KERNELS)],
        extra_compile_args=COMPILE_ARGS + flags,
        depends=[
            *(str(KERNELS / f"{header}.h") for header in HEADERS),
            str(STAGE / f"{name}.h"),
        ],
        **options,
    )


def kernel_modules(rows, steps):
    """Return an extension for each kind of number and instruction set."""
    modules = []
    for instruction_set, flags in INSTRUCTION_SETS.items():
        for precision, bits in (("float32", "32"), ("float64", "64")):
            name = f"_{precision}_{instruction_set}"
            source = stage_real(name, precision, rows, steps)
            modules.append(kernel_module(name, source, flags, define_macros=[("FASTACT_BITS", bits)]))
        name = f"_integers_{instruction_set}"
        modules.append(kernel_module(name, stage_integers(name, rows), flags))
    return modules


def front_doors():
    """Return the extensions between Python and the kernels. They run on every processor: no flags for a newer one."""
    modules = {
        "tiers": ["tiers.pyx", "background.cpp", "gate.cpp"],
        "programs": ["programs.pyx"],
        "workers": ["workers.pyx", "pool.cpp"],
        "calls": ["calls.pyx"],
        "rows": ["rows.pyx"],
        "ufuncs": ["ufuncs.pyx"],
        "random": ["random.pyx"],
        "operands": ["operands.pyx"],
        "statistics": ["statistics.pyx"],
        "targets": ["targets.pyx"],
        "pieces": ["pieces.pyx"],
        "reductions": ["reductions.pyx"],
        "channels": ["channels.pyx"],
        "planar": ["planar.pyx"],
        "rowwise": ["rowwise.pyx"],
    }
    headers = [path for pattern in ("*.h", "*.hpp", "*.pxd") for path in KERNELS.glob(pattern)]
    return [
        Extension(
            f"fastact._kernels.{name}",
            [f"fastact/_kernels/{source}" for source in sources],
            language="c++",
            include_dirs=[get_include(), str(KERNELS)],
            define_macros=[
                ("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION"),
                ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION"),
            ],
            # Without errno square roots are vectors: 0.73 instead of 1.27 us for the statistics of 256 channels.
            extra_compile_args=["-std=c++17", "-O3", "-g0", "-fno-math-errno", "-fvisibility=hidden", "-pthread"],
            extra_link_args=["-pthread"],
            depends=[str(header) for header in headers],
        )
        for name, sources in modules.items()
    ]


def stub(row, arrays):
    """Return the type stub of one operator."""
    if not row.parameters:
        return f"{row.name}: np.ufunc"
    parameters = "".join(
        f", {parameter.name}: ArrayLike" + ("" if parameter.default is None else f" = {parameter.default!r}")
        for parameter in row.parameters
    )
    operands = ", ".join(f"{array}: ArrayLike" for array in arrays)
    return f"def {row.name}({operands}{parameters}, **options: Any) -> Any: ..."


def operator_stubs(module, operators, arrays):
    """Return the type stubs of a module of operators: those written there by hand, and those made from the rows."""
    written = {node.name: node for node, _ in functions((ROOT / "fastact" / f"{module}.py").read_text())}
    by_hand = [
        f"def {name}({ast.unparse(node.args)}) -> {ast.unparse(node.returns)}: ..." for name, node in written.items()
    ]
    made = [stub(row, arrays) for row in operators if row.name not in written]
    return "ELEMENT_WISE: dict[str, Any]\n" + "\n".join([*made, *by_hand]) + "\n"


def stubs(operators, kernels):
    """Return the type stubs of the modules whose names are made from the registry."""
    imports = "from typing import Any\n\nimport numpy as np\nfrom numpy.typing import ArrayLike\n\n"
    exports = "__all__: list[str]\n\n"
    names = "".join(f"    {name} as {name},\n" for name in [*(row.name for row in operators), *BY_HAND])
    modules_of_functions = ("dropout", "fuse", "normalization", "penalties", "runtime", "softmax")
    families = "".join(map(exported, modules_of_functions))
    public = ("activations", "grad", "normalization", "penalties", "preprocess", "runtime", "ufuncs")
    modules = "".join(f"from fastact import {name} as {name}\n" for name in public)
    return {
        "__init__.pyi": f"{modules}from fastact.activations import (\n{names})\n"
        f"{families}\n__version__: str\n{exports}",
        "activations.pyi": imports + exports + operator_stubs("activations", operators, ["x"]),
        "grad.pyi": imports + exported("_gradients") + "\n" + exports + operator_stubs("grad", operators, ["dy", "x"]),
        "ufuncs.pyi": "import numpy as np\n\n" + exports + "".join(f"{row.name}: np.ufunc\n" for row in kernels),
    }


def exported(module):
    """Return the line of a stub that exports the public names of a module, read without importing it."""
    body = ast.parse((ROOT / "fastact" / f"{module}.py").read_text()).body
    (names,) = [node.value for node in body if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"]
    lines = "".join(f"    {name} as {name},\n" for name in ast.literal_eval(names))
    return f"from fastact.{module} import (\n{lines})\n"


class BuildWithStubs(build_ext):
    """Builds the extensions, one on each processor, and writes the type stubs beside them."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def run(self):
        super().run()
        package = (ROOT if self.inplace else Path(self.build_lib)) / "fastact"
        public = [row for row in registry.OPERATORS if row.name in registry.PUBLIC]
        for name, text in stubs(public, registry.kernels()).items():
            write_if_changed(package / name, text)


registry, usual = load("registry"), load("usual")

setup(
    cmdclass={"build_ext": BuildWithStubs},
    ext_modules=[
        *cythonize(
            kernel_modules(registry.kernels(), registry.STEPS),
            build_dir="build/cython",
            include_path=[str(STAGE.parents[1])],
            compiler_directives=KERNEL_DIRECTIVES,
        ),
        *cythonize(front_doors(), build_dir="build/cython", compiler_directives=FRONT_DOOR_DIRECTIVES),
    ],
)
