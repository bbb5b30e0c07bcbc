"""``python -m fastact apply``: the results are those in memory, and the file is complete or is not there."""

import fcntl
import inspect
import os
import shutil
import signal
import sys
import textwrap

import numpy as np
import pytest

import fastact
import processes
from cases import assert_same_bits
from fastact._apply import command, files, operators, tiles
from fastact._apply.errors import ApplyError
from fastact._apply.operators import NAMES, SOFTMAX_FAMILY
from fastact._kernels.registry import OPERATORS, PUBLIC
from fastact.preprocess import standardize

SHAPE = (6, 10, 14)


@pytest.fixture(autouse=True)
def quietly(monkeypatch):
    """No progress bars, and not the command's choice of a backend for the rest of the tests."""
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.setenv("FASTACT_BACKEND", fastact.get_backend())


@pytest.fixture(params=[(2**20, 2**13), (64, 4), (64, 100), (100, 2)], ids=["one block", "columns", "strips", "narrow"])
def blocks(request, monkeypatch):
    """Blocks larger than the arrays, and some so small that every way to cut them is taken."""
    monkeypatch.setattr(tiles, "BLOCK", request.param[0])
    monkeypatch.setattr(tiles, "RUN", request.param[1])
    return request.param[0]


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(tiles, "BLOCK", 64)
    monkeypatch.setattr(tiles, "RUN", 4)


def numbers(dtype=np.float32, shape=SHAPE):
    return (np.random.default_rng(0).standard_normal(shape) * 3).astype(dtype)


def applied(directory, x, name, *parameters, dtype=None):
    """Return what the command makes of an array; there is nothing else in the directory then."""
    source, target = directory / "in.npy", directory / "out.npy"
    np.save(source, x)
    said = command.run(name, source, target, parameters, dtype)
    assert str(target) in said
    assert {path.name for path in directory.iterdir()} == {"in.npy", "out.npy"}
    return np.load(target)


def written(name, value):
    return f"{name}={value}".replace("(", "").replace(")", "").replace(" ", "")


# ---- Results.


@pytest.mark.parametrize("row", [row for row in OPERATORS if row.name in PUBLIC], ids=lambda row: row.name)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int32", "bool", ">f4"])
@pytest.mark.usefixtures("small_blocks")
def test_elements(row, dtype, tmp_path):
    x, parameters = numbers(dtype), row.tested_parameters[0]
    given = [f"{parameter.name}={value}" for parameter, value in zip(row.parameters, parameters, strict=True)]
    assert_same_bits(applied(tmp_path, x, row.name, *given), getattr(fastact, row.name)(x, *parameters))


@pytest.mark.usefixtures("small_blocks")
def test_parameters_that_are_not_in_the_registry(tmp_path):
    x = numbers()
    assert_same_bits(applied(tmp_path, x, "gelu", "approximate=tanh"), fastact.gelu(x, "tanh"))
    assert_same_bits(applied(tmp_path, x, "rrelu", "lower=0.1", "upper=0.5"), fastact.rrelu(x, 0.1, 0.5))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_type_of_the_result(dtype, tmp_path):
    for given in (np.float32, np.int16):
        x = numbers(given)
        assert_same_bits(applied(tmp_path, x, "elu", dtype=dtype), fastact.elu(x, dtype=dtype))
        assert_same_bits(applied(tmp_path, x, "softmax", dtype=dtype), fastact.softmax(x.astype(dtype)))


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (1000,)], ids=str)
@pytest.mark.parametrize("name", ["silu", "softmax", "standardize"])
@pytest.mark.usefixtures("small_blocks")
def test_shapes(name, shape, tmp_path):
    x = np.asarray(numbers(np.float64, shape))
    expected = standardize(x) if name == "standardize" else getattr(fastact, name)(x)
    np.testing.assert_allclose(applied(tmp_path, x, name), np.asarray(expected), rtol=1e-13)


AXES = [0, 1, 2, -1, (0, 1), (1, 2), None]


@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("name", SOFTMAX_FAMILY)
@pytest.mark.parametrize("order", ["C", "F"])
def test_softmax(name, axis, order, blocks, tmp_path):
    x = np.asarray(numbers(), order=order)
    y, expected = applied(tmp_path, x, name, written("axis", axis)), getattr(fastact, name)(x, axis=axis)
    assert y.flags.f_contiguous == (order == "F")
    if blocks > x.size:
        assert_same_bits(y, expected)
    np.testing.assert_array_max_ulp(y, expected, 2)


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8"])
@pytest.mark.usefixtures("blocks")
def test_softmax_of_other_types(dtype, tmp_path):
    x = numbers(dtype)
    y, expected = applied(tmp_path, x, "softmax", "axis=none"), fastact.softmax(x, axis=None)
    assert y.dtype == expected.dtype
    np.testing.assert_allclose(y, expected, rtol=1e-14 if dtype == "float64" else 2 * np.finfo(y.dtype).eps)


