"""The figure of images: samples before and after insertion, with the place outlined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from ganprobe import COLOURS, CONTROL_COLOUR, Ablate, ImageCell, draw_image_grid, mark_area
from ganprobe_ablation.insertion.plan import InsertionPlan
from ganprobe_ablation.insertion.sentences import made_insertion, units_words, window_words
from ganprobe_ablation.insertion.study import InsertionStudy

_CLASS_COLOUR, _PLACE_COLOUR = "#ff2fd0", "#00e5ff"


def first_images(plan: InsertionPlan) -> NDArray[np.float32]:
    """(shown, channels, y, x) in [0, 1], of the first measured samples."""
    shown = plan.samples.measured[: plan.params.n_shown]
    images = plan.context.probe.images(shown)
    return plan.context.generator.to_unit_range(images).float().cpu().numpy()


def draw_inserted(study: InsertionStudy) -> Figure:
    """A row for each sample: before, inserted, the class in both, random units inserted."""
    plan = study.plan
    region, pixels, where = _places(study)
    before, inserted, random = (
        _images(plan, units, region) for units in ((), plan.units, plan.draws[0])
    )
    rows = []
    for row, place in enumerate(pixels):
        made = [_Marked(plan, images[row], place) for images in (before, inserted, random)]
        rows.append(
            [
                made[0].plain(),
                made[0].classed(),
                made[1].plain(frame=COLOURS[0]),
                made[1].classed(frame=COLOURS[0]),
                made[2].classed(frame=CONTROL_COLOUR),
            ]
        )
    return draw_image_grid(
        rows,
        title=f"{units_words(plan)[:1].upper()}{units_words(plan)[1:]}, inserted {where}",
        note=f"Blue: the place{_size(study)}. Pink: what the segmenter {plan.params.segmenter!r}"
        f" takes for {plan.name}, with its area in % of the image.",
        made=made_insertion(plan),
        row_labels=_labels(study, len(rows)),
        column_labels=[
            "before", f"its {plan.name}", "inserted", f"its {plan.name}",
            f"{len(plan.units)} random\nunits inserted",
        ],
        cell=1.35,
    )  # fmt: skip


def _size(study: InsertionStudy) -> str:
    """Of the window, where it is one."""
    if study.location is not None and study.location.is_region:
        return ""
    return f", {window_words(study.plan)} of {study.plan.site}"


def _places(study: InsertionStudy) -> tuple[Tensor, NDArray[np.bool_], str]:
    """Where units are set (n, y, x) at the site, the same in pixels, and in words."""
    plan, n = study.plan, study.plan.params.n_shown
    if study.location is not None:
        found = study.location
        pixels = np.repeat((found.pixels > 0.5)[None], n, axis=0)
        return found.region.expand(n, *found.region.shape), pixels, f"at {found.written}"
    best = np.abs(study.context.change[:n]).reshape(n, -1).argmax(1)
    rows, columns = plan.places.window_weights()
    across = plan.places.grid[1]
    under = [torch.outer(rows[at // across], columns[at % across]) > 0.5 for at in best.tolist()]
    region = plan.places.masks()[torch.from_numpy(best)].float()
    where = f"where that changes {plan.name} most in each sample"
    return region, torch.stack(under).numpy(), where


def _images(plan: InsertionPlan, units: tuple[int, ...], region: Tensor) -> Tensor:
    """(shown, channels, y, x) in [0, 1]."""
    levels = plan.levels[list(units)]
    edits = [Ablate(plan.tensor.site, units=units, to=levels, region=region)] if units else []
    shown = plan.samples.measured[: plan.params.n_shown]
    made = plan.context.probe.run(shown, edits).images
    return plan.context.generator.to_unit_range(made).float()


@dataclass(frozen=True, eq=False)
class _Marked:
    """An image (channels, y, x) in [0, 1] with a place (y, x) to be outlined."""

    plan: InsertionPlan
    image: Tensor
    place: NDArray[np.bool_]

    def plain(self, frame: str | None = None) -> ImageCell:
        """The place outlined."""
        return ImageCell(mark_area(self._drawn, self.place, _PLACE_COLOUR), "", frame)

    def classed(self, frame: str | None = None) -> ImageCell:
        """The class tinted and outlined too, its area below."""
        segmenter, name = self.plan.segmenter, self.plan.name
        mask = segmenter(self.image[None])[0, segmenter.place_of(name)].cpu().numpy()
        drawn = mark_area(self._drawn, mask, _CLASS_COLOUR, tint=0.45)
        below = f"{name} {100 * mask.mean():.2f} %"
        return ImageCell(mark_area(drawn, self.place, _PLACE_COLOUR), below, frame)

    @property
    def _drawn(self) -> NDArray[np.float32]:
        return np.asarray(self.image.cpu().numpy())


def _labels(study: InsertionStudy, n: int) -> list[str]:
    indices = study.plan.samples.measured.indices
    return [f"latent {row}" if indices is None else f"sample {indices[row]}" for row in range(n)]
