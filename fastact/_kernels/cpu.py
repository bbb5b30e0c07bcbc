"""Which build of the kernels runs: the best the processor offers, or less if FASTACT_CPU says so."""

from collections.abc import Sequence

VARIABLE = "FASTACT_CPU"
INSTRUCTION_SETS = ("baseline", "avx2", "avx512")


def choose(available: Sequence[str], requested: str | None) -> tuple[str, str]:
    """Return the instruction set to use and the reason, in words.

    Parameters
    ----------
    available : sequence of str
        The instruction sets this processor offers, the best one last.
    requested : str or None
        The value of the environment variable FASTACT_CPU.

    Raises
    ------
    ValueError
        If `requested` is none of `INSTRUCTION_SETS`.
    RuntimeError
        If this processor does not offer what is requested.
    """
    if not requested:
        return available[-1], "the best this processor offers"
    if requested not in INSTRUCTION_SETS:
        raise ValueError(f"{VARIABLE} must be one of {', '.join(INSTRUCTION_SETS)}, got {requested!r}")
    if requested not in available:
        raise RuntimeError(f"{VARIABLE}={requested}: this processor offers only {', '.join(available)}")
    return requested, f"{VARIABLE}={requested}"
