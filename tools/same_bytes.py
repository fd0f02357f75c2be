"""Checks that what pydpst makes is the same to the last bit, before and after a change.

    python tools/same_bytes.py FOLDER                       # makes it all, writes FOLDER/hashes.txt
    python tools/same_bytes.py FOLDER --against HASHES.txt  # and compares with an earlier list

It runs the command line on the example photos: the demo, the gallery's pairs, a recipe written and
repeated, a model trained for a few steps and applied, look-up tables and a matte. The bits depend
on the processor, the number of threads and the torch, so compare on one machine.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from PIL import Image, ImageDraw

EXAMPLES = Path(__file__).parent.parent / "examples"
PHOTOS = EXAMPLES / "photos"
GALLERY = (
    ("city_day", "city_night"),
    ("lake", "beach_sunset"),
    ("autumn_meadow", "mountain_path"),
    ("city_night", "city_day"),
    ("mountain_path", "lake"),
    ("pier_evening", "lake"),
)


def run(*arguments: str | Path) -> None:
    """Runs `pydpst` with these arguments; stops where it fails."""
    command = [sys.executable, "-m", "pydpst", *map(str, arguments)]
    print("pydpst", *map(str, arguments), flush=True)
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def make_styles(folder: Path) -> None:
    """The demo, the gallery, and a recipe with its repetition."""
    masks = ["--content-mask", EXAMPLES / "masks" / "city_day.png"]
    masks += ["--style-mask", EXAMPLES / "masks" / "city_night.png"]
    pair = [PHOTOS / "city_day.jpg", PHOTOS / "city_night.jpg"]
    run("stylize", *pair, *masks, "-o", folder / "demo.png", "--size", "512")
    for content, style in GALLERY:
        photos = [PHOTOS / f"{content}.jpg", PHOTOS / f"{style}.jpg"]
        run("stylize", *photos, "-o", folder / f"{content}_as_{style}.png", "--size", "384")
    small = ["--size", "256", "--steps", "12", "--regions", "none"]
    recipe, extra = folder / "look.json", ["--export-cube", folder / "look.cube"]
    run("stylize", *pair, *small, *extra, "-o", folder / "look.png", "--save-recipe", recipe)
    again = folder / "again.jpg"
    run("stylize", PHOTOS / "lake.jpg", "--recipe", recipe, "-o", again)


def make_models(folder: Path) -> None:
    """A model that is trained, applied and exported, and a bundled one."""
    model, style = folder / "model.safetensors", PHOTOS / "lake.jpg"
    settings = ["--steps", "4", "--size", "96", "--batch", "2", "--held-out", "1"]
    run("train", style, PHOTOS, "-o", model, *settings, "--validate-steps", "4")
    run("apply", model, PHOTOS / "city_day.jpg", "-o", folder / "model.png")
    run("apply", "dusk", PHOTOS / "lake.jpg", "-o", folder / "dusk.jpg")
    run("export", "dusk", "--cube", folder / "dusk.cube")


def make_matte(folder: Path) -> None:
    """A matte of the dandelion from a drawn trimap."""
    with Image.open(PHOTOS / "dandelion.jpg") as photo:
        trimap = Image.new("L", photo.size, 0)
    width, height = trimap.size
    draw = ImageDraw.Draw(trimap)
    for share, level in ((0.45, 128), (0.15, 255)):
        reach = int(share * height)
        middle = (width // 2, height // 2)
        box = (middle[0] - reach, middle[1] - reach, middle[0] + reach, middle[1] + reach)
        draw.ellipse(box, fill=level)
    trimap.save(folder / "trimap.png")
    matte = ["matte", PHOTOS / "dandelion.jpg", folder / "trimap.png"]
    run(*matte, "-o", folder / "alpha.png", "--cutout", folder / "cutout.png")


def hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file; a recipe's without the folder it lies in."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name != "hashes.txt":
            data = path.read_bytes()
            if path.suffix == ".json":
                data = data.replace(os.fsencode(EXAMPLES.resolve()), b"")
            found[path.name] = hashlib.sha256(data).hexdigest()
    return found


def main() -> None:
    """Makes everything, lists the hashes and says what differs."""
    parser = argparse.ArgumentParser(description="Same bytes before and after a change?")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--against", type=Path, help="an earlier run's hashes.txt")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    make_styles(folder)
    make_models(folder)
    make_matte(folder)
    found = hashes(folder)
    lines = [f"{digest}  {name}" for name, digest in found.items()]
    (folder / "hashes.txt").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    if arguments.against is None:
        return
    before = dict(line.split("  ")[::-1] for line in arguments.against.read_text().splitlines())
    differ = sorted(name for name in before.keys() | found if before.get(name) != found.get(name))
    print(f"{len(before.keys() | found) - len(differ)} the same", *(f"{n} differs" for n in differ))
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
