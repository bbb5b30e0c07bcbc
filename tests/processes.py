"""Python in a process of its own, for what must not happen in the one that runs the tests."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import fastact

# The child finds the same package as this process, whatever directory it starts in, and the tests' helpers.
SEARCH_PATH = os.pathsep.join([str(Path(fastact.__file__).parents[1]), str(Path(__file__).parent)])
PATIENCE = 600  # seconds, until what hangs is ended: one processor that others use as well takes minutes
OWN_VARIABLES = ("FASTACT_CPU", "FASTACT_NUM_THREADS", "OMP_NUM_THREADS")


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without fastact's variables, and with those given."""
    inherited = {name: value for name, value in os.environ.items() if name not in OWN_VARIABLES}
    return inherited | {"PYTHONPATH": SEARCH_PATH} | variables


def run(
    *arguments: str, timeout: float = PATIENCE, cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess:
    """Run Python with these arguments and return how it ended. In time: with its children, it is ended otherwise."""
    command = [sys.executable, "-W", "error", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment(**variables), cwd=cwd, start_new_session=True, **pipes) as process:
        try:
            output, messages = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, messages = process.communicate()
            messages += f"\nkilled after {timeout} seconds"
    return subprocess.CompletedProcess(command, process.returncode, output, messages)


def output_of(code: str, *, timeout: float = PATIENCE, cwd: Path | None = None, **variables: str) -> str:
    """Run a program text and return what it printed; fail with its message if it fails."""
    ended = run("-c", code, timeout=timeout, cwd=cwd, **variables)
    assert ended.returncode == 0, f"exit status {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout.strip()


def output_of_file(code: str, directory: Path, *, timeout: float = PATIENCE, **variables: str) -> str:
    """The same from a file, which multiprocessing's children can import."""
    script = directory / "program.py"
    script.write_text(code)
    ended = run(str(script), timeout=timeout, **variables)
    assert ended.returncode == 0, f"exit status {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout.strip()
