"""The examples of the sources, as modules: what they show is not written twice."""

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import fastact


def example(name: str) -> Any:
    """Return ``examples/NAME.py``: installed as fastact.examples.NAME, or beside a package built in place."""
    module = f"fastact.examples.{name}"
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("fastact.examples"):
            raise
    spec = spec_from_file_location(module, Path(fastact.__file__).parents[1] / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules[module] = loaded = module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded
