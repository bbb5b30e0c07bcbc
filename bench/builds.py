"""Builds of fastact to compare: each revision in an environment of its own, kept by what it was built from."""

import hashlib
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / ".bench"
# What a build depends on.
SOURCES = ("fastact", "setup.py", "pyproject.toml")


def git(*arguments, **environment):
    command = ["git", "-C", ROOT, *arguments]
    return subprocess.run(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()


def tree_of(revision):
    """Return the git tree of a revision; of None, of the files as they are now, committed or not."""
    if revision is not None:
        return git("rev-parse", "--verify", f"{revision}^{{tree}}")
    with tempfile.TemporaryDirectory() as directory:
        index = {"GIT_INDEX_FILE": str(Path(directory) / "index")}
        git("read-tree", "HEAD", **index)
        git("add", "--all", ".", **index)
        return git("write-tree", **index)


def key_of(tree):
    """Return what identifies a build: sources, NumPy and Python."""
    names = git("ls-tree", tree, *SOURCES) + version("numpy") + sys.version
    return hashlib.sha256(names.encode()).hexdigest()[:16]


def pythons_of(*revisions):
    """Return the interpreters of environments with the revisions installed, built if they are not there yet.

    What the working tree is, is settled before anything is built: it may be changed meanwhile.
    """
    trees = [tree_of(revision) for revision in revisions]
    return [python_of(tree, revision or "the working tree") for tree, revision in zip(trees, revisions, strict=True)]


def python_of(tree, name):
    home = KEPT / key_of(tree)
    python = home / "bin" / "python"
    if not (home / "complete").exists():
        print(f"Building {name} in {home} ...", flush=True)
        build(tree, home, python)
    return python


def build(tree, home, python):
    """Make an environment with NumPy, the same one as here, and fastact. Numba is not needed: it is not compared."""
    subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
    with tempfile.TemporaryDirectory() as source:
        archive = subprocess.Popen(["git", "-C", ROOT, "archive", tree], stdout=subprocess.PIPE)
        subprocess.run(["tar", "x", "-C", source], stdin=archive.stdout, check=True)
        if archive.wait():
            raise SystemExit(f"git archive {tree} failed")
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*install, f"numpy=={version('numpy')}", source], check=True)
    (home / "complete").touch()
