"""The figures of numbers: judges side by side, models, elements and norms."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ganprobe import COLOURS, CONTROL_COLOUR, Share, plain_axes, sign
from ganprobe_quality.elements import Elements
from ganprobe_quality.pictures import GOOD
from ganprobe_quality.predicting import Foreseen
from ganprobe_quality.study import Study

Floats = NDArray[np.float64]

_BINS = 30
_MOST_ELEMENTS = 20
_MOST_DOTS = 2000
_NOT_GOOD = "#b9a3a3"
_MODEL_COLOURS = dict(zip(("logistic", "curved", "neighbours", "mlp"), COLOURS, strict=False))


def draw_judges(study: Study, *, made: str) -> Figure:
    """How scores spread, and each pair of judges: a dot for each sample, and their agreement."""
    n = len(study.standard.judges)
    side = 3.6 if n == 1 else 2.7
    figure = Figure(figsize=(side * n + 1.4, side * n + 0.6), layout="constrained")
    grid = figure.subplots(n, n, squeeze=False)
    for row, line in enumerate(grid):
        for column, axes in enumerate(line):
            if row == column:
                _draw_spread(axes, study, row)
            elif row > column:
                _draw_pair(axes, study, column, row)
            else:
                _write_agreement(axes, study, row, column)
    agreed = "" if n == 1 else ", and how far judges agree"
    figure.suptitle(f"How {study.n} samples are judged{agreed}", x=0.01, ha="left", fontsize=11)
    sign(figure, made)
    return figure


def _draw_spread(axes: Axes, study: Study, judge: int) -> None:
    scores, good = study.judged.scores[judge], study.good[judge]
    edges = _edges(scores, study.standard.cut(judge))
    kinds = ((scores[good], GOOD, "good"), (scores[~good], _NOT_GOOD, "not"))
    below = np.zeros(len(edges) - 1)
    for values, colour, name in kinds:
        counts = np.histogram(values, edges)[0]
        axes.bar(edges[:-1], counts, np.diff(edges), below, align="edge", color=colour,
                 label=f"{name} ({len(values)})")  # fmt: skip
        below += counts
    cut = study.standard.cut(judge)
    axes.axvline(cut, color="black", linestyle="--", linewidth=1,
                 label=f"limit {study.standard.judges[judge].tell(cut)}")  # fmt: skip
    _label(axes, _scale(study, judge), "samples")
    axes.legend(fontsize=7, frameon=False, loc="best")


def _edges(scores: Floats, cut: float) -> Floats:
    """Of bins of equal width, with the limit between two of them where it is among the scores."""
    least, most = float(scores.min()), float(scores.max())
    if not least < cut < most:
        return np.histogram_bin_edges(scores, bins=_BINS)
    width = (most - least) / _BINS
    first, last = np.floor((least - cut) / width), np.ceil((most - cut) / width)
    return cut + width * np.arange(first, last + 1)


def _draw_pair(axes: Axes, study: Study, one: int, other: int) -> None:
    scores, good = study.judged.scores[:, :_MOST_DOTS], study.good[:, :_MOST_DOTS]
    n_good = good[one].astype(int) + good[other]
    for number, colour, label in ((0, _NOT_GOOD, "by neither"), (1, CONTROL_COLOUR, "by one"),
                                  (2, GOOD, "good by both")):  # fmt: skip
        rows = n_good == number
        axes.plot(scores[one, rows], scores[other, rows], ".", color=colour, markersize=3,
                  alpha=0.6, label=label)  # fmt: skip
    axes.axvline(study.standard.cut(one), color="black", linestyle="--", linewidth=0.8)
    axes.axhline(study.standard.cut(other), color="black", linestyle="--", linewidth=0.8)
    _label(axes, _scale(study, one), _scale(study, other))
    axes.legend(fontsize=6.5, frameon=False, markerscale=2.5)


def _write_agreement(axes: Axes, study: Study, one: int, other: int) -> None:
    found = next(pair for pair in study.agreements if (pair.one, pair.other) == (one, other))
    names = study.standard.names
    ranks = f"{found.rank.value:.2f}" if found.rank.is_known else "–"
    limits = f"[{found.rank.low:.2f}, {found.rank.high:.2f}]" if found.rank.is_known else ""
    both = "–" if found.both is None else f"{100 * found.both.value:.0f} %"
    lines = (
        f"of what is good by {names[one]},\n{both} is good by {names[other]}\n"
        f"({100 * found.chance.value:.0f} % of all samples)"
    )
    axes.text(0.5, 0.74, ranks, fontsize=20, ha="center", va="center", parse_math=False)
    axes.text(0.5, 0.58, f"rank correlation {limits}", fontsize=7.5, ha="center", va="center")
    axes.text(0.5, 0.3, lines, fontsize=7.5, ha="center", va="center", parse_math=False)
    axes.set_axis_off()


def draw_models(study: Study, *, made: str) -> Figure | None:
    """Each model's AUC beside guessing, and what its better half is worth; None: none was tried."""
    rows = [
        (name, one)
        for name, foresight in zip(study.standard.names, study.foresight, strict=True)
        for one in foresight.models
    ]
    if not rows:
        return None
    figure = Figure(figsize=(8.6, 1.7 + 0.3 * len(rows)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.25, 1))
    for place, (_, one) in enumerate(rows):
        _draw_auc(left, place, one)
        _draw_lift(right, place, one)
    left.axvline(0.5, color="black", linewidth=0.9, linestyle="--")
    left.set_yticks(range(len(rows)), [f"{name}: {one.model}" for name, one in rows], fontsize=8)
    left.set_ylim(len(rows) - 0.4, -0.6)
    _label(left, "AUC of held-out samples, 95 % interval; 0.5 is guessing", "")
    _label(right, "share of good samples, 95 % Wilson interval", "")
    _legend_of_models(left, right)
    figure.suptitle("Can good images be foreseen from the latent alone?", x=0.01, ha="left",
                    fontsize=11)  # fmt: skip
    sign(figure, made)
    return figure


