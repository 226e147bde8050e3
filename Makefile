# Every target makes what it needs: `make demo` on a fresh machine is enough.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint laboratory clean

demo: .venv/ready
	$(BIN)/lenette demo

test: .venv/ready lint
	$(BIN)/python -m pytest

lint: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Document A's questions for both of its networks, and document D's ladder and augmentations; hours of work, which go on
# where they stopped. A folder of results/laboratory/ each: index.html, answer.md, the figures, study.json and the tables.
LABORATORY := results/laboratory
STUDY := $(BIN)/lenette study
LADDER := ladder_15k ladder_12k ladder_7k ladder_7k_rotation ladder_7k_step

laboratory: .venv/ready
	for recipe in sigmoid_mlp lenet5; do for question in learning-rate batch-size schedule; do \
		$(STUDY) $$question $$recipe --yes --out $(LABORATORY)/$$recipe/$$question || exit; \
	done; $(STUDY) range-test $$recipe --out $(LABORATORY)/$$recipe/range-test || exit; done
	$(STUDY) ladder $(LADDER) --yes --out $(LABORATORY)/ladder
	$(STUDY) augmentation ladder_7k_step --yes --out $(LABORATORY)/augmentation

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("lenette needs Python 3.11 or newer; this is " + sys.version.split()[0] + ": make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
