# Every target makes what it needs: `make demo` on a fresh machine is enough.
PYTHON ?= python3
BIN := .venv/bin

# Of PyTorch `make test-oldest` takes the version that a machine without much of a network has; TORCH=2.9.0 is the oldest.
TORCH ?= 2.13.0
OLDEST := .venv-oldest-$(TORCH)
NEWEST ?= python3.13

.PHONY: demo test test-native sanitize distributions test-proofs test-oldest test-newest test-cuda lint bench parity laboratory pages \
	notebooks proofs readme clean

demo: .venv/ready
	$(BIN)/lenette demo

# On all cores; torch computes on one thread in each of the processes.
PYTEST := -m pytest --numprocesses auto --dist worksteal

test: .venv/ready lint
	OMP_NUM_THREADS=1 $(BIN)/python $(PYTEST)

# The native engine against PyTorch for every shipped network and many made-up ones: some ten minutes.
test-native: .venv/ready
	LENETTE_NATIVE_ALL=1 LENETTE_NATIVE_EXAMPLES=80 $(BIN)/python -m pytest tests/engines/native --timeout 900

# Both engines on networks as people write them, over five seeds each: some ten minutes.
distributions: .venv/ready
	$(BIN)/python benchmarks/distributions.py

# The native engine's C++ under the sanitizers of addresses, undefined behaviour and threads: some ten minutes.
sanitize: .venv/ready
	LENETTE_SANITIZE=1 $(BIN)/python -m pytest tests/engines/native/test_sanitizers.py --timeout 1200

# The tests that meet other libraries, with the oldest versions of these that pyproject.toml allows.
MEET_OTHERS := $(wildcard tests/test_*.py tests/engines/test_*.py) \
	tests/cli tests/data tests/evidence tests/lessons tests/models tests/recipes tests/report tests/studies
test-oldest: $(OLDEST)/ready
	OMP_NUM_THREADS=1 $(OLDEST)/bin/python $(PYTEST) -W ignore::DeprecationWarning $(MEET_OTHERS)

# The same with the newest Python that pyproject.toml allows.
test-newest: .venv-newest/ready
	OMP_NUM_THREADS=1 .venv-newest/bin/python $(PYTEST) $(MEET_OTHERS)

# Every shipped proof, verified on MNIST: a quarter of an hour.
test-proofs: .venv/ready
	LENETTE_ALL_PROOFS=1 $(BIN)/python -m pytest tests/evidence/test_verify.py -k shipped --timeout 900

# The reference engine on CUDA against itself on the CPU; says so where there is no such device.
test-cuda: .venv/ready
	$(BIN)/python -m pytest -rs tests/engines/test_cuda.py

lint: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Document A's questions for both of its networks, and document D's ladder and augmentations; hours of work, which go on
# where they stopped. A folder of results/laboratory/ each: index.html, answer.md, the figures, study.json and the tables.
LABORATORY := results/laboratory
STUDY := $(BIN)/lenette study
# Where the notebooks look for runs too.
KEPT := --yes --store notebooks/runs
LADDER := ladder_15k ladder_12k ladder_7k ladder_7k_rotation ladder_7k_step

laboratory: .venv/ready
	for recipe in sigmoid_mlp lenet5; do for question in learning-rate batch-size schedule; do \
		$(STUDY) $$question $$recipe $(KEPT) --out $(LABORATORY)/$$recipe/$$question || exit; \
	done; $(STUDY) range-test $$recipe --out $(LABORATORY)/$$recipe/range-test || exit; done
	$(STUDY) ladder $(LADDER) $(KEPT) --out $(LABORATORY)/ladder
	$(STUDY) augmentation ladder_7k_step --seeds 20 $(KEPT) --out $(LABORATORY)/augmentation

# The laboratory's answers, pages and figures anew, from each study.json; nothing is trained.
pages: .venv/ready
	$(BIN)/python docs/laboratory.py

# Minutes each, on a machine that does nothing else: the native engine against PyTorch, the reference against a bare loop.
bench: .venv/ready
	$(BIN)/python benchmarks/engines.py
	$(BIN)/python benchmarks/overhead.py

# C against the integer network's interpreter on all test images, for every shipped seed of under_8k: ten minutes or more.
parity: .venv/ready
	$(BIN)/python benchmarks/cards.py
	$(BIN)/python benchmarks/emulated.py
	$(BIN)/python benchmarks/parity.py

# All notebooks in full, as executed .ipynb files; minutes where `make laboratory` and `make proofs` have made their runs.
notebooks: .venv/ready
	$(BIN)/python notebooks/execute.py

# Ten fresh seeds of each recipe, a hundred of sprint: our own for the aims set before, then the documents'; goes on where it
# stopped.
proofs: .venv/ready
	for aim in under_8k:99.6 under_10k:99.65 under_20k:99.7; do \
		name=$${aim%:*}; out=results/certificates/$$name; test -e $$out.safetensors || \
		$(BIN)/lenette prove $$name --preset $$name --accuracy $${aim#*:} --out $$out.json --store notebooks/runs || exit; \
	done
	test -e results/certificates/sprint.json || $(BIN)/lenette prove sprint --accuracy 99 --seeds 100 --threads 2 \
		--processes 1 --out results/certificates/sprint.json --store notebooks/runs
	$(BIN)/lenette claims --run --update docs/CLAIMS.md --store notebooks/runs

readme: .venv/ready
	$(BIN)/python docs/readme.py

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("lenette needs Python 3.11 or newer; this is " + sys.version.split()[0] + ": make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

$(OLDEST)/ready: pyproject.toml constraints.txt .ci/oldest.py
	$(PYTHON) -m venv $(OLDEST)
	$(PYTHON) .ci/oldest.py $(TORCH) > $(OLDEST)/constraints.txt
	$(OLDEST)/bin/python -m pip install --quiet --constraint $(OLDEST)/constraints.txt --editable '.[export,notebooks]' \
		hypothesis pytest pytest-timeout pytest-xdist
	touch $@

.venv-newest/ready: pyproject.toml constraints.txt
	$(NEWEST) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .venv-oldest-* .venv-newest .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
