# Commands for development; `make help` lists them. A fresh machine needs Python 3.11 or newer and make.

# Blank: python3, or the first suitable one of python3.14 … python3.11.
PYTHON ?=
# More arguments for the command: make test ARGS="-k queue -x"
ARGS ?=
# Test processes: tests mostly wait, so a machine of two cores has time for five.
WORKERS ?= 5
# Share of the long tests that test-long runs, from 0 to 1.
SCALE ?= 0.1
UV := uv==0.13.9
BIN := .venv-dev/bin

export PYTHON
# Installed commands start from compiled bytecode; without it, every process that the tests start compiles again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: test test-all test-long test-moodle debug lint dev run bench bench-peers soak try-llama openapi moodle-plugin lock clean help

test: lint ## lint, then the tests, in an environment of its own
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

test-all: lint ## as test, with all of the fuzz, chaos and crashes: half an hour, before a release
	TEST_SCALE=1 $(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

test-long: dev ## a share of what test-all has beyond test: SCALE=0.1
	TEST_SCALE=$(SCALE) $(BIN)/python -m pytest -n $(WORKERS) -m long $(ARGS)

test-moodle: dev ## what a real Moodle shows, from its unpacked code: MOODLE_DIR=/path/of/moodle (docs/moodle-tests.md)
	@test -n "$(MOODLE_DIR)" || { echo "MOODLE_DIR=/path/of/moodle is missing: docs/moodle-tests.md"; exit 2; }
	MOODLE_DIR="$(MOODLE_DIR)" $(BIN)/python -m pytest -o faulthandler_timeout=1200 tests/moodle $(ARGS)

# Without tests/process, whose tests start processes with an environment of their own, and without what has no loop or
# only virtual time: debug mode slows the worlds down sixfold, and the bursts beside them run the same code.
DEBUG_LESS := --ignore=tests/unit/house --ignore=tests/unit/engine/limiter/test_worlds.py
debug: dev ## the tests of what runs inside one process once more, with asyncio's debug mode on
	PYTHONASYNCIODEBUG=1 $(BIN)/python -m pytest -n $(WORKERS) $(DEBUG_LESS) tests/unit tests/edge $(ARGS)

lint: dev ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

dev: ## .venv-dev, for tests; installs only when something changed
	@sh scripts/venv.sh dev

run: ## .venv, for serving; start-server.sh does the same
	@sh scripts/venv.sh run

bench: run ## every benchmark but the soak, against what is shipped; BASE=<revision> beside an older build; side by side in build/
	@mkdir -p build; for script in benchmarks/bench_*.py; do \
		case "$$script" in \
			*_soak.py) continue ;; \
			*_side_by_side.py) set -- --json build/side-by-side.json --svg build/side-by-side.svg ;; \
			*) set -- ;; \
		esac; \
		echo "== $$script"; \
		.venv/bin/python "$$script" "$$@" || exit 1; \
	done

bench-peers: run ## side by side with LiteLLM, Portkey and smg, each installed by itself (1.5 GB): an hour; numbers and picture in build/
	@mkdir -p build
	.venv/bin/python benchmarks/bench_side_by_side.py --peers --json build/side-by-side.json --svg build/side-by-side.svg $(ARGS)

soak: run ## an hour of mixed load with faults: memory, descriptors, tasks and metrics stay flat; ARGS=10 for ten minutes
	.venv/bin/python benchmarks/bench_soak.py $(ARGS)

try-llama: run ## a real model server (llama.cpp, a small model) behind the sidecar: two minutes, 340 MB to install
	.venv/bin/python benchmarks/try_llama.py $(ARGS)

openapi: dev ## sidecar/http/openapi/openapi.json anew from its models
	$(BIN)/python -m sidecar.http.openapi

moodle-plugin: ## the Moodle plugin as dist/aiprovider_sidecar-VERSION.zip
	@$(or $(PYTHON),python3) scripts/moodle_plugin.py

# --universal: one lock for every Python and machine that pyproject.toml allows.
COMPILE = .venvs/uv/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --group build --extra embedded

lock: ## both locks anew from pyproject.toml; ARGS=--upgrade takes the newest versions
	$(or $(PYTHON),python3) -m venv .venvs/uv
	.venvs/uv/bin/python -m pip install --quiet --disable-pip-version-check $(UV)
	$(COMPILE) $(ARGS) --output-file requirements.lock
	$(COMPILE) $(ARGS) --group dev --extra azure --extra tracing --constraint requirements.lock --output-file requirements-dev.lock

clean: ## remove what these commands made
	rm -rf .venv .venv-dev .venvs build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
