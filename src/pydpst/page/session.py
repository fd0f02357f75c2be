"""What one visitor of the page has and does: photos, their regions, runs and what comes of them."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from pydpst.feedforward.models import apply_model, load_model
from pydpst.metrics.report import overlay_regions, region_colors
from pydpst.ops import choose_device
from pydpst.photos.encode import PICTURES
from pydpst.photos.image import load_image, save_image
from pydpst.photos.photo import Photo, open_photo, save_photo
from pydpst.photos.resizing import resize
from pydpst.regions.labels import MaskPair, label_maps
from pydpst.regions.mask_colors import SCENE_NAMES
from pydpst.regions.masks import Regions
from pydpst.transfer.match import match
from pydpst.transfer.pair import find_regions
from pydpst.transfer.stylize import Progress, Result, stylize

# Browsers get photos of at most this size; regions are found and painted at it.
_SHOWN_SIZE = 960
# Seconds between previews of a run.
_PREVIEW_SECONDS = 1.0
# The number of what the style has and the content lacks.
_NOTHING = len(SCENE_NAMES)
# A stroke's rim is half transparent: it counts from here.
_STROKE_OPACITY = 128


@dataclass(frozen=True)
class Upload:
    """A photo as it was uploaded.

    Attributes:
        path: the file as it came.
        shown: a smaller copy for the browser, upright and in sRGB.
    """

    path: Path
    shown: Path


@dataclass(frozen=True)
class Preview:
    """How far a run is.

    Attributes:
        step: how many steps are done.
        steps: how many there are.
        shown: the best image so far, for the browser.
    """

    step: int
    steps: int
    shown: Path


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        path: the file to download, at full resolution.
        shown: a smaller copy for the browser.
        size: its width and height.
        interrupted: whether it was stopped before all steps were done.
    """

    path: Path
    shown: Path
    size: tuple[int, int]
    interrupted: bool = False


