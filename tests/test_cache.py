"""The cache of compiled kernels: nothing it holds, or fails to hold, changes a result."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import fastact
import processes
from fastact._kernels import cache, ufuncs

pytestmark = [
    pytest.mark.skipif(not ufuncs.FUSED or ufuncs.CHOSEN == "baseline", reason="Numba's kernels are not used"),
]
pytest.importorskip("numba")

NAMES = ("relu", "sigmoid", "grad_tanh")
SUMS = """
import sys, hashlib, numpy as np, fastact
from fastact._kernels import backend, tiers, ufuncs
fastact.set_backend("numba")
x = np.random.default_rng(0).normal(0, 5, 5000).astype(np.float32)
for name in ("relu", "sigmoid", "grad_tanh"):
    ufunc = ufuncs.UFUNCS[name]
    y = ufunc(*[x] * ufunc.nin)
    assert tiers.runs_numba((name, "float32")), backend.STATE.failures
    print(hashlib.sha256(y.tobytes()).hexdigest())
"""


def sums(directory, **variables):
    return processes.output_of(SUMS, FASTACT_CACHE_DIR=str(directory), **variables)


def files(directory):
    return sorted(path for path in Path(directory).iterdir() if path.suffix == ".o")


def truncated(content):
    return content[: len(content) // 2]


def emptied(_content):
    return b""


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def lengthened(content):
    return content + b"x"


@pytest.mark.parametrize("damage", [truncated, emptied, flipped, lengthened])
def test_damaged_files_are_compiled_again(damage, tmp_path):
    expected = sums(tmp_path)
    whole = {path: path.read_bytes() for path in files(tmp_path)}
    assert len(whole) == len(NAMES)
    for path, content in whole.items():
        path.write_bytes(damage(content))
    assert sums(tmp_path) == expected
    assert {path: path.read_bytes() for path in files(tmp_path)} == whole


def test_files_of_other_kernels_are_not_taken(tmp_path):
    expected = sums(tmp_path)
    first, second, third = files(tmp_path)
    contents = [path.read_bytes() for path in (second, third, first)]
    for path, content in zip((first, second, third), contents, strict=True):
        path.write_bytes(content)
    assert sums(tmp_path) == expected


def test_every_byte_counts():
    code, key = b"object code", "0" * 64
    good = cache.MAGIC + cache.checksum("name", key, code) + code
    for name, other in (("other", key), ("name", "1" * 64)):
        assert cache.checksum(name, other, code) not in good


def test_directory_belongs_to_the_user_alone(tmp_path):
    directory = cache.directory({"FASTACT_CACHE_DIR": str(tmp_path / "new" / "one")})
    assert directory is not None
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    directory.chmod(0o777)
    assert cache.directory({"FASTACT_CACHE_DIR": str(directory)}) is None
    directory.chmod(0o755)
    assert cache.directory({"FASTACT_CACHE_DIR": str(directory)}) == directory


def test_tilde_is_the_home_directory(tmp_path, monkeypatch):
    """As in an `Environment=` of systemd or an `ENV` of a container, which no shell has read."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.directory({"FASTACT_CACHE_DIR": "~/kernels"}) == tmp_path / "kernels"
    assert cache.directory({"FASTACT_CACHE_DIR": "~nobody-of-this-name/kernels"}) is None


def test_other_users_directories_are_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    assert cache.directory({"FASTACT_CACHE_DIR": str(tmp_path)}) is None


def test_a_file_in_the_way_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    assert sums(tmp_path / "file") == sums(tmp_path / "file" / "below") == sums(tmp_path / "good")


def test_read_only_directory_is_no_error(tmp_path):
    read_only = tmp_path / "read-only"
    read_only.mkdir(mode=0o500)
    assert len(sums(read_only).splitlines()) == len(NAMES)
    if os.geteuid() != 0:
        assert files(read_only) == []


def test_no_home_is_no_error(tmp_path):
    code = f"import os\nfor name in ('HOME', 'FASTACT_CACHE_DIR', 'XDG_CACHE_HOME'): os.environ.pop(name, None)\n{SUMS}"
    work = tmp_path / "work"
    work.mkdir()
    output = processes.output_of(
        code, cwd=work, HOME=str(tmp_path / "nowhere" / "at" / "all"), XDG_CACHE_HOME="/proc/no"
    )
    assert len(output.splitlines()) == len(NAMES)
    assert list(work.iterdir()) == []


def test_two_processes_at_once(tmp_path):
    environment = processes.environment(FASTACT_CACHE_DIR=str(tmp_path), FASTACT_BACKEND="numba")
    command = [sys.executable, "-c", f"import fastact; fastact.warmup(['sigmoid', 'relu'], 'float32')\n{SUMS}"]
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=processes.PATIENCE)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert outputs[0] == outputs[1] == sums(tmp_path) + "\n"
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".tmp"]


def test_an_edited_formula_changes_results_at_once(tmp_path):
    package = Path(fastact.__file__).parent
    copy = tmp_path / "copy" / "fastact"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    formulas = copy / "_kernels" / "formulas.py"
    code = """
import sys; sys.path.insert(0, COPY)
import numpy as np, fastact
assert fastact.__file__.startswith(COPY)
fastact.set_backend("numba")
print(fastact.relu(np.full(1000, 7, np.float32))[0])
""".replace("COPY", repr(str(copy.parent)))
    before = formulas.stat()
    assert processes.output_of(code, FASTACT_CACHE_DIR=str(tmp_path / "kernels")) == "7.0"
    text = formulas.read_text()
    edited = text.replace(
        "def relu(x):\n    return ZERO if x < ZERO else x", "def relu(x):\n    return ZERO if x < ZERO else SIX"
    )
    assert edited != text
    formulas.write_text(edited)
    # Not even a time stamp that stays the same is believed.
    os.utime(formulas, ns=(before.st_atime_ns, before.st_mtime_ns))
    shutil.rmtree(copy / "_kernels" / "__pycache__", ignore_errors=True)
    assert processes.output_of(code, FASTACT_CACHE_DIR=str(tmp_path / "kernels")) == "6.0"
