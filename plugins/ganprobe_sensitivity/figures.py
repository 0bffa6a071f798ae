"""The other figures: the ranking, where elements act, what they go with, how alike they are."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from ganprobe import COLOURS, CONTROL_COLOUR, ImageCell, draw_image_grid, plain_axes, sign
from ganprobe_sensitivity.heat import Heat, draw_heat, heat_of
from ganprobe_sensitivity.moves import Moves
from ganprobe_sensitivity.plan import Floats
from ganprobe_sensitivity.sentences import alike, band_words, made
from ganprobe_sensitivity.study import SIGNIFICANT, Study, band

_MOST_NAMED = 60  # rows or columns with a name
_PER_ROW = 8
_STEPS, _SLOPES = COLOURS[0], COLOURS[4]


def draw_ranking(study: Study) -> Figure:
    """The elements by steps and by derivatives, each beside random directions."""
    kinds = [
        (moves, colour, words)
        for moves, colour, words in (
            (study.steps, _STEPS, f"steps of {study.plan.params.step:g}"),
            (study.slopes, _SLOPES, "derivative"),
        )
        if moves is not None
    ]
    places = study.order[: max(study.plan.params.n_shown, _MOST_NAMED)]
    figure = Figure(figsize=(max(6.4, 1.8 + 0.24 * len(places)), 4.2), layout="constrained")
    axes = figure.add_subplot()
    handles: list[Line2D | Patch] = []
    for number, (moves, colour, words) in enumerate(kinds):
        shift = 0.0 if len(kinds) == 1 else (number - 0.5) * 0.3
        _draw_kind(axes, study, moves, colour, places, shift)
        handles += [
            Line2D([], [], marker="o", ms=5, lw=1.4, color=colour,
                   label=f"{words}: mean, {study.plan.params.confidence:.0%} interval"),
            Patch(color=colour, alpha=0.16,
                  label=f"{words}: random, {band_words(len(study.plan.random))}"),
        ]  # fmt: skip
    axes.set_xticks(range(len(places)), [study.plan.names[place] for place in places],
                    rotation=60 if len(places) > 12 else 0, fontsize=8)  # fmt: skip
    axes.set_xlim(-0.7, len(places) - 0.3)
    axes.set_ylim(bottom=0, top=axes.get_ylim()[1] * 1.05)
    axes.set_ylabel("change of the image for one s.d.\n(RMS, % of black to white)")
    hidden = len(study.order) - len(places)
    shown = f" ({len(places)} strongest of {len(study.order)})" if hidden else ""
    axes.set_xlabel(f"element of {study.plan.space.name}, strongest first{shown}")
    plain_axes(axes)
    axes.legend(handles=handles, frameon=False, fontsize=8, ncols=2, loc="lower left",
                bbox_to_anchor=(0, 1.0), borderaxespad=0.2)  # fmt: skip
    figure.suptitle("How much each element changes the image", x=0.01, ha="left", fontsize=11)
    sign(figure, made(study))
    return figure


def _draw_kind(
    axes: Axes, study: Study, moves: Moves, colour: str, places: list[int], shift: float
) -> None:
    mean, low, high = study.sizes(moves)
    axes.axhspan(*band(moves), color=colour, alpha=0.16, lw=0)
    for row, place in enumerate(places):
        axes.plot([row + shift] * 2, [low[place], high[place]], color=colour, lw=1.4)
    axes.plot(np.arange(len(places)) + shift, mean[places], "o", ms=5, color=colour)


def draw_where(study: Study) -> Figure:
    """A map for each of the strongest elements, all on one scale."""
    maps = study.main.elements.where[study.shown]
    top = float(maps.max()) or 1.0
    mean, _, _ = study.sizes(study.main)
    cells = [
        ImageCell(_coloured(one / top), f"{study.plan.names[place]}\n{mean[place]:.3g} %")
        for one, place in zip(maps, study.shown, strict=True)
    ]
    base = study.plan.context.generator.to_unit_range(
        study.plan.space.images(study.plan.points, study.plan.base)
    )
    random = study.main.random.where.mean(0)
    first = [
        ImageCell(base.mean(0).float().cpu().numpy(), "mean of the\nbase samples"),
        ImageCell(_coloured((random / top).clip(0, 1)), "random\ndirections", CONTROL_COLOUR),
    ]
    cells = [*first, *cells]
    rows = [cells[start : start + _PER_ROW] for start in range(0, len(cells), _PER_ROW)]
    return draw_image_grid(
        rows,
        title=f"Where each element of {study.plan.space.name} acts",
        note=f"Mean absolute change of each pixel for one standard deviation: black none, white"
        f" {100 * top:.3g} % of black to white.\nUnder each: its root mean square over all pixels.",
        made=made(study),
    )


def _coloured(values: Floats) -> Floats:
    """(3, y, x) of values (y, x) in [0, 1]."""
    painted: Floats = np.moveaxis(colormaps["magma"](values)[..., :3], 2, 0)
    return painted


def draw_associations(study: Study) -> Figure | None:
    """Correlation, mutual information and effect, side by side; None where nothing is measured."""
    if study.associated is None:
        return None
    heats = [_correlation(study), _information(study)]
    if study.caused is not None:
        heats.append(_effect(study))
    n_columns, n_rows = len(heats[0][0].columns), len(study.shown)
    longest = max(map(len, heats[0][0].columns))
    wide, tall = max(2.4, 0.34 * n_columns), max(1.2, 0.27 * n_rows) + 1.1 + 0.055 * longest
    is_stacked = n_columns > n_rows
    across, down = (1, len(heats)) if is_stacked else (len(heats), 1)
    figure = Figure(figsize=(max(6.0, across * wide + 1.2), down * tall + 0.6),
                    layout="constrained")  # fmt: skip
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for panel, (heat, colours, title, unit) in zip(panels, heats, strict=True):
        drawn = draw_heat(panel, heat, study, study.shown, colours=colours)
        panel.set_xticks(range(n_columns), heat.columns, rotation=60, ha="left",
                         rotation_mode="anchor", fontsize=7.5)  # fmt: skip
        panel.xaxis.tick_top()
        panel.tick_params(length=0)
        names = [study.plan.names[place] for place in study.shown]
        panel.set_yticks(range(n_rows), names, fontsize=8)
        panel.set_title(title, loc="left", fontsize=9.5)
        bar = figure.colorbar(drawn, ax=panel, fraction=0.03, pad=0.015, aspect=22)
        bar.set_label(unit, fontsize=8)
        bar.ax.tick_params(labelsize=7)
    title = f"What elements of {study.plan.space.name} go with: coloured where q <"
    title += f" {SIGNIFICANT:g} over all elements and columns"
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    sign(figure, made(study))
    return figure


def _correlation(study: Study) -> tuple[Heat, str, str, str]:
    assert study.associated is not None  # or it is not drawn
    found = study.associated.found.pearson
    n = len(study.associated.values)
    heat = _heat(study, found.value, found.q)
    return heat, "RdBu_r", f"correlation (n = {n})", "r"


def _information(study: Study) -> tuple[Heat, str, str, str]:
    assert study.associated is not None  # or it is not drawn
    found = study.associated.information
    limit = float(np.nanmax(np.where(found.q < SIGNIFICANT, found.value, 0))) or 1.0
    heat = _heat(study, np.maximum(found.value, 0), found.q, limit)
    return heat, "Greens", "mutual information", "nats; 0: independent"


def _effect(study: Study) -> tuple[Heat, str, str, str]:
    assert study.associated is not None  # or it is not drawn
    assert study.caused is not None
    assert study.standardised is not None
    effects, mean = study.caused.effects, study.standardised
    heat = _heat(study, mean, study.caused.q, float(np.abs(mean).max()) or 1.0)
    return heat, "RdBu_r", f"moved by one s.d. (n = {effects.n})", "change, s.d. of the column"


def _heat(study: Study, values: Floats, q: Floats, limit: float = 1.0) -> Heat:
    every = list(range(len(study.plan.columns)))
    is_found = q < SIGNIFICANT
    return heat_of(study, values, is_found, np.zeros_like(is_found), every, limit)


def draw_cosines(study: Study) -> Figure | None:
    """How alike the effects of elements are, similar ones side by side; None: of one element."""
    acts = alike(study).elements
    k = len(acts.cosines)
    if k < 2:
        return None
    order = alike_order(acts.absolute)
    size = min(9.0, max(4.6, 0.26 * k + 1.8))
    figure = Figure(figsize=(size + 0.6, size), layout="constrained")
    axes = figure.add_subplot()
    cosines = np.triu(acts.cosines[np.ix_(order, order)]) + np.tril(
        acts.absolute[np.ix_(order, order)], -1
    )
    others = np.abs(cosines[~np.eye(k, dtype=bool)])
    limit = min(1.0, max(0.1, float(np.ceil(10 * others.max()) / 10)))
    drawn = axes.imshow(cosines, cmap="RdBu_r", vmin=-limit, vmax=limit)
    names = [study.plan.names[place] for place in order]
    step = max(1, -(-k // _MOST_NAMED))
    axes.set_xticks(range(0, k, step), names[::step], rotation=90, fontsize=7)
    axes.set_yticks(range(0, k, step), names[::step], fontsize=7)
    if k <= 16:
        _write_cosines(axes, cosines, limit)
    bar = figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.02)
    bar.set_label(
        f"cosine of the changes, mean over n = {len(study.plan.base)} samples", fontsize=8
    )
    bar.ax.tick_params(labelsize=7)
    told = f"{k} elements of {study.plan.space.name}: as many as"
    told += f" {acts.independent.mean():.1f} of independent effects"
    figure.suptitle(told, x=0.01, ha="left", fontsize=11)
    note = "Over the diagonal: mean cosine of the changes by two elements; under it: mean |cosine|."
    axes.set_title(note, loc="left", fontsize=8, color="0.35", wrap=True)
    sign(figure, made(study))
    return figure


def _write_cosines(axes: Axes, cosines: Floats, limit: float) -> None:
    for row, column in np.ndindex(*cosines.shape):
        value = cosines[row, column]
        if row != column and abs(value) >= 0.1:
            axes.text(column, row, f"{value:+.1f}".replace("0.", ".").replace("-", "−"),
                      fontsize=6.5, ha="center", va="center",
                      color="white" if abs(value) > 0.6 * limit else "black")  # fmt: skip


def alike_order(absolute: Floats) -> list[int]:
    """Places so that elements with similar effects stand side by side."""
    distance = 1 - absolute
    distance = (distance + distance.T) / 2
    np.fill_diagonal(distance, 0)
    order: list[int] = leaves_list(
        linkage(squareform(distance.clip(0), checks=False), "average", optimal_ordering=True)
    ).tolist()
    return order
