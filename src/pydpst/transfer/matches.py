"""What both photos show, as a part of what a grade is to do."""

from __future__ import annotations

from torch import Tensor

from pydpst.ops import grade_apply
from pydpst.reading.correspondences import Correspondences, correspondences
from pydpst.reading.reader import read_looks
from pydpst.transfer.read_look import OUTLYING, agreeing

# Of the matches, so many must be in regions that go together.
_LEAST_TOGETHER = 0.5


class Matches:
    """Things in both photos, which are to get the colours that they have in the style.

    Args:
        found: of both photos.
        masks: (R, H, W), the content's regions.
    """

    def __init__(self, found: Correspondences, masks: Tensor) -> None:
        self._found = found
        self._masks = _at(masks, found.places)[None, :, None].contiguous()
        self._colors, self._wanted = (
            x.T[None, :, None].contiguous() for x in (found.colors, found.wanted)
        )

    def start(self, content: Tensor, style: Tensor) -> Tensor:
        """The maps (K, 12) of a grade of one region that agrees with them."""
        return agreeing(read_looks(content, style)[0], content, self._found)

    def loss(self, maps: Tensor) -> Tensor:
        """The mean squared error of maps (R, K, 12); beyond `OUTLYING` it counts only so much."""
        result = grade_apply(maps[None], self._masks, self._colors)
        errors = (result - self._wanted * self._masks.sum(1, keepdim=True)).square().sum(1)
        return (errors / (1 + errors / OUTLYING**2)).mean()


def find_matches(
    content: Tensor, style: Tensor, masks: Tensor, style_masks: Tensor
) -> Matches | None:
    """What both photos show, in regions that go together.

    Args:
        content: (3, H, W) in [0, 1].
        style: (3, H', W'), likewise.
        masks: (R, H, W), soft, in [0, 1].
        style_masks: (R, H', W').

    Returns:
        None where there is too little of it, or regions go together that show other things.
    """
    found = correspondences(content, style)
    if found is None:
        return None
    pairs = _at(masks, found.places), _at(style_masks, found.style_places)
    together = (pairs[0] * pairs[1]).sum(0) > 0.5
    if together.double().mean() < _LEAST_TOGETHER:
        return None
    return Matches(found[together], masks)


def _at(masks: Tensor, places: Tensor) -> Tensor:
    """The masks (R, H, W) at places (N, 2), (R, N)."""
    rows, columns = (places * places.new_tensor(masks.shape[1:])).long().unbind(1)
    return masks[:, rows, columns]
