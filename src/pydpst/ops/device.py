"""Where to compute."""

from __future__ import annotations

import torch

from pydpst.ops.library import build_info


def choose_device(device: str | torch.device | None) -> torch.device:
    """The device named; None is the GPU if there is one and the kernels were built for it.

    Raises:
        ValueError: for a device that is not there or that the kernels were not built for.
    """
    has_kernels = build_info["cuda"] is not None
    if device is None:
        return torch.device("cuda" if has_kernels and torch.cuda.is_available() else "cpu")
    try:
        target = torch.device(device)
    except RuntimeError:
        raise ValueError(f"the device is {device!r}; it must be cpu, cuda or cuda:N.") from None
    if target.type not in ("cpu", "cuda"):
        raise ValueError(f"the device is {device}; it must be cpu, cuda or cuda:N.")
    if target.type == "cuda":
        count = torch.cuda.device_count()
        if count == 0:
            raise ValueError(f"the device is {device}, but torch finds no GPU here; use cpu.")
        if (target.index or 0) >= count:
            raise ValueError(f"the device is {device}, but the last GPU here is cuda:{count - 1}.")
        if not has_kernels:
            raise ValueError(
                f"the device is {device}, but pydpst was built without CUDA; use cpu, or install "
                "it again with PYDPST_CUDA=1."
            )
    return target
