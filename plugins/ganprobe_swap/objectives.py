"""Objectives: what a search drives, as functions of images that gradients flow through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ganprobe import Context, Measure, UnknownNameError

OfImages = Measure | Callable[[Tensor], Tensor]
"""What a search takes: a measure, or a function of images to one number for each."""

IMAGE_GOALS = {
    "toward": "mean squared difference to the donor's image",
    "away": "mean squared difference from the source's image",
    "stay": "mean squared difference from the source's image",
}


@dataclass(frozen=True, eq=False)
class Objective:
    """What is driven, up or down.

    Args:
        name: as it was written.
        label: what its values are, with their unit.
        maximise: or else minimise.
        measure: a measure, and
        column: which of its numbers; None: it compares images.
    """

    name: str
    label: str
    maximise: bool
    measure: Measure | None = None
    column: int = 0

    def on(self, source_images: Tensor, donor_images: Tensor) -> OfImages:
        """The function of edited images that a search takes, for these pairs.

        Args:
            source_images, donor_images: (pair, channel, y, x), as the generator gives them.
        """
        if self.measure is not None:
            return self.measure
        target = donor_images if self.name == "toward" else source_images

        def difference(images: Tensor) -> Tensor:
            times = len(images) // len(target)  # several variants of all pairs
            apart = images - (target.repeat(times, 1, 1, 1) if times > 1 else target)
            return apart.square().mean(dim=(1, 2, 3))

        return difference

    @property
    def wants(self) -> str:
        """What a judge should say for it to have succeeded: the donor's class, or the source's."""
        return "source" if self.name == "stay" else "donor"


def read_objective(context: Context, written: str) -> Objective:
    """An objective as it is written: toward, away, stay, ``digit=3`` or ``-digit=1``.

    Raises:
        UnknownNameError: it is none of them, or there is no such measure or column.
    """
    if written in IMAGE_GOALS:
        unit = f"{IMAGE_GOALS[written]}\n(squared units of the image's range)"
        return Objective(written, unit, maximise=written == "away")
    text = written.removeprefix("-")
    if "=" not in text and written not in IMAGE_GOALS:
        known = [*IMAGE_GOALS, *_lone_measures(context, text)]
        if text not in known:
            hint = "or a measure's column, as digit=3; measures: ganprobe plugins"
            raise UnknownNameError("objective", written, known, hint=hint)
    measure, column = context.column(text)
    label = f"{measure.name}: {measure.columns[column]}"
    return Objective(written, label, not written.startswith("-"), measure, column)


def _lone_measures(context: Context, name: str) -> list[str]:
    try:
        return [context.measure(name).name]
    except UnknownNameError:
        return []
