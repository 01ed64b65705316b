# `make demo` and `make test` work on a fresh clone: each first installs the package and the checks in .venv.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed

.PHONY: install demo test fuzz soak results docs site man check-install check-pages tutorial-data public-types general-model bench bench-peer bench-foreign clients

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt package-lock.json
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	PATH=$(CURDIR)/$(VENV)/bin:$$PATH $(VENV)/bin/npm ci --silent
	touch $(STAMP)

demo: install
	$(VENV)/bin/cryopick demo demo

test: install
	scripts/check

# Fuzz every parser with at least 100,000 inputs; this takes hours. An interrupted search resumes.
# Counts and logs are in runs/fuzz.
fuzz: install
	OMP_NUM_THREADS=1 nice -n 15 $(VENV)/bin/python -m tests.fuzz.search --keep

# Pick 2,000 small micrographs under injected faults, and compare the table with that of an undisturbed run.
soak: install
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m tests.e2e.soak

# Regenerate the documentation pages that are made from the code.
docs: install
	$(VENV)/bin/python scripts/make_reference.py

# Build the documentation as a web site in site/; open site/index.html.
site: install
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build

# Write the manual pages of the commands to man/, from where a wheel takes them.
man: install
	$(VENV)/bin/python scripts/make_man_pages.py man

# Build the package, and install and run it in clean environments with the lowest and the newest dependencies.
# This takes minutes and several GB, as PyTorch for Linux comes with CUDA.
check-install: install .install/.installed
	$(VENV)/bin/python scripts/check_install.py --tools .install

.install/.installed:
	$(PYTHON) -m venv .install
	.install/bin/python -m pip install --quiet build twine uv
	touch $@

# Install the package as the README says, and run every command of the README, the tutorial and the pages for RELION
# and cryoSPARC in that environment. This takes half an hour and needs RELION and the data of the tutorial.
# PAGES_OPTIONS=--resume continues after an interruption.
check-pages: install tutorial-data
	$(VENV)/bin/python scripts/check_pages.py $(PAGES_OPTIONS)

# Pack the micrographs and labels of the tutorial into tutorial-data.tar.gz, which is attached to a release.
EMPIAR := data/empiar10017
tutorial-data:
	cd ../shared && tar -czf $(CURDIR)/tutorial-data.tar.gz $(EMPIAR)/PROVENANCE.md $(EMPIAR)/particles.tsv \
	  $(EMPIAR)/labels_100.tsv $(EMPIAR)/micrographs/*-15_[34]*

# Check with pyright that all public names have complete types; takes a minute or two, in a separate environment.
public-types: install .pyright/.installed
	VIRTUAL_ENV=$(CURDIR)/$(VENV) PATH=$(CURDIR)/$(VENV)/bin:$$PATH .pyright/bin/pyright --verifytypes cryopick --ignoreexternal

.pyright/.installed:
	$(PYTHON) -m venv .pyright
	.pyright/bin/python -m pip install --quiet pyright==1.1.414
	touch $@

# Rebuild the results that are expected to take less than an hour each (validation takes ten minutes on two free
# cores; the others have not been timed alone). The others take hours and resume after an interruption:
# benchmarks/pu_learning.py, general_model.py, foreign.py, suggest.py, and figure5.py, whose 3,600 trials
# of 3,000 steps need about three minutes of one core each (57 ms a step, with shared minibatches).
RESULTS := empiar10017 negatives calibration consensus contamination validation workflow views reconstruction count_gradient normalization prior_choice
results: install
	for name in $(RESULTS); do \
	  OMP_NUM_THREADS=1 nice -n 12 $(VENV)/bin/python benchmarks/$$name.py || exit 1; done

# Train the shipped model on simulated micrographs: hours on one core. An interrupted run resumes.
STRUCTURES ?= ../shared/data/structures
general-model: install
	OMP_NUM_THREADS=1 $(VENV)/bin/python scripts/make_general_model.py --structures $(STRUCTURES)

# Time each stage and compare it with a plain baseline on the same machine: minutes.
bench: install
	for stage in start preprocess train score pick memory linear; do \
	  $(VENV)/bin/python benchmarks/$$stage.py || exit 1; done

# Do the same work with the reference implementation, as a program in a separate environment.
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
	.cryojax/bin/python -m pip install --quiet cryojax==0.6.0 mrcfile pillow scipy
	touch $@

# Its denoisers are found by pkg_resources, which later versions of setuptools do not have.
.peer/.installed:
	$(PYTHON) -m venv .peer
	.peer/bin/python -m pip install --quiet topaz-em==0.3.20 torch==2.14.1 torchvision==0.29.1 'setuptools<81'
	touch $@

# Run unmodified client programs, each in an environment of its own, on our output and with cryopick in place of Topaz.
# RELION is that of the system (Debian: apt-get install relion). CLIENTS=DIR keeps the environments elsewhere.
CLIENTS ?= .clients
clients: install $(CLIENTS)/scipion/.installed $(CLIENTS)/pipeliner/.installed $(CLIENTS)/readers/.installed
	OMP_NUM_THREADS=1 CLIENTS=$(CLIENTS) REQUIRE_CLIENTS=1 REQUIRE_RELION=1 $(VENV)/bin/python -m pytest -n 0 -q \
	  tests/e2e/test_client_programs.py tests/e2e/test_relion.py

$(CLIENTS)/scipion/.installed: PACKAGES = scipion-pyworkflow==3.11.7 scipion-em==3.11.1 scipion-em-topaz==3.1.2 \
  scipion-em-relion==5.0.2 scipion-em-eman2==3.7.0
$(CLIENTS)/pipeliner/.installed: PACKAGES = ccpem-pipeliner==1.6.1
$(CLIENTS)/readers/.installed: PACKAGES = cryosparc-tools==5.0.3 emtools==0.1.3
$(CLIENTS)/%/.installed:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet $(PACKAGES)
	touch $@
