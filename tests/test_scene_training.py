"""What the scene head is trained on: light pushed, windows cut, labels grouped."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pydpst.regions.scene import GROUPS


@pytest.fixture(autouse=True)
def _tools(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "tools"))
    yield
    for name in ("pushed_light", "scene_data", "scene_measures"):
        sys.modules.pop(name, None)


def test_pushed_light_is_a_photo_and_repeats() -> None:
    from pushed_light import pushed

    photo = torch.rand(3, 40, 60, generator=torch.Generator().manual_seed(0))
    for seed in range(30):
        image = pushed(photo, np.random.default_rng(seed))
        assert image.shape == photo.shape
        assert image.isfinite().all()
        assert image.min() >= 0
        assert image.max() <= 1
        assert torch.equal(image, pushed(photo, np.random.default_rng(seed)))


def test_photo_and_labels_are_cut_alike() -> None:
    from scene_data import SHAPES, cut, cut_map, some_window

    ramps = torch.stack(
        [
            torch.linspace(0, 1, 300).expand(200, -1),
            torch.linspace(0, 1, 200)[:, None].expand(-1, 300),
            torch.zeros(200, 300),
        ]
    )
    for seed in range(10):
        window, shape = some_window(200, 300, SHAPES, np.random.default_rng(seed))
        size = tuple(side // 8 for side in shape)
        difference = cut(ramps, window, size) - cut_map(ramps, window, size)
        assert difference.abs().max() < 0.03


def test_targets_are_probabilities_and_windows_go_with_houses() -> None:
    from scene_data import KINDS, grouped

    kinds = list(KINDS)
    labels = torch.zeros(32, 8, 8)
    labels[kinds.index("sky"), :4] = 250
    labels[kinds.index("building"), 4:] = 200
    labels[kinds.index("window"), 6:, 6:] = 400
    alpha = torch.zeros(8, 8)
    alpha[:4] = 1
    target = grouped(labels, alpha)
    torch.testing.assert_close(target.sum(0), torch.ones(8, 8))
    assert (target.argmax(0)[:4] == GROUPS.index("sky")).all()
    assert (target.argmax(0)[4:] == GROUPS.index("building")).all()


def test_the_sky_network_is_asked_where_labels_see_sky_and_are_unsure(tmp_path: Path) -> None:
    from scene_data import KINDS, load_skies

    kinds = list(KINDS)
    labels = np.zeros((64, 64, 32), np.uint8)
    labels[:20, :, kinds.index("sky")] = 250
    labels[20:22, :, kinds.index("sky")] = labels[20:22, :, kinds.index("tree")] = 125
    labels[22:, :, kinds.index("wall")] = 250
    alpha = np.full((192, 192), 255, np.uint8)
    alpha[20:40], alpha[60:63] = 0, 0  # a cloud that it misses, and a branch
    np.savez(tmp_path / "labels.npz", **{"0001": labels})
    np.savez(tmp_path / "sky.npz", **{"0001": alpha})
    (opacity,) = load_skies(tmp_path).values()
    assert opacity[:56].min() > 0.99
    assert opacity[60:63].max() < 0.01
    assert opacity[80:].max() < 0.01  # a white wall


def test_floors_go_with_rooms_and_with_streets() -> None:
    from scene_data import KINDS, grouped

    kinds = list(KINDS)
    for around, group in (("wall", "interior"), ("building", "ground")):
        labels = torch.zeros(32, 8, 8)
        labels[kinds.index(around), :4] = 250
        labels[kinds.index("floor"), 4:] = 250
        target = grouped(labels, torch.zeros(8, 8))
        assert (target.argmax(0)[4:] == GROUPS.index(group)).all()


def test_agreement_counts_cells() -> None:
    from scene_measures import Agreement

    wanted = torch.zeros(len(GROUPS), 2, 4)
    wanted[0], wanted[1, :, 2:] = 1, 1
    wanted[0, :, 2:] = 0
    found = torch.zeros_like(wanted)
    found[0] = 1
    agreement = Agreement()
    agreement.add(found, wanted)
    assert agreement.ious()[:2] == [0.5, 0]
    assert agreement.line().startswith("agreement 0.500, where certain 0.500")