def _draw_auc(axes: Axes, place: int, one: Foreseen) -> None:
    reach = [[one.auc - one.low], [one.high - one.auc]]
    face = _MODEL_COLOURS[one.model] if one.has_signal else "white"
    axes.errorbar(one.auc, place, xerr=reach, fmt="o", color=_MODEL_COLOURS[one.model],
                  markerfacecolor=face, markersize=6, capsize=2.5)  # fmt: skip
    axes.annotate(f"{one.auc:.2f}", (one.high, place), xytext=(4, 0), textcoords="offset points",
                  fontsize=7.5, va="center")  # fmt: skip


def _draw_lift(axes: Axes, place: int, one: Foreseen) -> None:
    colour = _MODEL_COLOURS[one.model]
    for share, shift, marker, how in ((one.all, 0.14, "|", CONTROL_COLOUR),
                                      (one.best_half, -0.1, "o", colour)):  # fmt: skip
        _draw_share(axes, share, place + shift, marker, how)


def _draw_share(axes: Axes, share: Share, place: float, marker: str, colour: str) -> None:
    reach = [[share.value - share.low], [share.high - share.value]]
    axes.errorbar(share.value, place, xerr=reach, fmt=marker, color=colour, markersize=5,
                  capsize=2, linewidth=1.2)  # fmt: skip


def _legend_of_models(left: Axes, right: Axes) -> None:
    auc = [_mark("signal"), _mark("no signal", face="white")]
    lift = [_mark("the half it is surest of"), _mark("all", "|", CONTROL_COLOUR)]
    for axes, marks in ((left, auc), (right, lift)):
        axes.legend(handles=marks, fontsize=7, frameon=False, loc="lower left",
                    bbox_to_anchor=(0, 1.0), ncols=2, borderaxespad=0)  # fmt: skip


def _mark(label: str, marker: str = "o", colour: str = "0.25", face: str | None = None) -> Line2D:
    return Line2D([], [], linestyle="none", marker=marker, color=colour, markersize=6,
                  markerfacecolor=face or colour, label=label)  # fmt: skip


