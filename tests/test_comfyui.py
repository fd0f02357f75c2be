"""The nodes for ComfyUI, loaded and called as ComfyUI does, by their documented interface."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import pydpst
from pydpst.photos.resizing import resize

FOLDER = Path(__file__).parent.parent / "integrations" / "comfyui"
TYPES = {"IMAGE", "MASK", "STRING", "INT", "FLOAT"}


@pytest.fixture(scope="module")
def nodes() -> Iterator[dict[str, Any]]:
    """NODE_CLASS_MAPPINGS, of a package whose name is a path, as ComfyUI has it."""
    name = str(FOLDER).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, FOLDER / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    assert module.NODE_DISPLAY_NAME_MAPPINGS.keys() == module.NODE_CLASS_MAPPINGS.keys()
    yield module.NODE_CLASS_MAPPINGS
    del sys.modules[name]


def call(node: type, **given: Any) -> tuple[Any, ...]:
    """Runs a node with its defaults for what is not given; inference mode, as ComfyUI has it."""
    inputs = node.INPUT_TYPES()  # type: ignore[attr-defined]
    defaults = {
        name: what[1]["default"]
        for name, what in inputs["required"].items()
        if len(what) > 1 and "default" in what[1]
    }
    assert given.keys() <= {**inputs["required"], **inputs.get("optional", {})}.keys()
    with torch.inference_mode():
        out: tuple[Any, ...] = getattr(node(), node.FUNCTION)(**{**defaults, **given})  # type: ignore[attr-defined]
    assert len(out) == len(node.RETURN_TYPES)  # type: ignore[attr-defined]
    return out


def image(path: Path) -> Tensor:
    """As ComfyUI's Load Image gives it."""
    return resize(pydpst.load_image(path), 96).movedim(0, -1)[None].contiguous()


@pytest.fixture(scope="module")
def day(city_day: Path) -> Tensor:
    return image(city_day)


@pytest.fixture(scope="module")
def night(city_night: Path) -> Tensor:
    return image(city_night)


def photo(images: Tensor) -> Tensor:
    return images[0].movedim(-1, 0)


def is_image(out: Tensor, like: Tensor) -> bool:
    assert out.dtype == torch.float32
    assert out.is_contiguous()
    assert 0 <= out.min() <= out.max() <= 1
    return out.shape == (*like.shape[:3], 3)


def test_nodes_say_what_they_take_and_give(nodes: dict[str, Any]) -> None:
    for node in nodes.values():
        assert isinstance(node.CATEGORY, str)
        assert callable(getattr(node, node.FUNCTION))
        assert set(node.RETURN_TYPES) <= TYPES
        inputs = node.INPUT_TYPES()
        for kind, *options in (*inputs["required"].values(), *inputs.get("optional", {}).values()):
            assert kind in TYPES if isinstance(kind, str) else all(isinstance(x, str) for x in kind)
            assert all(isinstance(option, dict) for option in options)


def test_apply_gives_each_photo_what_pydpst_gives(nodes: dict[str, Any], day: Tensor) -> None:
    both = torch.cat([day, day.flip(2)])
    (out,) = call(nodes["PydpstApply"], image=both, model="dusk")
    assert is_image(out, both)
    want = pydpst.apply_model("dusk", photo(day))
    torch.testing.assert_close(photo(out), want.cpu())
    assert not torch.equal(out[0], out[1])


def test_match_gives_what_pydpst_gives(nodes: dict[str, Any], day: Tensor, night: Tensor) -> None:
    (out,) = call(nodes["PydpstMatch"], image=day, style=night)
    assert is_image(out, day)
    torch.testing.assert_close(photo(out), pydpst.match(photo(day), photo(night)).image)


def test_stylize_takes_the_label_maps_that_segment_gives(
    nodes: dict[str, Any], day: Tensor, night: Tensor
) -> None:
    content, style, masks, names = call(nodes["PydpstSegment"], image=day, style=night)
    assert is_image(content, day)
    assert is_image(style, night)
    assert masks.shape == (len(names.splitlines()), *day.shape[1:3])
    assert torch.equal(masks.sum(0), torch.ones(day.shape[1:3]))
    given = {"image": day, "style": night, "size": 64}
    maps = {"image_regions": content, "style_regions": style}
    (out,) = call(nodes["PydpstStylize"], **given, **maps)
    assert is_image(out, day)
    want = pydpst.stylize(
        photo(day), photo(night), content_mask=photo(content), style_mask=photo(style), size=64
    )
    torch.testing.assert_close(photo(out), want.image)


def test_opacity_is_left_out(nodes: dict[str, Any], day: Tensor) -> None:
    (want,) = call(nodes["PydpstApply"], image=day, model="dusk")
    with_opacity = torch.cat([day, torch.rand(*day.shape[:3], 1)], dim=3)
    (out,) = call(nodes["PydpstApply"], image=with_opacity, model="dusk")
    assert torch.equal(out, want)


def test_styles_that_do_not_go_with_the_photos_are_refused(
    nodes: dict[str, Any], day: Tensor, night: Tensor
) -> None:
    with pytest.raises(ValueError, match="there are 3 photos and 2 styles"):
        call(nodes["PydpstMatch"], image=day.expand(3, -1, -1, -1), style=night.repeat(2, 1, 1, 1))
    with pytest.raises(ValueError, match="give image_regions and style_regions"):
        call(nodes["PydpstStylize"], image=day, style=night, image_regions=day)
