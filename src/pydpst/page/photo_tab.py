"""The tab in which one photo gets the look of another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from pydpst.page.session import Preview, Session
from pydpst.page.widgets import (
    comparison,
    drop_area,
    on_photo,
    region_editor,
    shown_error,
    strokes_of,
    summary_of,
)
from pydpst.regions.mask_colors import SCENE_NAMES
from pydpst.regions.masks import Regions
from pydpst.transfer.look import METHODS

# One run at a time, first come first served.
_RUNS_AT_ONCE = 1
_NO_PHOTOS = "Drop two photos to begin."

# What becomes of components, by the components themselves.
Updates = dict[Any, Any]


class PhotoTab:
    """Its components, and what happens when they are touched."""

    def __init__(self, session: gr.State) -> None:
        with gr.Row():
            self.content = drop_area("content", "Content: the photo to restyle")
            self.style = drop_area("style", "Style: the photo whose look it gets")
        title = "Regions: each is styled after the one of its colour"
        with gr.Accordion(title, visible=False) as self.area:
            gr.Markdown("Paint over them with a region's colour to correct them; erase to undo.")
            with gr.Row():
                self.editors = [region_editor("content"), region_editor("style")]
            with gr.Row():
                self.merging = gr.Dropdown(
                    [], multiselect=True, label="Merge regions", elem_classes="merging"
                )
                self.merge = gr.Button("Merge", scale=0)
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                self._build_options()
            with gr.Column(scale=2):
                self._build_result()
        self._listen(session)

    def _build_options(self) -> None:
        self.strength = gr.Slider(0, 1, 1, step=0.05, label="Strength")
        self.method = gr.Radio(
            list(METHODS),
            value=METHODS[0],
            label="Method",
            info="A grade keeps all detail; pixels go nearer to the style, and take longer.",
        )
        self.by_region = [
            gr.Slider(
                0,
                1,
                1,
                step=0.05,
                label=f"Strength of {name}",
                visible=False,
                elem_classes=f"region-{name}",
            )
            for name in SCENE_NAMES
        ]
        with gr.Row():
            self.size = gr.Slider(128, 2048, 1024, step=64, label="Size", min_width=120)
            self.steps = gr.Slider(5, 300, 40, step=5, label="Steps", min_width=120)

    def _build_result(self) -> None:
        self.result = comparison("result", "Content and result")
        self.status = gr.Markdown(_NO_PHOTOS, min_height=28)
        with gr.Row():
            self.run = gr.Button("Stylize", variant="primary", interactive=False)
            self.stop = gr.Button("Stop and keep", variant="stop", interactive=False)
            self.download = gr.DownloadButton("Download", interactive=False)

    def _listen(self, session: gr.State) -> None:
        about_regions = [
            self.area,
            *self.editors,
            self.merging,
            *self.by_region,
            self.status,
            self.run,
            self.result,
        ]
        for photo, role in ((self.content, "content"), (self.style, "style")):
            on_photo(photo, role, session, self.find, about_regions)
        self.merge.click(self.join, [session, self.merging], about_regions)
        options = [self.strength, self.method, self.size, self.steps, *self.by_region]
        self.run.click(
            self.restyle,
            [session, *self.editors, *options],
            [self.result, self.status, self.run, self.stop, self.download],
            concurrency_limit=_RUNS_AT_ONCE,
            show_progress_on=self.status,
        )
        self.stop.click(Session.stop, session, queue=False)

    def find(self, session: Session) -> Iterator[Updates]:
        """Once both photos are there, shows a first look, and finds the regions."""
        glance = session.glance()
        if glance is not None:
            before = session.photos["content"].shown
            yield {
                self.result: (before, glance),
                self.status: "A first look. Finding the regions …",
                self.run: gr.update(interactive=False),
            }
        regions = session.find_regions()
        if regions is None:
            yield {
                self.area: gr.update(visible=False),
                **dict.fromkeys(self.editors),
                self.merging: gr.update(choices=[], value=[]),
                **{slider: gr.update(visible=False) for slider in self.by_region},
                self.status: _NO_PHOTOS,
                self.run: gr.update(interactive=False),
            }
            return
        yield self._shown(session, regions)

    def join(self, session: Session, names: list[str]) -> Updates:
        """Makes regions one; what was painted is gone."""
        try:
            return self._shown(session, session.merge(names))
        except ValueError as error:
            raise shown_error(error) from None

    def _shown(self, session: Session, regions: Regions) -> Updates:
        names = regions.names
        overlays = session.overlays()
        return {
            self.area: gr.update(visible=True),
            **{
                editor: {"background": overlay, "layers": [], "composite": None}
                for editor, overlay in zip(self.editors, overlays, strict=True)
            },
            self.merging: gr.update(choices=names, value=[]),
            **{
                slider: _share(regions, names.index(name))
                if name in names
                else gr.update(visible=False)
                for name, slider in zip(SCENE_NAMES, self.by_region, strict=True)
            },
            self.status: _found(regions),
            self.run: gr.update(interactive=True),
        }

    def restyle(
        self,
        session: Session,
        content_strokes: Any,
        style_strokes: Any,
        strength: float,
        method: str,
        size: float,
        steps: float,
        *by_region: float,
    ) -> Iterator[Updates]:
        """Runs, and shows how far it is."""
        running = {self.run: gr.update(interactive=False), self.stop: gr.update(interactive=True)}
        ended = {self.run: gr.update(interactive=True), self.stop: gr.update(interactive=False)}
        no_download = gr.update(interactive=False)
        yield {self.status: "Looking at the photos …", **running, self.download: no_download}
        strengths = {
            name: strength * share for name, share in zip(SCENE_NAMES, by_region, strict=True)
        }
        options = {"method": method, "size": int(size), "steps": int(steps)}
        try:
            strokes = [strokes_of(editor) for editor in (content_strokes, style_strokes)]
            regions, alone = session.paint(strokes)
            before = session.photos["content"].shown
            if alone:
                gr.Info(f"Only one of the photos has {', '.join(alone)}: it is styled after none.")
            for latest in session.stylize(regions, strengths, **options):
                shown = {self.result: (before, latest.shown)}
                if isinstance(latest, Preview):
                    told = f"Step {latest.step} of {latest.steps}"
                    yield {**shown, self.status: told, **running}
                    continue
                ready = gr.update(value=latest.path, interactive=True)
                yield {**shown, self.status: summary_of(latest), **ended, self.download: ready}
        except (ValueError, OSError, MemoryError, RuntimeError) as error:
            yield {self.status: "", **ended}
            raise shown_error(error) from None


def _found(regions: Regions) -> str:
    """What the regions are called, how sure they are, and what they are styled after."""
    if len(regions.names) == 1:
        return "One region found."
    told = [
        f"**{match.name}** ({', '.join(sorted(match.content))} after "
        f"{', '.join(sorted(match.style))}, {match.confidence:.0%} sure)"
        for match in regions.matches
    ]
    return f"{len(regions.names)} regions found: {'; '.join(told or regions.names)}."


def _share(regions: Regions, label: int) -> Any:
    """A region's slider, which says how much of the photos it is."""
    content, style = (
        float((labels == label).float().mean()) for labels in (regions.content, regions.style)
    )
    info = f"{content:.0%} of the content, {style:.0%} of the style"
    return gr.update(visible=True, value=1, info=info)