def draw_elements(study: Study, *, made: str) -> Figure:
    """Of each judge: which elements go with better images, by value and by size."""
    n = len(study.elements)
    shown = min(_MOST_ELEMENTS, study.z.shape[1])
    figure = Figure(figsize=(max(7.0, 1.6 + 0.38 * shown), 1.0 + 2.3 * n), layout="constrained")
    for judge, axes in enumerate(figure.subplots(n, 1, squeeze=False)[:, 0]):
        _draw_elements(axes, study, judge, shown)
    figure.suptitle("Which elements of the latent go with better images?", x=0.01, ha="left",
                    fontsize=11)  # fmt: skip
    sign(figure, made)
    return figure


def _draw_elements(axes: Axes, study: Study, judge: int, n_shown: int) -> None:
    found = study.elements[judge]
    kinds = (
        (found.value, -0.2, COLOURS[0], "its value"),
        (found.size, 0.2, COLOURS[4], "its size"),
    )
    order = _strongest(found)[:n_shown]
    for ranks, shift, colour, label in kinds:
        for place, element in enumerate(order):
            rank = ranks[element]
            if rank.is_known:
                reach = [[rank.value - rank.low], [rank.high - rank.value]]
                face = colour if rank.is_found else "white"
                axes.bar(place + shift, rank.value, 0.36, color=face, edgecolor=colour,
                         yerr=reach, ecolor="0.4", capsize=1.5)  # fmt: skip
        axes.bar(0, 0, color=colour, label=label)
    axes.bar(0, 0, color="white", edgecolor="0.4", label="not found (q ≥ 0.05)")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xticks(range(len(order)), [f"z{element}" for element in order])
    n_elements = study.z.shape[1]
    of = f"the {n_shown} strongest of {n_elements} elements" if n_shown < n_elements else "element"
    _label(axes, of, f"rank correlation with better\n{_scale(study, judge)}")
    axes.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _strongest(found: Elements) -> list[int]:
    """Elements, the one with the strongest rank correlation of either kind first."""
    strength = [
        max(abs(value.value), abs(size.value)) if value.is_known else 0.0
        for value, size in zip(found.value, found.size, strict=True)
    ]
    return [int(place) for place in np.argsort(-np.array(strength), kind="stable")]


def draw_norms(study: Study, *, made: str) -> Figure:
    """Scores by the norm of the latent: a dot for each sample, and the mean in bins."""
    n = len(study.elements)
    figure = Figure(figsize=(max(4.2 * n, 5.2), 3.6), layout="constrained")
    norms = np.linalg.norm(study.z, axis=1)[:_MOST_DOTS]
    for judge, axes in enumerate(figure.subplots(1, n, squeeze=False)[0]):
        found = study.elements[judge]
        by_norm = found.by_norm
        scores = study.judged.scores[judge, :_MOST_DOTS]
        axes.plot(norms, scores, ".", color="0.78", markersize=3, label="sample")
        reach = [by_norm.mean - by_norm.low, by_norm.high - by_norm.mean]
        axes.errorbar(by_norm.norm, by_norm.mean, yerr=reach, fmt="o-", color=COLOURS[0],
                      markersize=4, capsize=2.5, label="mean, 95 % interval")  # fmt: skip
        told = f"rank correlation {found.norm}" if found.norm.is_known else "no rank correlation"
        axes.set_title(told, fontsize=8.5, loc="left")
        _label(axes, "Euclidean norm of the latent", _scale(study, judge))
        axes.legend(fontsize=7, frameon=False)
    figure.suptitle("Is it a matter of the norm?", x=0.01, ha="left", fontsize=11)
    sign(figure, made)
    return figure


def _scale(study: Study, judge: int) -> str:
    one = study.standard.judges[judge]
    return one.what if one.sign > 0 else f"{one.what} (less is better)"


def _label(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=8, parse_math=False)
    axes.set_ylabel(y, fontsize=8, parse_math=False)
    plain_axes(axes)
