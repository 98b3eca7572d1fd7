# Two commands do everything: `make demo` and `make test`. Each sets itself up in $(VENV).
#
#   make demo TORCH='torch==2.13.0'     another torch, or the wheel of your CUDA version
#   make test PYTHON=python3.12         another interpreter

PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
JOBS ?= 2

BIN := $(VENV)/bin
SHARED_DATA := $(wildcard $(CURDIR)/../shared/data)
export GKD_DATA ?= $(SHARED_DATA)
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help demo test lint types wheel clean

help:
	@echo "make demo    install gkd and distil a network of point clouds, with a report"
	@echo "make test    install everything and run lint, types, tests and doctests"
	@echo "make clean   remove the environment and everything built"

demo: $(VENV)/.installed
	$(BIN)/gkd demo

test: lint types
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip

# torch first and alone: an unpinned torch, pulled in by another package, can be gigabytes of CUDA.
$(VENV)/.torch: $(BIN)/python
	$(BIN)/python -m pip install -q '$(TORCH)'
	$(BIN)/python -m pip freeze | grep '^torch==' > $(VENV)/constraints.txt
	touch $@

$(VENV)/.installed: $(VENV)/.torch pyproject.toml
	$(BIN)/python -m pip install -q -c $(VENV)/constraints.txt -e .
	touch $@

# torch-cluster comes as source and its set-up imports torch: no isolated build, two compilers at once.
$(VENV)/.cluster: $(VENV)/.torch
	$(BIN)/python -m pip install -q setuptools wheel
	printf '[build_ext]\nparallel = $(JOBS)\n' > $(VENV)/build.cfg
	@echo "Building torch-cluster (4 to 8 minutes the first time) ..."
	DIST_EXTRA_CONFIG=$(abspath $(VENV))/build.cfg CFLAGS="$(CFLAGS) -g0" \
		$(BIN)/python -m pip install -q --no-build-isolation torch-cluster==1.6.3
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed $(VENV)/.cluster
	$(BIN)/python -m pip install -q -c $(VENV)/constraints.txt -e '.[cluster,dev]'
	touch $@
