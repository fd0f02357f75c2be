"""What a training leaves for people to look at: losses, measures and restyled photos."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pydpst.photos.image import save_image


class TrainingLog:
    """Writes into a folder: losses.jsonl, and photo beside result for each validation.

    Args:
        folder: made if it is not there; None writes nothing.
        tensorboard: whether to write TensorBoard's events there, too.
        step: the step that the training starts from; what an earlier run logged beyond is dropped.

    Raises:
        ValueError: if TensorBoard is asked for and not installed.
    """

    def __init__(
        self, folder: str | os.PathLike[str] | None, tensorboard: bool = False, step: int = 0
    ) -> None:
        self.folder = None if folder is None else Path(folder)
        self._writer: Any = None
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "losses.jsonl"
        lines = path.read_text().splitlines() if step and path.is_file() else []
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
        self._file = path.open("w")
        self._file.writelines(line + "\n" for line in kept)
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise ValueError(
                    "tensorboard is on, but not installed; run `pip install pydpst[tensorboard]`."
                ) from None
            self._writer = SummaryWriter(self.folder, purge_step=step)

    def _record(self, step: int, values: dict[str, float]) -> None:
        if self.folder is None:
            return
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def losses(self, step: int, values: dict[str, float]) -> None:
        """Keeps the losses of a step."""
        self._record(step, values)

    def metrics(self, step: int, values: dict[str, float]) -> None:
        """Keeps the measures of a validation."""
        self._record(step, values)

    def image(self, step: int, number: int, photo: Tensor, result: Tensor) -> None:
        """Keeps a restyled validation photo (3, H, W) beside the photo."""
        if self.folder is None:
            return
        folder = self.folder / f"step_{step:06}"
        folder.mkdir(exist_ok=True)
        save_image(torch.cat([photo, result], 2), folder / f"{number:03}.png")
        if self._writer is not None:
            self._writer.add_image(f"photo {number}", result, step)

    def close(self) -> None:
        """Closes the files."""
        if self.folder is not None:
            self._file.close()
        if self._writer is not None:
            self._writer.close()
