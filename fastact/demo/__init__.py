"""The demo: every kernel beside the NumPy line of the textbooks, a network that learns, and one that is only run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastact.demo import kernels, networks

# What parts of the demo need: all of it is in the extra fastact[demo].
OPTIONAL = ("PIL", "matplotlib", "onnx", "onnxruntime", "sklearn", "tqdm")


def run(out: str, quick: bool) -> None:
    """Run all parts; one whose libraries are not installed says so."""
    path = Path(out)
    if not path.parent.is_dir():
        raise SystemExit(f"--out: there is no directory {str(path.parent)!r} to write {path.name!r} to")
    if path.is_dir():
        raise SystemExit(f"--out: {out!r} is a directory")
    effort = kernels.QUICK if quick else kernels.FULL
    photographs = part("The photographs", kernels.normalized_photographs)
    results = kernels.run(kernels.pattern() if photographs is None else photographs, effort)
    part("The picture", save_picture, results, path, effort.elements)
    part("A network that learns", networks.learn, effort.epochs)
    part("A network that is run", networks.infer, effort.rounds)


def part(title: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a part of the demo, or say what it lacks."""
    try:
        return function(*arguments)
    except ImportError as error:
        # scikit-learn says that it needs Pillow in words only.
        missing = (error.name or "PIL").split(".")[0]
        if missing not in OPTIONAL:
            raise
        print(f'{title}: left out, {missing} is not installed. pip install "fastact[demo]"')
        return None


def save_picture(*arguments: Any) -> None:
    from fastact.demo import picture

    picture.save(*arguments)