@pytest.mark.parametrize("name", SOFTMAX_FAMILY)
@pytest.mark.usefixtures("blocks")
def test_softmax_of_what_is_not_finite(name, tmp_path):
    x = numbers(shape=(200, 6))
    x[3, 0], x[5, 1], x[7, 2], x[:, 3] = np.nan, np.inf, -np.inf, -np.inf
    np.testing.assert_allclose(applied(tmp_path, x, name, "axis=0"), getattr(fastact, name)(x, axis=0), rtol=3e-7)


@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("order", ["C", "F"])
def test_standardize(axis, order, blocks, tmp_path):
    """With a mean so large that the square of it would leave nothing of the deviation."""
    x = np.asarray(numbers() + np.float32(1e5), order=order)
    y = applied(tmp_path, x, "standardize", written("axis", axis), "eps=0.5")
    if blocks > x.size and axis is not None:
        assert_same_bits(y, standardize(x, axis, eps=0.5))
    wide = x.astype(np.float64)
    expected = (wide - wide.mean(axis, keepdims=True)) / np.sqrt(wide.var(axis, keepdims=True) + 0.5)
    np.testing.assert_allclose(y, expected, rtol=3e-7, atol=2e-7)


@pytest.mark.usefixtures("small_blocks")
def test_standardize_what_is_constant(tmp_path):
    x = np.full((100, 3), 0.1, np.float32)
    x[:, 1] += np.arange(100)
    y = applied(tmp_path, x, "standardize")
    assert np.all(y[:, [0, 2]] == 0)
    assert y[:, 1].std() == pytest.approx(1)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.usefixtures("blocks")
def test_glu(axis, order, tmp_path):
    x = np.asarray(numbers(), order=order)
    assert_same_bits(applied(tmp_path, x, "glu", f"axis={axis}"), fastact.glu(x, axis))


SHAPES = [(1, 1, 1), (5, 7, 11), (100, 1, 1), (1, 100, 1), (1, 1, 1000), (2, 300, 9), (1, 9, 500)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.usefixtures("blocks")
def test_tiles_cover_everything_once(shape):
    seen = np.zeros(np.prod(shape), int)
    for group in tiles.groups(shape):
        assert sum(tile.shape[1] for tile in group) == shape[1]
        for tile in group:
            assert np.prod(tile.shape) <= tiles.BLOCK
            assert sum(run.size for run in tiles.runs(tile, shape)) == np.prod(tile.shape)
            for begin, count in tiles.runs(tile, shape):
                seen[begin : begin + count] += 1
    assert np.all(seen == 1)


def test_names():
    assert set(NAMES) == {*PUBLIC, "rrelu", "glu", *SOFTMAX_FAMILY, "standardize"}
    assert len(set(NAMES)) == len(NAMES)


# ---- What is refused.


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("sigmiod", [], "no operator 'sigmiod' to apply; nearest: sigmoid"),
        ("dropout", [], "no operator 'dropout'"),
        ("elu", ["alhpa=2"], r"elu has no parameter 'alhpa' here; accepted: alpha=1.0"),
        ("relu", ["alpha=2"], "relu has no parameter 'alpha' here; accepted: none"),
        ("hardtanh", ["min=2"], "accepted: min_val=-1.0, max_val=1.0"),
        ("elu", ["alpha"], "--param must be written as name=value, got 'alpha'"),
        ("elu", ["alpha=much"], "elu: --param alpha must be a number, got 'much'"),
        ("elu", ["alpha=1", "alpha=2"], "--param alpha is given twice"),
        ("threshold", [], "threshold needs --param threshold=... and --param value=..."),
        ("rrelu", ["training=1"], "rrelu has no parameter 'training'"),
        ("softmax", ["axis=1.5"], "softmax: --param axis must be an integer, several as in 0,1, or none, got '1.5'"),
        ("softmax", ["axis=3"], "softmax: axis 3 is out of bounds for a file of 3 dimensions"),
        ("softmax", ["axis=0,2"], "the axes must be neighbours"),
        ("softmax", ["axis=0,0"], "the axes must be neighbours, each named once"),
        ("glu", ["axis=0,1"], "glu: the axis must be a single one"),
        ("hardtanh", ["min_val=2", "max_val=1"], r"hardtanh\(\): min_val must not be greater than max_val"),
        ("gelu", ["approximate=erf"], r"gelu\(\): approximate must be"),
        ("standardize", ["eps=-1"], r"standardize\(\): eps must"),
    ],
)
def test_operators_and_parameters(name, parameters, message, tmp_path):
    with pytest.raises(ApplyError, match=message):
        applied(tmp_path, numbers(), name, *parameters)
    assert not (tmp_path / "out.npy").exists()


