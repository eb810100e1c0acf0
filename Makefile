# Everything runs in a virtual environment of its own with the library versions that were tested together.
#   make demo    a study of five seeds on generated phantoms, about ten minutes on two cores: table and report in out/demo
#   make test    unit, contract and integration tests that need no real data and only minutes
#   make page    types and tests of the page of `al-bench annotate`
#   make docs    the documentation site, in build/site-docs
#   make attack  hundreds of kills and damaged files, ten thousand flipped bits: half an hour
#   make fuzz    100,000 made inputs for each format that is read: hours; FUZZ_EXAMPLES=2000 takes minutes
PYTHON ?= python3
VENV ?= .venv
# More arguments for pip, e.g. an index that has PyTorch built for the CPU alone.
PIP_ARGS ?=
BIN := $(VENV)/bin
FUZZ_EXAMPLES ?= 100000
# Tests on real images look here; where nobody says, in the folder that development has beside the checkout.
ifeq ($(ALBENCH_DATA),)
ALBENCH_DATA := $(abspath $(wildcard ../shared/data))
endif
# Inputs as people have them are made by scripts there.
ifeq ($(ALBENCH_CASES),)
ALBENCH_CASES := $(abspath $(wildcard ../shared/cases))
endif
SOURCES := $(shell find cpp -type f) $(shell find python/page -type f -not -path '*/node_modules/*') CMakeLists.txt pyproject.toml python/core/pyproject.toml

.PHONY: setup demo test test-all test-covered coverage fuzz attack lint format page docs clean
setup: $(VENV)/.installed

# Nothing that an index hands out is installed unless its SHA-256 stands in the lists; what comes as source is built with
# the tools of build.txt. PyTorch for CPUs is taken where pip's configuration knows a place that has it, else PyPI's.
LISTS := $(wildcard requirements/*.txt)
INSTALL = $(BIN)/python -m pip install -q --no-deps --no-build-isolation --require-hashes $(PIP_ARGS)
$(VENV)/.locked: $(LISTS)
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -r requirements/build.txt
	$(INSTALL) -r requirements/runtime.txt -r requirements/dev.txt
	$(BIN)/python python/page/page_backend.py has-npm || $(INSTALL) -r requirements/page.txt
	$(INSTALL) -r requirements/cpu.txt 2>/dev/null || $(INSTALL) -r requirements/cu130.txt
	$(BIN)/python -m pip check
	touch $@

$(VENV)/.installed: $(VENV)/.locked $(SOURCES)
	$(BIN)/python -m pip install -q $(PIP_ARGS) --no-build-isolation --no-deps -e python/core -e .
	touch $@

demo: setup
	$(BIN)/al-bench run --dataset phantom-gland --strategy random,entropy,usim-f,full --protocol demo --seeds 5 \
		--out out/demo

test test-all test-covered: export ALBENCH_DATA := $(ALBENCH_DATA)
test test-all test-covered: export ALBENCH_CASES := $(ALBENCH_CASES)
test: setup
	$(BIN)/python -m pytest -m "not slow" -n auto --dist worksteal

test-all: setup
	$(BIN)/python -m pytest

# The floor is fail_under in pyproject.toml. No test here may count on how a forked process is killed, which coverage has
# end otherwise.
COVERED := $(addprefix tests/unit/,metrics results stats strategies units) tests/integration/test_longer.py
coverage: setup
	$(BIN)/python -m pytest -q -m "not slow" -n auto --cov --cov-report=term $(COVERED)

# `make test` and `make coverage` with no test run twice.
test-covered: setup
	$(BIN)/python -m pytest -m "not slow" -n auto --dist worksteal $(addprefix --ignore=,$(COVERED))
	$(MAKE) coverage

fuzz: setup
	ALBENCH_FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) ALBENCH_FUZZ_COUNTS=1 $(BIN)/python -m pytest -s --hypothesis-profile=fuzz \
		tests/unit/data/test_fuzz_formats.py tests/unit/results/test_fuzz_results.py

# What docs/reliability.md counts of kills and damage; the suites make some of each.
attack: setup
	ALBENCH_KILLS=200 ALBENCH_CORRUPTIONS=496 ALBENCH_FLIPS=1700 ALBENCH_FUZZ_COUNTS=1 $(BIN)/python -m pytest -s \
		tests/integration/test_kills.py tests/integration/test_folder_damage.py tests/integration/test_prepared_damage.py \
		tests/unit/results/test_flipped_bits.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff
	$(BIN)/clang-format --dry-run --Werror $(shell find cpp -name '*.cpp' -o -name '*.hpp')
	ls cpp/*/*.cpp | xargs -P 2 -I{} $(BIN)/clang-tidy --quiet {} -- -std=c++17 -Icpp/include -DALBENCH_FUZZ_MAIN \
		$(patsubst -I%,-isystem %,$(shell $(BIN)/python -m pybind11 --includes))

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(shell find cpp -name '*.cpp' -o -name '*.hpp')

# Types and tests of the page of `al-bench annotate`, with the npm that builds it.
page: setup
	$(BIN)/python python/page/page_backend.py check

docs: setup
	$(BIN)/python docs/site/rooms.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf $(VENV) build dist out
