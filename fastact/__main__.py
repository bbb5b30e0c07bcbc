"""The command line: ``python -m fastact COMMAND``."""

import argparse
from collections.abc import Sequence


def info(arguments: argparse.Namespace) -> None:
    """Print versions, processor, instruction set and threads."""
    from fastact.runtime import show_config

    show_config()


COMMANDS = (info,)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of `COMMANDS`: a function's name is the command's, its docstring the help."""
    parser = argparse.ArgumentParser(prog="python -m fastact", description="Activations for NumPy.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        subparser = commands.add_parser(command.__name__, help=command.__doc__, description=command.__doc__)
        subparser.set_defaults(run=command)
    parsed = parser.parse_args(arguments)
    parsed.run(parsed)


if __name__ == "__main__":
    main()
