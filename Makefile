# The two commands that matter: `make run` and `make test`. Both set up everything they need.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
DATA   ?= data
ARGS   ?=

.PHONY: run test check bench dev clean
.DELETE_ON_ERROR:

run: $(VENV)/.installed
	$(BIN)/metrist up --agent --data $(DATA) $(ARGS)

test: $(VENV)/.tested
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports --no-cache && $(BIN)/mypy
	@# Machines that run this are shared; what fails for want of time gets one more chance, what is wrong fails again.
	@# In two processes, a file of tests in one of them: most of the time of whole platforms and browsers is waiting.
	@code=0; \
	$(BIN)/pytest -n 2 --dist loadfile tests/unit tests/integration $(ARGS) || code=$$?; [ $$code -le 1 ] || exit $$code; \
	$(BIN)/pytest -n 2 --dist loadfile tests/e2e tests/containers $(ARGS) || code=$$?; [ $$code -le 1 ] || exit $$code; \
	[ $$code -eq 0 ] || { echo "Once more, only what has failed:"; $(BIN)/pytest --last-failed --last-failed-no-failures none $(ARGS); }

check: $(VENV)/.tested
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports --no-cache && $(BIN)/mypy && $(BIN)/pytest -q tests/unit

bench: $(VENV)/.tested
	$(BIN)/python -m bench $(ARGS)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Metrist needs Python 3.11 or newer (set PYTHON=python3.x)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || { rm -rf $(VENV); $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(VENV) install -q pip; } 2>/dev/null \
	|| { rm -rf $(VENV); echo "This Python can make no virtual environment: apt-get install python3-venv"; exit 1; }

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.tested: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) dist