@dataclass
class Session:
    """What one visitor has.

    Attributes:
        home: the folder in which the session has its own, which is made when first needed.
        photos: by what they are for: "content", "style" or "photo".
        regions: what content and style share, at the size that is shown.
    """

    home: Path
    photos: dict[str, Upload] = field(default_factory=dict)
    regions: Regions | None = None
    _name: str = ""
    _stop: threading.Event | None = None

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
        # The name comes from the browser, which may ask for any file of this machine.
        if not upload.resolve().is_relative_to(self.home.resolve()):
            raise ValueError(f"{upload.name} was not uploaded; drop it on the page.")
        folder = self._folder(role)
        path = folder / upload.name
        shutil.copyfile(upload, path)
        try:
            shown = resize(load_image(path, role), _SHOWN_SIZE)
        except ValueError as error:
            raise ValueError(str(error).replace(str(path), path.name)) from None
        self.photos[role] = Upload(path, _shown(shown, folder))
        return self.photos[role]

    def drop(self, role: str) -> None:
        """Forgets a photo, and the regions found with it."""
        self.photos.pop(role, None)
        if role != "photo":
            self.regions = None

    def glance(self) -> Path | None:
        """The content as a network gives it the style's look in one pass, for the browser.

        None while a photo is missing.
        """
        if not {"content", "style"} <= set(self.photos):
            return None
        content, style = self._pair()
        return _shown(match(content, style).image, self._folder("glance"))

    def find_regions(self) -> Regions | None:
        """The regions that content and style share, or None while one of them is missing."""
        if {"content", "style"} <= set(self.photos):
            device = choose_device(None)
            content, style = (photo.to(device) for photo in self._pair())
            found = find_regions(content, style)
            self.regions = replace(found, content=found.content.cpu(), style=found.style.cpu())
        return self.regions

    def merge(self, names: list[str]) -> Regions:
        """The regions found, with some of them as one, under the first's name.

        Raises:
            ValueError: for fewer than two regions.
        """
        if self.regions is None:
            raise ValueError("there are no regions yet; give both photos first.")
        self.regions = self.regions.merged(names)
        return self.regions

    def overlays(self) -> list[np.ndarray[Any, Any]]:
        """Content and style, grey and tinted by region: (h, w, 3), uint8."""
        if self.regions is None:
            return []
        masks = self.regions.hard_masks()
        tinted = [
            overlay_regions(photo, mask, self.regions.names)
            for photo, mask in zip(self._pair(), masks, strict=True)
        ]
        return [(image * 255).round().byte().permute(1, 2, 0).numpy() for image in tinted]

    def paint(self, strokes: list[np.ndarray[Any, Any] | None]) -> tuple[Regions, list[str]]:
        """The regions found, and what was painted over them.

        Args:
            strokes: for content and style (h, w, 4), uint8, in the colours of the regions'
                names and transparent elsewhere, or None.

        Returns:
            The regions, and the names of those that one photo has alone.

        Raises:
            ValueError: if the photos now share no region.
        """
        if self.regions is None:
            raise ValueError("there are no regions yet; give both photos first.")
        if not any(_strokes(layer) for layer in strokes):
            return self.regions, []
        numbers = torch.tensor([*(SCENE_NAMES.index(n) for n in self.regions.names), _NOTHING])
        found = [numbers[self.regions.content], numbers[self.regions.style]]
        content, style = (
            _painted(labels, layer) for labels, layer in zip(found, strokes, strict=True)
        )
        alone = set(torch.unique(content).tolist()) ^ set(torch.unique(style).tolist())
        alone.discard(_NOTHING)
        painted = label_maps(content[None], style[None], MaskPair(content, style))
        names = [SCENE_NAMES[int(name)] for name in painted.names]
        regions = Regions(painted.content, painted.style, names, painted.shared)
        return regions, [SCENE_NAMES[label] for label in sorted(alone)]

    def stylize(
        self, regions: Regions, strengths: Mapping[str, float], **options: Any
    ) -> Iterator[Preview | Outcome]:
        """Restyles the content; yields previews, and last the outcome.

        Closing the iterator ends the run, and `stop` ends it with the best so far.

        Args:
            regions: what `paint` gave.
            strengths: by region; those that are not there are left out.
            options: for `pydpst.stylize`.

        Raises:
            ValueError: for bad options.
        """
        content, style = self.photos["content"], self.photos["style"]
        folder = self._folder("result")
        news: SimpleQueue[Preview | Result | Exception] = SimpleQueue()
        stopped = self._stop = threading.Event()
        due = 0.0

        def tell(progress: Progress) -> None:
            nonlocal due
            if stopped.is_set():
                raise KeyboardInterrupt
            if time.monotonic() >= due:
                shown = _shown(resize(progress.image(), _SHOWN_SIZE), folder)
                news.put(Preview(progress.step, progress.steps, shown))
                due = time.monotonic() + _PREVIEW_SECONDS

        def work() -> None:
            try:
                present = {name: strengths.get(name, 1.0) for name in regions.names}
                news.put(
                    stylize(
                        content.path,
                        style.path,
                        regions=regions,
                        strength=present,
                        callback=tell,
                        **options,
                    )
                )
            except Exception as error:
                news.put(error)

        # A daemon, so that Ctrl-C ends the server at once.
        threading.Thread(target=work, daemon=True).start()
        try:
            while isinstance(latest := news.get(), Preview):
                yield latest
        finally:
            stopped.set()
            self._stop = None
        if isinstance(latest, Exception):
            raise latest
        name = f"{content.path.stem}-{style.path.stem}"
        yield _outcome(latest.image, latest.photo, content, folder / name, latest.interrupted)

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
        return _outcome(image, original, photo, self._folder("applied") / name)

    def close(self) -> None:
        """Ends the run and deletes the session's files."""
        self.stop()
        if self._name:
            shutil.rmtree(self.home / self._name, ignore_errors=True)

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

    def _pair(self) -> list[Tensor]:
        return [load_image(self.photos[role].shown) for role in ("content", "style")]


@lru_cache
def _network(style: str) -> nn.Module:
    return load_model(style).to(choose_device(None))


def _shown(image: Tensor, folder: Path) -> Path:
    path = folder / f"{secrets.token_hex(4)}.jpg"
    save_image(image, path)
    return path


def _outcome(
    image: Tensor, original: Photo, upload: Upload, path: Path, interrupted: bool = False
) -> Outcome:
    """Writes a result like the photo it was made of, in its format if that can be written."""
    suffix = upload.path.suffix if upload.path.suffix.lower() in PICTURES else ".png"
    path = path.with_name(path.name + suffix)
    save_photo(image, path, original)
    height, width = image.shape[-2:]
    shown = _shown(resize(image, _SHOWN_SIZE), path.parent)
    return Outcome(path, shown, (width, height), interrupted)


def _strokes(layer: np.ndarray[Any, Any] | None) -> bool:
    """Whether something was painted."""
    return layer is not None and bool((layer[..., 3] >= _STROKE_OPACITY).any())


def _painted(labels: Tensor, strokes: np.ndarray[Any, Any] | None) -> Tensor:
    """Numbers of `SCENE_NAMES` (h, w) with strokes over them."""
    if strokes is None:
        return labels
    height, width = labels.shape
    layer = np.asarray(Image.fromarray(strokes).resize((width, height), Image.Resampling.NEAREST))
    rgba = torch.from_numpy(layer.astype(np.float32))
    palette = torch.tensor(region_colors(SCENE_NAMES), dtype=torch.float32)
    nearest = torch.cdist(rgba[..., :3].flatten(0, 1), palette).argmin(1).view(height, width)
    return torch.where(rgba[..., 3] >= _STROKE_OPACITY, nearest, labels)
