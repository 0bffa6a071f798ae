"""Heat maps of elements and measures: what goes with what, coloured only where it is found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from ganprobe_sensitivity.plan import Floats
from ganprobe_sensitivity.sentences import column_words, number
from ganprobe_sensitivity.study import SIGNIFICANT, Study

_TOLD = 0.1  # correlations from here on are written out
_NOTHING = "#f1f1f1"


@dataclass(frozen=True, eq=False)
class Heat:
    """Cells of elements (all of the study) and some columns of the measures.

    Args:
        columns: their names, as they are drawn.
        places: of these among all columns of the study.
        n_all: how many columns the study has.
        values: (element, column).
        is_found: (element, column) which ones are coloured.
        is_dependent: (element, column) found by mutual information, and not by `is_found`.
        limit: of the colours.
    """

    columns: list[str]
    places: list[int]
    n_all: int
    values: Floats
    is_found: NDArray[np.bool_]
    is_dependent: NDArray[np.bool_]
    limit: float = 1.0

    @property
    def n_left(self) -> int:
        """How many columns are left out."""
        return self.n_all - len(self.columns)


def told_columns(study: Study, n_most: int) -> Heat | None:
    """The columns that shown elements have most to do with; None where there is none."""
    links = study.links
    if links is None:
        return None
    assert study.associated is not None  # or there would be no links
    is_found = links.q < SIGNIFICANT
    is_dependent = (study.associated.information.q < SIGNIFICANT) & ~is_found
    is_dependent &= not links.is_moved
    strength = np.abs(np.where(is_found, links.values, 0.0))[study.shown].max(0)
    strength = strength + 1e-3 * is_dependent[study.shown].any(0)
    n_found = int((strength > 0).sum())
    if not n_found:
        return None
    order = np.argsort(-strength, kind="stable")[: min(n_most, n_found)]
    places = sorted(order.tolist())
    limit = min(1.0, float(strength.max())) if links.is_moved else 1.0
    return heat_of(study, links.values, is_found, is_dependent, places, limit)


def heat_of(
    study: Study,
    values: Floats,
    is_found: NDArray[np.bool_],
    is_dependent: NDArray[np.bool_],
    places: list[int],
    limit: float = 1.0,
) -> Heat:
    """The heat of some columns, of arrays (element, column)."""
    names = column_words(study.plan)
    return Heat(
        [names[place] for place in places],
        places,
        len(names),
        values[:, places],
        is_found[:, places],
        is_dependent[:, places],
        limit,
    )


def draw_heat(
    axes: Axes, heat: Heat, study: Study, shown: list[int], *, colours: str = "RdBu_r"
) -> AxesImage:
    """Rows of elements, in this order; a number where it is worth one."""
    values, is_found = heat.values[shown], heat.is_found[shown]
    low = -heat.limit if colours == "RdBu_r" else 0.0
    axes.set_facecolor(_NOTHING)
    masked = np.ma.masked_where(~is_found, values)
    drawn = axes.imshow(masked, cmap=colours, vmin=low, vmax=heat.limit, aspect="auto")
    for row, column in np.ndindex(*values.shape):
        if is_found[row, column] and abs(values[row, column]) >= _TOLD * heat.limit:
            dark = abs(values[row, column]) > 0.6 * heat.limit
            axes.text(column, row, number(float(values[row, column]), signed=low < 0), fontsize=6,
                      ha="center", va="center", color="white" if dark else "black")  # fmt: skip
        elif heat.is_dependent[shown][row, column]:
            axes.text(column, row, "~", fontsize=9, ha="center", va="center", color="0.25")
    axes.set_xticks(np.arange(values.shape[1] + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(values.shape[0] + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", lw=1.2)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    return drawn
