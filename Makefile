# Two commands on a fresh clone: `make demo` and `make test`. Each sets itself up in .venv.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed

.PHONY: install demo test docs

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	touch $(STAMP)

demo: install
	$(VENV)/bin/cryopick demo demo

test: install
	scripts/check

# Write again what is made from the code: the command reference.
docs: install
	$(VENV)/bin/python scripts/make_reference.py
