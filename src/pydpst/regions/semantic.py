"""Semantic segmentation by any such network of the transformers library."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def classes(photos: list[Tensor], model: str) -> list[Tensor]:
    """What each pixel shows, by a network's classes.

    Args:
        photos: (3, H, W) in [0, 1].
        model: a name on the Hugging Face hub or a local folder, of a semantic or universal
            segmentation model with its image processor, such as SegFormer, BEiT, DPT or
            Mask2Former. Its weights must be safetensors.

    Returns:
        For each photo (H, W), int64.

    Raises:
        ValueError: for a model that cannot be loaded.
        ImportError: if the transformers library is not installed.
    """
    try:
        from transformers import (
            AutoConfig,
            AutoImageProcessor,
            AutoModelForSemanticSegmentation,
            AutoModelForUniversalSegmentation,
        )
    except ImportError:
        raise ImportError(
            "a segmentation model needs the transformers library: "
            "pip install 'pydpst[segmentation]'."
        ) from None
    try:
        processor = AutoImageProcessor.from_pretrained(model)  # type: ignore[no-untyped-call]
        config = AutoConfig.from_pretrained(model)
        universal = type(config) in AutoModelForUniversalSegmentation._model_mapping
        kind = AutoModelForUniversalSegmentation if universal else AutoModelForSemanticSegmentation
        network = kind.from_pretrained(model, config=config, use_safetensors=True).eval()
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise ValueError(f"the segmentation model {model} cannot be loaded: {first}") from None
    device = photos[0].device
    network.to(device)
    found = []
    for photo in photos:
        array = (photo * 255).round().to(torch.uint8).cpu().numpy()
        inputs = processor(images=array, return_tensors="pt", input_data_format="channels_first")
        outputs = network(**inputs.to(device))
        size = tuple(photo.shape[-2:])
        labels = processor.post_process_semantic_segmentation(outputs, target_sizes=[size])[0]
        found.append(labels.long().cpu())
    return found
