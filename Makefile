# Everything runs in .venv, which the first target that needs it creates: with uv if it is there, else venv and pip.
.DEFAULT_GOAL := help
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
JOBS ?= 2

# What measures on a GPU need not be .venv, which takes a network to make: any Python that has PyTorch does.
GPU_PYTHON ?= $(if $(wildcard $(READY)),$(BIN)/python,python3)

.PHONY: help setup demo test full golden lint types docs site fuzz mutants bench gpu zoo survey clean

help:  ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## create .venv with specc and everything it needs

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "specc needs Python 3.11 or newer; none was found" >&2; exit 1; }
	@if command -v uv >/dev/null 2>&1; then \
		uv venv --quiet --allow-existing --python "$(PYTHON)" $(VENV) && \
		uv pip install --quiet --python $(BIN)/python --editable . --group dev; \
	else \
		"$(PYTHON)" -m venv $(VENV) && $(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1' && \
		$(BIN)/python -m pip install --quiet --editable . --group dev; \
	fi
	@touch $@

demo: $(READY)  ## train the quickstart: MAN and HPFF on real digits, about a minute
	$(BIN)/specc plan specs/quickstart.yaml
	$(BIN)/specc run specs/quickstart.yaml --device cpu

test: $(READY)  ## lint, types and all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

full: $(READY)  ## what `make test` runs only a part of: large traces, every composition, every recipe
	$(BIN)/pytest -n $(JOBS) -m full

golden: $(READY)  ## compare with the authors' code; DIR=... for other traces
	$(BIN)/pytest tests/golden -m "" $(if $(DIR),--golden-dir $(DIR))

docs: $(READY)  ## write the generated pages of docs/ anew, and what the others show of commands; PAGES=... for some
	$(BIN)/python -m specc.docs --examples $(PAGES)

site: $(READY)  ## the documentation as a site, in site/: `python -m http.server -d site` shows it
	$(BIN)/zensical build --strict

lint: $(READY)  ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(READY)  ## check the types
	$(BIN)/mypy

fuzz: $(READY)  ## damaged specs, CASES=... (50000), SEED=... (0); random valid ones, EXAMPLES=... (2000)
	$(BIN)/python -m tests.fuzz $(or $(CASES),50000) --seed $(or $(SEED),0) --jobs $(JOBS)
	SPECC_FUZZ_EXAMPLES=$(or $(EXAMPLES),2000) $(BIN)/pytest tests/test_generated.py \
		tests/test_memory_generated.py -k generated -n $(JOBS) -s

mutants: $(READY)  ## make each mistake of a list and see that the tests notice it; NAMES=... for some
	$(BIN)/python -m tests.mutants -j $(JOBS) $(NAMES)

bench: $(READY)  ## compile and validation times, patches, our step beside the published schedule
	$(BIN)/python benchmarks/compile.py
	$(BIN)/python benchmarks/validate.py
	$(BIN)/python -m benchmarks.patches
	$(BIN)/python -m benchmarks.published

gpu:  ## what only a GPU can tell, at most MINUTES=25 of it, and docs/gpu.md; WHEELS=folder for what is missing, OUT=folder
	@set -e; site=$$(mktemp -d); trap 'rm -rf "$$site"' EXIT; \
	if [ -n "$(WHEELS)" ]; then $(GPU_PYTHON) -m pip install --quiet --disable-pip-version-check --no-index --no-deps \
		--no-compile --target "$$site" "$(WHEELS)"/*.whl; fi; \
	export PYTHONPATH="$$site$${PYTHONPATH:+:$$PYTHONPATH}"; code=0; \
	$(GPU_PYTHON) -m benchmarks.gpu $(if $(OUT),--out "$(OUT)") $(if $(MINUTES),--minutes $(MINUTES)) \
		$(if $(DEVICE),--device $(DEVICE)) $(foreach part,$(ONLY),--only $(part)) || code=$$?; \
	if [ -z "$(OUT)" ] && [ $$code -lt 2 ]; then $(GPU_PYTHON) -m benchmarks.gpu page; fi; exit $$code

survey: $(READY)  ## models of timm and transformers, one after the other, half an hour; ONLY=names
	$(BIN)/python -m benchmarks.survey $(if $(ONLY),--only $(ONLY))

zoo: $(READY)  ## one step of every torchvision model, tens of minutes on two cores
	$(BIN)/python benchmarks/zoo.py

clean:  ## remove .venv and caches
	rm -rf $(VENV) site .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
