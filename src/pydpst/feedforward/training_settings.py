"""What a training's result depends on."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pydpst.photos.limits import check_size
from pydpst.transfer.options import check_types, says

if TYPE_CHECKING:
    import torch

MODELS = ("grid", "transformer")


@dataclass(frozen=True)
class Settings:
    """What the weights after a step depend on, besides the photos and the machine.

    Raises:
        ValueError: for a value that is not as its field says, with a sentence that names it.
    """

    model: str = field(default="grid", metadata=says("Network", "grid or transformer"))
    steps: int = field(default=1500, metadata=says("Training", "steps of the optimiser"))
    batch: int = field(default=4, metadata=says("Training", "photos a step, over all processes"))
    size: int = field(
        default=384,
        metadata=says("Training", "pixels of the longer side of what it is trained on, at most"),
    )
    content_weight: float = field(default=0.02, metadata=says("Losses", "keeps the content"))
    style_weight: float = field(
        default=1.0, metadata=says("Losses", "follows the style; the content's own is about 1")
    )
    photorealism_weight: float = field(default=100.0, metadata=says("Losses", "stays a photo"))
    edge_weight: float = field(default=0.5, metadata=says("Losses", "keeps the edges"))
    tv_weight: float = field(default=0.0, metadata=says("Losses", "avoids noise"))
    held_out: int = field(
        default=8,
        metadata=says("Training", "how many photos, spread over the list, are kept for validation"),
    )
    precision: str | None = field(
        default=None,
        metadata=says(
            "Network", "of VGG and TransformerNet: float32, bfloat16, or by default the faster one"
        ),
    )
    seed: int = field(default=0, metadata=says("Training", "of the weights, photos and cuts"))

    def __post_init__(self) -> None:
        check_types(self)
        if self.model not in MODELS:
            raise ValueError(f"the model is {self.model!r}; it must be {' or '.join(MODELS)}.")
        for name, least in (("steps", 1), ("batch", 1), ("size", 64), ("held_out", 0), ("seed", 0)):
            value = getattr(self, name)
            if value < least:
                raise ValueError(
                    f"{name} is {value}; it must be a whole number of at least {least}."
                )
        if self.seed >= 2**63:
            raise ValueError(f"seed is {self.seed}; it must be a whole number from 0 to 2^63 - 1.")
        check_size(self.size)
        for name, weight in self.weights().items():
            if not (math.isfinite(weight) and weight >= 0):
                raise ValueError(f"{name}_weight is {weight}; it must be a number of at least 0.")
        if not any(self.weights().values()):
            raise ValueError("the weights are all 0; at least one must be above.")
        if self.precision not in (None, "float32", "bfloat16"):
            raise ValueError(f"precision is {self.precision!r}; it must be float32 or bfloat16.")

    def on(self, device: torch.device) -> Settings:
        """The same for a device: with its precision, where none was asked for."""
        if self.precision is not None:
            return self
        from pydpst.losses.vgg import has_fast_bfloat16

        return replace(self, precision="bfloat16" if has_fast_bfloat16(device) else "float32")

    def weights(self) -> dict[str, float]:
        """The weights of the losses."""
        return {
            "content": self.content_weight,
            "style": self.style_weight,
            "photorealism": self.photorealism_weight,
            "edge": self.edge_weight,
            "tv": self.tv_weight,
        }
