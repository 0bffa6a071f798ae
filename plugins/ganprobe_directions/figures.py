"""The figures of numbers: effects, spectra, boundaries, and how purely an attribute is moved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ganprobe import COLOURS, CONTROL_COLOUR, plain_axes, sign
from ganprobe_directions.effects import SIGNIFICANT, Effects
from ganprobe_directions.families import AttributeBoundary, Family, Spectrum
from ganprobe_directions.sentences import in_deviations
from ganprobe_directions.study import Study

_BAND = 0.25  # opacity
_MOST_ROWS = 24
_MOST_PANELS = 6
_MOST_MOVED = 10


def draw_effects(study: Study, family: Family, effects: Effects, made: str) -> Figure:
    """Directions by measures, in deviations of the measure; below them the random directions."""
    scaled, is_found = in_deviations(study, effects)[:_MOST_ROWS], effects.is_found
    labels = [study.plan.columns.labels[place] for place in effects.columns]
    deviations = study.scale.deviations[list(effects.columns)]
    control = (effects.control / deviations).max(0)
    assert effects.found is not None
    q, limit = effects.table(effects.found.q), max(1.0, float(np.abs(scaled).max()))
    n_rows, n_columns = scaled.shape
    figure = Figure(
        figsize=(max(6.5, 2.6 + 0.44 * n_columns), 2.6 + 0.3 * (n_rows + 1)), layout="constrained"
    )
    axes = figure.add_subplot()
    shown = np.vstack([scaled, np.full((1, n_columns), np.nan)])
    image = axes.imshow(shown, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    for row in range(n_rows):
        for column in range(n_columns):
            strength = int(is_found[row, column]) + int(q[row, column] < SIGNIFICANT)
            _write(axes, column, row, scaled[row, column] / limit, scaled[row, column], strength)
    for column in range(n_columns):
        axes.text(column, n_rows, f"±{control[column]:.2f}", ha="center", va="center", fontsize=7,
                  color="0.35")  # fmt: skip
    axes.axhline(n_rows - 0.5, color="0.4", lw=1)
    names = [
        f"{name}  {100 * effects.image[place].mean():.0f} %"
        for place, name in enumerate(family.set.names[:n_rows])
    ]
    axes.set_yticks(range(n_rows + 1), [*names, "random"])
    axes.set_xticks(range(n_columns), labels, rotation=60, ha="right", rotation_mode="anchor")
    axes.tick_params(labelsize=8, length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.01)
    bar.set_label("change (deviations of the measure)", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    at = study.plan.params.effect_at
    axes.set_title(
        f"From -{at:g} to +{at:g} deviations along a direction. Black: q < {SIGNIFICANT:g}. Bold:"
        " and more than random directions of that length, too.\n% beside a name: RMS change of the"
        " image, of black to white. Last row: what random directions do, at most.",
        loc="left", fontsize=8, color="0.35",
    )  # fmt: skip
    figure.suptitle(f"What the directions of {family.title} change", x=0.01, ha="left", fontsize=11)
    sign(figure, made)
    return figure


def _write(axes: Axes, column: int, row: int, shade: float, value: float, strength: int) -> None:
    """A number: bold where it was found, black where only its q is small, else grey."""
    weight, colour = "bold" if strength == 2 else "normal", "black" if strength else "0.6"
    colour = "white" if abs(shade) > 0.65 else colour
    axes.text(column, row, f"{value:+.1f}", ha="center", va="center", fontsize=7, weight=weight,
              color=colour)  # fmt: skip


def draw_spectrum(family: Family, spectrum: Spectrum, made: str) -> Figure:
    """How much each direction stands for, beside what chance gives."""
    places = np.arange(len(spectrum.values))
    figure = Figure(figsize=(max(5.0, 2.2 + 0.4 * len(places)), 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.bar(places, spectrum.values, color=COLOURS[0], width=0.7, zorder=2)
    if spectrum.errors is not None:
        axes.errorbar(places, spectrum.values, spectrum.errors, fmt="none", ecolor="black",
                      capsize=3, label="95 % interval", zorder=3)  # fmt: skip
    if spectrum.chance is not None:
        low, high = spectrum.chance
        edges = np.append(places - 0.5, places[-1] + 0.5)
        axes.fill_between(edges, np.append(low, low[-1]), np.append(high, high[-1]), step="post",
                          color=CONTROL_COLOUR, alpha=0.6, lw=0, zorder=4,
                          label=spectrum.chance_label)  # fmt: skip
    axes.set_xticks(places, family.set.names, rotation=45 if len(places) > 8 else 0)
    axes.set_ylabel(spectrum.unit)
    axes.set_ylim(0, None)
    axes.set_xlabel(f"direction; together {spectrum.values.sum():.1f} %")
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False, fontsize=8, loc="upper right")
    axes.set_ylim(0, 1.25 * axes.get_ylim()[1])
    plain_axes(axes)
    axes.set_title(f"How much each direction of {family.title} stands for", loc="left", fontsize=10)
    sign(figure, made)
    return figure


def draw_boundaries(family: Family, made: str) -> Figure:
    """For each attribute the distances of samples with little and with much of it."""
    shown = family.boundaries[:_MOST_PANELS]
    n_columns = min(3, len(shown))
    n_rows = -(-len(shown) // n_columns)
    size = (max(5.4, 3.4 * n_columns), 0.8 + 2.7 * n_rows)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(n_rows, n_columns, squeeze=False).flat
    for axes in panels:
        axes.set_visible(False)
    for axes, one in zip(panels_of(figure), shown, strict=False):
        axes.set_visible(True)
        _draw_boundary(axes, one, family.space.name)
    figure.suptitle(
        f"Distance from boundaries in {family.space.name} that were fitted to other samples",
        x=0.01, ha="left", fontsize=10,
    )  # fmt: skip
    sign(figure, made)
    return figure


def panels_of(figure: Figure) -> list[Axes]:
    """In the order in which they were made."""
    return list(figure.axes)


def _draw_boundary(axes: Axes, one: AttributeBoundary, space: str) -> None:
    distances, (low, high) = one.boundary.distances, one.limits
    edges = np.linspace(distances.min(), distances.max(), 25)
    sides = ((~one.is_high, COLOURS[0], f"least (≤ {low:.3g})"),
             (one.is_high, COLOURS[1], f"most (≥ {high:.3g})"))  # fmt: skip
    for chosen, colour, label in sides:
        axes.hist(distances[chosen], edges.tolist(), color=colour, alpha=0.65, label=label)
    axes.axvline(0, color="black", lw=1)
    accuracy = one.boundary.accuracy
    verdict = "" if one.boundary.is_found else "; no boundary"
    axes.set_title(
        f"{one.attribute.label}\nright side: {accuracy.value:.2f} [{accuracy.low:.2f},"
        f" {accuracy.high:.2f}]{verdict}",
        loc="left", fontsize=8.5,
    )  # fmt: skip
    axes.set_xlabel(f"signed distance (unit of {space})", fontsize=8)
    axes.set_ylabel("samples", fontsize=8)
    axes.set_ylim(0, 1.35 * axes.get_ylim()[1])
    axes.legend(frameon=False, fontsize=7.5, loc="upper left")
    plain_axes(axes)


def draw_purity(study: Study, family: Family, effects: Effects, made: str) -> Figure | None:
    """For each attribute, what its direction does to all, before and after the projection."""
    assert effects.found is not None
    names = family.set.names
    wanted = [one.attribute for one in family.boundaries]
    every = [one.label for one in dict.fromkeys((*wanted, *study.plan.kept))]
    labels = [study.plan.columns.labels[place] for place in effects.columns]
    rows = [labels.index(label) for label in dict.fromkeys(every) if label in labels]
    rows += _others(study, effects, rows)
    pairs = [(place, _projected(names, one.name)) for place, one in enumerate(wanted)]
    if all(after is None for _, after in pairs):
        return None
    shown = pairs[:_MOST_PANELS]
    size = (1.9 + 2.6 * len(shown), 1.5 + 0.3 * len(rows))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(shown), sharey=True, sharex=True, squeeze=False)[0]
    for axes, (before, after) in zip(panels, shown, strict=True):
        _draw_pair(axes, study, effects, rows, before, after)
        own = [labels[row] for row in rows].index(wanted[before].label)
        axes.axhspan(own - 0.5, own + 0.5, color=_OWN, zorder=0)
        axes.set_title(names[before], loc="left", fontsize=9)
    panels[0].set_yticks(range(len(rows)), [labels[row] for row in rows])
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    figure.suptitle("What each direction moves, before and after others are projected out", x=0.01,
                    ha="left", fontsize=10)  # fmt: skip
    panels[-1].legend(handles=_pair_handles(), frameon=False, fontsize=7.5, loc="upper left",
                      bbox_to_anchor=(1.0, 1.0))  # fmt: skip
    sign(figure, made)
    return figure


def _others(study: Study, effects: Effects, rows: list[int]) -> list[int]:
    """The columns that are moved most beside these, as far as they fit."""
    most = np.abs(in_deviations(study, effects)).max(0)
    order = [column for column in np.argsort(-most).tolist() if column not in rows]
    return order[: max(0, _MOST_MOVED - len(rows))]


def _projected(names: Sequence[str], name: str) -> int | None:
    """The place of the direction of this name that others were projected out of."""
    starts = [place for place, one in enumerate(names) if one.startswith(f"{name}-without-")]
    return starts[0] if starts else None


_PLAIN, _PROJECTED, _OWN = "#5c6166", COLOURS[1], "#fff3d6"


def _draw_pair(
    axes: Axes, study: Study, effects: Effects, rows: list[int], before: int, after: int | None
) -> None:
    found = effects.found
    assert found is not None
    deviations = study.scale.deviations[list(effects.columns)]
    low, high = (effects.table(limit) / deviations for limit in (found.low, found.high))
    mean, control = effects.table(found.mean) / deviations, effects.control / deviations
    for place, row in enumerate(rows):
        axes.plot([-control[before, row], control[before, row]], [place, place], lw=11,
                  color=CONTROL_COLOUR, alpha=_BAND, solid_capstyle="butt")  # fmt: skip
    styles = ((before, -0.13, _PLAIN, "o"), (after, 0.13, _PROJECTED, "s"))
    for direction, shift, colour, marker in styles:
        if direction is None:
            continue
        for place, row in enumerate(rows):
            axes.plot([low[direction, row], high[direction, row]], [place + shift] * 2, lw=1.5,
                      color=colour)  # fmt: skip
            axes.plot(mean[direction, row], place + shift, marker, ms=4.5, color=colour)
    axes.axvline(0, color="0.6", lw=0.8)
    shown = [mean[before], control[before], *([] if after is None else [mean[after]])]
    reach = 1.5 * max(float(np.abs(values[rows]).max()) for values in shown)
    axes.set_xlim(-reach, reach)  # an interval of few unlike values may run far beyond
    axes.set_xlabel("change\n(deviations of the measure)", fontsize=8)
    plain_axes(axes)


def _pair_handles() -> list[Patch]:
    return [
        Patch(color=_PLAIN, label="plain"),
        Patch(color=_PROJECTED, label="others projected out"),
        Patch(color=CONTROL_COLOUR, alpha=_BAND, label="random directions"),
        Patch(color=_OWN, label="the attribute itself"),
    ]
