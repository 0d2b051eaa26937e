# Everything runs in .venv, which tools/bootstrap.sh makes together with the Debian packages that are missing.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test lint check bench campaign large faults services databases simulate clean

PYTHON = .venv/bin/python
# Debian keeps sshd, iptables and the like there, which is not on every user's PATH.
export PATH := $(PATH):/usr/sbin:/sbin
# Twice as many workers as a machine of two cores has: tests wait half of the time, for what they killed to die and the like.
# A worker takes a whole file, so that fixtures are made once; in the order of their names, which has those that take
# minutes before the many short ones of tests/unit: no worker is left alone with a long one at the end.
PYTEST = $(PYTHON) -m pytest --numprocesses $(or $(JOBS),4) --dist loadfile --no-loadscope-reorder --durations 20

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /make \1	/p' $(MAKEFILE_LIST) | expand -t 16

demo: ## the main job on real sshd hosts, shown and checked, on this machine alone
	@tools/bootstrap.sh demo
	@$(PYTHON) playbooks/demo.py

test: ## all tests; ARGS="-k name" picks some
	@tools/bootstrap.sh test
	$(PYTEST) $(ARGS)

lint: ## format, style, types, direction of imports
	@tools/bootstrap.sh test
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	$(PYTHON) -m mypy playbooks/demo.py playbooks/game/server.py
	.venv/bin/lint-imports

check: lint test ## what has to pass before a change goes in

bench: ## beside the peers, which it installs below .cache; ARGS="many --hosts 50" picks
	@tools/bootstrap.sh test
	$(PYTHON) benchmarks/run.py $(ARGS)

campaign: ## kills everything for an hour, as root, and writes docs/exactly-once.md; ARGS="--scale 0.1" less of it
	@tools/bootstrap.sh test
	$(PYTHON) tests/campaign/campaign.py $(ARGS)

large: ## maintains two hosts with 1 GiB of databases, there and back; ARGS="--mebibytes 64" less of it
	@tools/bootstrap.sh test
	$(PYTHON) tests/campaign/large.py $(ARGS)

simulate: ## runs in simulated time: SEEDS=1000000 many of them, SEED=17 one again, with all that happens in it
	@tools/bootstrap.sh test
	@$(PYTHON) tests/simulation/sim_play.py $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),10000) --jobs $(or $(JOBS),2))

faults: ## kills controllers and their journals for an hour, as root, and writes docs/journal-faults.md; ARGS="--scale 0.1" less of it
	@tools/bootstrap.sh test
	$(PYTHON) tests/faults/faults.py $(ARGS)

services: ## kills controllers while servers are exchanged, as root, and writes docs/service-kills.md; ARGS="--turns 1" less of it
	@tools/bootstrap.sh test
	$(PYTHON) tests/campaign/services.py $(ARGS)

databases: ## kills controllers while databases of 300,000 rows are backed up and migrated, and writes docs/database-kills.md; ARGS="--turns 1" less of it
	@tools/bootstrap.sh test
	$(PYTHON) tests/campaign/databases.py $(ARGS)

clean: ## removes what the targets above made
	rm -rf .venv .demo .cache dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
