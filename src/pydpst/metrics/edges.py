"""How much of the content's edges a result keeps."""

from __future__ import annotations

from torch import Tensor

from pydpst.losses.edges import edge_similarity
from pydpst.metrics.comparison import check_same_size


def edge_ssim(result: Tensor, content: Tensor) -> float:
    """The SSIM of the edge maps of result and content; 1 is the same edges.

    This is what feed-forward networks are trained with (`losses.edges.edge_similarity`): for them
    it is no independent measure.

    Args:
        result: (3, H, W) in [0, 1], at least 11 pixels a side.
        content: (3, H, W), likewise.

    Raises:
        ValueError: if the shapes do not agree.
    """
    check_same_size(result, content)
    return edge_similarity(result, content).item()
