# `make repro` runs everything up to the report, `make test` the tests, `make bench` the speed figures
# (ONLY="one another" for some), `make soak` many attacks (hours; MINUTES=30 or TRIALS=100 for less, ONLY="one another" for some),
# `make fuzz` the fuzzer (SECONDS=... for each reader, TARGET="one another" for some).
# Each first installs what is missing. `make install` and `make testable` do that alone, the second with tools for tests.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := $(CURDIR)/.venv/bin
INSTALLED := .venv/installed
TESTABLE := .venv/testable
UV_VERSION := $(patsubst uv==%,%,$(shell grep '^uv==' requirements.lock))
TORCH := $(shell grep -E '^torch(vision)?==' requirements.lock)

export PATH := $(BIN):$(PATH)
export HF_HUB_OFFLINE ?= 1
export VLLM_NO_USAGE_STATS ?= 1
export DO_NOT_TRACK ?= 1
export RAY_USAGE_STATS_ENABLED ?= 0

.PHONY: repro test bench soak fuzz lint install testable

repro: install
	dvc repro

# two tests at a time, each file's by one process; those marked `alone` wait until no other runs (tests/together.py)
test: lint
	python -m pytest -n 2 --dist loadfile

bench: testable
	python -m speed $(ONLY)

soak: testable
	python -m tests.soak $(ONLY) $(if $(TRIALS),--trials $(TRIALS)) $(if $(MINUTES),--minutes $(MINUTES))

# atheris is for this alone, so it is no part of requirements.lock
SECONDS ?= 30
FUZZER := $(shell sed -n 's/^fuzz = \["\(.*\)"\]/\1/p' pyproject.toml)
fuzz: testable
	python -c 'import atheris' 2>/dev/null || uv pip install --quiet --python $(BIN)/python --no-deps $(FUZZER)
	python -m tests.fuzz $(TARGET) --seconds $(SECONDS)

lint: testable
	ruff check .
	ruff format --check .
	mypy

install: $(INSTALLED)

# CPU builds of torch and torchvision come from PyTorch's own index. If it cannot be reached, pip's configured
# sources must have a CPU build of torch. If torchvision cannot be imported beside it, cpu/ is installed too.
$(INSTALLED): requirements.lock pyproject.toml cpu/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Python 3.11 is needed: make PYTHON=/path/to/python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	UV_HTTP_RETRIES=0 UV_HTTP_TIMEOUT=60 $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --torch-backend cpu $(TORCH) \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -c 'import torchvision' 2>/dev/null \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation ./cpu
	$(BIN)/python -c 'import torch, torchvision, open_clip; print("torch", torch.__version__, "is ready")'
	touch $(INSTALLED)

testable: $(TESTABLE)

$(TESTABLE): requirements-test.lock $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-test.lock
	touch $(TESTABLE)
