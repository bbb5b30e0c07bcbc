"""The options of the benchmarks, and the fixtures of `fastact.testing`."""

pytest_plugins = ["fastact.testing"]


def pytest_addoption(parser):
    group = parser.getgroup("fastact")
    group.addoption("--quick", action="store_true", help="one size, few rounds")
    group.addoption("--full", action="store_true", help="every size, type, number of threads and backend: hours")
    group.addoption("--peers", action="store_true", help="beside the libraries that are installed, too")
    group.addoption("--rounds", type=int, help="rounds of a measurement; default 30, or 8 with --quick")
    for name in ("sizes", "dtypes", "threads", "backends"):
        group.addoption(f"--{name}", help=f"{name}, separated by commas, instead of those that are chosen")
