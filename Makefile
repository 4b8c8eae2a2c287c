# Every path here is relative, so that the repository may lie anywhere, also under a name with spaces.
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint bench bench-sign bench-links memscan fuzz image image-test image-verify image-lock \
	image-sign image-check lock clean

python := .venv/bin/python
checked := protocol appliance host demo images tools tests
compile := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

help: ## show this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

setup: ## make .venv and .tools complete (all others call it themselves)
	@found=$$(sh tools/find_python.sh) && exec "$$found" tools/setup.py

demo: setup $(if $(filter qemu,$(APPLIANCE)),image) ## the whole job, told step by step (KEEP=1 leaves it running, LINK=qr, APPLIANCE=qemu)
	@PYTHONPATH=demo$(if $(APPLIANCE),:images:tools) $(python) -m undercroft_demo $(if $(LINK),--link $(LINK)) \
		$(if $(APPLIANCE),--appliance $(APPLIANCE)) $(if $(KEEP),--keep) $(ARGS)

test: setup ## the tests (SLOW=1 for all of them, ARGS='-k name' for some)
	@$(python) -m pytest -n 2 --dist loadfile $(if $(SLOW),,-m "not slow") $(ARGS)

lint: setup ## ruff, mypy --strict, the import contracts, the schema, the rules of the tree
	@$(python) -m ruff check .
	@$(python) -m ruff format --check .
	@$(python) -m mypy --strict $(checked)
	@.venv/bin/lint-imports --no-logo
	@$(python) tools/make_schema.py --check
	@$(python) tools/check_tree.py

bench: setup ## signing beside other signers, in one run
	@PYTHONPATH=demo $(python) -m undercroft_demo.bench $(ARGS)

fuzz: setup ## coverage-guided fuzzing of every parser (SECONDS=60 for each)
	@$(python) -m pip install --quiet --quiet --disable-pip-version-check --require-hashes -r requirements/fuzz.txt
	@$(python) tests/fuzz/run.py --seconds $(or $(SECONDS),60) $(ARGS)

memscan: setup ## look for secrets in all memory of an appliance, and of a naive signer (root)
	@PYTHONPATH=demo $(python) -m undercroft_demo.memscan $(ARGS)

bench-sign: setup ## one keeper beside other signers and the floor, on a node's PSBTs (ARGS=--quick for small cases)
	@PYTHONPATH=demo $(python) -m undercroft_demo.bench_sign $(ARGS)

bench-links: setup ## serial line and QR codes beside others and the limits (ARGS=--quick for few trials)
	@PYTHONPATH=demo $(python) -m undercroft_demo.bench_links $(ARGS)

image: setup ## the appliance's operating system, in build/image (from nothing: 10 to 25 minutes, later one)
	@PYTHONPATH=images:tools $(python) -m undercroft_images build

image-test: image ## three appliances of the image in an emulator: the whole job, power cuts, a look into their RAM
	@PYTHONPATH=demo:images:tools $(python) -m undercroft_demo.image_test $(ARGS)

image-verify: setup ## build the image twice from nothing, as two machines might, and compare (ARGS=--kept-kernel: quickly)
	@PYTHONPATH=images:tools $(python) -m undercroft_images verify $(ARGS)

image-lock: setup ## take today's packages of Debian, with its security updates, into the image's locks
	@PYTHONPATH=images:tools $(python) -m undercroft_images lock

image-sign: setup ## sign what was built as a release signer (KEY=path of an OpenSSH key)
	@PYTHONPATH=images:tools $(python) -m undercroft_images sign "$(or $(KEY),$(error say KEY=path of an OpenSSH key))" $(ARGS)

image-check: setup ## two of three signatures, all files, a card (SIGNERS=file, CARD=/dev/sdX; reads only)
	@PYTHONPATH=images:tools $(python) -m undercroft_images check "$(or $(SIGNERS),$(error say SIGNERS=file with the three release keys))" $(if $(CARD),--card "$(CARD)") $(ARGS)

lock: ## write requirements/*.txt anew from the *.in files (UPGRADE=1 for newer versions; needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv on the PATH: pip install uv" >&2; exit 1; }
	cd requirements && $(compile) dev.in -o dev.txt && $(compile) fuzz.in -o fuzz.txt
	@cd requirements && for name in build protocol appliance host; do \
		echo "$$name.txt" && $(compile) -c dev.txt $$name.in -o $$name.txt || exit 1; done

clean: ## remove .venv, .tools, build, the demo's folder and all caches in here (not the image's, see docs/image.md)
	rm -rf .venv .tools build demo-run .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
