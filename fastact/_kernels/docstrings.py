"""Docstrings in numpydoc's format, from the rows of the registry."""

from fastact._kernels.registry import OPERATORS, Operator, Parameter

RETURNS = """\
Returns
-------
y : ndarray or scalar
    {what} Of the operands' common shape and type.
    float16 and bfloat16 are computed in float32 and rounded once; integers and bool in float32 if they have
    at most 16 bits, else in float64{exception}."""

WIDTH = 100
EXCEPTION = "; integers keep their type"

RAISES = """\
Raises
------
TypeError
    If an operand is not a real number or an array of bool, integers, float16, bfloat16 (of ml_dtypes),
    float32 or float64."""

FLAGS = (
    "Never warns and leaves the floating-point flags as they are. Large arrays are computed by several threads: see "
    "`fastact.set_num_threads`."
)

OPTIONS = """\
**options
    ``out``, ``where``, ``dtype``, ``casting``, ``order``, ``subok``: as of every `numpy.ufunc`."""


def underlined(title: str, text: str) -> str:
    return f"{title}\n{'-' * len(title)}\n{text}"


def wrapped(text: str) -> str:
    """Return a text in lines of at most `WIDTH` characters. `textwrap` takes ten times as long, at every import."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > WIDTH:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return "\n".join(lines)


def operands(row: Operator, is_gradient: bool) -> str:
    """Return the entries of the section Parameters."""
    entries = ["x : array_like\n    The input, of any shape."]
    if is_gradient:
        entries.insert(0, f"dy : array_like\n    The gradient with respect to the output of `{public(row, False)}`.")
    entries += [parameter_entry(parameter) for parameter in row.parameters]
    return "\n".join(entries)


def parameter_entry(parameter: Parameter) -> str:
    default = "" if parameter.default is None else f", default {parameter.default}"
    meaning = f"{parameter.meaning[0].upper()}{parameter.meaning[1:]}"
    return (
        f"{parameter.name} : float or array_like{default}\n    {meaning}. "
        "Arrays are broadcast with `x`; a Python number takes the precision `x` is computed in."
    )


def public(row: Operator, is_gradient: bool) -> str:
    """Return the name that a row is called by."""
    if row.variant_of is None:
        return f"fastact.grad.{row.name}" if is_gradient else f"fastact.{row.name}"
    return f"fastact.ufuncs.grad_{row.name}" if is_gradient else f"fastact.ufuncs.{row.name}"


def example(row: Operator, is_gradient: bool) -> str:
    """Return the example, whose output is written in the row."""
    parameters = f", {row.example.parameters}" if row.example.parameters else ""
    arguments = f"1.0, x{parameters}" if is_gradient else f"x{parameters}"
    call = f"{public(row, is_gradient)}({arguments})"
    output = row.example.dx if is_gradient else row.example.y
    return f">>> import numpy as np\n>>> import fastact\n>>> x = np.array({row.example.x})\n>>> {call}\n{output}"


def raises(row: Operator) -> str:
    """Return the section Raises."""
    if row.range is None:
        return RAISES
    return f"{RAISES}\nValueError\n    {row.range.demand[0].upper()}{row.range.demand[1:]}. Arrays are not checked."


def of_operator(row: Operator, is_gradient: bool) -> str:
    """Return the docstring of an operator or of its gradient."""
    summary = f"Gradient of `{public(row, False)}`, multiplied by `dy`." if is_gradient else row.summary
    definition = f"dy*({row.derivative})" if is_gradient else row.definition
    special_values = row.grad_special_values if is_gradient else row.special_values
    ulp = (row.ulp_gradient,) * 2 if is_gradient else (row.ulp_float32, row.ulp_float64)
    exception = EXCEPTION if row.keeps_integers and not is_gradient else ""
    what = "The gradient with respect to `x`." if is_gradient else "The activations."
    accuracy = f"Error at most {ulp[0]:g} ULP in float32 and {ulp[1]:g} ULP in float64, subnormal results included."
    notes = "\n\n".join([f"``{definition}``", *(wrapped(text) for text in (special_values, accuracy, FLAGS))])
    sections = [
        summary,
        underlined("Parameters", f"{operands(row, is_gradient)}\n{OPTIONS}"),
        RETURNS.format(what=what, exception=exception),
        raises(row),
        underlined("Notes", notes),
        underlined("References", row.source),
        underlined("Examples", example(row, is_gradient)),
    ]
    return "\n\n".join(sections) + "\n"


def of_ufuncs() -> dict[str, str]:
    """Return the docstrings of the ufuncs by name. With parameters, they are what stands behind a function."""
    docs = {}
    for row in OPERATORS:
        for is_gradient in (False, True):
            name = f"grad_{row.name}" if is_gradient else row.name
            arrays = ("dy", "x") if is_gradient else ("x",)
            order = ", ".join((*arrays, *(parameter.name for parameter in row.parameters)))
            docs[name] = (
                f"The ufunc behind `{public(row, is_gradient)}`, without defaults. Operands: {order}.\n"
                if row.parameters
                else of_operator(row, is_gradient)
            )
    return docs | {
        "glu": "The ufunc behind `fastact.glu`: a*sigmoid(b). Operands: a, b.\n",
        "grad_glu": "The gradient of ``glu(a, b)`` with respect to b: dy*a*sigmoid(b)*(1 - sigmoid(b)). "
        "Operands: dy, a, b. That with respect to a is ``glu(dy, b)``.\n",
    }
