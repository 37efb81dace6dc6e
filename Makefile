# make up     a throw-away host on this machine, site.yml onto it, a chat page that answers
# make down   leaves nothing of it
# make test   the whole suite, as CI runs it          make check   lint, types, unit tests (about two minutes)
# make test-full [PART=word]   what is too long for every change
# make docs   writes the generated parts of the documentation
SHELL := /bin/sh
PYTHON_VENV := .cache/venv/bin/python
BOOTSTRAP := PYTHON="$(PYTHON)" tests/tools/bootstrap.sh
PYTEST := $(PYTHON_VENV) -m pytest
PART ?=

export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export PATH := $(CURDIR)/.cache/venv/bin:$(PATH)

.PHONY: help up down test test-full check bootstrap docs lock clean

help:
	@sed -n 's/^# //p' Makefile

bootstrap:
	@$(BOOTSTRAP) dev

up:
	@$(BOOTSTRAP) up
	@$(PYTHON_VENV) -m tests.lab.up

down:
	@$(BOOTSTRAP) control
	@$(PYTHON_VENV) -m tests.lab.down

check: bootstrap
	$(PYTEST) tests/static tests/unit -m "not slow and not full" -n 2 --dist loadfile

# Hosts wait more than they compute: two files of tests side by side halve the time.
test: bootstrap
	$(PYTEST) tests/static tests/unit -m "not full" -n 2 --dist loadfile --junitxml=artifacts/junit-fast.xml
	$(PYTEST) tests/lab tests/molecule tests/e2e -m "not full" -n 2 --dist loadfile --junitxml=artifacts/junit.xml --durations=20

test-full: bootstrap
	$(PYTEST) tests -m "full" --junitxml=artifacts/junit-full.xml $(if $(PART),-k "$(PART)")

docs: bootstrap
	$(PYTHON_VENV) -m tests.tools.docs

lock: bootstrap
	$(PYTHON_VENV) -m tests.tools.lock

clean: down
	rm -rf .cache artifacts .lab
