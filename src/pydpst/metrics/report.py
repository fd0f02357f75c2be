"""An evaluation as rows of text, and as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

import torch
from PIL import ImageColor
from torch import Tensor

from pydpst.metrics.evaluation import Evaluation
from pydpst.metrics.style import STYLE_LAYERS
from pydpst.photos.image import encode_image
from pydpst.photos.resizing import resize
from pydpst.regions.mask_colors import SCENE_COLORS

# Pixels of the longer side of the pictures in a report.
_SHOWN_SIZE = 960

# The heat map's colours, dark to light, at equal steps between these powers of ten.
_HEAT = ("#000004", "#3b0f70", "#8c2981", "#de4968", "#fe9f6d", "#fcfdbf")
_HEAT_DECADES = (-6, -1)


class Measure(NamedTuple):
    """One measure, in words.

    Attributes:
        name: what it is called.
        value: of the result, as text.
        reading: what its values mean, in a few words.
        meaning: what it is and whose, in a sentence.
    """

    name: str
    value: str
    reading: str
    meaning: str


def measures(evaluation: Evaluation) -> list[Measure]:
    """The measures of a result, in the order in which they are shown."""
    return [
        Measure(
            "style distance",
            f"{evaluation.style.total:.3f}",
            "0 the style, 1 the content",
            "How far the Gram matrices of the result's VGG-16 features (conv1_1 … conv5_1, region "
            "by region) are from the style's, divided by how far the untouched content's are "
            "(Gatys et al. 2016; Luan et al. 2017).",
        ),
        Measure(
            "colour distance",
            f"{evaluation.color.total:.3f}",
            "0 the style, 1 the content",
            "The sliced Wasserstein distance between the colours of result and style in CIE "
            "L*a*b*, region by region, divided by that between content and style (Rabin et al. "
            "2011; Bonneel et al. 2015).",
        ),
        Measure(
            "edge SSIM",
            f"{evaluation.edge_ssim:.3f}",
            "1 all edges kept",
            "The structural similarity of the Sobel edges of result and content (Wang et al. 2004; "
            "Yoo et al. 2019).",
        ),
        Measure(
            "flat",
            f"{evaluation.flat:.3f}",
            "1 as flat as it was",
            "How much more gradient the content's flat areas gained than its edges did, in CIE "
            "L*a*b*, at 2 and 6 pixels: contours, specks, halos and invented texture raise it.",
        ),
        Measure(
            "photorealism residual × 1000",
            f"{1000 * evaluation.residual:.3f}",
            "0 a local recolouring",
            "The energy pᵀLp a pixel of the result p under the content's matting Laplacian L: what "
            "no affine map of the content's colours in 3×3 windows explains (Levin et al. 2008; "
            "Luan et al. 2017).",
        ),
        Measure(
            "rating",
            f"{evaluation.rating:.2f}",
            f"1 to 10; the content {evaluation.content_rating:.2f}",
            "How people would rate the photo, by a head over VGG-16's features that has learned it "
            "from a network (Talebi and Milanfar 2018): it knows faults better than beauty.",
        ),
    ]


REGION_COLUMNS = ("region", "area", *STYLE_LAYERS, "style", "colour")


def region_rows(
    evaluation: Evaluation, names: Sequence[str], areas: Sequence[float]
) -> list[list[str]]:
    """Rows of REGION_COLUMNS: the whole photo, then each region; a dash where nothing is defined.

    Args:
        evaluation: of the result.
        names: of the regions.
        areas: their shares of the content, in [0, 1].
    """
    style, color = evaluation.style, evaluation.color
    rows: list[tuple[str, float, Iterable[float], float, float]] = [
        ("all", sum(areas), style.layers.values(), style.total, color.total)
    ]
    if len(names) > 1:
        for name, area, layers, distance in zip(
            names, areas, style.regions, color.regions, strict=True
        ):
            mean = sum(layers.values()) / len(layers)
            rows.append((name, area, layers.values(), mean, distance))
    return [
        [name, f"{100 * area:.1f} %", *(_number(value) for value in (*layers, mean, distance))]
        for name, area, layers, mean, distance in rows
    ]


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < float("inf") else "–"


def html_report(
    title: str,
    photos: dict[str, Tensor],
    heat: Tensor,
    masks: dict[str, Tensor],
    names: Sequence[str],
    evaluation: Evaluation,
) -> str:
    """The evaluation of a result as a page, with its pictures in it.

    Args:
        title: of the page.
        photos: by caption, each (3, H, W) in [0, 1]: content, style and result among them.
        heat: the residual of each pixel (H, W), not negative.
        masks: the regions (R, H, W) of some of the photos, by their captions.
        names: of the regions.
        evaluation: of the result.
    """
    areas = next(iter(masks.values())).mean((1, 2)).tolist() if masks else [1.0]
    pictures = [_figure(photo, caption) for caption, photo in photos.items()]
    low, high = _HEAT_DECADES
    scale = f"linear-gradient(to right, {', '.join(_HEAT)})"
    pictures.append(
        _figure(
            heat_picture(heat),
            "where the result stops being a local recolouring of the content: the photorealism "
            f"residual of each pixel; their mean is {heat.mean().item():.3g}",
            f'<span class="scale" style="background:{scale}"></span>'
            f'<span class="ends"><span>10<sup>{low}</sup> or less</span>'
            f"<span>10<sup>{high}</sup> or more</span></span>",
        )
    )
    legend = " ".join(
        f'<span class="region"><i style="background:{_hex(color)}"></i>{escape(name)}</span>'
        for name, color in zip(names, region_colors(names), strict=True)
    )
    for caption, photo in photos.items():
        if caption in masks:
            overlay = overlay_regions(photo, masks[caption], names)
            pictures.append(_figure(overlay, f"regions of the {caption}", legend))
    summary = [
        (escape(m.name), m.value, escape(m.reading), escape(m.meaning))
        for m in measures(evaluation)
    ]
    regions = [[escape(cell) for cell in row] for row in region_rows(evaluation, names, areas)]
    return _PAGE.format(
        title=escape(title),
        summary=_table(("measure", "result", "reads", "meaning"), summary),
        pictures="\n".join(pictures),
        regions=_table(REGION_COLUMNS, regions),
    )


def heat_picture(heat: Tensor) -> Tensor:
    """A map (H, W) of positive values as colours (3, H, W), on one logarithmic scale for all."""
    low, high = _HEAT_DECADES
    stops = torch.tensor([ImageColor.getrgb(color) for color in _HEAT]).float() / 255
    place = (heat.cpu().float().clamp_min(1e-30).log10() - low) / (high - low)
    place = place.clamp(0, 1) * (len(stops) - 1)
    below = place.long().clamp_max(len(stops) - 2)
    part = (place - below)[..., None]
    return (stops[below] * (1 - part) + stops[below + 1] * part).permute(2, 0, 1)


def region_colors(names: Sequence[str]) -> list[tuple[int, ...]]:
    """The colours that regions are named after; hues around the circle where they are not."""
    colors: list[tuple[int, ...]] = []
    for number, name in enumerate(names):
        try:
            color = SCENE_COLORS.get(name) or ImageColor.getrgb(name)
        except ValueError:
            color = ImageColor.getrgb(f"hsl({360 * number // len(names)}, 70%, 50%)")
        colors.append(color[:3])
    return colors


def overlay_regions(photo: Tensor, masks: Tensor, names: Sequence[str]) -> Tensor:
    """A photo (3, H, W), its regions (R, H, W) grey and tinted in `region_colors`.

    Where regions overlap, soft or because they are styled after one place, their colours mix.
    """
    masks = masks / masks.sum(0).clamp_min(1)
    colors = torch.tensor(region_colors(names)).to(photo) / 255
    tint = torch.einsum("rhw,rc->chw", masks, colors)
    covered = masks.sum(0)
    return 0.5 * (photo.mean(0) * covered + tint) + photo * (1 - covered)


def _hex(color: tuple[int, ...]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def _figure(image: Tensor, caption: str, more: str = "") -> str:
    """A picture with its caption; `more`, which follows it, is HTML already."""
    data = base64.b64encode(encode_image(resize(image, _SHOWN_SIZE), ".jpg")).decode()
    return (
        f'<figure><img alt="{escape(caption)}" src="data:image/jpeg;base64,{data}">'
        f"<figcaption>{escape(caption)}{more}</figcaption></figure>"
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Of cells that are HTML already."""
    head = "".join(f"<th>{cell}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>\n" for row in rows)
    return (
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 80rem; margin: 2rem auto;
  padding: 0 1rem }}
