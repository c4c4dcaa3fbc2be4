# make help | setup | run | test | ablation | lint | lock | audit | sbom | dist | clean

PYTHON  ?= python3
CONFIG  ?= configs/mini.py
WORKDIR ?= runs/mini
WORKERS ?= 2

EXTRAS  ?=

VENV    := .venv
BIN     := $(VENV)/bin

# The Python that is asked for, else that of .venv, else python3: its version chooses the locks.
ANY     := $(if $(filter file,$(origin PYTHON)),$(wildcard $(BIN)/python)) $(PYTHON)
version  = $(shell for python in $(1); do \
  $$python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null && break; done)
VERSION := $(call version,$(ANY))
LOCKS   := requirements/$(if $(filter 3.11,$(VERSION)),py311,py312)
OTHER   := $(if $(filter $(call version,$(wildcard $(BIN)/python)),$(VERSION)),,other-python)

RUNTIME := $(VENV)/runtime.stamp
CONVERT := $(VENV)/convert.stamp
DEV     := $(VENV)/dev.stamp
TOOLS   := $(VENV)/tools
PIP     := -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation
LOCKED  := $(PIP) --require-hashes
AUDIT   := $(TOOLS)/bin/pip-audit --strict --disable-pip --require-hashes
AUDITED := build runtime convert torch dev gpu tpu

.DEFAULT_GOAL := help
.PHONY: help setup run ablation test lint lock audit sbom dist clean other-python

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo '  variables: PYTHON=$(PYTHON) CONFIG=$(CONFIG) WORKDIR=$(WORKDIR) WORKERS=$(WORKERS) EXTRAS=$(EXTRAS)'

setup: $(RUNTIME) $(EXTRAS:%=$(VENV)/%.stamp)  ## build .venv with the locked packages that a run needs; EXTRAS=convert
	@echo 'setup: $(VENV) is ready'

run: setup  ## train and evaluate CONFIG into WORKDIR, then write its report
	$(BIN)/python -m emola_jax.main --config=$(CONFIG) --workdir=$(WORKDIR)

ablation: setup  ## what image and landmarks bring, on CONFIG; ROWS=image,shuffled SEEDS=0,1
	$(BIN)/python -m emola_jax.ablation --config=$(CONFIG) --workdir=$(WORKDIR) \
	  $(if $(ROWS),--rows=$(ROWS)) $(if $(SEEDS),--seeds=$(SEEDS))

test: lint  ## formatting, lint, types, dependencies, then every test
	$(BIN)/python -m pip check
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: $(DEV)  ## formatting, lint and types only
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --python-version=$(VERSION) emola_jax input_pipeline configs

lock: $(TOOLS)/stamp  ## constraints and requirements/ of setup.py; UPDATE=--upgrade takes new versions
	$(TOOLS)/bin/python requirements/lock.py $(UPDATE)

audit: $(TOOLS)/stamp  ## known holes of every locked package
	$(AUDIT) $(patsubst %,-r requirements/py311/%.txt,$(AUDITED))
	$(AUDIT) $(patsubst %,-r requirements/py312/%.txt,$(AUDITED))
	$(AUDIT) -r requirements/tools.txt

sbom: $(RUNTIME) $(TOOLS)/stamp  ## what is in .venv as a CycloneDX bill of materials: dist/sbom.json
	@mkdir -p dist
	$(TOOLS)/bin/cyclonedx-py environment $(BIN)/python --output-reproducible --output-file dist/sbom.json

dist: $(RUNTIME)  ## source archive and wheel, in dist/
	$(BIN)/python -c 'from setuptools import build_meta; build_meta.build_sdist("dist"); build_meta.build_wheel("dist")'

clean:  ## remove .venv and tool caches (runs/ and the download cache stay)
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp says that what its lock names is in .venv: hashes are checked, nothing is resolved, and
# what is built is built with the locked setuptools. A .venv of another Python version is made anew.
$(RUNTIME): setup.py pyproject.toml $(LOCKS)/build.txt $(LOCKS)/runtime.txt $(OTHER)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  "setup: needs Python 3.11 or newer, but $(PYTHON) is %d.%d; try: make setup PYTHON=python3.12" \
	  % sys.version_info[:2])'
	@$(if $(OTHER),false,$(BIN)/python -m pip --version >/dev/null 2>&1) || $(PYTHON) -m venv --clear $(VENV)
	@echo 'setup: installing the locked packages into $(VENV) (minutes the first time)'
	$(BIN)/python $(LOCKED) -r $(LOCKS)/build.txt
	$(BIN)/python $(LOCKED) -r $(LOCKS)/runtime.txt
	@PYTHONWARNINGS=ignore $(BIN)/python $(PIP) -e .
	@touch $@

$(VENV)/%.stamp: $(RUNTIME) $(LOCKS)/%.txt
	$(BIN)/python $(LOCKED) -r $(LOCKS)/$*.txt
	@touch $@

# Only some sources have PyTorch without CUDA, and only for some Python versions.
$(CONVERT): $(RUNTIME) $(LOCKS)/convert.txt $(LOCKS)/torch.txt $(wildcard $(LOCKS)/torch-cpu.txt)
	@echo 'setup: adding PyTorch (without CUDA where such a build is to be had)'
	$(BIN)/python $(LOCKED) -r $(LOCKS)/convert.txt
	@$(BIN)/python $(LOCKED) -r $(LOCKS)/torch-cpu.txt 2>/dev/null && \
	  $(BIN)/python -c 'import torch' 2>/dev/null || $(BIN)/python $(LOCKED) -r $(LOCKS)/torch.txt
	@touch $@

$(DEV): $(CONVERT) $(LOCKS)/dev.txt
	@echo 'setup: adding the test tools'
	$(BIN)/python $(LOCKED) -r $(LOCKS)/dev.txt
	@touch $@

$(TOOLS)/stamp: $(LOCKS)/build.txt requirements/tools.txt
	$(PYTHON) -m venv --clear $(TOOLS)
	$(TOOLS)/bin/python $(LOCKED) -r $(LOCKS)/build.txt
	$(TOOLS)/bin/python $(LOCKED) -r requirements/tools.txt
	@touch $@
