"""The C types of the files of loops, read from the .pxd beside each: Cython's, for whoever else compiles the loops.

They are in the .pxd files that belong to no .pyx. What is written there, and in which form, is said by what is there.
"""

import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType
from typing import NamedTuple

DIRECTORY = Path(__file__).parent
FUNCTION = re.compile(
    r"^(?:cdef )?(?:inline )?(?P<result>\([^()]*\)|[\w* ]+?)\s*\b(?P<name>\w+)(?P<c_name> \"\w+\")?"
    r"\((?P<arguments>[^()]*)\) noexcept nogil(?::\nreturn (?:<[^<>]+>)?(?P<value>.+))?",
    re.MULTILINE,
)
CONSTANT = re.compile(r"^(\w+) = (\d+)$", re.MULTILINE)
NAME_OF_TYPE = re.compile(r"^ctypedef (\([^()]*\)|[\w* ]+?)\s*\b(\w+)(?P<c_name> \"\w+\")?$", re.MULTILINE)
NAME_OF_OPEN_TYPE = re.compile(r"^ctypedef (?:[\w* ]+? \(\*(\w+)\)\(|fused (\w+):)", re.MULTILINE)
# What these declare is of the .pyx files, which are not installed, and no loop calls it.
FRONT_DOORS = ("calls", "copies", "jobs", "packing", "pieces", "programs", "rows", "tiers", "ufuncs", "workers")
# The types of a kernel: its result and its arguments.
KERNEL = ("void", "char**", "const Py_ssize_t*")
# What a function of a .pxd may return, by its text there.
VALUES = {
    "args[k]": (lambda args, k: args[k]).__code__,
    "a + b": (lambda a, b: a + b).__code__,
    "a ^ b": (lambda a, b: a ^ b).__code__,
    "x + k": (lambda x, k: x + k).__code__,
    "x": (lambda x: x).__code__,
    "memory": (lambda memory: memory).__code__,
}


class Argument(NamedTuple):
    """The type of an argument in C, and its name."""

    c_type: str
    name: str


class Signature(NamedTuple):
    """The types of a function, and what it returns if that is all it does."""

    result: str
    arguments: tuple[Argument, ...]
    value: str | None
    is_primitive: bool


class Loops(NamedTuple):
    """The functions of all files of loops with their types."""

    code: dict[str, CodeType]
    # The file each function stands in.
    files: dict[str, str]
    signatures: dict[str, Signature]
    # The constants of the .pxd, which are of any integer type, and those of the .py, which are of 64 bits, unsigned.
    lengths: dict[str, int]
    words: dict[str, int]
    # What a name of a type stands for; and the pointers that C calls restrict, which are those with a name of C's.
    types: dict[str, str]
    restricted: set[str]
    # Functions and fused types: a function that takes one is compiled for each that it is given.
    open_types: set[str]
    # All that compiled code depends on.
    texts: tuple[str, ...]

    def is_kernel(self, name: str) -> bool:
        """Return whether a function is a kernel that is not element by element."""
        signature = self.signatures.get(name)
        types = () if signature is None else (signature.result, *(argument.c_type for argument in signature.arguments))
        return types == KERNEL


def files() -> list[Path]:
    """Return the files of declarations. Most have a file of loops beside them."""
    return [path for path in sorted(DIRECTORY.glob("*.pxd")) if path.stem not in FRONT_DOORS]


def read() -> Loops:
    """Read the signatures of all files of loops, and import their functions."""
    loops = Loops({}, {}, {}, {}, {}, {}, set(), set(), ())
    texts = []
    for file in files():
        declarations = file.read_text(encoding="utf-8")
        add_declarations(loops, re.sub(r"(?m)^[ \t]+|[ \t]*#.*$", "", declarations))
        for name, value in functions_and_constants(file).items():
            if isinstance(value, FunctionType):
                loops.code[name] = value.__code__
                loops.files[name] = file.stem
            elif isinstance(value, int):
                loops.words[name] = value
        texts.append(declarations)
    for name, signature in loops.signatures.items():
        if signature.value is not None:
            loops.code[name] = VALUES[signature.value].replace(co_name=name, co_qualname=name)
    return loops._replace(texts=tuple(texts))


def functions_and_constants(file: Path) -> Mapping[str, object]:
    """Return what the file of loops beside a file of declarations defines."""
    has_loops = file.with_suffix(".py").exists()
    return vars(import_module(f"{__package__}.{file.stem}")) if has_loops else {}


def add_declarations(loops: Loops, text: str) -> None:
    for found in FUNCTION.finditer(text):
        result = " ".join(found["result"].split())
        is_primitive = found["c_name"] is not None
        loops.signatures[found["name"]] = Signature(
            result, arguments_of(found["arguments"]), found["value"], is_primitive
        )
    loops.lengths.update((name, int(value)) for name, value in CONSTANT.findall(text))
    loops.open_types.update(function or fused for function, fused in NAME_OF_OPEN_TYPE.findall(text))
    for found in NAME_OF_TYPE.finditer(text):
        loops.types[found[2]] = found[1]
        if found["c_name"] and found[1].endswith("*"):
            loops.restricted.add(found[2])


def arguments_of(text: str) -> tuple[Argument, ...]:
    """Return the arguments of a function; those of primitives have no names."""
    arguments = []
    for part in filter(None, (" ".join(part.split()) for part in text.split(","))):
        c_type, _, name = part.rpartition(" ")
        if name.endswith("*") or c_type in ("", "const"):
            c_type, name = part, ""
        arguments.append(Argument(c_type, name))
    return tuple(arguments)
