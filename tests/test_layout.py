"""The floor plan of docs/architecture.md: which package may import which."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "pydpst"
# From the ground up; a package imports from those before it and from itself.
PACKAGES = (
    "ops",
    "photos",
    "matting",
    "losses",
    "regions",
    "reading",
    "transfer",
    "metrics",
    "feedforward",
    "video",
    "page",
    "commands",
)


def imports_of(path: Path) -> set[str]:
    """The modules of pydpst that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in names if is_module(name)}
            found |= modules or {node.module}
    return {name for name in found if name.startswith("pydpst.")}


def is_module(name: str) -> bool:
    path = ROOT / "src" / Path(*name.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


def test_every_package_has_its_place() -> None:
    folders = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert folders == set(PACKAGES)
    assert {path.name for path in SOURCE.glob("*.py")} == {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_what_is_below_them(package: str) -> None:
    below = PACKAGES[: PACKAGES.index(package) + 1]
    for path in SOURCE.joinpath(package).rglob("*.py"):
        for name in imports_of(path):
            assert name.split(".")[1] in below, f"{path.name} imports {name}"


def test_no_two_files_import_one_another() -> None:
    graph = {}
    for path in SOURCE.glob("*/*.py"):
        name = f"pydpst.{path.parent.name}.{path.stem}".removesuffix(".__init__")
        graph[name] = imports_of(path) - {name}
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_the_plan_in_the_docs_is_this_one() -> None:
    rows = ROOT.joinpath("docs", "architecture.md").read_text().splitlines()
    told = [
        row.split("`")[1].rstrip("/") for row in rows if row.startswith("| `") and "/` |" in row
    ]
    assert tuple(told) == PACKAGES
