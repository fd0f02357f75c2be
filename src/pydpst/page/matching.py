"""What each region is styled after: shown, and changed by a click."""

from __future__ import annotations

from typing import Any

import gradio as gr

from pydpst.regions.mask_colors import SCENE_NAMES
from pydpst.regions.masks import Regions

_WHOLE_STYLE = "the whole style photo"


def match_choosers() -> dict[str, gr.Dropdown]:
    """Of each region that may be found where to choose what it is styled after; hidden at first."""
    return {
        name: gr.Dropdown(
            [],
            label=f"{name.capitalize()} is styled after",
            visible=False,
            min_width=220,
            elem_classes=f"region-{name}",
        )
        for name in SCENE_NAMES
    }


def chosen(value: str) -> str | None:
    """What a choice is for `Regions.rematched`."""
    return None if value == _WHOLE_STYLE else value


def chooser_of(regions: Regions, name: str) -> Any:
    """The chooser of a region: all that the style has to choose from, and how sure the match is."""
    if name not in regions.names[: regions.shared] or regions.shared == 1:
        return gr.update(visible=False)
    shares = [float((regions.style == label).float().mean()) for label in range(regions.shared)]
    choices = [
        (f"{other}, {share:.0%} of the style", other)
        for other, share in zip(regions.names, shares, strict=False)
    ]
    return gr.update(
        choices=[*choices, (_WHOLE_STYLE, _WHOLE_STYLE)],
        value=regions.partner_names()[name] or _WHOLE_STYLE,
        info=_confidence(regions, name),
        visible=True,
    )


def _confidence(regions: Regions, name: str) -> str:
    if regions.partner_names()[name] != name:
        return "as you chose"
    label = regions.names.index(name)
    return f"{regions.matches[label].confidence:.0%} sure" if label < len(regions.matches) else ""


def told(regions: Regions) -> str:
    """What the regions are called, and what they show and are styled after."""
    if len(regions.names) == 1:
        return "One region found."
    sentences = [
        f"**{match.name}** ({', '.join(sorted(match.content))} after {_partner(regions, name)}, "
        f"{_confidence(regions, name)})"
        for match, name in zip(regions.matches, regions.names, strict=False)
    ]
    return f"{len(regions.names)} regions found: {'; '.join(sentences or regions.names)}."


def _partner(regions: Regions, name: str) -> str:
    """What the style shows where a region takes its look of."""
    partner = regions.partner_names()[name]
    if partner is None:
        return _WHOLE_STYLE
    return ", ".join(sorted(regions.matches[regions.names.index(partner)].style))
