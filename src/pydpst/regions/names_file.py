"""The file beside label maps that says how their colours are called, and what goes to what."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydpst.regions.mask_colors import color_of
from pydpst.regions.masks import Regions

# What it is called, in the folder of the label maps.
NAMES_FILE = "regions.json"
_COLOR = re.compile("#[0-9a-f]{6}")
_MOST_BYTES = 2**20


@dataclass(frozen=True)
class Names:
    """What the file says.

    Attributes:
        of_colors: how colours, as #rrggbb, are called.
        styled_after: what regions take their look of, by their names: that of a region of the
            style, or None for the whole style photo. Those that are not in it go with their own.
    """

    of_colors: dict[str, str] = field(default_factory=dict)
    styled_after: dict[str, str | None] = field(default_factory=dict)


def names_json(regions: Regions) -> str:
    """What the file holds: of each region its name, its colour, its shares, and what it shows.

    Those styled after another than their own have its name, or null for the whole style photo.
    """
    rows: list[dict[str, Any]] = []
    partners = regions.partner_names()
    for label, name in enumerate(regions.names):
        shares = [float((x == label).float().mean()) for x in (regions.content, regions.style)]
        row: dict[str, Any] = {"name": name, "color": "#{:02x}{:02x}{:02x}".format(*color_of(name))}
        row |= {"of_content": round(shares[0], 4), "of_style": round(shares[1], 4)}
        if partners.get(name, name) != name:
            row["styled_after"] = partners[name]
        if label < len(regions.matches):
            match = regions.matches[label]
            row |= {
                "content_shows": sorted(match.content),
                "style_shows": sorted(match.style),
                "confidence": round(match.confidence, 3),
            }
        rows.append(row)
    return json.dumps({"regions": rows}, indent=2) + "\n"


def read_names(folder: Path) -> Names:
    """What the file in a folder says; nothing if there is none.

    Raises:
        ValueError: if the file is not as `names_json` writes it, gives a name or colour twice, or
            styles a region after one that it does not have.
    """
    path = folder / NAMES_FILE
    if not path.is_file():
        return Names()
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("it is too large")
        rows = json.loads(path.read_text(encoding="utf-8"))["regions"]
        found = [(str(row["color"]).lower(), str(row["name"])) for row in rows]
        after = {str(row["name"]): row["styled_after"] for row in rows if "styled_after" in row}
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
    names = [name for _, name in found]
    for name, partner in after.items():
        if partner is not None and partner not in names:
            raise ValueError(
                f"the names of regions {path} have {name} styled after {partner!r}; it must be one "
                f"of {', '.join(names)}, or null for the whole style photo."
            )
    return Names(dict(found), after)
