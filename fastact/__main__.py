"""The command line: ``python -m fastact COMMAND``."""

import argparse
import sys
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path


def info(_: argparse.Namespace) -> None:
    """Print versions, processor, instruction set and threads."""
    from fastact.runtime import show_config

    show_config()


def demo(arguments: argparse.Namespace) -> None:
    """Run every kernel over two photographs, beside textbook NumPy; print speed and accuracy and save a picture."""
    try:
        from fastact.demo import run
    except ModuleNotFoundError as error:
        sys.exit(f'The demo needs {error.name}, which is not installed: pip install "fastact[demo]"')
    run(arguments.out, arguments.quick)


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
    bench: {
        "--quick": {"action": "store_true", "help": "fewer sizes and rounds: half a minute"},
        "--peers": {"action": "store_true", "help": 'beside other libraries: pip install "fastact[peers]"'},
        "--html": {"type": Path, "metavar": "FILE", "help": "write a report, complete in one file"},
        "--json": {"type": Path, "metavar": "FILE", "help": "record here; what it has already is not measured again"},
        "--only": {"default": "", "metavar": "TEXT", "help": "functions with this in their name"},
        "--backend": {"default": "cython", "choices": ("cython", "numba", "auto"), "help": "default: cython"},
        "--seconds": {"type": float, "default": inf, "help": "stop after so many, with status 3 if unfinished"},
    },
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of `COMMANDS`: a function's name is the command's, its docstring the help."""
    parser = argparse.ArgumentParser(prog="python -m fastact", description="Activations for NumPy.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command, options in COMMANDS.items():
        subparser = commands.add_parser(command.__name__, help=command.__doc__, description=command.__doc__)
        subparser.set_defaults(run=command)
        for option, details in options.items():
            subparser.add_argument(option, **details)  # type: ignore[arg-type]
    parsed = parser.parse_args(arguments)
    parsed.run(parsed)


if __name__ == "__main__":
    main()
