"""What one visitor of the page has and does: photos, their regions, runs and what comes of them."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from pydpst.feedforward.models import apply_model, load_model
from pydpst.metrics.report import overlay_regions
from pydpst.ops import choose_device
from pydpst.page.downloads import pack_look, pack_recipe, write_masks
from pydpst.page.painting import Strokes, painted
from pydpst.page.runs import SHOWN_SIZE, Outcome, Preview, outcome_of, run, shown
from pydpst.photos.image import load_image
from pydpst.photos.opening import heard
from pydpst.photos.photo import open_photo
from pydpst.photos.resizing import resize
from pydpst.regions.labels import MaskPair, label_maps
from pydpst.regions.mask_files import read_label_map
from pydpst.regions.masks import Regions
from pydpst.transfer.match import match
from pydpst.transfer.pair import find_regions
from pydpst.transfer.planning import DEFAULT_SIZE, Plan, check_can_be_read, plan

# Photos are read one after the other: together they might not fit into the memory.
_reading = threading.Lock()


@dataclass(frozen=True)
class Upload:
    """A photo as it was uploaded.

    Attributes:
        path: the file as it came.
        shown: a smaller copy for the browser, upright and in sRGB.
    """

    path: Path
    shown: Path


@dataclass
class Session:
    """What one visitor has.

    Attributes:
        home: the folder in which the session has its own, which is made when first needed.
        photos: by what they are for: "content", "style" or "photo".
        masks: label maps that were uploaded, of "content" and "style".
        regions: what content and style share, at the size that is shown.
        found: the same as it was found, before regions were merged; None of label maps.
    """

    home: Path
    photos: dict[str, Upload] = field(default_factory=dict)
    masks: dict[str, Path] = field(default_factory=dict)
    regions: Regions | None = None
    found: Regions | None = None
    _sought: tuple[Path, ...] = ()
    _name: str = ""
    _stop: threading.Event | None = None

    @property
    def has_both(self) -> bool:
        """Whether content and style are there."""
        return {"content", "style"} <= self.photos.keys()

    def take(self, role: str, upload: Path) -> Upload:
        """Keeps a copy of an uploaded photo.

        Args:
            role: what it is for: "content", "style" or "photo".
            upload: the file, in home.

        Raises:
            ValueError: if it is no photo that can be read, or not in home; the session is as
                before, without this photo.
        """
        self.drop(role)
        path = self._kept(role, upload)
        photos = {name: photo.path for name, photo in self.photos.items()} | {role: path}
        with _said_of(path), _reading:
            check_can_be_read(path, f"the {role} image")
            if {"content", "style"} <= photos.keys():
                plan(photos["content"], photos["style"])
            photo = resize(load_image(path, role), SHOWN_SIZE)
        self.photos[role] = Upload(path, shown(photo, path.parent))
        return self.photos[role]

    def drop(self, role: str) -> None:
        """Forgets a photo, and the regions found with it."""
        self.photos.pop(role, None)
        if role != "photo":
            self.regions = self.found = None

    def take_mask(self, role: str, upload: Path) -> None:
        """Keeps a label map, as `take` keeps a photo.

        Raises:
            ValueError: if it is none that can be read, or not in home.
        """
        self.drop_mask(role)
        path = self._kept(f"{role}-mask", upload)
        with _said_of(path), _reading:
            check_can_be_read(path, f"the {role} mask")
            read_label_map(path, f"{role} mask")
        self.masks[role] = path

    def drop_mask(self, role: str) -> None:
        """Forgets a label map, and the regions that it told."""
        self.masks.pop(role, None)
        self.regions = self.found = None

    def is_sought(self) -> bool:
        """Whether the regions of these files are looked for already; from now on they are."""
        photos = (self.photos[role].path for role in ("content", "style"))
        files = (*photos, *self.masks.values())
        before, self._sought = self._sought, files
        return before == files

    def glance(self) -> Path:
        """The content as a network gives it the style's look in one pass, for the browser."""
        content, style = self._pair()
        return shown(match(content, style).image, self._folder("glance"))

    def find_regions(self) -> tuple[Regions, list[str]]:
        """The regions that content and style share.

        Returns:
            The regions, of label maps if there are any, and what there is to say of these.

        Raises:
            ValueError: for label maps that do not fit the photos or one another, or one alone.
        """
        content, style = self._pair()
        maps = MaskPair.of(self.masks.get("content"), self.masks.get("style"))
        if maps is not None:
            with heard() as told, _said_of(*self.masks.values()):
                self.regions = label_maps(content, style, maps)
            return self.regions, told
        device = choose_device(None)
        found = find_regions(content.to(device), style.to(device))
        self.found = replace(found, content=found.content.cpu(), style=found.style.cpu())
        self.regions = self.found
        return self.regions, []

    def merge(self, names: list[str]) -> Regions:
        """The regions found, with some of them as one, under the first's name.

        Raises:
            ValueError: for fewer than two regions.
        """
        self.regions = self._known_regions().merged(names)
        return self.regions

    def match(self, name: str, partner: str | None) -> Regions:
        """The regions with one styled after another of the style's, as `Regions.rematched`.

        Raises:
            ValueError: if there is no such region.
        """
        self.regions = self._known_regions().rematched({name: partner})
        return self.regions

    def overlays(self) -> list[np.ndarray[Any, Any]]:
        """Content and style, grey and tinted by region: (h, w, 3), uint8.

        Where a pixel belongs to several regions, it has a mixture of their colours.
        """
        if self.regions is None:
            return []
        photos, names = self._pair(), self.regions.names
        # Where the regions are, not what they are styled after.
        masks = replace(self.regions, styled_after=()).masks(photos[0], photos[1])
        tinted = [
            overlay_regions(photo, mask, names[: len(mask)])
            for photo, mask in zip(photos, masks, strict=True)
        ]
        return [(image * 255).round().byte().permute(1, 2, 0).numpy() for image in tinted]

    def paint(self, strokes: list[Strokes]) -> tuple[Regions, list[str]]:
        """The regions, and what was painted over those that were found, as `painting.painted`.

        Raises:
            ValueError: if the photos now share no region.
        """
        regions = self._known_regions()
        return (regions, []) if self.found is None else painted(regions, strokes)

    def plan(self, **options: Any) -> Plan:
        """What a run will take; options as for `stylize`.

        Raises:
            ValueError: if the memory is too little.
        """
        content, style = (self.photos[role].path for role in ("content", "style"))
        with _said_of(content, style):
            return plan(content, style, **_with_size(options))

    def stylize(
        self, regions: Regions, strength: float, shares: Mapping[str, float], **options: Any
    ) -> Iterator[Preview | Outcome]:
        """Restyles the content; yields previews, the outcome, and that with recipe and look.

        Closing the iterator ends the run, and `stop` ends it with the best so far.

        Args:
            regions: what `paint` gave.
            strength: of the whole photo.
            shares: of that by region; others have all of it.
            options: method, size and steps, for `pydpst.stylize`. The default size is the largest
                that the memory holds, at most.

        Raises:
            ValueError: for bad options.
        """
        strengths = {name: strength * shares.get(name, 1.0) for name in regions.names}
        alike = len(set(strengths.values())) == 1
        options = _with_size(options)
        options["strength"] = strengths[regions.names[0]] if alike else strengths
        content, style = self.photos["content"], self.photos["style"]
        folder = self._folder("result")
        masks: dict[str, Path] = dict(self.masks)
        told: dict[str, Any] = {}
        if masks:
            told = {f"{role}_mask": mask for role, mask in masks.items()}
        elif regions is not self.found or not alike:
            # Somebody has said something of them; otherwise it is as on the command line.
            masks, told = write_masks(folder, regions), {"regions": regions}
        self._stop = threading.Event()
        news = run(content.path, style.path, folder, self._stop, **told, **options)
        try:
            while isinstance(latest := next(news), Preview):
                yield latest
        finally:
            news.close()
            self._stop = None
        path = folder / f"{content.path.stem}-{style.path.stem}"
        outcome = outcome_of(latest.image, latest.photo, content.path, path, latest.interrupted)
        yield outcome
        recipe = path.with_name(f"{path.name}-recipe.zip")
        look = path.with_name(f"{path.name}-look.zip")
        yield replace(
            outcome,
            recipe=pack_recipe(recipe, style.path, options, masks),
            look=pack_look(look, latest),
        )

    def stop(self) -> None:
        """Ends the run after its present step."""
        if self._stop is not None:
            self._stop.set()

    def apply_style(self, style: str, strength: float) -> Outcome:
        """Restyles the photo with a bundled style.

        Raises:
            ValueError: for a style or strength that `pydpst.apply` refuses, or without a photo.
        """
        if "photo" not in self.photos:
            raise ValueError("there is no photo yet; drop one first.")
        photo = self.photos["photo"]
        original = open_photo(photo.path, "content")
        image = apply_model(_network(style), original.pixels, strength=strength).cpu()
        name = f"{photo.path.stem}-{style}"
        return outcome_of(image, original, photo.path, self._folder("applied") / name)

    def close(self) -> None:
        """Ends the run and deletes the session's files."""
        self.stop()
        if self._name:
            shutil.rmtree(self.home / self._name, ignore_errors=True)

    def _kept(self, purpose: str, upload: Path) -> Path:
        """A copy of an uploaded file."""
        # The name comes from the browser, which may ask for any file of this machine.
        if not upload.resolve().is_relative_to(self.home.resolve()):
            raise ValueError(f"{upload.name} was not uploaded; drop it on the page.")
        return Path(shutil.copyfile(upload, self._folder(purpose) / upload.name))

    def _folder(self, purpose: str) -> Path:
        """A new folder; the last one for this purpose goes, unless a run may still read it."""
        # Files are served by name: that of one session must not be guessed by another.
        self._name = self._name or secrets.token_hex(16)
        parent = self.home / self._name / purpose
        if self._stop is None:
            shutil.rmtree(parent, ignore_errors=True)
        parent.mkdir(parents=True, exist_ok=True)
        # Another name for another photo: browsers keep what they have seen.
        return Path(tempfile.mkdtemp(dir=parent))

    def _known_regions(self) -> Regions:
        if self.regions is None:
            raise ValueError("there are no regions yet; give both photos first.")
        return self.regions

    def _pair(self) -> list[Tensor]:
        return [load_image(self.photos[role].shown) for role in ("content", "style")]


@contextmanager
def _said_of(*paths: Path) -> Iterator[None]:
    """Sentences name files as they were uploaded, not where they lie here."""
    try:
        yield
    except ValueError as error:
        sentence = str(error)
        for path in paths:
            sentence = sentence.replace(str(path), path.name)
        raise ValueError(sentence) from None


def _with_size(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as the command line has them, where the default size is left to the memory."""
    size = options.get("size")
    return {**options, "size": None if size == DEFAULT_SIZE else size}


@lru_cache
def _network(style: str) -> nn.Module:
    return load_model(style).to(choose_device(None))
