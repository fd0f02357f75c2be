"""What happens to an optimised image last: smoothing, brightness, strength."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pydpst.matting.guided import apply_affine, local_affine
from pydpst.photos.color_spaces import luma


def check_strength(strength: float, most: float = 1) -> None:
    """Refuses a strength that is no number from 0 to the most that makes sense.

    Raises:
        ValueError: for such a strength.
    """
    if not 0 <= strength <= most:  # nor NaN
        raise ValueError(f"strength is {strength}; it must be a number from 0 to {most}.")


def smoothed(content: Tensor, result: Tensor) -> Tensor:
    """The local recolouring of the content that is nearest to the result.

    The last step of Luan et al. 2017 (section 4: an edge-preserving filter guided by the content):
    in each window the affine map from the content's colours to the result's, by least squares (He,
    Sun and Tang 2013). It takes away what is no recolouring, such as noise and invented texture.

    Args:
        content: (3, H, W) in [0, 1].
        result: (3, H, W), likewise.

    Returns:
        (3, H, W), likewise.
    """
    return apply_affine(local_affine(content, result, radius=2, eps=1e-5), content).clamp(0, 1)


def with_luminance_of(content: Tensor, result: Tensor) -> Tensor:
    """The result's colours at the content's brightness (Gatys et al. 2017, section 5.2).

    Luma is that of ITU-R BT.601. Deviation: where a colour of that brightness is out of range, it
    becomes greyer and not darker or lighter, so that the luma is exact.

    Args:
        content: (3, H, W) in [0, 1].
        result: (3, H, W), likewise.

    Returns:
        (3, H, W), likewise.
    """
    brightness = luma(content)[None]
    chroma = result - luma(result)[None]
    # How far chroma can go from grey until a channel reaches 0 or 1.
    room = torch.where(chroma > 0, 1 - brightness, brightness) / chroma.abs().clamp_min(1e-9)
    return (brightness + chroma * room.amin(0, keepdim=True).clamp_max(1)).clamp(0, 1)


def blended(content: Tensor, result: Tensor, masks: Tensor, strengths: Sequence[float]) -> Tensor:
    """Mixes content and result, region by region.

    Args:
        content: (3, H, W) in [0, 1].
        result: (3, H, W), likewise.
        masks: (R, H, W), soft, in [0, 1], summing to 1.
        strengths: for each region from 0, the content, to 1, the result. At 0, pixels that belong
            to the region more than to all others are the content's to the last bit.

    Returns:
        (3, H, W), likewise.
    """
    if all(strength == 1 for strength in strengths):
        return result
    return mixed(content, result, shares(masks, strengths))


def shares(masks: Tensor, strengths: Sequence[float]) -> Tensor:
    """How strong the change is at each pixel, and how much of the pixel belongs to strength 0.

    Args:
        masks: as for `blended`.
        strengths: likewise.

    Returns:
        (2, H, W) in [0, 1].
    """
    weights = masks.new_tensor(list(strengths))
    return torch.stack([torch.einsum("r,rhw->hw", weights, masks), masks[weights == 0].sum(0)])


def mixed(content: Tensor, result: Tensor, shares: Tensor) -> Tensor:
    """Mixes content and result (3, H, W) by the shares (2, H, W) that `shares` gives."""
    # Untouched up to its border, from where the change sets in.
    share = shares[0] * (1 - 2 * shares[1]).clamp(0, 1)
    return torch.where(share > 0, content + share * (result - content), content)


def strengths_of(
    names: Sequence[str], strength: float | Mapping[str, float], lock: Sequence[str]
) -> list[float]:
    """The strength of each region: 0 for locked ones, and 1 for those that a mapping leaves out.

    Raises:
        ValueError: for a region that is not there.
    """
    by_name = dict(strength) if isinstance(strength, Mapping) else dict.fromkeys(names, strength)
    for name in [*by_name, *lock]:
        if name not in names:
            raise ValueError(f"there is no region {name!r}; the content has {', '.join(names)}.")
    return [0.0 if name in lock else by_name.get(name, 1.0) for name in names]
