"""What a training's result depends on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pydpst.feedforward.networks import NETWORKS


@dataclass(frozen=True)
class Settings:
    """What the weights after a step depend on, besides the photos and the machine.

    Attributes:
        model: "grid" or "transformer".
        steps: how many steps of the optimiser.
        batch: photos a step, over all processes.
        size: pixels of the longer side of what is trained on.
        content_weight: of `ContentLoss`.
        style_weight: of `StyleLoss`.
        photorealism_weight: of `PhotorealismLoss`.
        edge_weight: of 1 less `metrics.edge_similarity`.
        tv_weight: of `tv_loss`.
        held_out: how many photos are kept for validation.
        precision: of VGG and of the TransformerNet: "float32" or "bfloat16".
        seed: of whatever is random.
    """

    model: str = "grid"
    steps: int = 1500
    batch: int = 4
    size: int = 384
    content_weight: float = 0.02
    style_weight: float = 1.0
    photorealism_weight: float = 100.0
    edge_weight: float = 0.5
    tv_weight: float = 0.0
    held_out: int = 8
    precision: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.model not in NETWORKS:
            raise ValueError(f"the model is {self.model!r}; it must be {' or '.join(NETWORKS)}.")
        for name, least in (("steps", 1), ("batch", 1), ("size", 64), ("held_out", 0), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(
                    f"{name} is {value}; it must be a whole number of at least {least}."
                )
        for name, weight in self.weights().items():
            if not (math.isfinite(weight) and weight >= 0):
                raise ValueError(f"{name}_weight is {weight}; it must be a number of at least 0.")
        if not any(self.weights().values()):
            raise ValueError("the weights are all 0; at least one must be above.")
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision is {self.precision!r}; it must be float32 or bfloat16.")

    def weights(self) -> dict[str, float]:
        """The weights of the losses."""
        return {
            "content": self.content_weight,
            "style": self.style_weight,
            "photorealism": self.photorealism_weight,
            "edge": self.edge_weight,
            "tv": self.tv_weight,
        }
