"""`--json`: what a command did, for programs, on standard output."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from pydpst.commands import shown_as

AsJson = Annotated[
    bool,
    typer.Option(
        "--json", help="Print what was done as JSON, on standard output.", rich_help_panel="Output"
    ),
]


def result_of(photo: Path, output: Path, state: str, **more: Any) -> dict[str, Any]:
    """One photo's or clip's line in the report.

    Args:
        photo: what was restyled.
        output: its result.
        state: "written", "there" (from an earlier run), "stopped" (the best so far is written) or
            "failed".
        more: whatever else there is to say of it; JSON.
    """
    photo_name, output_name = (
        "-" if path in shown_as else path for path in (os.fspath(photo), os.fspath(output))
    )
    return {
        "photo": photo_name,
        "output": output_name,
        "state": state,
        **more,
    }


def print_report(start: float, results: list[dict[str, Any]], **more: Any) -> None:
    """Prints the report.

    Args:
        start: when it began, as `time.monotonic` has it.
        results: of `result_of`.
        more: whatever else was done; JSON.
    """
    from importlib.metadata import version

    report = {
        "pydpst": version("pydpst"),
        "seconds": round(time.monotonic() - start, 3),
        "results": results,
        **more,
    }
    print(json.dumps(report, indent=2, ensure_ascii=False))
