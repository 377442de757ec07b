# `make demo` and `make test` are all that a fresh machine needs: they install what they use.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := -m pip install --quiet --disable-pip-version-check
PIP := $(BIN)/python $(INSTALL) -c constraints.txt
LOWEST := $(VENV)-lowest
# A process for each core, with one thread each: most of a test is Python.
SUITE := -m pytest -m "not slow" -n auto --maxprocesses 8 --dist worksteal

# The real corpora, where they lie beside the checkout; tests that need them skip elsewhere.
ifneq ($(wildcard ../shared/data),)
export SKLEARN_BERT_DATA ?= $(abspath ../shared/data)
endif

.PHONY: demo test test-slow test-lowest lint bench docs picture clean

demo: $(VENV)/.demo
	$(BIN)/python examples/demo.py

test: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python $(SUITE)

test-slow: $(VENV)/.test
	$(BIN)/python -m pytest -m slow

# PyPI has for Linux no torch that old without CUDA: 6 GB on disk. Old packages warn of what newer
# ones that they call deprecate.
test-lowest: $(LOWEST)/.test
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python $(SUITE) -W ignore::DeprecationWarning

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks --all --quick

docs: $(VENV)/.docs
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html
	$(BIN)/python docs/check_links.py docs/_build/html

# The picture of a report in the docs; it needs the corpora and a browser (see tools/browser.py).
picture: $(VENV)/.test
	mkdir -p docs/_build
	$(BIN)/sklearn-bert compare "$(SKLEARN_BERT_DATA)/emotion/emotion.csv" --text text --label Emotion \
	    --budget 10m --html docs/_build/emotion.html
	$(BIN)/python -m tools.report_picture docs/_build/emotion.html docs/_static/compare-report.png

clean:
	rm -rf $(VENV) $(LOWEST) docs/_build docs/gallery docs/generated .pytest_cache .mypy_cache .ruff_cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# torch first and by itself, so that nothing else gets to choose its build.
$(VENV)/.torch: constraints.txt | $(BIN)/python
	$(PIP) torch
	touch $@

$(VENV)/.demo: pyproject.toml $(VENV)/.torch
	$(PIP) -e ".[embedded,cli]"
	touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.torch
	$(PIP) -e ".[embedded,test]"
	touch $@

$(VENV)/.bench: pyproject.toml $(VENV)/.torch
	$(PIP) -e ".[embedded,bench]"
	touch $@

$(VENV)/.docs: pyproject.toml $(VENV)/.torch
	$(PIP) -e ".[embedded,plot,cli,docs]"
	touch $@

$(LOWEST)/.test: pyproject.toml tools/lowest.py
	$(PYTHON) -m venv $(LOWEST)
	$(PYTHON) -m tools.lowest > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python $(INSTALL) -c $(LOWEST)/constraints.txt -e ".[embedded,test]"
	touch $@