h1 {{ font-size: 1.4rem; overflow-wrap: anywhere }}
h2 {{ font-size: 1.1rem; margin-top: 2rem }}
.pictures {{
  display: grid; gap: 1.5rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr))
}}
figure {{ margin: 0 }}
img {{ display: block; width: 100% }}
figcaption {{ font-size: .9rem; margin-top: .3rem; overflow-wrap: anywhere }}
.wide {{ overflow-x: auto }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
th, td {{ border-bottom: 1px solid #8886; padding: .3rem .8rem .3rem 0; text-align: left;
  vertical-align: top }}
.scale {{ display: block; height: .8rem; margin-top: .3rem }}
.ends {{ display: flex; justify-content: space-between }}
.region {{ white-space: nowrap; margin-left: .6rem }}
.region i {{ display: inline-block; width: .8em; height: .8em; margin-right: .3em;
  border: 1px solid #888 }}
</style>
</head>
<body>
<h1>{title}</h1>
{summary}
<h2>Pictures</h2>
<div class="pictures">
{pictures}
</div>
<h2>Distances to the style, by region</h2>
<p>Of the features of each layer, of all layers together (style), and of the colours; relative to
the untouched content's own: 0 is the style, 1 the content. A dash stands where content and style do
not differ.</p>
{regions}
</body>
</html>
"""
