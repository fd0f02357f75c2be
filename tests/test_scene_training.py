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
