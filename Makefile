# Commands of the project. Each target creates the virtual environment it needs, says what it does, and stops at the
# first error. Needs: Python >= 3.11 with the venv module, make, and a C++ compiler for platforms without wheels.
#
#   make PYTHON=python3.12 VENV=/somewhere/else test     chooses the interpreter and the place of the environment

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
TEST_WORKERS ?= 2
BENCH_ARGS ?=
REPORT_ARGS ?=
GPU_REPORT = docs/benchmarks/gpu-compile.json
BROWSER_ARGS ?=
VERIFY_ARGS ?= --jobs 2 --picture build/digits.png

PY = $(VENV)/bin/python
SOURCES = pathgraph gpu/pathgraph_gpu proofs_checks/pathgraph_proofs_checks
EXTRAS = exact,symbolic,sklearn,onnx,plot,testing,checks
TORCH ?= torch==2.13.0
SAY = @printf '\n== %s\n'

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help environment verify test test-torch test-dask test-gpu gpu-report lint format types doctest docs
.PHONY: browser-check bench wheel-check clean

help:
	@printf '%s\n' \
	  'make verify       train a network on handwritten digits, analyse it, run every theorem check' \
	  'make test         run the tests' \
	  'make test-torch   install PyTorch, of TORCH=$(TORCH), and run the tests that need it' \
	  'make test-dask    install Dask, and run theorem checks on a local cluster (make test does where it is installed)' \
	  'make test-gpu     compile the CUDA kernels with NVRTC, without a GPU: budgets, and whether the report is current' \
	  'make gpu-report   renew the report of what the compiler makes of the CUDA kernels, and their traffic; minutes' \
	  'make lint         check style and formatting rules (ruff)' \
	  'make format       apply the automatic corrections of ruff' \
	  'make types        check the types (mypy, strict)' \
	  'make doctest      run the examples of the docstrings' \
	  'make docs         build the documentation into docs/_build/html, warnings are errors' \
	  'make browser-check  open the built documentation in Chromium, look at it and use its live page' \
	  'make bench        measure speed and memory against other libraries, on an idle machine; figures into build/bench' \
	  'make wheel-check  build the wheel, install it in a fresh environment, use it in an empty directory' \
	  'make environment  install at once what all these commands need, but PyTorch' \
	  'make clean        remove the environment and everything that was built'

# ---- environment: a stamp per set of requirements, renewed when pyproject.toml changes --------------------------------

$(VENV)/.stamp-pip:
	$(SAY) 'environment: creating $(VENV)'
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pathgraph needs Python >= 3.11, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.stamp-verify: pyproject.toml $(VENV)/.stamp-pip
	$(SAY) 'environment: installing pathgraph and what the theorem checks need'
	$(PY) -m pip install --editable '.[checks]'
	@touch $@

$(VENV)/.stamp-test: pyproject.toml $(VENV)/.stamp-pip
	$(SAY) 'environment: installing pathgraph, every optional dependency and the test tools'
	$(PY) -m pip install --editable '.[$(EXTRAS)]' --group test
	@touch $@ $(VENV)/.stamp-verify

$(VENV)/.stamp-dev: pyproject.toml $(VENV)/.stamp-pip
	$(SAY) 'environment: installing pathgraph and the tools for style, types and documentation'
	$(PY) -m pip install --editable '.[$(EXTRAS)]' --group dev
	@touch $@ $(VENV)/.stamp-test $(VENV)/.stamp-verify

$(VENV)/.stamp-torch: $(VENV)/.stamp-test
	$(SAY) 'environment: installing $(TORCH)'
	$(PY) -m pip install '$(TORCH)'
	@touch $@

$(VENV)/.stamp-dask: $(VENV)/.stamp-test
	$(SAY) 'environment: installing Dask'
	$(PY) -m pip install --editable '.[dask]'
	@touch $@

$(VENV)/.stamp-gpu: pyproject.toml $(VENV)/.stamp-pip
	$(SAY) 'environment: installing pathgraph, and the CUDA compiler and disassembler'
	$(PY) -m pip install --editable . --group gpu-report
	@touch $@

$(VENV)/.stamp-browser: $(VENV)/.stamp-dev
	$(SAY) 'environment: installing what drives a browser'
	$(PY) -m pip install --group browser
	@touch $@

# All of these but PyTorch, by one call of the resolver; the newest stamps are those that need others.
$(VENV)/.stamp-environment: pyproject.toml $(VENV)/.stamp-pip
	$(SAY) 'environment: installing pathgraph and what all commands need, but PyTorch'
	$(PY) -m pip install --editable '.[$(EXTRAS),dask]' --group dev --group gpu-report --group browser
	@for name in verify test dev dask gpu browser environment; do touch $(VENV)/.stamp-$$name; done

environment: $(VENV)/.stamp-environment

# ---- the two commands for everybody -----------------------------------------------------------------------------------

verify: $(VENV)/.stamp-verify
	$(SAY) 'verify: a network trained on digits, and every theorem check on it and on random networks'
	@mkdir -p build
	$(PY) -m pathgraph.proofs_checks $(VERIFY_ARGS)

