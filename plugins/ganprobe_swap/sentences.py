"""What the experiment says, in sentences."""

from __future__ import annotations

from ganprobe import Context
from ganprobe_swap.experiment import Experiment, Tested
from ganprobe_swap.figures import overlaps
from ganprobe_swap.pairs import counted
from ganprobe_swap.searching import Found
from ganprobe_swap.verdicts import Rate

_ROUNDING = 1e-9


def findings(done: Experiment, context: Context) -> list[str]:
    """All that was found, the most important first."""
    n_units, of = done.n_units, done.tensor.n_units
    made = f"{counted(len(done.pairs))}, seed {context.seed}, {mode(context)}"
    among = "" if done.n_among == of else f", chosen among {done.n_among},"
    told = [
        f"{n_units} of the {of} units of {done.site}{among} were swapped, {done.pairs.kind}"
        f" ({made})."
    ]
    if done.judge is not None:
        told += [_rate_finding(done, *rates) for rates in own_rates(done)]
        told += _transfer_findings(done)
    told += [_path_finding(one) for one in done.found]
    told += [_overlap(done, one) for one in done.found if len(one.units) > 1]
    told += [f"One for all, found for {one.kind}: {_shared(done, one)}."
                 for one in done.found_elsewhere]  # fmt: skip
    return told


def own_rates(done: Experiment) -> list[tuple[Found | None, Rate, Rate]]:
    """Each with its own pairs: how often they became their donor, and stayed their source."""
    n_sizes = len(done.sizes)
    rates: list[tuple[Found | None, Rate, Rate]] = []
    for found in [*done.found, None]:
        verdicts = done.curves["random" if found is None else found.name]
        last = verdicts.of_sets(slice(n_sizes - 1, None, n_sizes))
        rates.append((found, last.rate("donor"), last.rate("source")))
    return rates


def mode(context: Context) -> str:
    """By which statistics the generator normalises."""
    return f"normalisation {context.generator.normalisation}"


def _rate_finding(done: Experiment, found: Found | None, becomes: Rate, stays: Rate) -> str:
    name = "Random sets" if found is None else f"{found.objective.name}, {found.detail}"
    of = "" if found is None else (" one set for all:" if found.is_one_for_all else " own sets:")
    stayed = f"{stays.value:.2f} [{stays.low:.2f}, {stays.high:.2f}]"
    return f"{name}:{of} called what the donor is {becomes}; still what the source is {stayed}."


def _transfer_findings(done: Experiment) -> list[str]:
    findings = []
    for side in done.sides:
        told = [f"{_label(done, one)} {one.verdicts.rate(wants(one)).value:.2f}"
                for one in done.tested if one.pairs is side.tested]  # fmt: skip
        n = len(side.tested)
        where = f"{n} held-out pairs" if side.held_out is not None else f"the {n} searched on"
        findings.append(f"On {where}, {side.kind}: {', '.join(told)}.")
    return findings


def _path_finding(found: Found) -> str:
    first = ", ".join(str(unit) for unit in found.units[0][:20])
    more = ", ..." if found.units.shape[1] > 20 else ""
    whose = "" if found.is_one_for_all else " (first pair)"
    reached = f"{_number(found.base.mean())} to {_number(found.paths[:, -1].mean())}"
    how = found.how.splitlines()[0]
    return (
        f"{found.objective.name}, {found.detail}: units {first}{more}{whose}; the objective went"
        f" from {reached} (mean over pairs); {found.n_evaluated:,} sets evaluated, {how}."
    )


def _number(value: float) -> str:
    """To four digits; what rounding left beside 0 is 0."""
    return f"{value if abs(value) > _ROUNDING else 0.0:.4g}"


def _overlap(done: Experiment, found: Found) -> str:
    shared = overlaps(found.units)
    return (
        f"Is it the same units for every pair? {found.objective.name}, {found.strategy}: the sets"
        f" of two pairs share {shared.mean():.1f} of {done.n_units} units (from {shared.min()} to"
        f" {shared.max()}); by chance {done.chance:.1f}."
    )


def _shared(done: Experiment, elsewhere: Found) -> str:
    same = next(one for one in done.found if one.strategy == elsewhere.strategy)
    n_shared = len(set(same.units[0].tolist()) & set(elsewhere.units[0].tolist()))
    return f"{n_shared} of {done.n_units} units are those found for {done.pairs.kind}"


def _label(done: Experiment, tested: Tested) -> str:
    if tested.found is None:
        return "random"
    elsewhere = tested.found.kind != done.pairs.kind
    return tested.found.name + (f" found for {tested.found.kind}" if elsewhere else "")


def wants(tested: Tested) -> str:
    """Whose class the edited images should show, the donor's or the source's."""
    return "donor" if tested.found is None else tested.found.objective.wants
