# `make demo` shows the main job; `make test` lints, type-checks, checks the layers and runs everything.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: venv demo test lint bench conformance docs fuzz-kernel clean
.DEFAULT_GOAL := test

venv: $(STAMP)

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,http,dask,plots,trains]'
	touch $@

demo: venv
	$(BIN)/fakecluster demo

lint: venv
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal -q

conformance: venv
	$(BIN)/python tests/conformance/run.py tests/conformance/recordings

bench: venv
	for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

docs: venv
	$(BIN)/python docs/generate.py

N ?= 200
fuzz-kernel: venv
	$(BIN)/python tests/real_kernel/fuzz.py --examples $(N)

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
