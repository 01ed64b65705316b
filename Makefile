# Two commands on a fresh clone: `make demo` and `make test`. Each sets itself up in .venv.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed

.PHONY: install demo test fuzz soak docs site public-types general-model bench bench-peer bench-foreign

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

# Search every parser for files that crash, stall or take it over: at least 100,000 inputs each,
# some hours. It goes on where it was cut off; counts and logs are in runs/fuzz.
fuzz: install
	OMP_NUM_THREADS=1 nice -n 15 $(VENV)/bin/python -m tests.fuzz.search --keep

# Pick 2,000 small micrographs while everything goes wrong, and compare with a run in which nothing did.
soak: install
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m tests.e2e.soak

# Write again what is made from the code: the command reference.
docs: install
	$(VENV)/bin/python scripts/make_reference.py

# The documentation as a web site in site/: open site/index.html.
site: install
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build

# Whether everything public has a type that a checker need not guess: a minute or two, in an environment of its own.
public-types: install .pyright/.installed
	VIRTUAL_ENV=$(CURDIR)/$(VENV) PATH=$(CURDIR)/$(VENV)/bin:$$PATH .pyright/bin/pyright --verifytypes cryopick --ignoreexternal

.pyright/.installed:
	$(PYTHON) -m venv .pyright
	.pyright/bin/python -m pip install --quiet pyright==1.1.414
	touch $@

# Make the model that ships, from simulation alone: some hours on one core. It goes on where it was cut off.
STRUCTURES ?= ../shared/data/structures
general-model: install
	OMP_NUM_THREADS=1 $(VENV)/bin/python scripts/make_general_model.py --structures $(STRUCTURES)

# Time every stage against a plain baseline of the same machine: some minutes.
bench: install
	for stage in start preprocess train score pick memory linear; do \
	  $(VENV)/bin/python benchmarks/$$stage.py || exit 1; done

# The same work by the reference implementation, run as a program in an environment of its own.
bench-peer: install .peer/.installed
	$(VENV)/bin/python benchmarks/peer.py
	$(VENV)/bin/python benchmarks/convergence.py

# The general model on foreign data: sets of other simulators, each in an environment of its own, and the reference.
bench-foreign: install .aspire/.installed .cryojax/.installed .peer/.installed
	OMP_NUM_THREADS=1 $(VENV)/bin/python benchmarks/foreign.py --labels 0 10 25 100 all --factors 0.67 0.8 1.25 1.5

.aspire/.installed:
	$(PYTHON) -m venv .aspire
	.aspire/bin/python -m pip install --quiet 'aspire==0.14.*'
	touch $@

.cryojax/.installed:
	$(PYTHON) -m venv .cryojax
	.cryojax/bin/python -m pip install --quiet cryojax==0.6.0 mrcfile scipy
	touch $@

.peer/.installed:
	$(PYTHON) -m venv .peer
	.peer/bin/python -m pip install --quiet topaz-em==0.3.20 torch==2.14.1 torchvision==0.29.1
	touch $@
