# Holdfast: `make demo` shows the main job with real phones, `make test` passes every test. Both install what is missing.

PYTHON := .venv/bin/python
STAMP  := .venv/.installed-$(shell sha256sum requirements.lock pyproject.toml 2>/dev/null | sha256sum | cut -c1-16)
LAB    := PYTHONPATH=tests $(PYTHON) -m

.PHONY: help demo up test lint unit bench lock install clean
.DEFAULT_GOAL := help

help:
	@echo "make demo   install what is missing, then show a 911 call, its callback and 933 with real phones"
	@echo "make up     start the same system and keep it running, to register a softphone with (SIP_ADDRESS=… SIP_PORT=…)"
	@echo "make test   install what is missing, then run every check and test"
	@echo "make unit   only the quick tests, without Kamailio and PostgreSQL;  make lint: style and types alone"
	@echo "make bench  measure: relaying against native Kamailio, syncing 100 000 users and numbers"
	@echo "make lock   choose library versions anew;  make clean: remove everything that was made here"

demo: install
	@$(LAB) lab.demo

up: install
	@$(LAB) lab.up

# Two at a time: every worker has a whole system of its own, on ports of its own.
test: install lint
	@$(PYTHON) -m pytest --numprocesses 2 --dist loadfile

unit: install
	@$(PYTHON) -m pytest tests/unit

lint: install
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy

bench: install
	@$(PYTHON) tests/bench/bench_relay.py
	@$(PYTHON) tests/bench/bench_sync.py

install: $(STAMP)

# Debian's own Python: Kamailio embeds it, and unprivileged users can run it.
$(STAMP): requirements.lock pyproject.toml
	@sh tests/lab/install-debian.sh
	@test -x $(PYTHON) || /usr/bin/python3 -m venv .venv
	@echo "Installing Python packages"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --use-pep517 --require-hashes -r requirements.lock
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@rm -f .venv/.installed-* && touch $@

lock:
	$(PYTHON) -m pip install --quiet uv
	$(PYTHON) -m uv pip compile pyproject.toml --all-extras --generate-hashes --universal --python-version 3.11 \
		--quiet --no-header --upgrade -o requirements.lock

clean:
	rm -rf .venv var .mypy_cache .ruff_cache .pytest_cache .hypothesis
