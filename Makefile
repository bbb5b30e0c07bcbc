# Everything runs in the virtual environment .venv, made from a bare checkout: Python 3.11 or newer, gcc, g++ and make.

PYTHON := $(shell for python in $(PYTHON) python3.11 python3 python; do \
	$$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin

# What the package is built of, without what is built in place.
SOURCES := pyproject.toml setup.py $(wildcard fastact/*.py fastact/_kernels/*.py \
	fastact/_kernels/*.pyi fastact/_kernels/*.pyx fastact/_kernels/*.pxd fastact/_kernels/*.h \
	fastact/_kernels/*.hpp fastact/_kernels/*.cpp)

# What is run is the installed package: nothing, subprocesses included, imports the sources in the current directory.
INSTALLED := PYTHONSAFEPATH=1 $(BIN)/python

# All tests run under the default backend, auto. What depends on who compiled the kernels runs again under each of the
# others: promises of memory, calls, flags, threads, axes and draws. The other files compute nothing, choose backends
# themselves, or follow from the equal bits that test_numba_backend.py and test_numba_blocks.py find. So do 16-bit types,
# which are computed in float32.
PROMISES := $(addprefix tests/test_,dropout.py environment.py gated.py layouts.py prelu.py protocol.py random.py \
	reductions.py threads.py) -k "not float16"
# Exit status 5: ARGS selects no such test.
UNDER = FASTACT_CACHE_DIR=$$cache FASTACT_BACKEND=$(1) $(INSTALLED) -m pytest -n auto $(2) $(ARGS) || test $$? -eq 5

.PHONY: demo test lint bench accuracy docs format clean
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
	cd $(VENV) && bin/stubtest fastact --mypy-config-file ../pyproject.toml --concise --ignore-missing-stub

bench: $(VENV)/installed $(VENV)/bench
	$(BIN)/python bench/speed.py $(ARGS)

# Hours for all of it; ARGS="sigmoid grad.silu" is what changed.
accuracy: $(VENV)/installed $(VENV)/bench
	$(BIN)/python bench/accuracy.py $(ARGS)

docs: $(VENV)/installed
	$(INSTALLED) docs/operators.py docs/operators.md
	$(INSTALLED) -m fastact demo --out docs/demo.png

format: $(VENV)/lint
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) build dist *.egg-info demo.png .pytest_cache .mypy_cache .ruff_cache
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

# The dependency groups of pyproject.toml.
$(VENV)/test $(VENV)/lint $(VENV)/bench: pyproject.toml | $(VENV)/created
	$(BIN)/python -m pip install --quiet --group $(@F)
	@touch $@