def test_parameters_are_those_of_the_signature():
    for name in NAMES:
        parameters = set(operators.accepted_parameters(name))
        function = operators.function_of(name)
        if not isinstance(function, np.ufunc):
            assert parameters <= set(inspect.signature(function).parameters) - {"x", "out"}
        assert ("axis" in parameters) == (name in operators.ALONG_AXIS)


@pytest.mark.parametrize("dtype", ["nonsense", "int32", "complex64", "datetime64[s]"])
@pytest.mark.parametrize("name", ["sigmoid", "softmax"])
def test_dtype(name, dtype, tmp_path):
    with pytest.raises(ApplyError, match="--dtype must be float16, float32 or float64, got "):
        applied(tmp_path, numbers(), name, dtype=dtype)


def save(path, array):
    np.save(path, array, allow_pickle=True)


def save_bytes(path, content):
    path.write_bytes(content)


def save_part(path, array):
    np.save(path, array)
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("write", "content", "message"),
    [
        (save_bytes, b"", "not a .npy file"),
        (save_bytes, b"no numbers at all, but text", "not a .npy file"),
        (save_bytes, b"\x93NUMPY\x01\x00\x10\x00{'descr': 1", "not a .npy file"),
        (save_part, np.ones(100), "not a .npy file that can be read in blocks"),
        (save, np.array([{}, None]), "Python objects"),
        (save, np.zeros(3, "f4,i4"), "named fields"),
        (save, np.zeros(3, np.complex64), r"no numbers.*complex64"),
        (save, np.zeros(3, "U4"), "no numbers"),
        (save, np.zeros(3, np.longdouble), "sigmoid"),
    ],
    ids=["empty", "text", "header", "cut", "objects", "structured", "complex", "text array", "longdouble"],
)
def test_files(write, content, message, tmp_path):
    write(tmp_path / "in.npy", content)
    with pytest.raises(ApplyError, match=message):
        command.run("sigmoid", tmp_path / "in.npy", tmp_path / "out.npy", [], None)
    assert [path.name for path in tmp_path.iterdir()] == ["in.npy"]


def test_paths(tmp_path):
    source = tmp_path / "in.npy"
    np.save(source, numbers())
    (tmp_path / "link.npy").hardlink_to(source)
    (tmp_path / "symbolic.npy").symlink_to(source)
    before = source.read_bytes()
    for target, message in {
        "in.npy": "another file than the input",
        "link.npy": "another file than the input",
        "symbolic.npy": "another file than the input",
        "nowhere/out.npy": "no directory",
        ".": "is not a file",
        "/dev/null": "is not a file",
        "n" * 300: "cannot write to .*: File name too long",
    }.items():
        with pytest.raises(ApplyError, match=message):
            command.run("sigmoid", source, tmp_path / target, [], None)
    for missing in ("nothing.npy", ".", "n" * 300):
        with pytest.raises(ApplyError, match="cannot read"):
            command.run("sigmoid", tmp_path / missing, tmp_path / "out.npy", [], None)
    assert source.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"in.npy", "link.npy", "symbolic.npy"}


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "in.npy")
    ended = processes.run("-m", "fastact", "apply", "sigmoid", "in.npy", "-o", "out.npy", cwd=tmp_path)
    assert ended.stderr == "fastact apply: 'in.npy' is a pipe: what is read in blocks has to be a file\n"


def test_messages_without_a_traceback(tmp_path):
    np.save(tmp_path / "in.npy", numbers())
    for arguments in (("sigmoidd", "in.npy"), ("sigmoid", "none.npy"), ("elu", "in.npy", "--param", "beta=1")):
        ended = processes.run("-m", "fastact", "apply", *arguments, "-o", "out.npy", cwd=tmp_path)
        assert ended.returncode == 1
        assert ended.stderr.startswith("fastact apply: ")
        assert ended.stderr.count("\n") == 1


def test_an_existing_file_is_replaced_when_the_new_one_is_complete(tmp_path, monkeypatch):
    (tmp_path / "out.npy").write_text("old")
    monkeypatch.setattr(files.os, "fsync", lambda _: shutil.copy(tmp_path / "out.npy", tmp_path / "seen"))
    np.save(tmp_path / "in.npy", numbers())
    command.run("sigmoid", tmp_path / "in.npy", tmp_path / "out.npy", [], None)
    assert (tmp_path / "seen").read_text() == "old"
    assert_same_bits(np.load(tmp_path / "out.npy"), fastact.sigmoid(numbers()))


