PYTHON ?= python3
BIN := .venv/bin
SOURCES := $(shell find csrc -type f)

.PHONY: setup demo test lint clean

setup: .venv/installed

.venv/installed: pyproject.toml setup.py $(SOURCES)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install torch==2.13.0
	$(BIN)/pip install "setuptools>=77" ninja "pybind11>=2.13"
	$(BIN)/pip install --no-build-isolation -e ".[dev]"
	touch $@

demo: setup
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
	rm -rf .venv build dist demo *.egg-info pydpst/*.so
