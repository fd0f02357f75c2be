PYTHON ?= python3
BIN := .venv/bin
SOURCES := $(shell find csrc -type f)
# The tests compile the CUDA kernels wherever they can; the demo, where there is a GPU for them.
NVCC := $(shell command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null)

.PHONY: setup demo test lint clean

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

clean:
	rm -rf .venv build dist demo src/*.egg-info src/pydpst/*.so
