# `make` lists the targets. Everything runs from the checkout, in .venv.

SHELL := /bin/sh
PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UNFINISHED := $(VENV)/.installing

export MLFLOW_DISABLE_TELEMETRY := true

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help python install sweep lint test test-slow test-cluster test-all rooms lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -e 's/:.*## /: /' | \
		awk -F': ' '{ printf "  make %-10s %s\n", $$1, $$2 }'
	@echo "PYTHON=python3.12 picks the interpreter of a new .venv; ARGS='spec.yaml' goes to the sweep."

python:
	@command -v "$(PYTHON)" >/dev/null 2>&1 || \
		{ echo "error: '$(PYTHON)' was not found; install Python 3.11 or newer, or set PYTHON=" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Python 3.11 or newer is needed; '$(PYTHON)' is $$("$(PYTHON)" -V 2>&1); set PYTHON=" >&2; exit 1; }

install: $(STAMP) ## create .venv from requirements.lock (again only when the lock changes)

# An unfinished venv (no pip, or cut off in the middle of an installation) is built anew.
$(STAMP): requirements.lock | python
	@if [ -e "$(UNFINISHED)" ] || ! "$(BIN)/python" -m pip --version >/dev/null 2>&1; then \
		echo "creating $(VENV) with $$("$(PYTHON)" -V 2>&1)"; \
		trap 'rm -rf "$(VENV)"; exit 130' INT TERM HUP; \
		"$(PYTHON)" -m venv --clear "$(VENV)" || { rm -rf "$(VENV)"; exit 1; }; \
	fi
	@"$(BIN)/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(VENV) is broken or older than Python 3.11; run 'make clean' first" >&2; exit 1; }
	@touch "$(UNFINISHED)"
	"$(BIN)/python" -m pip install --disable-pip-version-check --quiet --no-compile -r requirements.lock
	@"$(BIN)/python" -m compileall -qq -j 0 "$(VENV)/lib" || true # what pip does on one core
	@rm -f "$(UNFINISHED)" && touch "$(STAMP)"

sweep: install ## install, then run the sweep: make sweep ARGS='spec.yaml'
	@"$(BIN)/python" -m orchestrator.sweep $(ARGS)

lint: install ## ruff and mypy
	"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .
	"$(BIN)/mypy"

test: lint ## lint, then the quick tests, a process a core
	"$(BIN)/python" -m pytest -n auto --dist worksteal

test-slow: install ## the tests that take minutes
	"$(BIN)/python" -m pytest -m slow --timeout=1800 -n auto --dist worksteal

test-cluster: install ## those of the slow tests that start a cluster by `ray up` on namespaces of this machine
	"$(BIN)/python" -m pytest -m cluster --timeout=900

test-all: ## test, then test-slow
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory test-slow

lock: python ## resolve requirements.lock again from pyproject.toml (UPGRADE=1 takes the newest releases)
	@"$(PYTHON)" .ci/lock.py $(if $(UPGRADE),--upgrade) > requirements.lock.partial || \
		{ rm -f requirements.lock.partial; exit 1; }
	@mv requirements.lock.partial requirements.lock

clean: ## remove .venv and the caches; sweeps and mlflow.db stay
	rm -rf "$(VENV)" .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

rooms: install ## draw docs/rooms.svg, the picture of the rooms, from the imports
	"$(BIN)/python" -m tests.architecture
