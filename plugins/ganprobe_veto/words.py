"""What the trace says, in sentences: the edit's fate first, then who damps it, then controls."""

from __future__ import annotations

import numpy as np

from ganprobe import Context, share
from ganprobe_veto.damping import Damping, Loss, means_of_sets
from ganprobe_veto.trace import Trace


def findings(trace: Trace, damping: Damping, context: Context) -> list[str]:
    """The sentences, the most important first."""
    found = [_fate(trace, damping, context), _who(trace, damping)]
    if damping.worst is not None:
        found.append(_controls(trace, damping, damping.worst))
    if not trace.non_linear:
        found.append(
            f"Behind {trace.names[0]} no layer is a non-linear one that can be asked for its"
            " derivative, so that saturation is not known: functions that are no layers, such as"
            " torch.tanh in a forward, cannot be seen."
        )
    return found + _judged(trace) + _untouched(trace)


def goal(trace: Trace) -> str:
    """What the destination is called."""
    return "the donor" if trace.edit.is_swap else "the whole ablation"


def _fate(trace: Trace, damping: Damping, context: Context) -> str:
    first, last = damping.progress[0], damping.progress[-1]
    n = f"n = {len(trace.pairs)} {'pairs' if trace.edit.is_swap else 'samples'}"
    aside = trace.residual[-1][np.isfinite(trace.residual[-1])].mean()
    return (
        f"The {trace.edit} comes {first} of the way to {goal(trace)} at {trace.names[0]} and"
        f" {last} at the image of {context.generator.name!r} (mean progress with 95 % interval,"
        f" {n}, seed {context.seed}); at right angles to that way, the image changes by"
        f" {aside:.2f} of its length."
    )


def _who(trace: Trace, damping: Damping) -> str:
    worst = damping.worst
    if worst is None:
        n = max(one.n for one in damping.progress)
        few = f"; {n} are too few samples for an interval" if n < 4 else ""
        return (
            "No layer vetoes the edit: over none does its mean progress fall by a twentieth or more"
            f" with a 95 % interval above 0{few}{_largest(trace, damping)}."
        )
    stop, progress = trace.stops[worst.place], damping.progress
    before = trace.names[worst.before]
    where = (
        f"It is damped most outside of any layer, between {before} and {stop.name}: there"
        if stop.is_between
        else f"{stop.name} ({stop.kind}) damps it most: there"
    )
    return (
        f"{where} its progress falls from {progress[worst.before]} at {before} to"
        f" {progress[worst.place]}, by {worst.fall}{_saturation(trace, worst.place)};"
        f" {_verdict(damping, worst)}{_joined(trace, worst)}."
    )


def _largest(trace: Trace, damping: Damping) -> str:
    """The largest fall that there is, which is too small to speak of or not certain."""
    falls = {place: fall for place, fall in enumerate(damping.falls) if fall is not None}
    place = max(falls, key=lambda one: falls[one].mean, default=0)
    if not place or not falls[place].mean > 0:
        return ""
    return f"; it falls most by {falls[place]}, at {trace.names[place]}"


def _joined(trace: Trace, worst: Loss) -> str:
    """A caution: a sum of branches is no layer's doing."""
    is_between = trace.stops[worst.place].is_between and worst.place < len(trace.stops) - 1
    return " (if branches join there, the last of them is what it is compared with)" * is_between


def _saturation(trace: Trace, place: int) -> str:
    if place not in trace.non_linear:
        return ""
    shares = trace.saturation[trace.non_linear.index(place)].mean(1)  # (state,)
    return (
        f", while {100 * shares[0]:.0f} % of its unedited and {100 * shares[1]:.0f} % of its"
        " edited values are saturated (derivative below 1 %)"
    )


def _verdict(damping: Damping, worst: Loss) -> str:
    """Whether that layer is against this edit: random edits and the blend tell."""
    was, became = damping.survival[worst.before].mean, damping.survival[worst.place].mean
    numbers = f"its change is {was:.2f} times theirs before and {became:.2f} times after"
    if not worst.survival.high < 0:
        fare = "lose even more" if worst.survival.low > 0 else "fare alike"
        return (
            f"random edits of equal norm {fare} ({numbers}), so that this is damping of"
            " everything, not a veto on this edit"
        )
    passed = f"random edits of equal norm pass it better ({numbers})"
    if worst.kept_more.high < 0:
        return f"{passed}, and so does a blend of all units: a veto on this edit"
    return (
        f"{passed}, but a blend of all units does not: what is damped is the way to the"
        " destination, whatever units go it"
    )


def _controls(trace: Trace, damping: Damping, worst: Loss) -> str:
    before, place = worst.before, worst.place
    sets = means_of_sets(trace)
    return (
        f"There {_percent(worst.kept)} of its progress is left to the edit, and"
        f" {_percent(worst.blend_kept)} to a blend of all units of equal norm, which falls from"
        f" {damping.blend[before]} to {damping.blend[place]}; {len(sets)} random sets of"
        f" {len(trace.edit.units)} units fall from {sets[:, before].mean():.3f} to"
        f" {sets[:, place].mean():.3f} (mean; {sets[:, place].min():.3f} to"
        f" {sets[:, place].max():.3f} after it)."
    )


def _percent(kept: float) -> str:
    return "no share" if np.isnan(kept) else f"{100 * kept:.0f} %"


def _judged(trace: Trace) -> list[str]:
    verdicts = trace.verdicts
    if verdicts is None or len(verdicts.judge.columns) == 1:
        return []
    kept = share(verdicts.agrees("edited", "source"))
    moved = share(verdicts.agrees("edited", "destination"))
    return [
        f"Measure {verdicts.judge.name!r} finds in the edited image what it finds in the source in"
        f" {kept}, and what it finds in the destination in {moved}."
    ]


def _untouched(trace: Trace) -> list[str]:
    if not trace.n_untouched:
        return []
    return [
        f"In {trace.n_untouched} of {len(trace.pairs)} samples the edit changes nothing at"
        f" {trace.names[0]}; they count with progress 0, and have no survival."
    ]
