"""The kernels as torch operators."""

from pydpst.ops.affine_maps import affine_maps_apply
from pydpst.ops.device import choose_device
from pydpst.ops.ellpack import ellpack_matvec
from pydpst.ops.grade import grade_apply, knot_weights
from pydpst.ops.library import build_info
from pydpst.ops.matting import (
    matting_diagonal,
    matting_free_matvec,
    matting_image_gradient,
    matting_matvec,
    matting_whitening,
)
from pydpst.ops.slicing import bilateral_slice_apply, bilateral_slice_apply_backward

__all__ = [
    "affine_maps_apply",
    "bilateral_slice_apply",
    "bilateral_slice_apply_backward",
    "build_info",
    "choose_device",
    "ellpack_matvec",
    "grade_apply",
    "knot_weights",
    "matting_diagonal",
    "matting_free_matvec",
    "matting_image_gradient",
    "matting_matvec",
    "matting_whitening",
]
