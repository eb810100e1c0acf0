# Everything runs in a virtual environment of its own with the library versions that were tested together.
#   make demo    the main job on generated phantoms, about ten minutes on two cores: table and report in out/demo
#   make test    unit, contract and integration tests that need no real data and only minutes
PYTHON ?= python3
VENV ?= .venv
# More arguments for pip, e.g. an index that has PyTorch built for the CPU alone.
PIP_ARGS ?=
BIN := $(VENV)/bin
SOURCES := $(shell find cpp -type f) CMakeLists.txt pyproject.toml python/core/pyproject.toml

.PHONY: setup demo test test-all lint format clean
setup: $(VENV)/.installed

$(VENV)/.locked: requirements/lock.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q $(PIP_ARGS) -r requirements/lock.txt
	touch $@

$(VENV)/.installed: $(VENV)/.locked $(SOURCES)
	$(BIN)/python -m pip install -q $(PIP_ARGS) --no-build-isolation --no-deps -e python/core -e .
	touch $@

demo: setup
	$(BIN)/al-bench run --dataset phantom --strategy random,entropy,usim-f,full --protocol quick --out out/demo

test: setup
	$(BIN)/python -m pytest -m "not slow" -n auto

test-all: setup
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(shell find cpp -name '*.cpp' -o -name '*.hpp')
	ls cpp/src/*.cpp | xargs -P 2 -I{} $(BIN)/clang-tidy --quiet {} -- -std=c++17 -Icpp/include

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(shell find cpp -name '*.cpp' -o -name '*.hpp')

clean:
	rm -rf $(VENV) build dist out
