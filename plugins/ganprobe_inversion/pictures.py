"""The figures of images: what was given, and what each method makes of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from ganprobe import COLOURS, ImageCell, draw_image_grid
from ganprobe_inversion.figures import label_of
from ganprobe_inversion.sentences import made, percent
from ganprobe_inversion.study import RECOVERED, Outcome, Study

_FRAME = COLOURS[2]
_TITLES = {"real": "Given images", "own": "The generator's own images"}


def draw_images(study: Study, kind: str) -> Figure:
    """A row for each image: given, nearest random, every method, and the difference of the best."""
    place = study.plan.targets.rows(kind)
    rows = list(range(place.start, place.stop))[: study.plan.params.n_shown]
    recovered = int(study.is_recovered(study.found)[place].sum())
    of = place.stop - place.start
    what = "latents" if study.plan.space.is_latent else f"points of {study.plan.params.space}"
    shown = f" ({len(rows)} of {of} shown)" if len(rows) < of else ""
    names = [study.plan.targets.names[row] for row in rows]
    return draw_image_grid(
        [_cells(study, row) for row in rows],
        title=f"{_TITLES[kind]}, and what {what} give: {recovered} of {of} recovered{shown}",
        note=f"Mean squared difference, and its share of the nearest random sample's; bold: the"
        f" best; framed: recovered, at most {percent(RECOVERED)}. Last: best less given, red is"
        " brighter.",
        made=made(study),
        row_labels=names,
        column_labels=["given", *map(label_of, study.outcomes), "difference\nof the best"],
    )


def _cells(study: Study, row: int) -> list[ImageCell | None]:
    target = _image(study.plan.targets.images[row])
    found = _image(study.found.images[row])
    methods = [_cell(study, one, row) for one in study.outcomes.values()]
    return [ImageCell(target), *methods, ImageCell(found - target, is_difference=True)]


def _cell(study: Study, one: Outcome, row: int) -> ImageCell:
    below = f"{one.errors[row]:.2g}"
    if one.method != "pool":
        below += f"\n{percent(float(study.ratios(one)[row]))}"
    is_recovered = one.method != "pool" and bool(study.is_recovered(one)[row])
    frame = _FRAME if is_recovered else None
    image = _image(one.images[row])
    return ImageCell(image, below, frame, is_strong=study.best[row] == one.method)


def _image(image: Tensor) -> NDArray[Any]:
    return np.asarray(image.detach().cpu().double().numpy())
