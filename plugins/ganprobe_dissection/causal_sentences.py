"""What removing and inserting the units of a class did, in sentences."""

from __future__ import annotations

import numpy as np

from ganprobe import ContextEffect, PairedEffects, control_band
from ganprobe_dissection.causes import Cause
from ganprobe_dissection.fill import filled
from ganprobe_dissection.insertion import Insertion
from ganprobe_dissection.removal import Curve, Removal

_SURE = 0.05
_HALF = 0.5
_MOST = 3  # classes that a sentence names
_FEW_PLACES = 20  # of which a share says little


def causal_findings(cause: Cause) -> list[str]:
    """Removal, what fills the hole, what else changes, insertion, the map."""
    return [
        _removed(cause.removal),
        _hole(cause.removal),
        _inserted(cause.insertion),
        _context(cause.insertion),
        _average(cause.insertion),
    ]


def _removed(removal: Removal) -> str:
    question = removal.question
    told = " ".join(_of_curve(removal, curve) for curve in removal.curves)
    low, high = control_band(removal.control.shares(question.column)[:, -1])
    n_draws = len(removal.control.draws)
    return (
        f"{question.site}, {question.class_name}, which covers {removal.area:.2%} of the image:"
        f" {told} {n_draws} random sets of {question.n_units} leave {low:.0%} to {high:.0%} of it"
        f" (n = {len(removal.base)} samples that no unit was chosen on, seed"
        f" {question.context.seed})."
    )


def _of_curve(removal: Removal, curve: Curve) -> str:
    sizes, n_units = removal.question.sizes, removal.question.tensor.n_units
    order = "in IoU order" if curve.order == "IoU" else "greedily"
    last = f"{curve.share[-1]:.0%} [{curve.low[-1]:.0%}, {curve.high[-1]:.0%}]"
    units, verb = ("unit", "leaves") if sizes[-1] == 1 else ("units", "leave")
    below = np.flatnonzero(curve.share <= _HALF)
    half = f", at most half of it from {sizes[below[0]]} on" if len(below) else ""
    return (
        f"removed {order}, {sizes[-1]} of {n_units} {units} {verb} {last}{half}"
        f" ({_p(curve.effects, len(sizes) - 1)});"
    )


def _p(effects: PairedEffects, place: int) -> str:
    return f"p = {effects.p[place]:.2g}, q = {effects.q[place]:.2g}"


def _hole(removal: Removal) -> str:
    question, column = removal.question, removal.question.column
    names, share, low, high = filled(removal)
    if not len(share):
        return f"{question.site}: nothing of {question.class_name} went away."
    order = [place for place in np.argsort(-share, kind="stable") if share[place] > 0][:_MOST]
    now = ", ".join(
        f"{names[place]} {share[place]:.0%} [{low[place]:.0%}, {high[place]:.0%}]"
        for place in order
    )
    found, classes = removal.collateral, question.segmenter.classes
    others = [place for place in range(len(classes)) if place != column and found.q[place] < _SURE]
    others.sort(key=lambda place: -abs(found.mean[place]))
    changed = "; no other class changes its area surely"
    if others:
        told = ", ".join(
            f"{classes[place]} {100 * found.mean[place]:+.2f} [{100 * found.low[place]:+.2f},"
            f" {100 * found.high[place]:+.2f}]"
            for place in others[:_MOST]
        )
        changed = f"; over the whole image other classes change by {told} points (% of the image)"
    return (
        f"{question.site}: where {question.class_name} went away with {_these(removal)} there is"
        f" now {now}{changed}."
    )


def _these(removal: Removal) -> str:
    order = "of largest IoU" if removal.chosen.order == "IoU" else "chosen greedily"
    n = len(removal.chosen.units)
    return f"the {n} units {order}" if n > 1 else f"the unit {order}"


def _inserted(insertion: Insertion) -> str:
    question, column = insertion.question, insertion.question.column
    effects, (x, y) = insertion.effects, insertion.middle
    mean, low, high = (100 * one[column] for one in (effects.mean, effects.low, effects.high))
    rows, columns = insertion.places.window
    chosen = "the best place on other samples" if insertion.is_best else "the given place"
    share = float(insertion.places.shares()[insertion.place])
    return (
        f"{question.site}: the same {len(insertion.units)} inserted in {rows} x"
        f" {columns} cells at ({x:.2f}, {y:.2f}), {chosen}, change its area by {mean:+.2f}"
        f" [{low:+.2f}, {high:+.2f}] points (% of the image; the cells are {share:.1%};"
        f" {_p(effects, column)}, n = {len(insertion.base)})."
    )


def _context(insertion: Insertion) -> str:
    question, found = insertion.question, insertion.context
    told = [one for one in found.by_class if one.n_absent >= _FEW_PLACES]
    told.sort(key=lambda one: -one.took)
    if not told:
        return (
            f"{question.site}: too few places are without {question.class_name} to tell where it"
            " can go."
        )
    named = told if len(told) <= 2 * _MOST else [*told[:_MOST], *told[-_MOST:]]
    listed = "; ".join(_took(one) for one in named)
    n_left = len(told) - len(named)
    left = f" ({n_left} between them left out)" if n_left else ""
    return (
        f"{question.site}: inserted where there is none, {question.class_name} appears on"
        f" {listed}{left} (95 % intervals over n = {found.n_samples} samples)."
    )


def _took(effect: ContextEffect) -> str:
    limits = (
        ""
        if np.isnan(effect.took_low)
        else f" [{max(effect.took_low, 0):.0%}, {min(effect.took_high, 1):.0%}]"
    )
    return f"{effect.there} at {effect.took:.0%}{limits} of {effect.n_absent:,} places"


def _average(insertion: Insertion) -> str:
    question, found = insertion.question, insertion.average
    n_places = found.drawn.shape[1]
    best = ""
    if insertion.optimised is not None:
        best = f"; that of as many optimised units is {found.effects.describe(1)}"
    return (
        f"{question.site}: the average causal effect of these {len(insertion.units)} units on"
        f" {question.class_name}, its share of a window at {n_places} random places of each sample"
        f" with the units inserted less that with them at zero, is"
        f" {found.effects.describe(0)}{best}."
    )
