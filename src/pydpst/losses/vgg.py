"""Features of VGG-16 (Simonyan and Zisserman 2014)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from pydpst.losses.bundled import weights_file

# The number of convolutions in each block, up to conv5_1.
_BLOCKS = (2, 2, 3, 3, 1)
_NAMES = tuple(
    f"conv{block}_{number}"
    for block, count in enumerate(_BLOCKS, start=1)
    for number in range(1, count + 1)
)


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 faster than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # oneDNN may be told to leave some of the processor unused; it then emulates bfloat16.
        allowed = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
        if allowed and not any(word in allowed for word in ("BF16", "FP16", "AMX", "ALL")):
            return False
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False


def quick_dtype(device: torch.device) -> torch.dtype:
    """In which features are computed where their last bits do not matter."""
    return torch.bfloat16 if has_fast_bfloat16(device) else torch.float32


class VGGFeatures(nn.Module):
    """Activations of chosen convolutions of VGG-16, after their ReLU, as in Gatys et al. 2016.

    The weights are the Oxford ones, bundled and frozen. Deviation: conv1_1 continues the image at
    its border instead of padding it with the mean, which would let an optimised image grow a frame.

    Args:
        layers: names from conv1_1 to conv5_1.
        dtype: of the convolutions and the features; `quick_dtype`, for one.

    Raises:
        ValueError: for a layer that is not there.
    """

    mean: Tensor

    @property
    def dtype(self) -> torch.dtype:
        """Of the convolutions."""
        return self.get_buffer("conv1_1_weight").dtype

    def __init__(self, layers: Sequence[str], dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        for layer in layers:
            if layer not in _NAMES:
                raise ValueError(f"VGG-16 has no layer {layer!r}; it has {', '.join(_NAMES)}.")
        self.layers = tuple(dict.fromkeys(layers))
        # Nothing after the last layer asked for needs to be computed.
        self.names = _NAMES[: 1 + max(_NAMES.index(layer) for layer in self.layers)]
        weights = _weights(dtype)
        self.register_buffer("mean", weights["mean"].view(1, 3, 1, 1), persistent=False)
        for name in self.names:
            for part in ("weight", "bias"):
                value = weights[f"{name}.{part}"]
                self.register_buffer(f"{name}_{part}", value, persistent=False)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """The features of an image.

        Args:
            image: (B, 3, H, W), RGB in [0, 1], at least 16 pixels a side.

        Returns:
            For each layer (B, C, H / 2ᵏ, W / 2ᵏ), k = 0 … 4 for conv1 … conv5.
        """
        features: dict[str, Tensor] = {}
        x = F.pad(image - self.mean, (1, 1, 1, 1), mode="replicate")
        x = x.to(self.dtype, memory_format=torch.channels_last)
        for name in self.names:
            if name.endswith("_1") and name != "conv1_1":
                x = F.max_pool2d(x, 2)
            weight, bias = self.get_buffer(f"{name}_weight"), self.get_buffer(f"{name}_bias")
            x = F.relu(F.conv2d(x, weight, bias, padding=int(name != "conv1_1")), inplace=True)
            if name in self.layers:
                features[name] = x
        return features


@lru_cache
def _weights(dtype: torch.dtype) -> dict[str, Tensor]:
    """The Oxford weights, for RGB in [0, 1] less the mean; they want BGR in [0, 255].

    Read once a process and type, and shared by all networks on the CPU.
    """
    weights = {name: value.float() for name, value in load_file(weights_file("vgg16")).items()}
    weights["conv1_1.weight"] = weights["conv1_1.weight"].flip(1) * 255
    for name, value in weights.items():
        layout = torch.channels_last if value.ndim == 4 else torch.contiguous_format
        weights[name] = value.to(dtype, memory_format=layout)
    weights["mean"] = torch.tensor([123.68, 116.779, 103.939]) / 255
    return weights