# The workers are as many as processors, so each gets one thread for its matrix products.
test: export OPENBLAS_NUM_THREADS = 1
test: $(VENV)/.stamp-test
	$(SAY) 'test: the test suite'
	$(PY) -m pytest -n $(TEST_WORKERS) --durations=10 $(PYTEST_ARGS)

test-torch: $(VENV)/.stamp-torch
	$(SAY) 'test-torch: modules of PyTorch, the examples of their docstrings and of their page'
	$(PY) -m pytest --doctest-modules tests/test_torch*.py pathgraph/io/torch*.py \
	  'tests/test_docs.py::test_examples_of_a_page[docs/guide/torch.md]' \
	  tests/test_pruning.py::test_masks_are_those_that_torch_takes --durations=5 $(PYTEST_ARGS)

test-dask: $(VENV)/.stamp-dask
	$(SAY) 'test-dask: theorem checks on a local cluster of which a worker is killed'
	$(PY) -m pytest tests/test_checks_at_scale.py -k dask $(PYTEST_ARGS)

test-gpu: $(VENV)/.stamp-gpu
	$(SAY) 'test-gpu: every translation unit of the CUDA kernels for every architecture, against the report and budgets'
	$(PY) -m pathgraph_gpu.report --check $(GPU_REPORT)
	$(SAY) 'test-gpu: the command that verifies kernels says that it did not'
	@$(PY) -m pathgraph.gpu.verify --quick; code=$$?; test $$code -eq 0 -o $$code -eq 3

gpu-report: $(VENV)/.stamp-gpu $(VENV)/.stamp-test
	$(SAY) 'gpu-report: what the compiler makes of every CUDA kernel, for all architectures'
	$(PY) -m pathgraph_gpu.report $(GPU_REPORT) $(REPORT_ARGS)
	$(PY) -m tests.cuda_on_cpu.traffic docs/benchmarks/gpu-traffic.json

# ---- quality ----------------------------------------------------------------------------------------------------------

lint: $(VENV)/.stamp-dev
	$(SAY) 'lint: ruff rules'
	$(PY) -m ruff check .
	$(SAY) 'lint: ruff format'
	$(PY) -m ruff format --check .

format: $(VENV)/.stamp-dev
	$(SAY) 'format: applying the automatic corrections of ruff'
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

types: $(VENV)/.stamp-dev
	$(SAY) 'types: mypy, strict, on the three packages'
	$(PY) -m mypy

doctest: $(VENV)/.stamp-test
	$(SAY) 'doctest: the examples of the docstrings'
	$(PY) -m pytest --doctest-modules $(SOURCES) $(PYTEST_ARGS)

docs: $(VENV)/.stamp-dev
	$(SAY) 'docs: building docs/_build/html, warnings are errors'
	$(PY) -m ipykernel install --sys-prefix --name python3
	@rm -rf docs/_build
	env -u MPLBACKEND $(PY) -m sphinx -W --keep-going -j 2 -b html -d docs/_build/doctrees docs docs/_build/html
	$(PY) docs/check_build.py docs/_build/html

browser-check: $(VENV)/.stamp-browser
	$(SAY) 'browser-check: pages of docs/_build/html in Chromium, wide and narrow, light and dark'
	@test -e docs/_build/html/index.html || { echo 'no docs/_build/html/index.html: run make docs first' >&2; exit 1; }
	$(PY) docs/check_browser.py docs/_build/html $(BROWSER_ARGS)

bench: $(VENV)/.stamp-test
	$(SAY) 'bench: speed and memory, medians of variants that take turns'
	@mkdir -p build/bench
	$(PY) -m tests.bench.engine --json build/bench/engine.json $(BENCH_ARGS)
	$(PY) -m tests.bench.construction --json build/bench/construction.json $(BENCH_ARGS)
	$(PY) -m tests.bench.importing --json build/bench/importing.json $(BENCH_ARGS)
	$(PY) -m tests.bench.layers --json build/bench/layers.json $(BENCH_ARGS)
	$(PY) -m tests.bench.reports --json build/bench/reports.json $(BENCH_ARGS)
	$(PY) -m tests.bench.kronecker --json build/bench/kronecker.json $(BENCH_ARGS)
	$(PY) -m tests.bench.real_size --json build/bench/real_size.json $(BENCH_ARGS)

wheel-check: $(VENV)/.stamp-pip
	$(SAY) 'wheel-check: building the wheel'
	@rm -rf build/wheel && mkdir -p build/wheel
	$(PY) -m pip wheel --no-deps --wheel-dir build/wheel .
	$(SAY) 'wheel-check: installing it in a fresh environment and using it in an empty directory'
	PYTHON=$(PYTHON) sh .ci/use_wheel build/wheel/pathgraph-*.whl

clean:
	$(SAY) 'clean: removing the environment, caches and build results'
	rm -rf $(VENV) build dist docs/_build docs/api/generated docs/theorems/generated
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find $(SOURCES) tests docs -name __pycache__ -type d -prune -exec rm -rf {} +
