"""Six looks written by hand, as photographers know them; not made as those of the training."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from skimage.color import hsv2rgb, lab2rgb, rgb2hsv, rgb2lab

Pixels = NDArray[np.float64]


def curve(values: Pixels, points: list[tuple[float, float]]) -> Pixels:
    """A tone curve through points, smooth between them."""
    x, y = np.array(points).T
    grid = np.linspace(0, 1, 256)
    bent = np.interp(grid, x, y)
    smooth = np.convolve(np.pad(bent, 12, mode="reflect", reflect_type="odd"), np.ones(25) / 25)
    return np.interp(values, grid, smooth[24:-24])


def teal_and_orange(photo: Pixels) -> Pixels:
    lab = rgb2lab(curve(photo, [(0, 0), (0.25, 0.2), (0.75, 0.82), (1, 1)]))
    light = lab[..., :1] / 100
    lab[..., 1:] = 1.1 * lab[..., 1:] + (1 - light) ** 2 * [-9, -12] + light**2 * [7, 14]
    return lab2rgb(lab)


def faded_film(photo: Pixels) -> Pixels:
    hsv = rgb2hsv(photo)
    hsv[..., 1] *= 0.65
    faded = curve(hsv2rgb(hsv), [(0, 0.12), (0.5, 0.52), (1, 0.92)])
    return faded * [1.03, 1.0, 0.9]


def bleach_bypass(photo: Pixels) -> Pixels:
    grey = (photo @ [0.3, 0.59, 0.11])[..., None]
    silver = np.where(grey < 0.5, 2 * photo * grey, 1 - 2 * (1 - photo) * (1 - grey))
    return 0.6 * silver + 0.25 * grey + 0.15 * photo


def moonlight(photo: Pixels) -> Pixels:
    linear = np.clip(photo, 0, 1) ** 2.2 * 0.6 * [0.62, 0.86, 1.35]
    grey = linear.mean(2, keepdims=True)
    return np.clip(0.6 * linear + 0.4 * grey * [0.75, 0.95, 1.3], 0, 1) ** (1 / 2.2)


def golden_hour(photo: Pixels) -> Pixels:
    hsv = rgb2hsv(np.clip(photo**2.2 * [1.35, 1.05, 0.68], 0, 1) ** (1 / 2.2))
    hsv[..., 1] = np.clip(hsv[..., 1] * 1.15, 0, 1)
    return curve(hsv2rgb(hsv), [(0, 0.02), (0.4, 0.45), (1, 1)])


def a_little_cooler(photo: Pixels) -> Pixels:
    lab = rgb2lab(photo)
    lab[..., 0] = 100 * curve(lab[..., 0] / 100, [(0, 0), (0.5, 0.53), (1, 1)])
    lab[..., 2] -= 3
    return lab2rgb(lab)


LOOKS: dict[str, Callable[[Pixels], Pixels]] = {
    look.__name__: look
    for look in (
        teal_and_orange,
        faded_film,
        bleach_bypass,
        moonlight,
        golden_hour,
        a_little_cooler,
    )
}
