"""The figures: one draw as in the paper, several draws, what was counted, how sharp it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from ganprobe import COLOURS, CONTROL_COLOUR, ImageCell, Share, draw_image_grid, plain_axes, sign
from ganprobe_arithmetic.formula import Term
from ganprobe_arithmetic.study import InSpace, Study

_SHOWN_EXEMPLARS = 4
_CELL, _GAP, _BETWEEN, _EDGE = 0.82, 0.06, 0.5, 0.25  # inches
_HEAD, _FOOT = 0.95, 0.5
_GOOD, _MEAN = "#1b7837", "#d95f02"
_CLASS_COLOURS = (
    "#4c78a8", "#f58518", "#e45756", "#72b7b2", "#54a24b",
    "#eeca3b", "#b279a2", "#ff9da6", "#9d755d", "#bab0ac",
)  # fmt: skip


def draw_equation(study: Study, one: InSpace, *, made: str) -> Figure:
    """Exemplars of the first draw over their means, and the result amid eight with noise.

    It reads along the row of means. Laid out as in Radford et al. 2016, figure 7.
    """
    groups = [term for term in study.formula.terms if term.name in study.groups]
    is_one = study.params.n_exemplars == 1  # who is their own mean
    n_rows = 0 if is_one else min(_SHOWN_EXEMPLARS, study.params.n_exemplars)
    along = _HEAD + max(n_rows * (_CELL + _GAP) + 0.3, 2 * (_CELL + _GAP))  # the row of means
    left = _EDGE + len(groups) * (_CELL + _BETWEEN)
    width = left + 3 * (_CELL + _GAP) + _EDGE
    figure = Figure(figsize=(max(width, 6.4), along + _CELL + _FOOT))
    for place, term in enumerate(groups):
        _draw_group(figure, study, one, term, place, n_rows, along)
    _words(figure, left - _BETWEEN / 2, along + 0.58 * _CELL, "=", size=15, weight="bold")
    _draw_result(figure, study, one, left, along - 2 * (_CELL + _GAP))
    _title(figure, study, one)
    sign(figure, made)
    return figure


def _draw_group(
    figure: Figure, study: Study, one: InSpace, term: Term, place: int, n_rows: int, along: float
) -> None:
    left = _EDGE + place * (_CELL + _BETWEEN)
    shown = study.exemplars[term.name][:n_rows]
    top = along - 0.3 - len(shown) * (_CELL + _GAP)
    _words(figure, left + _CELL / 2, top - 0.06, term.name, size=9)
    for row, image in enumerate(shown):
        _image(figure, image, left, top + row * (_CELL + _GAP))
    mean = f"mean of {study.params.n_exemplars}" if len(shown) else "one exemplar"
    _words(figure, left + _CELL / 2, along - 0.04, mean, size=7.5)
    _image(figure, one.first_means[term.name], left, along, frame=_MEAN)
    times = str(term).removesuffix(term.name).rstrip("*").replace("- ", "−").replace("+ ", "+")
    if place or times != "+":
        _words(figure, left - _BETWEEN / 2, along + 0.58 * _CELL, times, size=13, weight="bold")


def _draw_result(figure: Figure, study: Study, one: InSpace, left: float, top: float) -> None:
    cells = [*one.noisy[:4], one.result.images[0], *one.noisy[4:]]
    for place, image in enumerate(cells):
        row, column = divmod(place, 3)
        x, y = left + column * (_CELL + _GAP), top + row * (_CELL + _GAP)
        _image(figure, image, x, y, frame=_MEAN if place == 4 else None)
    middle = left + 1.5 * _CELL + _GAP
    unit = "" if one.sums.space.is_latent else " standard deviations"
    text = f"result (framed), and with noise\nuniform in ± {study.params.noise:g}{unit}"
    _words(figure, middle, top - 0.06, text, size=7.5)


def _title(figure: Figure, study: Study, one: InSpace) -> None:
    success = one.result.success
    counted = "" if success is None else f": {study.params.want} in {success}"
    height = figure.get_size_inches()[1]
    where = {"z": "latents", "w": "intermediate latents (w)"}.get(
        one.name, f"activations {one.name}"
    )
    figure.text(0.02, 1 - 0.1 / height, f"{study.formula}, in the {where}", fontsize=11, va="top",
                parse_math=False)  # fmt: skip
    policy = "left as it is" if study.params.norm == "none" else "brought to the prior's mean norm"
    note = f"One of {study.params.n_draws} draws{counted}. The norm of the sum is {policy}."
    figure.text(0.02, 1 - 0.34 / height, note, fontsize=8, va="top", color="0.35", parse_math=False)


def _image(
    figure: Figure, image: NDArray[np.float32], left: float, top: float, frame: str | None = None
) -> None:
    width, height = figure.get_size_inches()
    box = (left / width, 1 - (top + _CELL) / height, _CELL / width, _CELL / height)
    axes = figure.add_axes(box)
    drawn = np.moveaxis(image, 0, 2) if len(image) == 3 else image[0]
    axes.imshow(drawn.clip(0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color(frame or "0.75")
    axes.spines[:].set_linewidth(2.2 if frame else 0.5)


def _words(
    figure: Figure,
    x: float,
    y: float,
    text: str,
    *,
    size: float,
    weight: str = "normal",
    side: str = "center",
) -> None:
    width, height = figure.get_size_inches()
    figure.text(x / width, 1 - y / height, text, fontsize=size, ha=side, va="bottom",
                weight=weight, parse_math=False)  # fmt: skip


def draw_draws(study: Study, *, made: str) -> Figure:
    """Several draws: the mean of the base, and the result in each space, framed where it worked."""
    n = min(study.params.n_shown, study.params.n_draws)
    first = study.spaces[0]
    rows = [[ImageCell(image, "") for image in first.base.images[:n]]]
    labels = [f"mean of {study.params.n_exemplars}\n{study.base_name} ({first.name})"]
    for one in study.spaces:
        rows.append([_result_cell(study, one, draw) for draw in range(n)])
        labels.append(f"result\nin {one.name}")
    judged = study.judges.judge
    framed = "" if study.params.want is None else f"Framed: {study.params.want}. "
    quoted = "" if judged is None else f"In quotes what {judged.name!r} sees."
    return draw_image_grid(
        rows,
        title=f"{study.formula}: the first {n} of {study.params.n_draws} draws",
        note=framed + quoted,
        row_labels=labels,
        column_labels=[f"draw {draw}" for draw in range(n)],
        made=made,
    )


def _result_cell(study: Study, one: InSpace, draw: int) -> ImageCell:
    judged, wanted = study.judges.judge, one.result.wanted
    below = ""
    if judged is not None and one.result.called is not None:
        below = f"“{judged.columns[int(one.result.called[draw])]}”"
    outside = "\noutside prior" if one.is_outside[draw] else ""
    frame = _GOOD if wanted is not None and wanted[draw] else None
    return ImageCell(one.result.images[draw], below + outside, frame)


def draw_counts(study: Study, *, made: str) -> Figure:
    """Success in each space with its interval, beside the controls; and what the judge sees."""
    judged, want = study.judges.judge, study.params.want
    panels = [part for part in (want, judged) if part is not None]
    rows = _rows(study)
    figure = Figure(figsize=(1.6 + 4.1 * len(panels), 1.5 + 0.34 * len(rows)), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    if want is not None:
        _draw_success(axes[0], rows, str(want), study.params.n_draws)
    if judged is not None:
        _draw_called(axes[-1], study, rows)
    axes[0].set_yticks(range(len(rows)), [label for label, *_ in rows], fontsize=8)
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    figure.suptitle(f"How often does {study.formula} work?", x=0.01, ha="left", fontsize=11)
    sign(figure, made)
    return figure


_Row = tuple[str, str, "Share | None", "NDArray[np.int64] | None"]


def _rows(study: Study) -> list[_Row]:
    """Label, kind, success and counts of every bar, space by space."""
    judged = study.judges.judge
    rows: list[_Row] = []
    for one in study.spaces:
        kinds = (
            ("result", f"result in {one.name}", one.result),
            ("base", f"{study.base_name} alone, mean in {one.name}", one.base),
            ("random", f"random groups in {one.name}", one.random),
        )
        for kind, label, verdicts in kinds:
            counts = None if judged is None else verdicts.counts(len(judged.columns))
            rows.append((label, kind, verdicts.success, counts))
    return rows


def _draw_success(axes: Axes, rows: Sequence[_Row], want: str, n: int) -> None:
    colours = {"result": COLOURS[0], "base": COLOURS[1], "random": CONTROL_COLOUR}
    for place, (_, kind, success, _) in enumerate(rows):
        assert success is not None  # something was wanted
        axes.barh(place, success.value, color=colours[kind], height=0.66)
        reach = [[success.value - success.low], [success.high - success.value]]
        axes.errorbar(success.value, place, xerr=reach, fmt="none", ecolor="black", capsize=2.5)
    axes.set_xlim(0, 1.02)
    axes.set_xlabel(f"share with {want}\n(95 % Wilson interval, n = {n} draws)", fontsize=9)
    plain_axes(axes)


def _draw_called(axes: Axes, study: Study, rows: Sequence[_Row]) -> None:
    judged = study.judges.judge
    assert judged is not None  # this is drawn only then
    totals = sum(counts for *_, counts in rows if counts is not None)
    shown = np.argsort(-np.asarray(totals), kind="stable")[: len(_CLASS_COLOURS)]
    for place, (*_, counts) in enumerate(rows):
        assert counts is not None
        left = 0.0
        for slot in sorted(shown):
            share = counts[slot] / counts.sum()
            colour = _CLASS_COLOURS[int(slot) % len(_CLASS_COLOURS)]
            axes.add_patch(Rectangle((left, place - 0.33), share, 0.66, facecolor=colour))
            if share > 0.05:
                axes.text(left + share / 2, place, judged.columns[slot], ha="center", va="center",
                          fontsize=8, parse_math=False)  # fmt: skip
            left += share
    axes.set_xlim(0, 1.02)
    axes.set_xlabel(f"share that {judged.name!r} calls so", fontsize=9)
    axes.legend(
        handles=[Patch(color=_CLASS_COLOURS[int(slot) % len(_CLASS_COLOURS)],
                       label=judged.columns[slot]) for slot in sorted(shown)],
        fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.02),
    )  # fmt: skip
    plain_axes(axes)


def draw_sharpness(study: Study, *, made: str) -> Figure:
    """How sharp results are, beside single samples: a dot for each, and the mean."""
    rows = [("single samples", study.single.sharpness, CONTROL_COLOUR)]
    for one in study.spaces:
        rows.append((f"result in {one.name}", one.result.sharpness, COLOURS[0]))
        rows.append((f"mean of {study.params.n_exemplars} {study.base_name} in {one.name}",
                     one.base.sharpness, COLOURS[1]))  # fmt: skip
    figure = Figure(figsize=(6.6, 1.4 + 0.36 * len(rows)), layout="constrained")
    axes = figure.subplots()
    spread = np.random.default_rng(0)
    for place, (_, values, colour) in enumerate(rows):
        heights = place + spread.uniform(-0.22, 0.22, len(values))
        axes.plot(values, heights, ".", color=colour, alpha=0.35, markersize=4)
        axes.plot(values.mean(), place, "|", color="black", markersize=17, markeredgewidth=1.8)
    axes.set_yticks(range(len(rows)), [label for label, *_ in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("sharpness (measure 'appearance'); a dot for each image, a bar at the mean",
                    fontsize=9)  # fmt: skip
    axes.set_title("Are sums as sharp as single samples?", loc="left", fontsize=11)
    plain_axes(axes)
    sign(figure, made)
    return figure
