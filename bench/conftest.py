"""The options of the benchmarks, and the fixtures of `fastact.testing`."""

import pytest

from fastact._bench import peers

pytest_plugins = ["fastact.testing"]


def pytest_addoption(parser):
    group = parser.getgroup("fastact")
    group.addoption("--quick", action="store_true", help="one size, few rounds")
    group.addoption("--full", action="store_true", help="every size, type, number of threads and backend: hours")
    group.addoption("--peers", action="store_true", help="beside the libraries that are installed, too")
    group.addoption("--rounds", type=int, help="rounds of a measurement; default 30, or 8 with --quick")
    for name in ("sizes", "dtypes", "threads", "backends"):
        group.addoption(f"--{name}", help=f"{name}, separated by commas, instead of those that are chosen")


def pytest_configure(config):
    """Hold the libraries to a number of threads before they are imported: afterwards they keep what they have."""
    if config.getoption("--peers"):
        threads = config.getoption("--threads") or "1"
        if not threads.isdecimal():
            raise pytest.UsageError(f"--peers: --threads takes one number, 1 or 2, got {threads}")
        peers.use_threads(int(threads))
        config.option.threads = threads
