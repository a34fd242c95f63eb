# `make demo` and `make demo-swf` show flowy at work, `make test` checks it; they need only Python 3.10+
# and a C compiler, and build the rest in .venv. Another interpreter: `make test PYTHON=python3.12`.

VENV ?= .venv
RUN := $(VENV)/bin/python
INSTALL := $(RUN) -m pip install -qq
DEV = $(VENV)/.flowy $(VENV)/.dev
CHECKED := setup.py $(wildcard flowy tests examples benchmarks)
VERSIONS := 3.10 3.11 3.12 3.13
ASV = HOME='$(CURDIR)/.asv' '$(abspath $(VENV))/bin/asv'

# $(call find,condition,candidates): the first candidate that runs, has venv, and fits.
find = $(shell for p in $(2); do \
	"$$p" -c 'import ensurepip, sys, venv; sys.exit(not ($(1)))' >/dev/null 2>&1 \
	&& echo "$$p" && break; done)
# pyenv's shims are found but don't run for versions that aren't selected; these do.
pyenv = $(wildcard $(or $(shell pyenv root 2>/dev/null),$(HOME)/.pyenv)/versions/$(1)*/bin/python)
PYTHON ?= $(call find,sys.version_info.minor >= 10,python3 $(VERSIONS:%=python%) $(call pyenv,3.1))

.PHONY: help demo demo-swf test test-all test-long test-mermaid pytest chaos soak lint docs \
	docs-tables docs-pictures bench clean $(VERSIONS:%=test-%)
.NOTPARALLEL:

help:
	@echo 'make demo       a real job, on all cores'
	@echo 'make demo-swf   a workflow on a local Amazon SWF, with a decider and two workers'
	@echo 'make test       lint and tests'
	@echo 'make test-all   the same on each of Python $(VERSIONS) found here'
	@echo 'make test-long  the tests with many more random programs'
	@echo "make test-mermaid  the graphs that are drawn, read by Mermaid's own parser"
	@echo 'make chaos      kills and signals in numbers; some: make chaos CHAOS="--scale 0.1 --only threads"'
	@echo 'make soak       an hour of runs: what the driver holds must not grow'
	@echo 'make lint       ruff, mypy --strict, stubtest'
	@echo 'make docs       the examples in docstrings and docs/, run'
	@echo 'make docs-tables  the tables of docs/swf-service.md, made from the tests'
	@echo 'make docs-pictures  the screenshots in docs/pictures, by a headless Chromium'
	@echo 'make bench      the benchmarks; some of them: make bench BENCH="--bench engine"'
	@echo 'make clean      remove what was built, the environments too'

demo: $(VENV)/.flowy
	$(RUN) -m flowy demo

demo-swf: $(VENV)/.flowy $(VENV)/.swf
	$(RUN) examples/swf/demo.py

test: lint pytest

pytest: $(DEV)
	$(RUN) -m pytest --doctest-modules flowy tests

test-all: $(VERSIONS:%=test-%)

$(VERSIONS:%=test-%): test-%:
	@python='$(call find,"%d.%d" % sys.version_info[:2] == "$*",python$* $(call pyenv,$*.))'; \
	if [ -n "$$python" ]; then $(MAKE) test VENV=.venv-$* PYTHON="$$python"; \
	else echo "Python $* is not on this machine: not tested"; fi

test-long: $(DEV)
	FLOWY_LONG=1 $(RUN) -m pytest --timeout=7200 -o faulthandler_timeout=7000

# Needs node and npm. What it installs is for tests only; `make pytest` skips the test until it is there.
test-mermaid: $(DEV)
	cd tests/mermaid && npm ci --no-audit --no-fund
	$(RUN) -m pytest tests/test_pictures.py

chaos: $(DEV)
	cd tests && '$(abspath $(RUN))' -m chaos $(CHAOS)

soak: $(DEV)
	cd tests && '$(abspath $(RUN))' -m chaos --only soak $(CHAOS)

lint: $(DEV)
	$(RUN) -m ruff check $(CHECKED)
	$(RUN) -m ruff format --check $(CHECKED)
	$(RUN) -m mypy $(filter-out setup.py examples,$(CHECKED))
	$(RUN) -m mypy --allow-untyped-defs --allow-untyped-calls examples
	$(RUN) -m mypy.stubtest --mypy-config-file pyproject.toml flowy._sched flowy._trace flowy._passes flowy._loop flowy._lifeline flowy._swallowed flowy._replay

# 5 is pytest's word for "nothing found", which is fine here.
docs: $(DEV)
	$(RUN) -m pytest --doctest-modules --doctest-glob='*.md' flowy $(wildcard docs) || [ $$? -eq 5 ]

docs-tables: $(DEV)
	cd tests && '$(abspath $(RUN))' -m swf_table

docs-pictures: $(DEV)
	cd tests && '$(abspath $(RUN))' -m page_pictures

# asv keeps what it knows of the machine in the home directory: here that is .asv, where results go too.
bench: $(VENV)/.flowy $(VENV)/.bench
	@mkdir -p .asv
	cd benchmarks && $(ASV) machine --yes >/dev/null && $(ASV) run --python=same --show-stderr $(BENCH) \
		$(addprefix --set-commit-hash=,$(shell git rev-parse --verify HEAD 2>/dev/null))

clean:
	rm -rf .venv .venv-3.* .bench build dist *.egg-info flowy/*.c flowy/*.so flowy/*.html
	rm -rf tests/mermaid/node_modules
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find flowy tests examples benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# The stamps: what stands in the environment. A build starts from the .pyx each time, because
# setup.py may have changed the directives. What an extra needs is read from the installed flowy:
# pip would build flowy again for '.[dev]'.

needs = $$($(RUN) -Ic 'import importlib.metadata as m; \
	print(*(r.split(";")[0] for r in m.requires("flowy") if r.endswith("\"$(1)\"")))')

$(VENV)/.venv:
	@[ -n '$(PYTHON)' ] || { echo 'No Python 3.10 or later with venv found: set PYTHON=' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --upgrade pip 'setuptools>=77' 'cython>=3.1,<4'
	@touch $@

$(VENV)/.flowy: pyproject.toml setup.py $(wildcard flowy/*.pyx flowy/*.pxd) | $(VENV)/.venv
	rm -f flowy/*.c
	$(INSTALL) --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.flowy
	$(INSTALL) $(call needs,dev)
	@touch $@

$(VENV)/.swf: pyproject.toml | $(VENV)/.flowy
	$(INSTALL) $(call needs,swf)
	@touch $@

$(VENV)/.bench: pyproject.toml | $(VENV)/.flowy
	$(INSTALL) $(call needs,bench)
	@touch $@