@pytest.mark.usefixtures("small_blocks")
def test_an_input_that_changes(tmp_path, monkeypatch):
    def change(*_):
        os.utime(tmp_path / "in.npy", (1, 1))

    monkeypatch.setattr(files.Part, "write", change)
    with pytest.raises(ApplyError, match="has changed while it was read"):
        applied(tmp_path, numbers(), "sigmoid")
    assert [path.name for path in tmp_path.iterdir()] == ["in.npy"]


# ---- The command as it is run: killed, without room, in little memory.

# Ends itself by a signal after some blocks, the next one half written.
ENDED = """
import os, signal, sys, time
from fastact._apply import files, tiles
from fastact.__main__ import main

# What runs the tests in the background, or under nohup, has these ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
tiles.BLOCK, tiles.RUN = 1000, 50
write, left = files.Part.write, int(sys.argv[1])

def write_or_end(part, runs, array):
    global left
    left -= 1
    if left == -1:
        half = memoryview(array.reshape(-1).view("u1"))[:500]
        files.write_all(part.file, half, part.offset + runs[0].begin * part.itemsize)
        os.kill(os.getpid(), int(sys.argv[2]))
        time.sleep(10)
    write(part, runs, array)

files.Part.write = write_or_end
main(sys.argv[3:])
print("blocks left:", left)
"""


def run_ended(directory, blocks, number, *arguments):
    script = directory.parent / "ended.py"
    script.write_text(textwrap.dedent(ENDED))
    return processes.run(str(script), str(blocks), str(int(number)), "apply", *arguments, cwd=directory)


NEVER = 10**6


@pytest.fixture
def directory(tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    np.save(place / "in.npy", numbers(shape=(600, 50)))
    return place


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda n: n.name)
@pytest.mark.parametrize("arguments", [("silu",), ("softmax",), ("standardize",)], ids=lambda arguments: arguments[0])
def test_killed_and_resumed(arguments, number, directory):
    whole = ("in.npy", "-o", "out.npy")
    ended = run_ended(directory, 12, number, *arguments, *whole)
    assert ended.returncode == (-number if number == signal.SIGKILL else 128 + number), ended.stderr
    assert "Traceback" not in ended.stderr
    (left,) = {path.name for path in directory.iterdir()} - {"in.npy"}
    assert left.startswith(".out.npy.")
    assert left.endswith(".part")

    again = run_ended(directory, NEVER, number, *arguments, *whole)
    assert again.returncode == 0, again.stderr
    assert f"blocks left: {NEVER - 30 + 12}" in again.stdout
    assert "by an earlier run" in again.stdout
    assert {path.name for path in directory.iterdir()} == {"in.npy", "out.npy"}
    x = np.load(directory / "in.npy")
    expected = standardize(x) if arguments == ("standardize",) else getattr(fastact, arguments[0])(x)
    np.testing.assert_allclose(np.load(directory / "out.npy"), expected, rtol=1e-6, atol=1e-7)


def test_a_signal_that_is_ignored_stays_so(directory):
    """As under nohup."""
    code = """
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
from fastact._apply import blocks
from fastact.__main__ import main
size_of = blocks.size_of
blocks.size_of = lambda group: os.kill(os.getpid(), signal.SIGHUP) or size_of(group)
main(["apply", "silu", "in.npy", "-o", "out.npy"])
"""
    assert processes.run("-c", code, cwd=directory).returncode == 0
    assert_same_bits(np.load(directory / "out.npy"), fastact.silu(np.load(directory / "in.npy")))


@pytest.mark.parametrize("change", ["input", "parameter", "operator"])
def test_what_another_job_has_left_is_removed(change, directory):
    assert run_ended(directory, 12, signal.SIGKILL, "elu", "in.npy", "-o", "out.npy").returncode == -signal.SIGKILL
    if change == "input":
        np.save(directory / "in.npy", numbers(shape=(600, 50)) + 1)
    arguments = {"parameter": ("elu", "--param", "alpha=2"), "operator": ("silu",)}.get(change, ("elu",))
    again = run_ended(directory, NEVER, signal.SIGKILL, *arguments, "in.npy", "-o", "out.npy")
    assert again.returncode == 0, again.stderr
    assert f"blocks left: {NEVER - 30}" in again.stdout
    assert {path.name for path in directory.iterdir()} == {"in.npy", "out.npy"}


