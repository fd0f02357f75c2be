"""What both tabs of the page are made of."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import gradio as gr

from pydpst.metrics.report import region_colors
from pydpst.page.session import Outcome, Session
from pydpst.regions.mask_colors import SCENE_NAMES

HEX = ["#{:02x}{:02x}{:02x}".format(*color) for color in region_colors(SCENE_NAMES)]


def drop_area(role: str, label: str) -> gr.Image:
    """Where a photo is dropped."""
    return gr.Image(
        elem_id=role,
        label=label,
        type="filepath",
        sources=["upload", "clipboard"],
        height=260,
        buttons=["fullscreen"],
    )


def comparison(name: str, label: str) -> gr.ImageSlider:
    """Before and after, under a slider."""
    return gr.ImageSlider(
        elem_id=name, label=label, interactive=False, max_height=640, buttons=["fullscreen"]
    )


def region_editor(role: str) -> gr.ImageEditor:
    """Where a photo's regions are shown and painted."""
    return gr.ImageEditor(
        elem_id=f"{role}-regions",
        label=f"The {role}'s regions",
        sources=(),
        transforms=(),
        layers=False,
        brush=gr.Brush(default_size=24, colors=[*HEX], color_mode="fixed"),
        format="png",
        buttons=["fullscreen"],
    )


def strokes_of(editor: dict[str, Any] | None) -> Any:
    """What was painted in an editor, or None."""
    return editor["layers"][0] if editor and editor["layers"] else None


def on_photo(photo: gr.Image, role: str, session: gr.State, then: Any, outputs: Any) -> None:
    """Keeps what is dropped there, shows it, and goes on with `then`."""

    def take(session: Session, upload: dict[str, Any]) -> tuple[Session, Path | None]:
        try:
            return session, session.take(role, Path(upload["path"])).shown
        except (ValueError, OSError, MemoryError) as error:
            # An error would leave the broken photo where it was dropped.
            gr.Warning(_sentence(error), title="Not a photo", duration=20)
            return session, None

    def drop(session: Session) -> Session:
        session.drop(role)
        return session

    # Without preprocessing, which would open the photo and turn it into another.
    taken = photo.upload(take, [session, photo], [session, photo], preprocess=False)
    dropped = photo.clear(drop, session, session)
    for event in (taken, dropped):
        event.then(then, session, outputs)


def summary_of(outcome: Outcome) -> str:
    """What is said below a result."""
    width, height = outcome.size
    stopped = "Stopped; this is the best so far. " if outcome.interrupted else ""
    return f"{stopped}{outcome.path.name}: {width}×{height} pixels"


def shown_error(error: Exception) -> gr.Error:
    """An error as the page shows it."""
    return gr.Error(_sentence(error), print_exception=False)


def _sentence(error: Exception) -> str:
    sentence = str(error).partition("\n")[0] or type(error).__name__
    return html.escape(sentence[:1].upper() + sentence[1:])
