"""Draws the losses of trainings, the means over 25 steps.

python benchmarks/training_curves.py LOG [LOG ...] PICTURE

LOG is a folder that `pydpst train --log` wrote.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

LOSSES = ("style", "edge", "photorealism")
STEPS = 25


def curve(folder: Path, loss: str) -> tuple[np.ndarray, np.ndarray]:
    lines = (folder / "losses.jsonl").read_text().splitlines()
    records = [record for record in map(json.loads, lines) if loss in record]
    count = len(records) // STEPS * STEPS
    steps = np.array([record["step"] for record in records[:count]]).reshape(-1, STEPS)
    values = np.array([record[loss] for record in records[:count]]).reshape(-1, STEPS)
    return steps.mean(1), values.mean(1)


def main() -> None:
    *folders, picture = map(Path, sys.argv[1:])
    figure, panels = plt.subplots(1, len(LOSSES), figsize=(10, 3), layout="constrained")
    for panel, loss in zip(panels, LOSSES, strict=True):
        for folder in folders:
            panel.plot(*curve(folder, loss), label=folder.stem)
        panel.set(title=loss, xlabel="step", ylim=(0, None))
    panels[0].legend()
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main()
