"""Judges: measures that say how good an image is."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganprobe import AreaMeasure, Context, Latents, Measure, ParameterError

_LIMIT = re.compile(r"(?P<column>[^<>]+)(?:(?P<sign>[<>])(?P<limit>[^<>]*))?")
_OF_ANY_IMAGE = "appearance=sharpness"
_SURE = 0.9  # from here on a judge that nobody named calls an image good
_N_TRIED = 8  # images that tell whether columns are probabilities
_TOLERANCE = 1e-3
_MOST = 6


@dataclass(frozen=True, eq=False)
class Judge:
    """One column of a measure, or its largest.

    Args:
        what: it tells, as a scale is labelled.
        column: None: the largest one, of probabilities.
        limit: beyond which an image is good; None: a share of the samples is.
        sign: -1 where less is better.
    """

    what: str
    measure: Measure
    column: int | None
    limit: float | None = None
    sign: int = 1

    @property
    def name(self) -> str:
        """What it tells, with its limit: ``digit (confidence) > 0.9``."""
        if self.limit is None:
            return self.what
        return f"{self.what} {'<' if self.sign < 0 else '>'} {self.limit:g}"

    def tell(self, score: float) -> str:
        """A score in words: ``99.7 %``, or in the measure's own unit."""
        if self.column is not None:
            return f"{score:.3g}"
        return f"{100 * score:.3g} %" if score < 0.99 else f"{100 * score:.5g} %"

    def __call__(self, images: Tensor) -> Tensor:
        """(n,) scores of images (n, channels, y, x), black 0 and white 1, float64 on the CPU."""
        values = self.measure(images).double().cpu()  # (n, columns)
        return values.amax(1) if self.column is None else values[:, self.column]


def find_judges(context: Context, written: Sequence[str], latents: Latents) -> list[Judge]:
    """Those that were written, or all that fit.

    Args:
        latents: some, whose images tell whether a measure's columns are probabilities.

    Raises:
        ParameterError: one cannot be read, has several columns that are no probabilities, or two
            are the same.
        UnknownNameError: there is no such measure or column.
        PluginError: it does not take this generator's images.
    """
    images = context.probe.images(latents[:_N_TRIED])
    tried = context.generator.to_unit_range(images)
    if not written:
        return _all_that_fit(context, tried)
    judges = [_read(context, text, tried) for text in written]
    names = [judge.name for judge in judges]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ParameterError(f"two judges are {twice[0]!r}; name each once")
    return judges


def _all_that_fit(context: Context, tried: Tensor) -> list[Judge]:
    judges = []
    for measure in context.measures():
        if len(measure.columns) == 1:
            judges.append(Judge(measure.name, measure, 0))
        elif _are_probabilities(measure(tried)):
            judges.append(Judge(_sureness(measure.name), measure, None, _SURE))
    return judges[:_MOST] or [_read(context, _OF_ANY_IMAGE, tried)]


def _read(context: Context, text: str, tried: Tensor) -> Judge:
    match = _LIMIT.fullmatch(text)
    if match is None:
        raise ParameterError(
            f"{text!r} is no judge; write digit-realness, digit=1, digit.1>0.9 or digit>0.9"
        )
    called, sign = match["column"].strip(), match["sign"]
    measure, column = _column(context, called, tried)
    what = _sureness(called) if column is None else called
    if sign is None:
        return Judge(what, measure, column)
    return Judge(what, measure, column, _number(match["limit"], text), -1 if sign == "<" else 1)


def _column(context: Context, called: str, tried: Tensor) -> tuple[Measure, int | None]:
    if "=" in called or "." in called:
        return context.column(called)
    measure = context.measure(called)
    if len(measure.columns) == 1:
        return measure, 0
    if isinstance(measure, AreaMeasure) or not _are_probabilities(measure(tried)):
        raise ParameterError(
            f"measure {called!r} has {len(measure.columns)} columns that are no probabilities;"
            f" name one, as {called}={measure.columns[0]}"
        )
    return measure, None


def _number(written: str, text: str) -> float:
    try:
        limit = float(written)
    except ValueError:
        limit = math.nan
    if not math.isfinite(limit):
        raise ParameterError(
            f"{written.strip()!r} in the judge {text!r} is no number; write one, as in digit>0.9"
        )
    return limit


def _sureness(measure: str) -> str:
    return f"{measure} (confidence)"


def _are_probabilities(values: Tensor) -> bool:
    values = values.double()
    in_range = bool((values >= -_TOLERANCE).all() and (values <= 1 + _TOLERANCE).all())
    return in_range and bool(torch.allclose(values.sum(1), torch.ones(1).to(values), atol=1e-2))
