# Two commands do everything: `make demo` and `make test`. Both set up the virtual environment first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= runs/demo
JOBS ?= 2

.PHONY: demo test unit check setup clean
setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: setup  ## warm start, TRACE training, held-out evaluation before and after, and the control
	$(BIN)/trace-gym demo --out $(OUT)

check: setup  ## style, types and the import law
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: setup  ## the tests that take seconds
	$(BIN)/pytest -m "not slow"

test: check  ## everything, on JOBS processes of one thread each
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) --dist loadfile

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
