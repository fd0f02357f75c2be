"""Prints how near look-up tables are to the bundled models on the photos of examples/photos.

python benchmarks/cube.py

The table is fitted to the photo itself, to the other photos, and to synthetic pictures; errors are
root mean squares in levels of 8 bits, means over the photos.
"""

from __future__ import annotations

from pathlib import Path

import torch

import pydpst
from pydpst.feedforward.bundled import styles
from pydpst.feedforward.export import nearest_cube
from pydpst.metrics import level_error
from pydpst.photos.resizing import resize
from pydpst.transfer.cube import apply_cube

PHOTOS = Path(__file__).parents[1] / "examples" / "photos"


def main() -> None:
    photos = [resize(pydpst.load_image(path), 384) for path in sorted(PHOTOS.glob("*.jpg"))]
    print("| style | the photo itself | the other photos | synthetic pictures | no table |")
    print("|---|---|---|---|---|", flush=True)
    for style in styles():
        network = pydpst.load_model(style)
        synthetic, _ = nearest_cube(network)
        rows = []
        for i, photo in enumerate(photos):
            wanted = pydpst.apply_model(network, photo)
            cubes = [
                nearest_cube(network, [photo])[0],
                nearest_cube(network, photos[:i] + photos[i + 1 :])[0],
                synthetic,
            ]
            results = [apply_cube(cube, photo) for cube in cubes] + [photo]
            rows.append([level_error(result, wanted)[0] for result in results])
        means = torch.tensor(rows).mean(0).tolist()
        print(f"| {style} | " + " | ".join(f"{error:.1f}" for error in means) + " |", flush=True)


if __name__ == "__main__":
    main()
