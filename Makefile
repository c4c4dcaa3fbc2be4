# make help | setup | run | test | ablation | lint | clean

PYTHON  ?= python3
CONFIG  ?= configs/mini.py
WORKDIR ?= runs/mini
WORKERS ?= 2

VENV    := .venv
BIN     := $(VENV)/bin
PINS    := setup.py pyproject.toml constraints.txt
RUNTIME := $(VENV)/runtime.stamp
DEV     := $(VENV)/dev.stamp
PIP     := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup run ablation test lint clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo '  variables: PYTHON=$(PYTHON) CONFIG=$(CONFIG) WORKDIR=$(WORKDIR) WORKERS=$(WORKERS)'

setup: $(RUNTIME)  ## build .venv with the pinned packages that a run needs
	@echo 'setup: $(VENV) is ready'

run: setup  ## train and evaluate CONFIG into WORKDIR, then write its report
	$(BIN)/python -m emola_jax.main --config=$(CONFIG) --workdir=$(WORKDIR)

ablation: setup  ## what image and landmarks bring, on CONFIG; ROWS=image,shuffled SEEDS=0,1
	$(BIN)/python -m emola_jax.ablation --config=$(CONFIG) --workdir=$(WORKDIR) \
	  $(if $(ROWS),--rows=$(ROWS)) $(if $(SEEDS),--seeds=$(SEEDS))

test: lint  ## formatting, lint, types, dependencies, then every test
	$(BIN)/python -m pip check
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

lint: $(DEV)  ## formatting, lint and types only
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy emola_jax input_pipeline configs

clean:  ## remove .venv and tool caches (runs/ and the download cache stay)
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUNTIME): $(PINS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  "setup: needs Python 3.11 or newer, but $(PYTHON) is %d.%d; try: make setup PYTHON=python3.12" \
	  % sys.version_info[:2])'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo 'setup: installing the pinned packages into $(VENV) (minutes the first time)'
	$(PIP) -e .
	@touch $@

$(DEV): $(RUNTIME)
	@echo 'setup: adding the test tools and PyTorch, which only tests use'
	$(PIP) -e '.[dev]'
	@touch $@
