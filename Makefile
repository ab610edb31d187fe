# Everything a user or a test machine needs: `make demo` and `make test` set themselves up.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TOOLS := $(VENV)/.tools
KEEP ?= 1
PRESET ?= demo

.DEFAULT_GOAL := help
.PHONY: help setup demo up test test-slow test-gpu test-malformed test-faults test-api-fuzz check format bench secrets mlflow-check lerobot-check audit sbom docs docs-serve clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY) ## Create .venv with the locked requirements

$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Foglab needs $(PYTHON); set PYTHON=… to another 3.11 or 3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY) ## Logs to policy in one run; KEEP=0 leaves after the summary
	@KEEP=$(KEEP) $(BIN)/foglab demo --preset $(PRESET)

up: $(READY) ## Start the service alone
	@$(BIN)/foglab up

# The tests use a real browser, a real PostgreSQL, strace and faketime; Debian has them.
$(TOOLS): $(READY)
	@missing=""; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v strace >/dev/null || missing="$$missing strace"; \
	command -v faketime >/dev/null || missing="$$missing faketime"; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$$missing postgresql"; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	  else \
	    echo "The tests need:$$missing. On Debian: sudo apt-get install$$missing"; exit 1; \
	  fi; \
	fi
	@touch $@

# No process takes the place of one that crashes: it would wait for work for ever. A test that hangs
# with Python's lock held is beyond pytest's own limit, which is a thread: faulthandler ends it, later
# than the longest limit of a test, 900 s.
test: $(TOOLS) ## The default tests
	timeout --foreground -s INT -k 30 1600 \
	$(BIN)/pytest -q -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder \
	  --max-worker-restart 0 --durations 10 \
	  -o faulthandler_timeout=930 -o faulthandler_exit_on_timeout=true

test-slow: $(TOOLS) ## The tests that take minutes
	$(BIN)/pytest -q -m slow --timeout 7200

test-gpu: $(READY) ## What needs a CUDA device, on one
	$(BIN)/pytest -q -m gpu tests/gpu

test-malformed: $(READY) ## A thousand malformed uploads through the service; writes the table
	$(BIN)/python -m tests.malformed

test-faults: $(TOOLS) ## Kill, pause, cut and fill up in full, for hours; writes benchmarks/results/faults.json
	FOGLAB_FAULTS=long FOGLAB_FAULTS_RESULTS=benchmarks/results/faults.json $(BIN)/pytest -q -m "not gpu" --timeout 14400 tests/faults tests/jobs/test_histories.py

test-api-fuzz: $(TOOLS) ## 5,000 cases of schemathesis on each database
	$(BIN)/python -m tests.api.contract --cases 5000

check: $(READY) ## Lint, format, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

mlflow-check: $(READY) ## The mirror to MLflow, against a real server in an environment of its own
	test -x .venv-mlflow/bin/mlflow || ($(PYTHON) -m venv .venv-mlflow && .venv-mlflow/bin/pip install -q mlflow==3.17.2)
	MLFLOW=$(CURDIR)/.venv-mlflow/bin/mlflow $(BIN)/pytest -q -n0 tests/worker/mlflow_check.py

LEROBOT := .venv-lerobot/.ready

$(LEROBOT):
	$(PYTHON) -m venv .venv-lerobot
	.venv-lerobot/bin/pip install -q --disable-pip-version-check lerobot-doctor==0.2.0 rerun-sdk==0.41.0
	@touch $@

lerobot-check: $(READY) $(LEROBOT) ## Exports before lerobot-doctor and Rerun, in an environment of their own
	LEROBOT_TOOLS=$(CURDIR)/.venv-lerobot/bin $(BIN)/pytest -q -n0 tests/stages/lerobot_check.py

AUDIT := .venv-audit/.ready

$(AUDIT):
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/pip install -q --disable-pip-version-check pip-audit==2.10.1 cyclonedx-bom==7.5.0
	@touch $@

audit: $(AUDIT) ## Look for known holes in the locked packages; needs osv.dev
	@.venv-audit/bin/pip-audit --strict --no-deps --disable-pip -s osv -r requirements.lock || { \
	  echo "Not passed: either holes are listed above, or api.osv.dev did not answer and NOTHING was looked up."; exit 1; }

sbom: $(READY) $(AUDIT) ## List the installed packages with licences in sbom.json (CycloneDX)
	.venv-audit/bin/cyclonedx-py environment --output-reproducible --of JSON -o sbom.json $(BIN)/python
	$(BIN)/python deploy/check_sbom.py sbom.json requirements.lock

docs: $(READY) ## Build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs-serve: $(READY) ## Show the documentation while it is written
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

bench: $(READY) ## List the benchmarks, one command per claim
	@$(BIN)/python -m benchmarks

secrets: ## Random passwords for docker compose, under secrets/
	@sh deploy/make_secrets.sh

clean: ## Remove the environment and the demo's data
	rm -rf $(VENV) .foglab
