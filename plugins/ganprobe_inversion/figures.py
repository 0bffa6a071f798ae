"""The figures of numbers: errors of every image, the course of descents, and the training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ganprobe import COLOURS, CONTROL_COLOUR, plain_axes, sign
from ganprobe_inversion.encoder import Encoder
from ganprobe_inversion.sentences import made, percent
from ganprobe_inversion.study import RECOVERED, Floats, Outcome, Study

KIND_COLOURS = {"own": COLOURS[0], "real": COLOURS[4]}
KIND_LABELS = {"own": "the generator's own", "real": "given"}
_LEAST_RATIO = 1e-6
_LEAST_ERROR = 1e-9


def draw_errors(study: Study) -> Figure:
    """A point for each image and method: its error, and its share of the nearest random one's."""
    outcomes, n_methods = list(study.outcomes.values()), len(study.outcomes) - 1
    figure = Figure(figsize=(4.4 + 1.5 * n_methods, 4.9), layout="constrained")
    widths = [n_methods + 1, max(1, n_methods)]
    left, *others = figure.subplots(1, 2 if n_methods else 1, squeeze=False,
                                    width_ratios=widths if n_methods else None)[0]  # fmt: skip
    _draw_points(left, study, outcomes, [one.errors.clip(min=_LEAST_ERROR) for one in outcomes])
    left.set_ylabel("mean squared difference of images in [0, 1]", fontsize=8.5)
    for right in others:
        _draw_ratios(right, study)
    figure.suptitle("How near each method comes to each image (bars: medians)", x=0.01, ha="left",
                    fontsize=11)  # fmt: skip
    left.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), frameon=False, fontsize=8.5)
    sign(figure, made(study))
    return figure


def _draw_ratios(axes: Axes, study: Study) -> None:
    outcomes = list(study.outcomes.values())[1:]
    _draw_points(axes, study, outcomes, [study.ratios(one).clip(_LEAST_RATIO) for one in outcomes])
    for share, words in ((1.0, "nearest\nrandom"), (RECOVERED, "recovered\nbelow")):
        axes.axhline(share, color=CONTROL_COLOUR, lw=1.2, ls="--", zorder=0)
        axes.annotate(words, (1, share), (4, 0), color="0.35", fontsize=7.5, va="center",
                      xycoords=("axes fraction", "data"), textcoords="offset points")  # fmt: skip
    axes.set_ylabel("as a share of the nearest random sample's", fontsize=8.5)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))


def _draw_points(
    axes: Axes, study: Study, outcomes: Sequence[Outcome], values: Sequence[Floats]
) -> None:
    kinds = study.plan.targets.kinds()
    for number, kind in enumerate(kinds):
        rows, colour = study.plan.targets.rows(kind), KIND_COLOURS[kind]
        aside = 0.36 * (number - (len(kinds) - 1) / 2)
        label = f"{KIND_LABELS[kind]} images (n = {rows.stop - rows.start})"
        for place, one in enumerate(values):
            own = one[rows]
            spread = np.linspace(-0.11, 0.11, len(own)) if len(own) > 1 else np.zeros(1)
            axes.plot(place + aside + spread, own, "o", ms=3.4, alpha=0.65, color=colour, mew=0,
                      label=label if place == 0 else None)  # fmt: skip
            axes.hlines(np.median(own), place + aside - 0.16, place + aside + 0.16, color=colour,
                        lw=2)  # fmt: skip
    names = [label_of(one.method) for one in outcomes]
    axes.set_yscale("log")
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.5, len(names) - 0.5)
    plain_axes(axes)
    axes.tick_params(axis="x", length=0, labelsize=7.5)


def label_of(method: str) -> str:
    """A method's name in two lines at most."""
    return "nearest\nrandom" if method == "pool" else method.replace("+", "\n+ ")


def draw_convergence(study: Study) -> Figure:
    """The error of the best so far against the steps: median and most of the images."""
    kinds = study.plan.targets.kinds()
    figure = Figure(figsize=(2.8 + 4.2 * len(kinds), 4.2), layout="constrained")
    row = figure.subplots(1, len(kinds), squeeze=False, sharey=True)[0]
    for axes, kind in zip(row, kinds, strict=True):
        _draw_paths(axes, study, kind)
    figure.legend(*row[0].get_legend_handles_labels(), loc="outside right upper", frameon=False,
                  fontsize=8)  # fmt: skip
    row[0].set_ylabel("mean squared difference, best so far", fontsize=8.5)
    figure.suptitle("How the error falls along the descent", x=0.01, ha="left", fontsize=11)
    sign(figure, made(study))
    return figure


def _draw_paths(axes: Axes, study: Study, kind: str) -> None:
    rows = study.plan.targets.rows(kind)
    for place, (name, one) in enumerate(study.outcomes.items()):
        if one.path is None:
            continue
        path = one.path[:, rows].clip(min=_LEAST_ERROR)
        low, middle, high = np.quantile(path, [0.1, 0.5, 0.9], axis=1)
        colour = COLOURS[place % len(COLOURS)]
        starts = f",\nbest of {study.plan.params.n_starts} starts" if name[:4] == "pool" else ""
        axes.fill_between(range(len(path)), low, high, color=colour, alpha=0.15, lw=0)
        axes.plot(middle, color=colour, lw=1.6, label=f"{name}{starts}")
    random = float(np.median(study.random_errors[rows]))
    axes.axhline(random, color=CONTROL_COLOUR, lw=1.2, label="nearest random")
    axes.axhline(RECOVERED * random, color=CONTROL_COLOUR, lw=1.2, ls="--",
                 label=f"{percent(RECOVERED)} of it")  # fmt: skip
    axes.set_yscale("log")
    axes.set_xlabel("step", fontsize=8.5)
    n = rows.stop - rows.start
    axes.set_title(f"{KIND_LABELS[kind]} images: median of n = {n}, band: 10 to 90 %", loc="left",
                   fontsize=9.5)  # fmt: skip
    axes.margins(x=0.01)
    plain_axes(axes)


def draw_training(study: Study, encoder: Encoder) -> Figure:
    """The encoder's loss on pairs that it is trained on, and on others."""
    figure = Figure(figsize=(6.2, 3.8), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(encoder.steps, encoder.training, color=COLOURS[0], lw=1.6, marker="o", ms=3,
              label="trained on")  # fmt: skip
    axes.plot(encoder.steps, encoder.held_out, color=COLOURS[1], lw=1.6, marker="s", ms=3,
              label="held out")  # fmt: skip
    axes.axhline(1, color=CONTROL_COLOUR, lw=1.2, ls="--", label="knowing nothing")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("training step (64 pairs each)", fontsize=8.5)
    axes.set_ylabel("squared error of a latent's number,\nas a share of the prior's variance",
                    fontsize=8.5)  # fmt: skip
    plain_axes(axes)
    axes.legend(frameon=False, fontsize=8)
    figure.suptitle("The encoder's training, on pairs of an image and its latent", x=0.01,
                    ha="left", fontsize=11)  # fmt: skip
    sign(figure, made(study))
    return figure
