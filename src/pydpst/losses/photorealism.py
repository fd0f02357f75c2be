"""The photorealism loss (Luan et al. 2017)."""

from __future__ import annotations

from torch import Tensor

from pydpst.matting.laplacian import MattingLaplacian


class PhotorealismLoss:
    """pᵀL p a pixel: how far an image is from a local recolouring of the content.

    Luan et al. 2017, eq. 4. Deviation: eps is 1e-4 and not 1e-7, which lets the noise of a flat
    wall or sky be stretched into texture at no cost; this eps charges for steep slopes.

    Args:
        content: (3, H, W) in [0, 1].
    """

    def __init__(self, content: Tensor) -> None:
        self.laplacian = MattingLaplacian(content, eps=1e-4)

    def __call__(self, image: Tensor) -> Tensor:
        """The loss of an image (3, H, W), a scalar."""
        return self.laplacian.energy(image) / image[0].numel()
