# `make help` lists everything. All commands use the virtual environment in $(VENV).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= outputs/groceries
BENCH_CACHE ?= outputs/bench
FAST := tests/nn tests/losses tests/metrics tests/fitting tests/modules/test_step.py tests/modules/test_places.py tests/data/test_examples.py

.PHONY: help run table docs test test-fast test-all mutants check format bench clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

run: $(BIN)/.quickstart ## set up, train on the groceries, show a table, a page and recommendations
	@$(BIN)/python -m missrec_pl.experiment.quickstart --out $(OUT)

table: $(BIN)/.quickstart ## print the table of the runs below $(OUT)
	$(BIN)/python -m missrec_pl.report table $(OUT)

docs: $(BIN)/.dev ## the documentation site, in site/; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

test: check docs ## set up, check and run the tests (minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-fast: $(BIN)/.dev ## the tests of pure functions, in less than a minute: for while you work
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow" $(FAST)

test-all: check ## all tests, the slow ones too
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --hypothesis-profile thorough

mutants: $(BIN)/.mutants ## which changes of the code the tests let pass; MUTANTS="--only splits --all" says which
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/mutants.py $(MUTANTS)

check: $(BIN)/.dev ## format, lint, types, one-way dependencies
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(BIN)/.dev ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(BIN)/.dev ## the benchmarks and a summary; BENCH="--rehearsal" or "--only training" says which
	$(BIN)/python benchmarks/all.py --cache $(BENCH_CACHE) $(BENCH)

clean: ## remove caches and outputs, not data
	rm -rf outputs multirun .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(BIN)/.quickstart: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[quickstart,report]'
	touch $@

$(BIN)/.dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@ $(BIN)/.quickstart

$(BIN)/.mutants: $(BIN)/.dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[mutants]'
	touch $@
