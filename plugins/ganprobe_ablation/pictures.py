"""The figures of images: a few samples before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ganprobe import CONTROL_COLOUR, ImageCell, Intervention, Latents, draw_image_grid
from ganprobe_ablation.axes import STRATEGY_COLOURS
from ganprobe_ablation.on_top import CONDITIONS, OnTop, edits_of
from ganprobe_ablation.plan import Plan
from ganprobe_ablation.sentences import made
from ganprobe_ablation.study import Study

_DIFFERENCE = "Differences: blue is darker than before, red brighter."


@dataclass(frozen=True, eq=False)
class Column:
    """Samples under one edit.

    Args:
        images: (row, channel, y, x) in [0, 1].
        values: (row,) the measure.
    """

    label: str
    images: NDArray[np.float32]
    values: NDArray[np.float64]
    frame: str | None = None

    def cell(self, row: int) -> ImageCell:
        """One sample, with the measure under it."""
        return ImageCell(self.images[row], f"{self.values[row]:.3f}", self.frame)

    def less(self, other: Column, row: int) -> ImageCell:
        """How one sample differs from another edit of it."""
        return ImageCell(self.images[row] - other.images[row], is_difference=True)


def draw_images(study: Study) -> Figure:
    """A row for each sample: before, with units of each strategy ablated, with random ones."""
    plan, sizes = study.plan, _sizes(study.plan.n_top)
    template = plan.target.template
    before = _column(plan, "before", ())
    columns, differences = [before], []
    for curve in study.curves:
        colour = STRATEGY_COLOURS[curve.strategy]
        for size in sizes:
            edit = template.for_units(curve.units[:size])
            columns.append(_column(plan, f"{curve.strategy}\ntop {size}", (edit,), colour))
        differences.append((f"{curve.strategy}\ntop {sizes[-1]}\n− before", columns[-1]))
    edit = template.for_units(study.random.draws[0][: sizes[-1]])
    columns.append(_column(plan, f"random\n{sizes[-1]}", (edit,), CONTROL_COLOUR))
    differences.append((f"random\n{sizes[-1]}\n− before", columns[-1]))
    cells = [
        [*(one.cell(row) for one in columns), *(one.less(before, row) for _, one in differences)]
        for row in range(len(before.values))
    ]
    return draw_image_grid(
        cells,
        title=f"Units of {plan.target.site} {plan.target.words}",
        note=f"The first samples. Under each image: {plan.name}. {_DIFFERENCE}",
        made=made(study),
        row_labels=_row_labels(plan),
        column_labels=[*(one.label for one in columns), *(label for label, _ in differences)],
    )


def draw_on_top(study: Study, on_top: OnTop) -> Figure:
    """A row for each sample: its donor, and the sample in each of the four conditions."""
    plan = study.plan
    assert plan.donors is not None
    shown = slice(0, plan.params.n_shown)
    columns = [_column(plan, "donor", (), latents=plan.donors[shown])]
    edits = edits_of(plan, on_top.ablated, plan.donors[shown])
    for place, label in enumerate(CONDITIONS):
        columns.append(_column(plan, f"{label}\n{_told(on_top, place)}", edits[place]))
    site, n_ablated, n_swapped = plan.target.site, len(on_top.ablated), len(on_top.swapped)
    return draw_image_grid(
        [[one.cell(row) for one in columns] for row in range(len(columns[0].values))],
        title=f"{n_swapped} units of {site} swapped on top of {n_ablated} ablated ones",
        note=f"Ablated: {plan.target.words}. Donors: {plan.params.donor}. Under each image:"
        f" {plan.name}.\nOver each column its mean over all {plan.params.n_samples} samples, with"
        " the 95 % interval.",
        made=made(study),
        row_labels=_row_labels(plan),
        column_labels=[one.label for one in columns],
        cell=1.3,
    )


def _sizes(n_top: int) -> list[int]:
    return sorted({max(1, n_top // 4), n_top})


def _column(
    plan: Plan,
    label: str,
    edits: Sequence[Intervention],
    frame: str | None = None,
    *,
    latents: Latents | None = None,
) -> Column:
    shown = plan.samples.measured[: plan.params.n_shown] if latents is None else latents
    run = plan.context.probe.run(shown, edits)
    images = plan.context.generator.to_unit_range(run.images)
    values = plan.measure(images)[:, plan.column]
    return Column(label, images.float().cpu().numpy(), values.cpu().double().numpy(), frame=frame)


def _told(on_top: OnTop, place: int) -> str:
    mean, low, high = on_top.mean[place], on_top.low[place], on_top.high[place]
    return f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def _row_labels(plan: Plan) -> list[str]:
    shown = plan.samples.measured[: plan.params.n_shown]
    if shown.indices is None:
        return [f"latent {row}" for row in range(len(shown))]
    return [f"sample {index}" for index in shown.indices]
