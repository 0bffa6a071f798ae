"""Tours: the images along a route."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe import ForwardError
from ganprobe_traversal.routes import Route
from ganprobe_traversal.walk import batch_size
from ganprobe_traversal.ways import Floats

__all__ = ["Tour", "take_tour"]


@dataclass(frozen=True, eq=False)
class Tour:
    """What following a route gave.

    Args:
        images: (row, step, channel, y, x) in [0, 1].
        changes: (row, step - 1) root mean square change from each step to the next, 0 to 1.
        spans: (row,) that from the first step to the last.
        measures: by name: (row, step, column).
    """

    route: Route
    images: NDArray[np.float32]
    changes: Floats
    spans: Floats
    measures: dict[str, Floats]


def take_tour(route: Route) -> Tour:
    """Make and measure the images of all points of a route.

    Raises:
        ForwardError: the generator raised, or gave NaN or infinity.
    """
    n_rows, n_steps = route.points.shape[:2]
    points = route.points.flatten(0, 1)
    beside = route.latents.take([row for row in range(n_rows) for _ in range(n_steps)])
    probe = route.context.probe
    images: list[Tensor] = []
    measured: dict[str, list[Tensor]] = {measure.name: [] for measure in route.measures}
    with route.context.progress(len(points), "images") as bar:
        for raw in route.space.image_batches(points, beside, batch_size=batch_size(probe)):
            if not raw.isfinite().all():
                raise ForwardError(
                    f"generator {route.context.generator.name!r} gave NaN or infinity on a"
                    f" {route.how}"
                )
            shown = route.context.generator.to_unit_range(raw)
            images.append(shown.float().cpu())
            for measure in route.measures:
                measured[measure.name].append(measure(shown).double().cpu())
            bar.advance(len(raw))
    made = torch.cat(images).unflatten(0, (n_rows, n_steps))
    return Tour(
        route=route,
        images=made.numpy(),
        changes=_change(made[:, :-1], made[:, 1:]),
        spans=_change(made[:, 0], made[:, -1]),
        measures={
            name: torch.cat(values).unflatten(0, (n_rows, n_steps)).numpy()
            for name, values in measured.items()
        },
    )


def _change(first: Tensor, second: Tensor) -> Floats:
    """Root mean square over channels and pixels."""
    changes: Floats = (second - first).double().square().mean(dim=(-3, -2, -1)).sqrt().numpy()
    return changes
