"""Write the table of operators from the registry: ``python docs/operators.py docs/operators.md``."""

import sys
from pathlib import Path

from fastact._kernels.registry import OPERATORS, Operator

HEAD = """\
# Operators

Written by `make docs` from `fastact/_kernels/registry.py`. `fastact.grad.NAME(dy, x, ...)` is `dy` times the
derivative. The bounds are on |computed - exact| in units in the last place (ULP), subnormal results included.

| operator | definition | derivative | ULP: float32 | float64 | gradient |
|---|---|---|---|---|---|
"""


def line(row: Operator) -> str:
    """Return an operator's line of the table."""
    parameters = [p.name if p.default is None else f"{p.name}={p.default:g}" for p in row.parameters]
    signature = ", ".join(["x", *parameters])
    cells = [f"`{row.name}({signature})`", f"`{row.definition}`", f"`{row.derivative}`"]
    bounds = [row.ulp_float32, row.ulp_float64, row.ulp_gradient]
    return f"| {' | '.join([*cells, *(f'{bound:g}' if bound else 'exact' for bound in bounds)])} |\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(HEAD + "".join(map(line, OPERATORS)))
