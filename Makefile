# Everything runs in the virtual environment .venv, made from a bare checkout: Python 3.11 or newer, gcc, g++ and make.

PYTHON := $(shell for python in $(PYTHON) python3.11 python3 python; do \
	$$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin

# What the package is built of, without what is built in place.
SOURCES := pyproject.toml setup.py $(wildcard examples/*.py fastact/*.py fastact/_*/*.py fastact/demo/*.py \
	fastact/_kernels/*.pyi fastact/_kernels/*.pyx fastact/_kernels/*.pxd fastact/_kernels/*.h \
	fastact/_kernels/*.hpp fastact/_kernels/*.cpp)

# What is run is the installed package: nothing, subprocesses included, imports the sources in the current directory.
INSTALLED := PYTHONSAFEPATH=1 $(BIN)/python

# All tests run under the default backend, auto. What depends on who compiled the kernels runs again under each of the
# others: promises of memory, calls, flags, threads, axes and draws. The other files compute nothing, choose backends
# themselves, or follow from the equal bits that test_numba_backend.py and test_numba_blocks.py find. So do 16-bit types,
# which are computed in float32.
PROMISES := $(addprefix tests/test_,adversaries.py arguments_of_reductions.py axes.py beyond_caches.py dropout.py \
	environment.py gated.py gradients_of_reductions.py layouts.py losses.py magnitudes.py moments.py normalization.py \
	planes.py prelu.py protocol.py random.py rows_and_columns.py softmax.py threads.py two_arrays.py) -k "not float16"
# Exit status 5: ARGS selects no such test.
UNDER = FASTACT_CACHE_DIR=$$cache FASTACT_BACKEND=$(1) $(INSTALLED) -m pytest -n auto $(2) $(ARGS) || test $$? -eq 5

.PHONY: demo test lint bench bench-save bench-compare bench-record accuracy docs format clean
.DELETE_ON_ERROR:

OUT ?= demo.png
demo: $(VENV)/installed
	$(INSTALLED) -m fastact demo --out $(OUT)

test: $(VENV)/installed $(VENV)/test
	cache=$$(mktemp -d) && trap 'rm -rf "$$cache"' EXIT && set -e; \
	$(call UNDER,auto); \
	$(call UNDER,numba,$(PROMISES)); \
	$(call UNDER,cython,$(PROMISES))

lint: $(VENV)/installed $(VENV)/lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	cd $(VENV) && bin/stubtest fastact --mypy-config-file ../pyproject.toml --concise --ignore-missing-stub \
		--allowlist ../tests/stubtest.txt

# Every public function beside the textbook's lines, for pytest-benchmark; ARGS="--quick", "--peers", "-k softmax".
bench: $(VENV)/installed $(VENV)/bench
	$(INSTALLED) -m pytest bench $(ARGS)

# The same, kept in .benchmarks to be compared with `pytest-benchmark compare`.
bench-save: $(VENV)/installed $(VENV)/bench
	$(INSTALLED) -m pytest bench --benchmark-autosave $(ARGS)

# Is the working tree slower than a revision? Status 1 if it is. ARGS="--only softmax", "--instructions", "--all"; QUIET as
# below.
REV ?= HEAD
bench-compare: $(VENV)/installed $(VENV)/bench
	$(BIN)/python bench/compare.py $(REV) --under '$(QUIET)' $(ARGS)

# What the documentation's figures are from. Measured in pieces, each short enough for a machine that others use, too:
# status 3 says that there is more. QUIET may be a command that keeps the others off meanwhile. What was measured of this
# build when it was interrupted is kept in the .part.
RESULTS := bench/results/results.json
bench-record: $(VENV)/installed $(VENV)/peers $(VENV)/bench
	@mkdir -p $(dir $(RESULTS))
	@while $(QUIET) env $(INSTALLED) -m fastact bench --peers --visits 3 --json $(RESULTS).part --seconds 30 >$(VENV)/record.txt; \
		status=$$?; test $$status -eq 3; do tail -1 $(VENV)/record.txt; done; test $$status -eq 0
	$(QUIET) env $(INSTALLED) bench/figures.py $(RESULTS).part
	mv $(RESULTS).part $(RESULTS)

# A quarter of an hour of one processor for all of it; ARGS="sigmoid grad.silu" is what changed.
accuracy: $(VENV)/installed $(VENV)/accuracy
	$(BIN)/python bench/accuracy.py $(ARGS)

# From the registry and from what was recorded; nothing is measured.
docs: $(VENV)/installed
	$(INSTALLED) docs/operators.py docs/operators.md
	$(INSTALLED) docs/results.py $(RESULTS)

format: $(VENV)/lint
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) .bench .benchmarks build dist *.egg-info activation_zoo.png demo.png .pytest_cache .mypy_cache .ruff_cache
	rm -f fastact/*.pyi fastact/_kernels/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/created:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with ensurepip is needed; make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@touch $@

# Without build/lib: what an earlier build left there would be installed too.
$(VENV)/installed: $(SOURCES) | $(VENV)/created
	rm -rf build/lib* build/bdist*
	$(BIN)/python -m pip install --quiet ".[demo]"
	@touch $@

$(VENV)/peers: pyproject.toml $(VENV)/installed | $(VENV)/created
	$(BIN)/python -m pip install --quiet ".[peers]"
	@touch $@

# The dependency groups of pyproject.toml.
$(VENV)/test $(VENV)/lint $(VENV)/bench $(VENV)/accuracy: pyproject.toml | $(VENV)/created
	$(BIN)/python -m pip install --quiet --group $(@F)
	@touch $@
