"""Collects the photos that the bundled styles were trained with.

python examples/training_photos.py LAND FOLDER

LAND is `images/land` of the Debian package endless-sky-data, installed or unpacked. Its photos are
linked into FOLDER, except those that are also in `examples/photos`, which no model may have seen.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    land, folder = map(Path, sys.argv[1:])
    examples = {digest(path) for path in (Path(__file__).parent / "photos").glob("*.jpg")}
    folder.mkdir()
    for path in sorted(land.glob("*.jpg")):
        if digest(path) not in examples:
            (folder / path.name).symlink_to(path.resolve())


if __name__ == "__main__":
    main()
