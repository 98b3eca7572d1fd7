# Two commands do everything: `make demo` and `make test`. Each sets itself up in $(VENV).
#
#   make demo TORCH='torch==2.13.0'     another torch, or the wheel of your CUDA version
#   make test PYTHON=python3.12         another interpreter
#   make test PYTEST_WORKERS=8          more processes for the tests

PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
JOBS ?= 2
RELIABILITY_SCALE ?= 1
PYTEST_WORKERS ?= 2
FUZZ_INPUTS ?= 10000
FUZZ_SEED ?=

BIN := $(VENV)/bin
# A file's tests share its fixtures. tests/conftest.py has the longest files begin first, so that no
# process waits long for another.
PYTEST := $(BIN)/python -m pytest --numprocesses=$(PYTEST_WORKERS) \
	--dist=loadfile --no-loadscope-reorder
SHARED_DATA := $(wildcard $(CURDIR)/../shared/data)
export GKD_DATA ?= $(SHARED_DATA)
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Else every process that tests start compiles gkd anew, and pytest every test.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test test-portable docs fuzz reliability lint types tests clean

help:
	@echo "make demo             install gkd and distil a network of point clouds, with a report"
	@echo "make test             install everything and run lint, types, tests and doctests"
	@echo "make test-portable    run the tests of what computes with kernels of other processors"
	@echo "make docs             build the documentation as a site, into build/site"
	@echo "make fuzz             read damaged files, FUZZ_INPUTS of every kind, and keep what goes wrong"
	@echo "make reliability      try every promise of docs/reliability.md many times: takes hours"
	@echo "make clean            remove the environment and everything built"

demo: $(VENV)/.installed
	$(BIN)/gkd demo

# Types take one core for as long as lint and half the tests do.
test: $(VENV)/.installed-dev
	$(MAKE) --jobs=3 lint types tests

tests: $(VENV)/.installed-dev
	$(PYTEST)

# Each makes torch, or a library below it, compute in another order and so round otherwise. What
# a library does not heed, or a processor lacks, leaves things as they are.
KERNELS := ATEN_CPU_CAPABILITY=default ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=SSE4_2 \
	MKL_CBWR=COMPATIBLE ONEDNN_MAX_CPU_ISA=SSE41 OMP_NUM_THREADS=1 OMP_NUM_THREADS=2
NUMERIC := $(addprefix tests/,cache distillation evaluation functional graph plugins properties \
	testing training) gkd/functional plugins

test-portable: $(VENV)/.installed-dev
	set -e; for kernels in $(KERNELS); do \
		echo "$$kernels"; env $$kernels $(PYTEST) $(NUMERIC); \
	done

# Warnings are errors: pages without a place, links that lead nowhere, formulas and docstrings that
# cannot be read. Nothing is fetched while it is built, nor when it is looked at.
docs: $(VENV)/.installed-docs
	$(BIN)/python docs/generate/recipe_keys.py
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/site
	@echo "build/site/index.html"

# Another seed finds other things; one that is given finds the same again.
fuzz: $(VENV)/.installed-dev
	$(BIN)/python tests/fuzz --inputs $(FUZZ_INPUTS) $(if $(FUZZ_SEED),--seed $(FUZZ_SEED))

# Smaller: make reliability RELIABILITY_SCALE=0.05
reliability: $(VENV)/.installed-dev
	$(BIN)/python tests/reliability --scale $(RELIABILITY_SCALE) \
		$(if $(RELIABILITY_SEED),--seed $(RELIABILITY_SEED))

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

$(VENV)/.installed-docs: $(VENV)/.installed
	$(BIN)/python -m pip install -q -c $(VENV)/constraints.txt -e '.[docs]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed $(VENV)/.cluster
	$(BIN)/python -m pip install -q -c $(VENV)/constraints.txt -e '.[cluster,dev]'
	touch $@
