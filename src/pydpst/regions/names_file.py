"""The file beside label maps that says how their colours are called."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pydpst.regions.mask_colors import color_of
from pydpst.regions.masks import Regions

# What it is called, in the folder of the label maps.
NAMES_FILE = "regions.json"
_COLOR = re.compile("#[0-9a-f]{6}")
_MOST_BYTES = 2**20


def names_json(regions: Regions) -> str:
    """What the file holds: of each region its name, its colour, its shares, and what it shows."""
    rows: list[dict[str, Any]] = []
    for label, name in enumerate(regions.names):
        shares = [float((x == label).float().mean()) for x in (regions.content, regions.style)]
        row: dict[str, Any] = {"name": name, "color": "#{:02x}{:02x}{:02x}".format(*color_of(name))}
        row |= {"of_content": round(shares[0], 4), "of_style": round(shares[1], 4)}
        if label < len(regions.matches):
            match = regions.matches[label]
            row |= {
                "content_shows": sorted(match.content),
                "style_shows": sorted(match.style),
                "confidence": round(match.confidence, 3),
            }
        rows.append(row)
    return json.dumps({"regions": rows}, indent=2) + "\n"


def read_names(folder: Path) -> dict[str, str]:
    """How colours, as #rrggbb, are called by the file in a folder; nothing if there is none.

    Raises:
        ValueError: if the file is not as `names_json` writes it, or gives a name or colour twice.
    """
    path = folder / NAMES_FILE
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("it is too large")
        rows = json.loads(path.read_text(encoding="utf-8"))["regions"]
        found = [(str(row["color"]).lower(), str(row["name"])) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"the names of regions {path} cannot be read ({error}).") from None
    for color, name in found:
        if not _COLOR.fullmatch(color) or not name.strip():
            raise ValueError(
                f"the names of regions {path} have the colour {color!r} and the name {name!r}; a "
                "colour must be #rrggbb, and a name not empty."
            )
    for values in zip(*found, strict=True):
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise ValueError(f"the names of regions {path} have {twice} twice.")
    return dict(found)
