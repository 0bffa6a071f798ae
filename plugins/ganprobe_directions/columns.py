"""Columns: the numbers that images are measured by, of several measures side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ganprobe import Context, Generator, Measure, ParameterError

Floats = NDArray[np.float64]

_NAMELESS = ("score", "value", "mean")  # what says nothing without its measure


@dataclass(frozen=True, eq=False)
class Attribute:
    """A column of a measure, as a user wrote it.

    Args:
        name: what its direction is called.
        label: of the column: ``digit=1``, ``digit-realness``.
        place: of the column in its measure.
    """

    name: str
    label: str
    measure: Measure
    place: int


@dataclass(frozen=True, eq=False)
class Columns:
    """All columns of some measures.

    Args:
        labels: ``digit=1``; of a measure with one column its name alone.
    """

    measures: tuple[Measure, ...]
    labels: tuple[str, ...]

    @classmethod
    def of(cls, measures: Sequence[Measure]) -> Columns:
        """Of these, each once."""
        each = tuple({measure.name: measure for measure in measures}.values())
        labels = [label_of(one, column) for one in each for column in one.columns]
        return cls(each, tuple(labels))

    def __len__(self) -> int:
        return len(self.labels)

    def place(self, attribute: Attribute) -> int:
        """Of an attribute among the columns."""
        return self.labels.index(attribute.label)

    def classes(self, values: Floats) -> dict[str, slice]:
        """The columns of each measure that gives probabilities of classes, by these values."""
        found, start = {}, 0
        for measure in self.measures:
            places = slice(start, start + len(measure.columns))
            start = places.stop
            own = values[:, places]
            is_share = own.shape[1] > 1 and bool((own >= 0).all())
            if is_share and np.allclose(own.sum(1), 1.0, atol=1e-3):
                found[measure.name] = places
        return found

    def values(self, images: Tensor, generator: Generator) -> Floats:
        """(n, columns) of images in the generator's range."""
        unit = generator.to_unit_range(images)
        values = [measure(unit).double().cpu().numpy() for measure in self.measures]
        return np.concatenate(values, axis=1) if values else np.empty((len(images), 0))


def label_of(measure: Measure, column: str) -> str:
    """How a column is written on the command line."""
    return measure.name if len(measure.columns) == 1 else f"{measure.name}={column}"


def read_attribute(context: Context, written: str) -> Attribute:
    """The column that ``digit-shape.thickness`` or ``digit=1`` names."""
    name, point, column = written.rpartition(".")
    measure, place = context.column(f"{name}={column}" if point and "=" not in written else written)
    found = measure.columns[place]
    label = label_of(measure, found)
    is_word = len(found) > 1 and found[0].isalpha() and found not in _NAMELESS
    name = found if is_word and len(measure.columns) > 1 else label
    return Attribute(name, label, measure, place)


def read_attributes(context: Context, written: Sequence[str], flag: str) -> list[Attribute]:
    """As `read_attribute`, each of another column.

    Raises:
        ParameterError: one is given twice.
    """
    found = [read_attribute(context, one) for one in written]
    labels = [one.label for one in found]
    for label in labels:
        if labels.count(label) > 1:
            raise ParameterError(f"{flag} {label} was given twice; give each once")
    return found


def distinctly_named(attributes: Sequence[Attribute]) -> list[Attribute]:
    """The same, those of equal names called by their labels."""
    names = [one.name for one in attributes]
    return [
        replace(one, name=one.label) if names.count(one.name) > 1 else one for one in attributes
    ]
