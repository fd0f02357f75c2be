"""The tab in which one photo gets the look of another."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from pydpst.page.matching import chooser_of, chosen, match_choosers, told
from pydpst.page.runs import Outcome, Preview
from pydpst.page.session import Session
from pydpst.page.widgets import (
    compared,
    comparison,
    drop_area,
    mask_area,
    on_mask,
    on_photo,
    region_editor,
    sentence_of,
    shown_error,
    strokes_of,
    summary_of,
)
from pydpst.regions.mask_colors import NAMED_COLORS
from pydpst.regions.masks import Regions
from pydpst.transfer.look import METHODS, Look
from pydpst.transfer.planning import DEFAULT_SIZE
from pydpst.transfer.time_left import in_words

# One run at a time, first come first served.
_RUNS_AT_ONCE = 1
_NO_PHOTOS = "Drop two photos to begin."

# What becomes of components, by the components themselves. Of what a handler yields, a busy
# browser may see the last alone: each says again what still holds of those before.
Updates = dict[Any, Any]


class PhotoTab:
    """Its components, and what happens when they are touched."""

    def __init__(self, session: gr.State) -> None:
        with gr.Row():
            self.content = drop_area("content", "Content: the photo to restyle")
            self.style = drop_area("style", "Style: the photo whose look it gets")
        with gr.Accordion("Masks of your own, instead of the regions found", open=False), gr.Row():
            self.masks = {role: mask_area(role) for role in ("content", "style")}
        with gr.Accordion("Regions", visible=False) as self.area:
            gr.Markdown("Paint over them with a region's colour to correct them; erase to undo.")
            with gr.Row():
                self.editors = [region_editor("content"), region_editor("style")]
            with gr.Row():
                self.choosers = match_choosers()
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
            for name in NAMED_COLORS
        ]
        with gr.Row():
            self.size = gr.Slider(128, 2048, DEFAULT_SIZE, step=64, label="Size", min_width=120)
            self.steps = gr.Slider(5, 300, Look().most_steps, step=5, label="Steps", min_width=120)
        self.time = gr.Markdown(min_height=28, elem_id="time")

    def _build_result(self) -> None:
        self.result = comparison("result", "Content and result")
        self.status = gr.Markdown(_NO_PHOTOS, min_height=28, elem_id="status")
        with gr.Row():
            self.run = gr.Button("Stylize", variant="primary", interactive=False)
            self.stop = gr.Button("Stop and keep", variant="stop", interactive=False)
            self.download = gr.DownloadButton("Download", interactive=False)
        with gr.Row():
            self.recipe = gr.DownloadButton("Download recipe", visible=False, size="sm")
            self.look = gr.DownloadButton("Download look", visible=False, size="sm")

    @property
    def downloads(self) -> list[gr.DownloadButton]:
        """Of the result, its recipe, and its look."""
        return [self.download, self.recipe, self.look]

    def _listen(self, session: gr.State) -> None:
        about_regions = [
            self.area,
            *self.editors,
            *self.choosers.values(),
            self.merging,
            *self.by_region,
            self.status,
            self.run,
            self.result,
        ]
        planned: dict[str, Any] = {
            "fn": self.tell_time,
            "inputs": [session, self.method, self.size, self.steps],
            "outputs": self.time,
            "show_progress": "hidden",
        }
        for role, photo in (("content", self.content), ("style", self.style)):
            events = on_photo(photo, role, session) + on_mask(self.masks[role], role, session)
            for event in events:
                event.then(self.find, session, about_regions).then(**planned)
        self.method.change(lambda method: Look(method=method).most_steps, self.method, self.steps)
        for option in (self.method, self.size, self.steps):
            option.change(**planned)
        self.merge.click(self.join, [session, self.merging], about_regions)
        for name, chooser in self.choosers.items():
            chooser.input(partial(self.rematch, name), [session, chooser], [chooser, self.status])
        options = [self.strength, self.method, self.size, self.steps, *self.by_region]
        self.run.click(
            self.restyle,
            [session, *self.editors, *options],
            [self.result, self.status, self.run, self.stop, *self.downloads],
            concurrency_limit=_RUNS_AT_ONCE,
            show_progress_on=self.status,
        )
        self.stop.click(Session.stop, session, queue=False)

    def find(self, session: Session) -> Iterator[Updates]:
        """Once both photos are there, shows a first look, and finds the regions."""
        if not session.has_both:
            yield {**self._without_regions(), self.status: _NO_PHOTOS}
            return
        if session.is_sought():  # the event of the other photo came late
            yield {}
            return
        not_yet = {self.run: gr.update(interactive=False)}
        yield {self.status: "Looking for regions …", **not_yet}
        try:
            glance = session.glance()
            before = session.photos["content"].shown
            yield {
                **not_yet,
                self.result: compared(before, glance),
                self.status: "A first look. Regions follow …",
            }
            regions, said = session.find_regions()
        except (ValueError, KeyError, OSError, MemoryError, RuntimeError) as error:
            # A photo may have gone meanwhile.
            problem = sentence_of(error) if session.has_both else _NO_PHOTOS
            yield {**self._without_regions(), self.status: problem}
            return
        for sentence in said:
            gr.Info(sentence[:1].upper() + sentence[1:])
        yield self._shown(session, regions)

    def tell_time(self, session: Session, method: str, size: float, steps: float) -> str:
        """How long a run will take, or why it cannot be."""
        if session.regions is None:
            return ""
        try:
            planned = session.plan(method=method, size=int(size), steps=int(steps))
        except (ValueError, OSError) as error:
            return sentence_of(error)
        return f"It will take {in_words(planned.seconds)}."

    def join(self, session: Session, names: list[str]) -> Updates:
        """Makes regions one; what was painted is gone."""
        try:
            return self._shown(session, session.merge(names))
        except ValueError as error:
            raise shown_error(error) from None

    def rematch(self, name: str, session: Session, choice: str) -> Updates:
        """Styles a region after another of the style's."""
        try:
            regions = session.match(name, chosen(choice))
        except ValueError as error:
            raise shown_error(error) from None
        return {self.choosers[name]: chooser_of(regions, name), self.status: told(regions)}

    def _without_regions(self) -> Updates:
        return {
            self.area: gr.update(visible=False),
            **dict.fromkeys(self.editors),
            **{chooser: gr.update(visible=False) for chooser in self.choosers.values()},
            self.merging: gr.update(choices=[], value=[]),
            **{slider: gr.update(visible=False) for slider in self.by_region},
            self.run: gr.update(interactive=False),
        }

    def _shown(self, session: Session, regions: Regions) -> Updates:
        names = regions.names
        updates = self._without_regions()
        if session.found is not None:
            updates[self.area] = gr.update(visible=True)
            updates[self.merging] = gr.update(choices=names, value=[])
            for editor, overlay in zip(self.editors, session.overlays(), strict=True):
                updates[editor] = {"background": overlay, "layers": [], "composite": None}
            for name, chooser in self.choosers.items():
                updates[chooser] = chooser_of(regions, name)
        for name, slider in zip(NAMED_COLORS, self.by_region, strict=True):
            if name in names:
                updates[slider] = _share(regions, names.index(name))
        status = told(regions) if session.found is not None else _of_masks(regions)
        return {**updates, self.status: status, self.run: gr.update(interactive=True)}

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
        done: Outcome | None = None
        yield {self.status: "Looking at the photos …", **running, **self._downloads_of(done)}
        shares = dict(zip(NAMED_COLORS, by_region, strict=True))
        options = {"method": method, "size": int(size), "steps": int(steps)}
        try:
            strokes = [strokes_of(editor) for editor in (content_strokes, style_strokes)]
            regions, alone = session.paint(strokes)
            before = session.photos["content"].shown
            if alone:
                gr.Info(f"Only one of the photos has {', '.join(alone)}: it goes with nothing.")
            for latest in session.stylize(regions, strength, shares, **options):
                if isinstance(latest, Preview):
                    said: Updates = {**running, self.status: _how_far(latest)}
                else:
                    done = latest
                    said = {**ended, self.status: summary_of(latest)}
                said[self.result] = compared(before, latest.shown)
                yield {**said, **self._downloads_of(done)}
        except (ValueError, OSError, MemoryError, RuntimeError) as error:
            yield {**ended, self.status: "", **self._downloads_of(done)}
            raise shown_error(error) from None

    def _downloads_of(self, outcome: Outcome | None) -> Updates:
        if outcome is None:
            return {
                self.download: gr.update(interactive=False),
                self.recipe: gr.update(visible=False),
                self.look: gr.update(visible=False),
            }
        return {
            self.download: _ready(outcome.path),
            self.recipe: _ready(outcome.recipe),
            self.look: _ready(outcome.look),
        }


def _ready(path: Path | None) -> Any:
    """A button that downloads a file, or none."""
    return gr.update(value=path, interactive=True, visible=path is not None)


def _how_far(preview: Preview) -> str:
    left = "" if preview.seconds_left is None else f", {in_words(preview.seconds_left)} left"
    return f"Step {preview.step} of {preview.steps}{left}"


def _of_masks(regions: Regions) -> str:
    """What label maps tell."""
    shared, alone = regions.names[: regions.shared], regions.names[regions.shared :]
    count = "1 region" if len(shared) == 1 else f"{len(shared)} regions"
    left = f" Of the content alone: {', '.join(alone)}." if alone else ""
    return f"{count} of the masks: {', '.join(shared)}.{left}"


def _share(regions: Regions, label: int) -> Any:
    """A region's slider, which says how much of the photos it is."""
    content, style = (
        float((labels == label).float().mean()) for labels in (regions.content, regions.style)
    )
    info = f"{content:.0%} of the content, {style:.0%} of the style"
    # Without its value: set with visible, what visitors then choose would not be told.
    return gr.update(visible=True, info=info)
