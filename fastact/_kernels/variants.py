"""Rows of the registry that an argument of a public function chooses between."""

VARIANTS = {"none": "gelu", "tanh": "gelu_tanh"}


def gelu_variant(function: str, approximate: str) -> str:
    """Return the row that computes gelu, for a function of that name, which messages begin with."""
    if not isinstance(approximate, str):
        raise TypeError(f"{function}(): approximate must be 'none' or 'tanh', got {type(approximate).__name__!r}")
    if approximate not in VARIANTS:
        raise ValueError(f"{function}(): approximate must be 'none' or 'tanh', got {approximate!r}")
    return VARIANTS[approximate]