def test_results_that_are_not_written_in_order_start_again(directory):
    """Columns of a softmax: the length of what is left says nothing."""
    arguments = ("softmax", "in.npy", "-o", "out.npy", "--param", "axis=1")
    np.save(directory / "in.npy", numbers(shape=(3, 20, 500)))
    assert run_ended(directory, 12, signal.SIGKILL, *arguments).returncode == -signal.SIGKILL
    again = run_ended(directory, NEVER, signal.SIGKILL, *arguments)
    assert again.returncode == 0, again.stderr
    assert "by an earlier run" not in again.stdout
    x = np.load(directory / "in.npy")
    assert_same_bits(np.load(directory / "out.npy"), fastact.softmax(x, axis=1))
    assert run_ended(directory, 12, signal.SIGTERM, *arguments).returncode == 128 + signal.SIGTERM
    assert {path.name for path in directory.iterdir()} == {"in.npy", "out.npy"}


def test_two_at_once(directory):
    assert run_ended(directory, 12, signal.SIGKILL, "elu", "in.npy", "-o", "out.npy").returncode == -signal.SIGKILL
    (left,) = (path for path in directory.iterdir() if path.suffix == ".part")
    with left.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for name in ("elu", "silu"):
            with pytest.raises(ApplyError, match="another process is writing"):
                command.run(name, directory / "in.npy", directory / "out.npy", [], None)
    assert left.exists()


def test_a_full_disk(directory):
    """No more room than for half of the result: found out in the middle; and before, where the system says so."""
    code = """
import resource
from fastact.__main__ import main
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
main(["apply", "silu", "in.npy", "-o", "out.npy"])
"""
    ended = processes.run("-c", code, cwd=directory)
    assert ended.returncode == 1
    assert "the largest size of a file is reached" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert [path.name for path in directory.iterdir()] == ["in.npy"]


def test_no_room_from_the_beginning(directory, monkeypatch):
    state = os.statvfs(directory)
    monkeypatch.setattr(files.os, "statvfs", lambda _: os.statvfs_result((*state[:4], 10, *state[5:])))
    with pytest.raises(ApplyError, match="the disk is full"):
        command.run("silu", directory / "in.npy", directory / "out.npy", [], None)
    assert [path.name for path in directory.iterdir()] == ["in.npy"]


# Of this program alone: getrusage() begins with what its parent, which runs the tests, had when it was started.
MEMORY = """
import re, sys
import numpy, fastact, tqdm
import fastact.preprocess
from fastact.__main__ import main

def most():
    with open("/proc/self/status") as file:
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", file.read())[1])

before = most()
main(sys.argv[1:])
print("MiB:", (most() - before) / 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize(
    ("name", "shape"),
    [("gelu", (2**26,)), ("softmax", (2**16, 2**10)), ("softmax", (2**26,)), ("standardize", (2**16, 2**10))],
    ids=str,
)
def test_memory(name, shape, tmp_path):
    """A file of 256 MiB, of zeros that take no room on the disk, in less than a fourth of that."""
    np.lib.format.open_memmap(tmp_path / "in.npy", mode="w+", dtype=np.float32, shape=shape)
    arguments = ("-c", MEMORY, "apply", name, "in.npy", "-o", "out.npy")
    ended = processes.run(*arguments, cwd=tmp_path, FASTACT_BACKEND="cython")
    assert ended.returncode == 0, ended.stderr
    assert "256 MiB, in" in ended.stdout
    assert float(ended.stdout.split("MiB:")[1]) < 64
    y = np.load(tmp_path / "out.npy", mmap_mode="r")
    assert y.shape == shape
    (tmp_path / "out.npy").unlink()


def test_progress(directory):
    """How far, and how fast; a sentence at the end."""
    pytest.importorskip("tqdm")
    ended = processes.run("-m", "fastact", "apply", "silu", "in.npy", "-o", "out.npy", cwd=directory, TQDM_DISABLE="")
    assert ended.returncode == 0, ended.stderr
    assert "100%" in ended.stderr
    assert "B/s" in ended.stderr
    assert "out.npy: float32 of shape (600, 50), 117 KiB, in " in ended.stdout
    assert "/s\n" in ended.stdout


def test_without_tqdm(directory):
    code = 'import sys; sys.modules["tqdm"] = None; from fastact.__main__ import main; main(sys.argv[1:])'
    ended = processes.run("-c", code, "apply", "silu", "in.npy", "-o", "out.npy", cwd=directory)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""


def test_help():
    text = processes.run("-m", "fastact", "apply", "--help").stdout
    for word in ("softmax", "standardize", "axis", "--param", "--dtype", "float64", ".part"):
        assert word in text
