"""All that a look depends on but the photos: the options of `stylize`, said once.

The signature and the docstring of `pydpst.stylize`, the options of the command line and the JSON of
a recipe are made from these fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pydpst.photos.limits import check_size
from pydpst.transfer.options import check_types, says

if TYPE_CHECKING:
    from pydpst.regions.masks import Regions

METHODS = ("grade", "pixels")
REGIONS = ("auto", "clusters", "none")
INITS = {"grade": ("color", "content"), "pixels": ("grade", "color", "content", "noise")}
# By default, of each method.
_STEPS = {"grade": 36, "pixels": 100}
_LOSSES = ("content", "style", "photorealism", "tv", "aesthetic")
# Beyond, squares of gradients leave float32, and no step improves anything.
_LARGEST_WEIGHT = 1e9
# A grade cannot paint; pixels can, and are held harder.
_WEIGHTS = {
    "grade": {"photorealism_weight": 275.0, "content_weight": 0.13},
    "pixels": {"photorealism_weight": 3000.0, "content_weight": 0.2},
}


@dataclass(frozen=True)
class Look:
    """How a photo is to be restyled; each field says itself what it is.

    Raises:
        ValueError: for a value that is not as its field says, with a sentence that names it.
    """

    method: str = field(
        default="grade",
        metadata=says(
            "Look",
            "grade finds one small colour grade a region, which leaves all detail as it is; pixels "
            "goes on from there pixel by pixel (Luan et al. 2017), nearer to the style and slower",
        ),
    )
    regions: str | Regions = field(
        default="auto",
        metadata=says(
            "Regions",
            "without masks: auto finds what both photos show, sky and water and so on; clusters "
            "finds what looks alike in both, none takes each as one",
        ),
    )
    segmentation_model: str | None = field(
        default=None,
        metadata=says(
            "Regions", "a transformers model to find regions with, a name or a local folder"
        ),
    )
    refine_masks: bool = field(
        default=False,
        metadata=says(
            "Regions", "solve for the borders, which then follow hair and branches; slower"
        ),
    )
    strength: float | Mapping[str, float] = field(
        default=1.0,
        metadata=says(
            "Look", "from 0, the photo, to 1, the result; also by region, the others having 1"
        ),
    )
    lock: Sequence[str] = field(
        default=(), metadata=says("Regions", "regions that must not change")
    )
    preserve_luminance: bool = field(
        default=False,
        metadata=says("Look", "take the style's colours only and keep the photo's brightness"),
    )
    style_weight: float = field(
        default=1.0, metadata=says("Look", "follows the style; the content's own loss is about 2")
    )
    photorealism_weight: float | None = field(
        default=None,
        metadata=says(
            "Look",
            "keeps it a local recolouring; by default 275 for a grade and 3000 for pixels; with "
            "pixels 0 is plain neural style transfer",
        ),
    )
    content_weight: float | None = field(
        default=None,
        metadata=says(
            "Look",
            "keeps the style from inventing shapes; by default 0.13 for a grade and 0.2 for pixels",
        ),
    )
    tv_weight: float = field(
        default=0.0, metadata=says("Look", "keeps neighbouring pixels alike, against noise")
    )
    aesthetic_weight: float = field(
        default=0.0,
        metadata=says("Look", "asks for what people would rate better (NIMA); slower"),
    )
    init: str | None = field(
        default=None,
        metadata=says(
            "Look",
            "where to start: color, recoloured linearly region by region, or, where both photos "
            "show the same things, as those say; or content; pixels also from grade, their "
            "default, or noise",
        ),
    )
    smooth: bool | None = field(
        default=None,
        metadata=says(
            "Look",
            "end pixels with the nearest local recolouring; by default where that helps",
        ),
    )
    size: int | None = field(
        default=None,
        metadata=says(
            "Limits",
            "pixels of the longer side at which the look is found; by default the photo's own, at "
            "most 1024, or what the memory holds",
        ),
    )
    steps: int | None = field(
        default=None,
        metadata=says(
            "Limits",
            "how many steps at most, over all sizes; by default 36 for a grade, 100 for pixels",
        ),
    )
    seed: int = field(default=0, metadata=says("Limits", "of the noise"))

    def __post_init__(self) -> None:
        check_types(self)
        if self.method not in METHODS:
            raise ValueError(f"method is {self.method!r}; it must be one of {', '.join(METHODS)}.")
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps is {self.steps}; it must be a whole number of at least 1.")
        if self.size is not None:
            check_size(self.size)
        for name in _LOSSES:
            weight = getattr(self, f"{name}_weight")
            if weight is not None and not 0 <= weight <= _LARGEST_WEIGHT:
                raise ValueError(
                    f"{name}_weight is {weight}; it must be a number from 0 to {_LARGEST_WEIGHT:g}."
                )
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed is {self.seed}; it must be a whole number from 0 to 2^63 - 1.")
        if not any(self.weights().values()):
            raise ValueError("the weights are all 0; at least one must be above.")
        inits = INITS[self.method]
        if self.init is not None and self.init not in inits:
            raise ValueError(
                f"init is {self.init!r}; for {self.method} it must be one of {', '.join(inits)}."
            )
        if self.smooth and self.method == "grade":
            raise ValueError("smooth is on, but a grade is a recolouring; it goes with pixels.")
        if isinstance(self.regions, str) and self.regions not in REGIONS:
            raise ValueError(
                f"regions is {self.regions!r}; it must be one of {', '.join(REGIONS)}."
            )
        strengths = self.strength
        for value in strengths.values() if isinstance(strengths, Mapping) else [strengths]:
            if not 0 <= value <= 1:
                raise ValueError(f"a strength is {value}; it must be from 0 to 1.")

    @property
    def most_steps(self) -> int:
        """How many steps there are at most."""
        return _STEPS[self.method] if self.steps is None else self.steps

    def settled(self) -> Look:
        """The same with the method's own values for what was left to it."""
        weights = {f"{name}_weight": weight for name, weight in self.weights().items()}
        init = INITS[self.method][0] if self.init is None else self.init
        return replace(self, steps=self.most_steps, init=init, **weights)  # type: ignore[arg-type]

    def weights(self) -> dict[str, float]:
        """The weight of each loss, by its name."""
        given = {name: getattr(self, f"{name}_weight") for name in _LOSSES}
        own = _WEIGHTS[self.method]
        return {
            name: own[f"{name}_weight"] if value is None else value for name, value in given.items()
        }
