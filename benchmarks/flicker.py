"""Prints how much restyled clips flicker beside the clips themselves.

python benchmarks/flicker.py [CLIP ...] [--styles NAME ...] [--photos PHOTO ...] [--frames N]

Without clips it makes some of examples/photos, with grain: a pan, a zoom, exposures that drift and
that jump about, and a cut. Flicker is the root mean square, in levels of 8 bits, of a frame less
the one before, moved along the optical flow of the clip (Lai et al. 2018, "Learning Blind Video
Temporal Consistency", eq. 9), where the flow there and back agrees; and the same of means of 8×8
pixels, which have less grain. The ratios are to the flicker of the clip: of the look as `pydpst
apply` has it, of each frame by itself, and of the look of the first frame, held until a cut. The
last shows what the contrast of the look and the movement across it do by themselves.

--photos are style photos, in place of models: their looks as `pydpst stylize` gives them to clips,
and as `pydpst apply --style` does, with regions and without. A grade has no mind to change; what
its ratio is above 1 is contrast, so there is the gain beside it: the root of the mean squared
difference of neighbouring pixels, after over before.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import pydpst
from pydpst.feedforward.bundled import styles
from pydpst.feedforward.grade_net import GradeNet, grade_net, net_of
from pydpst.photos.resizing import resize
from pydpst.transfer.read_look import looks_of
from pydpst.video.clip import ClipReader, Frame
from pydpst.video.shot_grade import ShotGrade
from pydpst.video.smooth_look import SteadyNetwork

PHOTOS = Path(__file__).parents[1] / "examples" / "photos"
WIDTH, HEIGHT = 480, 270


def view(photo: Tensor, left: float, top: float, width: float) -> Tensor:
    """A part of a photo at the clip's size; its edges are shares of the photo's sides."""
    across = 2 * (left + width * (torch.arange(WIDTH) + 0.5) / WIDTH) - 1
    share = width * HEIGHT / WIDTH * photo.shape[2] / photo.shape[1]
    down = 2 * (top + share * (torch.arange(HEIGHT) + 0.5) / HEIGHT) - 1
    y, x = torch.meshgrid(down, across, indexing="ij")
    places = torch.stack([x, y], -1)[None]
    return F.grid_sample(photo[None], places, mode="bicubic", align_corners=False)[0]


def make_clip(kind: str, frames: int) -> Iterator[Tensor]:
    """Frames (3, HEIGHT, WIDTH) in [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    photos = [pydpst.load_image(PHOTOS / f"{name}.jpg") for name in ("city_day", "lake")]
    for i in range(frames):
        at = i / frames
        photo = photos[kind == "cut" and at >= 0.5]
        frame = {
            "zoom": lambda: view(photo, 0.3 * at, 0.2 * at, 0.75 - 0.3 * at),  # noqa: B023
        }.get(kind, lambda: view(photo, 0.25 * at, 0.1 + 0.1 * at, 0.65))()  # noqa: B023
        if kind == "exposure drifts":
            frame = frame * (0.75 + 0.25 * math.cos(2 * math.pi * at))
        if kind == "exposure jumps":
            frame = frame * (1 - 0.06 * float(torch.rand((), generator=generator)))
        frame = frame + 3 / 255 * torch.randn(frame.shape, generator=generator)
        yield ((frame.clamp(0, 1) * 255).round() / 255)


def read_clip(path: Path, frames: int) -> Iterator[Tensor]:
    reader = ClipReader.open(path)
    count = 0
    for item in reader:
        if isinstance(item, Frame) and count < frames:
            count += 1
            yield resize(item.image.float() / torch.iinfo(item.image.dtype).max, 640)
    reader.close()


def grey(frame: Tensor) -> np.ndarray:
    return (frame.mean(0) * 255).round().byte().numpy()


class Warp:
    """Moves a frame along the flow to the next; unknown where the flow back disagrees."""

    def __init__(self, before: Tensor, after: Tensor) -> None:
        dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        # From each pixel of the later frame to its place in the one before.
        back = dis.calc(grey(after), grey(before), None)
        forth = dis.calc(grey(before), grey(after), None)
        height, width = after.shape[1:]
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        self.x, self.y = x + back[..., 0], y + back[..., 1]
        around = cv2.remap(forth, self.x, self.y, cv2.INTER_LINEAR) + back
        inside = (self.x >= 0) & (self.x < width - 1) & (self.y >= 0) & (self.y < height - 1)
        self.known = torch.from_numpy(inside & (np.square(around).sum(-1) < 0.25))

    def difference(self, before: Tensor, after: Tensor) -> Tensor:
        """The squared error of pixels, and of means of 8×8."""
        planes = before.permute(1, 2, 0).contiguous().numpy()
        moved = torch.from_numpy(cv2.remap(planes, self.x, self.y, cv2.INTER_CUBIC))
        error = (after - moved.permute(2, 0, 1)) * self.known
        share = F.avg_pool2d(self.known[None].float(), 8)
        means = F.avg_pool2d(error, 8) * (share > 0.5)
        return torch.stack(
            [
                error.square().sum() / self.known.sum() / 3,
                (means / share.clamp(min=0.5)).square().sum() / (share > 0.5).sum() / 3,
            ]
        )


def flicker(frames: list[Tensor], warps: list[Warp | None]) -> Tensor:
    """Of pixels and of means of 8×8, without the cuts."""
    errors = [
        warp.difference(frames[i], frames[i + 1])
        for i, warp in enumerate(warps)
        if warp is not None
    ]
    return 255 * torch.stack(errors).mean(0).sqrt()


def frames_of(clip: Path | str, count: int) -> tuple[list[Tensor], list[Warp | None]]:
    """The frames of a clip, or of a kind of made ones, and how each goes to the next."""
    found = read_clip(clip, count) if isinstance(clip, Path) else make_clip(clip, count)
    frames = list(found)
    warps: list[Warp | None] = [Warp(a, b) for a, b in pairwise(frames)]
    if clip == "cut":
        warps[(count - 1) // 2] = None
    return frames, warps


def contrast(frames: list[Tensor]) -> float:
    return math.sqrt(sum(float(frame.diff(dim=2).square().mean()) for frame in frames))


def photo_table(clips: list[Path | str], options: argparse.Namespace) -> None:
    """Flicker of grades that are found for photos."""
    print("| clip | style photo | look | ratio | gain | 8×8 ratio |")
    print("|" + "---|" * 6, flush=True)
    for clip in clips:
        frames, warps = frames_of(clip, options.frames)
        own = flicker(frames, warps)
        for photo in options.photos:
            style = resize(pydpst.load_image(photo), 1024)

            def found(frame: Tensor, regions: str, style: Tensor = style) -> GradeNet:
                return grade_net(pydpst.stylize(frame, style, regions=regions))

            def read(frame: Tensor, regions: str, style: Tensor = style) -> GradeNet:
                grade, _, parts = looks_of(frame, style, regions)
                return net_of(grade.maps, parts)

            finds = {
                "stylize": partial(found, regions="auto"),
                "stylize, one region": partial(found, regions="none"),
                "apply": partial(read, regions="none"),
                "apply, regions": partial(read, regions="auto"),
            }
            for name, find in finds.items():
                look = ShotGrade(find)
                results = [look(frame, i / 25) for i, frame in enumerate(frames)]
                ratio = flicker(results, warps) / own
                gain = contrast(results) / contrast(frames)
                row = f"{ratio[0]:.2f} | {gain:.2f} | {ratio[1]:.2f}"
                print(f"| {clip} | {photo.stem} | {name} | {row} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--styles", nargs="*", default=list(styles()))
    parser.add_argument("--photos", nargs="*", type=Path, default=[])
    parser.add_argument("--frames", type=int, default=60)
    options = parser.parse_args()
    if options.photos:
        photo_table(options.clips or ["pan", "exposure jumps", "cut"], options)
        return
    kinds = ["pan", "zoom", "exposure drifts", "exposure jumps", "cut"]
    print("| clip | style | cuts found | flicker of the clip | ratio | by itself | held ", end="")
    print("| flicker of 8×8 | ratio | by itself | held |")
    print("|" + "---|" * 11, flush=True)
    for clip in options.clips or kinds:
        frames, warps = frames_of(clip, options.frames)
        own = flicker(frames, warps)
        for style in options.styles:
            network = pydpst.load_model(style)
            ratios = []
            for seconds in (1.0, 0.0, math.inf):
                steady = SteadyNetwork(network, seconds)
                results = [steady(frame, i / 25).clamp(0, 1) for i, frame in enumerate(frames)]
                ratios.append(flicker(results, warps) / own)
            fine, coarse = (
                " | ".join(f"{x:.2f}" for x in column) for column in torch.stack(ratios, 1).tolist()
            )
            print(
                f"| {clip} | {style} | {steady.cuts} | {own[0]:.1f} | {fine} | {own[1]:.2f} "
                f"| {coarse} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
