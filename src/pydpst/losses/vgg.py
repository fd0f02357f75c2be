"""Features of the VGG networks (Simonyan and Zisserman 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

_WEIGHTS = Path(__file__).parent.parent / "weights"
_VGG19_URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"

# The number of convolutions in each block, up to conv5_1.
_BLOCKS = {"vgg16": (2, 2, 3, 3, 1), "vgg19": (2, 2, 4, 4, 1)}


def _conv_names(network: str) -> list[str]:
    return [
        f"conv{block}_{number}"
        for block, count in enumerate(_BLOCKS[network], start=1)
        for number in range(1, count + 1)
    ]


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 faster than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False


class VGGFeatures(nn.Module):
    """Activations of chosen convolutions, after their ReLU, as in Gatys et al. 2016.

    Deviation: conv1_1 continues the image at its border instead of padding it with the mean, which
    would let an optimised image grow a frame.

    ``vgg16`` is bundled: the Oxford weights. ``vgg19`` is torchvision's file, fetched into torch's
    hub cache on first use. Weights are frozen.

    Args:
        layers: names from conv1_1 to conv5_1.
        network: ``vgg16`` or ``vgg19``.
        dtype: of the convolutions and the features; bfloat16 where `has_fast_bfloat16`, for one.

    Raises:
        ValueError: for a network or a layer that is not there.
    """

    mean: Tensor

    def __init__(
        self,
        layers: Sequence[str],
        network: str = "vgg16",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if network not in _BLOCKS:
            raise ValueError(f"the network is {network!r}; it must be one of {list(_BLOCKS)}.")
        names = _conv_names(network)
        for layer in layers:
            if layer not in names:
                raise ValueError(f"{network} has no layer {layer!r}; it has {', '.join(names)}.")
        self.layers = tuple(dict.fromkeys(layers))
        # Nothing after the last layer asked for needs to be computed.
        self.names = names[: 1 + max(names.index(layer) for layer in self.layers)]
        weights = _load_vgg16() if network == "vgg16" else _load_vgg19(names)
        self.register_buffer("mean", weights["mean"].view(1, 3, 1, 1), persistent=False)
        for name in self.names:
            weight = weights[f"{name}.weight"].to(dtype, memory_format=torch.channels_last)
            self.register_buffer(f"{name}_weight", weight, persistent=False)
            self.register_buffer(
                f"{name}_bias", weights[f"{name}.bias"].to(dtype), persistent=False
            )

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """The features of an image.

        Args:
            image: (B, 3, H, W), RGB in [0, 1], at least 16 pixels a side.

        Returns:
            For each layer (B, C, H / 2ᵏ, W / 2ᵏ), k = 0 … 4 for conv1 … conv5.
        """
        features: dict[str, Tensor] = {}
        x = F.pad(image - self.mean, (1, 1, 1, 1), mode="replicate")
        x = x.to(self.get_buffer("conv1_1_weight").dtype, memory_format=torch.channels_last)
        for name in self.names:
            if name.endswith("_1") and name != "conv1_1":
                x = F.max_pool2d(x, 2)
            weight, bias = self.get_buffer(f"{name}_weight"), self.get_buffer(f"{name}_bias")
            x = F.relu(F.conv2d(x, weight, bias, padding=int(name != "conv1_1")), inplace=True)
            if name in self.layers:
                features[name] = x
        return features


def _load_vgg16() -> dict[str, Tensor]:
    """The Oxford weights, for RGB in [0, 1] less the mean; they want BGR in [0, 255]."""
    weights = {k: v.float() for k, v in load_file(_WEIGHTS / "vgg16.safetensors").items()}
    weights["conv1_1.weight"] = weights["conv1_1.weight"].flip(1) * 255
    weights["mean"] = torch.tensor([123.68, 116.779, 103.939]) / 255
    return weights


def _load_vgg19(names: Sequence[str]) -> dict[str, Tensor]:
    """Torchvision's weights, for RGB in [0, 1] less the mean; they want it scaled, too."""
    state = torch.hub.load_state_dict_from_url(
        _VGG19_URL, map_location="cpu", check_hash=True, weights_only=True
    )
    # torchvision numbers all modules in a row: a convolution and its ReLU, and a pool a block.
    weights: dict[str, Tensor] = {}
    for number, name in enumerate(names):
        index = 2 * number + int(name[4]) - 1
        weights[f"{name}.weight"] = state[f"features.{index}.weight"]
        weights[f"{name}.bias"] = state[f"features.{index}.bias"]
    scale = torch.tensor([0.229, 0.224, 0.225])
    weights["conv1_1.weight"] = weights["conv1_1.weight"] / scale.view(1, 3, 1, 1)
    weights["mean"] = torch.tensor([0.485, 0.456, 0.406])
    return weights
