# make demo       a highly available Kubernetes on seven machines inside this computer
# make check      all that needs no machines, in some minutes: before a commit
# make test       everything that proves the project and fits into an hour; make test-all has the other scenarios and the long drills, too
# make demo-down  remove the machines and all that belongs to them
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:

VENV := .venv
DOCS_VENV := .venv-docs
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
KUBECONFIG_FILE := $(CURDIR)/clusters/sandbox/admin.kubeconfig
KUBERNETES := $(shell sed -n 's/^cluster_kubernetes_version: *//p' roles/cluster/defaults/main.yml)
PLAYBOOK := ansible-playbook -i inventory

.PHONY: help
help: ## show the commands
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

.PHONY: demo
demo: machines ## build a cluster on seven machines inside this computer
	@$(PLAYBOOK) site.yml
	$(MAKE) --no-print-directory show

.PHONY: show
show: ## the nodes, the virtual address, and how to use them
	@export KUBECONFIG=$(KUBECONFIG_FILE)
	echo
	kubectl get nodes -o wide
	echo
	echo "The API answers at its virtual address, $$(kubectl config view --minify -o 'jsonpath={.clusters[0].cluster.server}')"
	echo "export KUBECONFIG=$(KUBECONFIG_FILE)"

.PHONY: kubeconfig
kubeconfig: ## print the path of the admin kubeconfig
	@echo $(KUBECONFIG_FILE)

.PHONY: demo-down
demo-down: ## remove the machines and all that belongs to them
	@if [ -x $(VENV)/bin/python ]; then sandbox/machines.py down; fi
	rm -rf clusters/sandbox

.PHONY: machines
machines: python artifacts ## boot the machines, with everything that they need
	@sandbox/machines.py up

.PHONY: artifacts
artifacts: python ## build what the machines download, into the cache
	@sandbox/machines.py setup
	sandbox/machines.py image &
	image=$$!
	$(PLAYBOOK) hardway.kubernetes.mirror -e mirror_method=build
	wait $$image
	install -m 0755 "$$(sandbox/machines.py mirror --path)/dl.k8s.io/release/v$(KUBERNETES)/bin/linux/amd64/kubectl" $(VENV)/bin/kubectl

.PHONY: python
python: $(VENV)/.complete ## the Python environment
$(VENV)/.complete: requirements.txt requirements-test.txt
	@echo "Making the Python environment in $(VENV)"
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --requirement requirements-test.txt
	touch $@

.PHONY: lint
lint: python ## ruff, mypy, yamllint, the changelog's fragments, ansible-lint
	@tests/run-static.sh ansible-lint ruff format mypy yamllint changelog

.PHONY: sanity
sanity: python ## ansible-test sanity
	@tests/run-static.sh sanity

.PHONY: units
units: python ## the unit tests, and the collection built and installed
	@tests/run-unit.sh

.PHONY: check
check: python ## lint, sanity and units: all that needs no machines, in some minutes
	@tests/run.sh static unit

.PHONY: format
format: python ## write Python as ruff formats it, with what it can fix
	@ruff check --fix .
	ruff format .

.PHONY: generate
generate: python ## write what follows from argument_specs: roles' READMEs, examples/all-settings.yml
	@python tools/generate_docs.py

.PHONY: changelog
changelog: python ## write CHANGELOG.md from the fragments in changelogs/
	@tools/changelog.sh

.PHONY: docs
docs: $(DOCS_VENV)/.complete ## build the documentation's site into build/docs/site, with its links checked
	@$(DOCS_VENV)/bin/python tools/build_docs.py

# An environment of its own: the tests have no use for it.
$(DOCS_VENV)/.complete: requirements-docs.txt
	@echo "Making the Python environment in $(DOCS_VENV)"
	python3 -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/pip install --quiet --requirement requirements-docs.txt
	touch $@

.PHONY: test
test: python ## everything that proves the project and fits into an hour
	@tests/run.sh

.PHONY: test-all
test-all: test ## that, the other scenarios, and the long drills in full: some five hours
	@tests/run.sh docker kubeadm versions
	$(MAKE) --no-print-directory drills

.PHONY: drills
drills: machines ## the long drills in full, on fresh machines; writes docs/drills.md
	@python tests/e2e/run.py --markdown docs/drills.md

.PHONY: bench
bench: machines ## how long everything takes; writes docs/benchmark.md
	@python tools/bench.py --markdown docs/benchmark.md
	python tools/bench_certificates.py --markdown docs/benchmark.md
