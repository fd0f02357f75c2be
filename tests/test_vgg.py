"""The bundled VGG-16 is the original, and features come out as documented."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from pydpst.losses.bundled import weights_file
from pydpst.losses.vgg import VGGFeatures


def test_the_bundled_weights_are_the_original() -> None:
    network = VGGFeatures(["conv1_1"])
    weight, bias = network.get_buffer("conv1_1_weight"), network.get_buffer("conv1_1_bias")
    # Published values, for blue in 0 to 255; stored in float16.
    blue = weight[0, 2, 0] / 255
    torch.testing.assert_close(
        blue, torch.tensor([0.42947057, 0.373467, -0.06136011]), rtol=1e-3, atol=0
    )
    first = torch.tensor([0.73429835, 0.09340367, 0.06775674, 0.8862966])
    torch.testing.assert_close(bias[:4], first, rtol=1e-3, atol=0)


def test_features_are_those_of_the_definition() -> None:
    image = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    network = VGGFeatures(["conv1_1", "conv2_1"])
    features = network(image)
    # BGR, 0 to 255, less the mean, through the weights as stored.
    stored = load_file(weights_file("vgg16"))
    mean = torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    x = image.flip(1) * 255 - mean
    x = torch.nn.functional.pad(x, (1, 1, 1, 1), mode="replicate")
    for name in ("conv1_1", "conv1_2", "conv2_1"):
        weight, bias = stored[f"{name}.weight"].float(), stored[f"{name}.bias"].float()
        x = torch.relu(torch.conv2d(x, weight, bias, padding=int(name != "conv1_1")))
        if name == "conv1_1":
            torch.testing.assert_close(features["conv1_1"], x, rtol=1e-4, atol=1e-3)
        if name == "conv1_2":
            x = torch.max_pool2d(x, 2)
    torch.testing.assert_close(features["conv2_1"], x, rtol=1e-4, atol=1e-2)


def test_bfloat16_is_close_to_float32() -> None:
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    exact = VGGFeatures(["conv5_1"])(image)["conv5_1"]
    rounded = VGGFeatures(["conv5_1"], dtype=torch.bfloat16)(image)["conv5_1"].float()
    assert (exact - rounded).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize(
    "layer",
    ["conv6_1", "conv3_4"],
)
def test_what_is_not_there_is_named(layer: str) -> None:
    with pytest.raises(ValueError, match=layer):
        VGGFeatures([layer])
