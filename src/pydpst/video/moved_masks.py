"""Masks that move along with what a clip shows."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def moved_masks(masks: Tensor, before: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
    """Masks of a frame, moved to where they are in the next along the optical flow.

    The flow is found by DIS (Kroeger et al. 2016, "Fast Optical Flow using Dense Inverse Search").

    Args:
        masks: (R, h, w), of any size.
        before: (1, 3, H, W) in [0, 1], a small copy of the frame that they are of.
        now: likewise, of the next frame.

    Returns:
        (R, h, w), and (1, h, w), bool: what was in the frame before. What was not has the masks of
        the frame's nearest border.
    """
    room = np.zeros((*now.shape[-2:], 2), np.float32)
    dense = np.asarray(_search().calc(_grey(now), _grey(before), room))
    flow = torch.from_numpy(dense).permute(2, 0, 1)
    flow = F.interpolate(flow[None], masks.shape[-2:], mode="bilinear")[0].to(masks)
    places = torch.meshgrid(
        *(torch.linspace(-1, 1, n, device=masks.device) for n in masks.shape[-2:]), indexing="ij"
    )
    height, width = now.shape[-2:]
    moved = torch.stack(
        [places[1] + flow[0] * 2 / (width - 1), places[0] + flow[1] * 2 / (height - 1)], -1
    )
    found = F.grid_sample(
        masks[None], moved[None], mode="bilinear", padding_mode="border", align_corners=True
    )
    return found[0], (moved.abs() <= 1 + 1 / max(height, width)).all(-1)[None]


def _search() -> cv2.DISOpticalFlow:
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)


def _grey(copy: Tensor) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    grey: np.ndarray[tuple[int, int], np.dtype[np.uint8]] = (
        (copy[0].mean(0) * 255).round().clamp(0, 255).byte().cpu().numpy()
    )
    return grey
