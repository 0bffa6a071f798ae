"""Pictures: the images of some samples, and where in the image there is progress."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ganprobe import COLOURS, ImageCell, draw_image_grid, sign
from ganprobe_veto.trace import Trace
from ganprobe_veto.words import goal

_EDIT = COLOURS[0]
_LEAST_WAY = 0.05  # of the largest: pixels with less of the way have no progress to speak of


def draw_images(trace: Trace, *, title: str, made: str) -> Figure:
    """A row for each sample: source, edited, destination, and the controls."""
    kinds = {
        "source": "source",
        "edited": "edited",
        "destination": "destination\n(all units)",
        "blend": "blend of all\nunits, equal norm",
        "random": "random edit\nof equal norm",
    }
    n_shown = len(trace.images["source"])
    rows = [[_cell(trace, kind, sample) for kind in kinds] for sample in range(n_shown)]
    note = "first samples; destination: " + goal(trace)
    if trace.verdicts is not None:
        note += f"; under each image what {trace.verdicts.judge.name} says"
    return draw_image_grid(
        rows,
        title=title,
        made=made,
        note=note,
        row_labels=_row_labels(trace, n_shown),
        column_labels=list(kinds.values()),
    )


def draw_where(trace: Trace, *, title: str, made: str) -> Figure:
    """Over all samples: where the way to the destination lies, and where the edit goes it."""
    figure = Figure(figsize=(8.6, 4.2), layout="constrained")
    way, progress = figure.subplots(1, 2)
    shares = 100 * trace.way_map
    drawn = way.imshow(shares, cmap="Greys", vmin=0, interpolation="nearest")
    bar = figure.colorbar(drawn, ax=way, shrink=0.8)
    bar.set_label("share of the way at this pixel (%)", fontsize=8)
    way.set_title(f"Where the way to {goal(trace)} lies", fontsize=9.5)
    known = np.where(trace.way_map > _LEAST_WAY * trace.way_map.max(), trace.progress_map, np.nan)
    limit = _limit(known)
    drawn = progress.imshow(known, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    bar = figure.colorbar(drawn, ax=progress, shrink=0.8, extend="both")
    bar.set_label("progress at this pixel (1 arrived, below 0 away)", fontsize=8)
    progress.set_title("Where the edit makes progress (grey: no way to go)", fontsize=9.5)
    progress.set_facecolor("0.85")
    for axes in (way, progress):
        axes.set_xticks([])
        axes.set_yticks([])
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    sign(figure, made)
    return figure


def _limit(progress: NDArray[np.float64]) -> float:
    """The end of the scale: all but the outermost pixels lie within it."""
    known = np.abs(progress[np.isfinite(progress)])
    return max(0.05, float(np.quantile(known, 0.99))) if len(known) else 1.0


def _cell(trace: Trace, kind: str, sample: int) -> ImageCell:
    below = "" if trace.verdicts is None else trace.verdicts.below(kind, sample)
    is_edited = kind == "edited"
    frame = _EDIT if is_edited else None
    return ImageCell(trace.images[kind][sample], below, frame=frame, is_strong=is_edited)


def _row_labels(trace: Trace, n_shown: int) -> list[str]:
    source, donor = trace.pairs.source.indices, trace.pairs.donor
    labels = []
    for row in range(n_shown):
        label = f"sample {source[row]}" if source else f"sample {row}"
        if donor is not None and donor.indices:
            label += f"\ndonor {donor.indices[row]}"
        progress = trace.progress[-1, row]
        labels.append(f"{label}\nprogress {progress:.2f}")
    return labels
