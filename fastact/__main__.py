"""The command line: ``python -m fastact COMMAND``."""

import argparse
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path

import fastact


def info(_: argparse.Namespace) -> None:
    """Print versions, processor, instruction set and threads."""
    from fastact.runtime import show_config

    show_config()


def demo(arguments: argparse.Namespace) -> None:
    """Run every kernel over two photographs, train a network, run another one, all beside textbook NumPy."""
    from fastact.demo import run

    run(arguments.out, arguments.quick)


def apply(arguments: argparse.Namespace) -> None:
    """Apply an operator to a .npy file of any size, block by block, within some 100 MiB of memory.

    OP is an element-wise operator, prelu with one weight and rrelu as after training; glu, softmax, softmin,
    log_softmax or standardize along --param axis=K, or axis=J,K for neighbouring axes. Parameters have the names of
    the function fastact.OP (for standardize, fastact.preprocess.standardize) and its defaults.

    An axis too long for memory is read twice, first for its sum or its moments, which are added up in float64: such
    results may differ from those in memory in the last place, in float64 by 1e-13. So may those of Fortran arrays of
    three axes and more; all others have the same bits.

    The output appears when it is complete. Until then it is .OUT.npy.*.part in the same directory. After an
    interruption the same command goes on from there if results are written in order, which they are but where a long
    axis before the last ones is worked on in columns; any other command with this output removes it.
    """
    from fastact._apply.command import run
    from fastact._apply.errors import ApplyError

    try:
        print(run(arguments.operator, arguments.input, arguments.out, arguments.param, arguments.dtype))
    except ApplyError as error:
        sys.exit(f"fastact apply: {error}")


def bench(arguments: argparse.Namespace) -> None:
    """Measure every function beside the textbook's lines, and with --peers beside other libraries."""
    from fastact._bench.command import run

    run(arguments)


Command = Callable[[argparse.Namespace], None]
Options = dict[str, dict[str, object]]

COMMANDS: dict[Command, Options] = {
    info: {},
    demo: {
        "--out": {"default": "demo.png", "metavar": "FILE", "help": "the picture to write (default: demo.png)"},
        "--quick": {"action": "store_true", "help": "a smaller array and fewer rounds: a few seconds"},
    },
    apply: {
        "operator": {"metavar": "OP", "help": "the operator's name"},
        "input": {"metavar": "IN.npy", "type": Path, "help": "bool, integers or floats, in C or Fortran order"},
        "-o": {"dest": "out", "metavar": "OUT.npy", "type": Path, "required": True, "help": "appears when complete"},
        "--param": {"action": "append", "default": [], "metavar": "NAME=VALUE", "help": "a parameter of the operator"},
        "--dtype": {"metavar": "TYPE", "help": "compute in float16, float32 or float64 and write that"},
    },
    bench: {
        "--quick": {"action": "store_true", "help": "fewer sizes and rounds: half a minute"},
        "--peers": {"action": "store_true", "help": 'beside other libraries: pip install "fastact[peers]"'},
        "--html": {"type": Path, "metavar": "FILE", "help": "write a report, complete in one file"},
        "--json": {"type": Path, "metavar": "FILE", "help": "record here; what it has already is not measured again"},
        "--only": {"default": "", "metavar": "TEXT", "help": "functions with this in their name"},
        "--backend": {"default": "cython", "choices": ("cython", "numba", "auto"), "help": "default: cython"},
        "--visits": {"type": int, "default": 1, "help": "how often, each time after all others; the fastest counts"},
        "--seconds": {"type": float, "default": inf, "help": "stop after so many, with status 3 if unfinished"},
    },
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of `COMMANDS`: a function's name is the command's, its docstring the help."""
    parser = argparse.ArgumentParser(prog="python -m fastact", description="Activations for NumPy.")
    parser.add_argument("--version", action="version", version=f"fastact {fastact.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command, options in COMMANDS.items():
        text = inspect.getdoc(command) or ""
        subparser = commands.add_parser(
            command.__name__,
            help=text.partition("\n")[0],
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        subparser.set_defaults(run=command)
        for option, details in options.items():
            subparser.add_argument(option, **details)  # type: ignore[arg-type]
    parsed = parser.parse_args(arguments)
    try:
        parsed.run(parsed)
        if sys.stdout is not None:  # as it is for a program without one
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has seen enough, as of ``info | head``; Python must not try to write the rest at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
