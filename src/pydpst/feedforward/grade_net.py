"""A grade that was found for one photo, for others of the same scene."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from pydpst.matting.guided import EnlargedPlanes
from pydpst.photos.resizing import resize
from pydpst.regions.scene_regions import regions_again
from pydpst.transfer.full_size import given_to_photo, graded
from pydpst.transfer.grade import HUES, KNOTS, identity_maps
from pydpst.transfer.stylize import Result

# Regions are found in copies of this longer side, at most.
_SIZE = 700


class GradeNet(nn.Module):
    """Finds the regions of a grade in a photo, and gives each its map.

    Args:
        regions: what each region shows, as `regions.pairing.Match` has it for the content.

    Attributes:
        maps: (R, 7, 8, 12), as `ops.grade_apply` takes them; at first they change nothing.
    """

    maps: Tensor

    def __init__(self, regions: Sequence[Collection[str]]) -> None:
        super().__init__()
        self.settings = {"regions": [sorted(region) for region in regions]}
        self.parts = [frozenset(region) for region in regions]
        identity = identity_maps(len(self.parts)).expand(-1, HUES, KNOTS, -1)
        self.maps = nn.Parameter(identity.clone(), requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        """Photos (B, 3, H, W) in [0, 1] with the look, likewise."""
        return torch.stack([self.restyled(image) for image in images])

    def restyled(self, photo: Tensor, masks: Tensor | None = None) -> Tensor:
        """A photo (3, H, W) with the look.

        Args:
            photo: in [0, 1].
            masks: (R, h, w), where the regions are in a small copy; None is to find them.
        """
        small = resize(photo, _SIZE)
        masks = self.masks(small) if masks is None else masks
        colours = graded(self.maps, EnlargedPlanes(small, masks, photo.shape[1]))
        return given_to_photo(photo, small, colours, masks, [1.0] * len(masks)).to(photo)

    def masks(self, photo: Tensor) -> Tensor:
        """Where the regions are in a photo (3, H, W): (R, h, w), of a small copy."""
        return regions_again(resize(photo, _SIZE), self.parts)


def net_of(maps: Tensor, parts: Sequence[Collection[str]]) -> GradeNet:
    """A grade (R, 1 or 7, 8, 12) of regions that show these things."""
    found = GradeNet(parts)
    found.maps.data = maps.expand_as(found.maps).clone()
    return found


def grade_net(result: Result) -> GradeNet:
    """The grade of a result, with the strengths of its regions, for other photos of the scene.

    Raises:
        ValueError: if the result is no grade, keeps the photo's brightness, or has regions that
            were given by label maps and so cannot be found again.
    """
    regions = result.regions
    if result.grade is None:
        raise ValueError("a look of pixels is no grade; find one by the method grade.")
    if result.look.preserve_luminance:
        raise ValueError("a look that keeps the photo's brightness is no grade alone.")
    parts = [match.content for match in regions.matches]
    if regions.shared == 1:
        parts = [frozenset(regions.names[:1])]
    if len(parts) != regions.shared:
        raise ValueError(
            "the regions were not found by what the photo shows, so they cannot be found in other "
            "photos; leave masks and --regions out, or give --regions none."
        )
    identity = identity_maps(regions.shared)
    strengths = torch.tensor(result.pair.strengths[: regions.shared])[:, None, None, None]
    return net_of(identity + strengths * (result.grade.maps.cpu() - identity), parts)
