# Everything a contributor types. Python 3.13 is found, .venv is made and synced from the hashed locks on the way.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
BIN := .venv/bin
export SAM_CLI_TELEMETRY := 0
export PYTHONDONTWRITEBYTECODE := 1

SOURCES := $(wildcard layers/common/sallyport cli/sallyport_cli functions bench tests tools examples)
TYPED := $(wildcard layers/common/sallyport cli/sallyport_cli functions bench tests tools)
# The architecture that this machine can run in Docker. SAM builds both layers; the stack's parameter picks one.
ARCHITECTURE := $(if $(filter arm64 aarch64,$(shell uname -m)),arm64,x86_64)
COMPILE := tools/uv pip compile --quiet --universal --generate-hashes --python-version 3.13 --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock"

# One more than there are processors: many tests wait for processes that they start.
WORKERS = $$($(BIN)/python -c 'import os; print(min(5, (os.cpu_count() or 1) + 1))')

.PHONY: help run test fuzz lint types build e2e e2e-deploy bench lock pr clean venv-run venv-dev venv-uv venv-bench validate

help:  ## Show the targets
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)$$/\1\t\2/p' $(MAKEFILE_LIST) | awk -F '\t' '{printf "%-12s %s\n", $$1, $$2}'

run: venv-run  ## Serve the gateway on this machine (more with ARGS="--port 8080")
	@exec $(BIN)/sallyport local --policy examples/policy.yaml $(ARGS)

test: venv-dev  ## Run every test that needs no Docker (more with ARGS="-k name")
	$(BIN)/pytest -m "not sam" -n $(WORKERS) --dist loadfile $(ARGS)

fuzz: venv-dev  ## Put 100,000 changed requests, and as many answers, through the routes (ARGS="--seed 1 --count 10")
	$(BIN)/python -m tests.fuzz $(ARGS)

lint: venv-dev  ## Check style, imports between packages, and the locks
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/lint-imports --no-cache
	$(BIN)/python tools/check_locks.py

types: venv-dev  ## Check types with mypy --strict
	$(BIN)/mypy --strict $(TYPED)

validate: venv-dev
	AWS_DEFAULT_REGION=$${AWS_DEFAULT_REGION:-us-east-1} $(BIN)/sam validate --lint

pr: lint types validate test  ## Everything a pull request must pass, short of Docker

build: venv-dev  ## Build the layer and the functions with SAM, and print their sizes
	PATH="$$PWD/$(BIN):$$PATH" $(BIN)/sam build --parameter-overrides Architecture=$(ARCHITECTURE)
	@$(BIN)/python tools/print_sizes.py .aws-sam/build

e2e: build  ## Run every event of events/ through `sam local invoke` in Docker
	$(BIN)/pytest -m sam tests/e2e $(ARGS)

e2e-deploy: venv-dev  ## Deploy the template to an emulated AWS with `sam deploy`, and call it
	$(BIN)/python -m tests.e2e.deploy.run

bench: venv-bench  ## Measure cold starts, CPU, limits, checks and the estimate of prompts (one with ARGS=limits)
	$(BIN)/python -m bench $(ARGS)

lock: venv-uv  ## Write the locks anew from pyproject.toml (upgrade with ARGS=--upgrade)
	$(COMPILE) $(ARGS) --group dev --extra cli pyproject.toml -o requirements/dev.txt
	$(COMPILE) $(ARGS) --group build --extra cli -c requirements/dev.txt pyproject.toml -o requirements/run.txt
	$(COMPILE) $(ARGS) -c requirements/dev.txt pyproject.toml -o layers/common/requirements.txt
	$(COMPILE) $(ARGS) --group pyproject.toml:uv -o requirements/uv.txt
	$(COMPILE) $(ARGS) --group pyproject.toml:ministack -o requirements/ministack.txt
	$(COMPILE) $(ARGS) --group pyproject.toml:bench -o requirements/bench.txt

clean:  ## Remove .venv and everything built
	rm -rf .venv .venv-bench .aws-sam .sallyport .mypy_cache .ruff_cache .pytest_cache .hypothesis dist

venv-bench: venv-dev
venv-run venv-dev venv-uv venv-bench:
	@tools/venv $(@:venv-%=%)
