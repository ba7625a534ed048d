# Pigsty on Salt. `make help` lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
PY := $(VENV)/bin/python
# The admin node of pillar/inventory/sandbox.yml.
ADMIN := 10.10.10.10
# What the sandbox needs of the host, and what tests need beside it; installed only when missing.
HOST_PACKAGES := python3-venv mmdebstrap systemd-container nftables iproute2 debian-archive-keyring openssh-client
# Chromium opens the portal's pages. Of PostgreSQL, tests start servers of their own; the package's `main` cluster isn't made.
TEST_PACKAGES := postgresql chromium chromium-driver

.PHONY: help venv host test-host sandbox destroy install test test-unit test-functional test-sandbox bench lint docs portal screenshots clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

venv: $(VENV)/.done ## make .venv with the command, Salt and the test tools

$(VENV)/.done: pyproject.toml
	@command -v python3 >/dev/null || { echo "python3 (3.11 or newer) is needed" >&2; exit 2; }
	@test -x $(PY) && $(PY) -m pip --version >/dev/null 2>&1 || { $(MAKE) --no-print-directory host; python3 -m venv $(VENV); }
	@echo "installing Salt, the pigsty command and the test tools into $(VENV) (a few minutes the first time)"
	@$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

host: ## install the host packages that are missing (needs root)
	@missing=$$(for p in $(HOST_PACKAGES); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	  [ "$$(id -u)" = 0 ] || { echo "missing packages:" $$missing "- run as root: apt-get install" $$missing >&2; exit 2; }; \
	  echo "installing host packages:" $$missing; \
	  mkdir -p /etc/postgresql-common/createcluster.d; \
	  echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/no-main.conf; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi

sandbox: venv host ## bring up the whole system: four nodes, converged, with live PostgreSQL clusters
	@$(VENV)/bin/pigsty sandbox up
	@$(VENV)/bin/pigsty sandbox exec $(ADMIN) -- pigsty apply --yes
	@$(VENV)/bin/pigsty sandbox exec $(ADMIN) -- pigsty status --connect

destroy: venv ## remove the sandbox's nodes (caches stay)
	@$(VENV)/bin/pigsty sandbox destroy

install: ## turn this machine (with systemd) into a singleton
	@./install.sh

test-host:
	@$(MAKE) --no-print-directory host HOST_PACKAGES="$(HOST_PACKAGES) $(TEST_PACKAGES)"

test: venv test-host ## all tests: lint, unit, functional, sandbox
	@$(PY) -m tests.run

test-unit: venv ## the fast tier: pure functions
	@$(PY) -m tests.run unit

test-functional: venv test-host ## real Salt daemons on loopback
	@$(PY) -m tests.run functional

test-sandbox: venv test-host ## real nodes, real failures
	@$(PY) -m tests.run sandbox

bench: venv ## print the benchmarks' figures
	@for file in tests/bench/bench_*.py; do echo "== $$file"; $(PY) $$file || exit 1; done

lint: venv ## ruff and mypy
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy

docs: venv ## generate the reference pages
	@$(PY) -m pigsty_cli.docsgen

# At a release, by who makes it: nobody else needs npm. What it copies is committed.
UPLOT := 1.6.32
portal: ## fetch the portal's chart library by npm into states/infra/portal/vendor
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	npm install --silent --no-save --ignore-scripts --prefix "$$folder" uplot@$(UPLOT) && \
	cd "$$folder/node_modules/uplot" && \
	install -m 0644 dist/uPlot.iife.min.js dist/uPlot.min.css "$(CURDIR)/states/infra/portal/vendor/" && \
	install -m 0644 LICENSE "$(CURDIR)/states/infra/portal/vendor/uPlot.LICENSE" && \
	echo "uPlot $(UPLOT) is in states/infra/portal/vendor"

screenshots: venv test-host ## photograph the running sandbox's portal for the docs
	@$(PY) tests/support/browser.py https://$(ADMIN) docs/img

clean: ## remove what the build left in the tree
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
