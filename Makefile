# The verbs of the project. `make demo` and `make test` need nothing but Debian, Python 3.11 and the package registries.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export UV_PYTHON_DOWNLOADS := never

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast chaos fuzz soak lint types bench docs clean

help: ## show the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s '	'

setup: $(VENV)/.ready ## make .venv with genii and its tools (again only when pyproject.toml changed)

$(VENV)/.ready: pyproject.toml constraints.txt tools/setup.sh
	@PYTHON=$(PYTHON) sh tools/setup.sh $(VENV)

demo: setup ## run the demo: programs of every kind under one supervisor (Ctrl-C ends it)
	@cd examples/demo && trap : INT && PATH="$(CURDIR)/$(BIN):$$PATH" $(CURDIR)/$(BIN)/genii up; status=$$?; rm -rf .genii; exit $$status

test: setup lint types ## everything: lint, types and all tests
	$(BIN)/pytest -n 2 --dist loadgroup

test-fast: setup ## the tests that people run while they work (under two minutes)
	$(BIN)/pytest -m "not slow and not compat" -n auto

chaos: setup ## kill, stop and starve everything at random (ROUNDS=1000 for long)
	GENII_CHAOS=$(or $(ROUNDS),25) $(BIN)/pytest tests/chaos/test_chaos.py -k whatever

soak: setup ## a day in an hour: 1,000 programs, crashes, updates, upgrades (MINUTES=60)
	$(BIN)/python tools/soak.py $(or $(MINUTES),10)

fuzz: setup ## feed the job server's parser and broker with nonsense for some minutes (ROUNDS=50)
	GENII_FUZZ=$(or $(ROUNDS),50) $(BIN)/pytest tests/gearman/test_broker_fuzz.py tests/gearman/test_protocol.py

lint: setup ## format check and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup ## strict type check
	$(BIN)/mypy

bench: setup ## measure genii beside its peers (see bench/README.md)
	$(BIN)/python bench/run.py

docs: setup ## build the documentation into docs/_build
	@$(BIN)/python -c 'import sphinx' 2>/dev/null || sh tools/setup.sh $(VENV) docs
	$(BIN)/sphinx-build -W -q -b html docs docs/_build

clean: ## remove what the other verbs made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis docs/_build examples/demo/.genii
