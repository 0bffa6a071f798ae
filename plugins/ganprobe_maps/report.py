"""What the maps say: sentences, a table, arrays and figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ganprobe import Array, Context, Figure, Result, Table
from ganprobe_maps.activations import SiteMaps
from ganprobe_maps.figures import draw_sheet
from ganprobe_maps.sheets import Sheet, plan_sheets
from ganprobe_maps.statistics import OF_A_MAP

N_TOP = 20
_MOST_LISTED = 8
_PLACES = ("sample", "unit", "y", "x")


def make_result(maps: SiteMaps, context: Context) -> Result:
    """The result: findings, a table of units, arrays, sheets."""
    n_units = maps.tensor.n_units
    return Result(
        findings=_findings(maps, context),
        arrays=_arrays(maps),
        coordinates={"unit": list(range(n_units))},
        tables={"units": _table(maps)},
        figures=_figures(maps, context),
    )


def _findings(maps: SiteMaps, context: Context) -> list[str]:
    findings = [_dead(maps, context)]
    if maps.donor is not None:
        findings.append(_most_different(maps, context))
        if maps.marked:
            findings.append(_marked(maps, context))
    named = maps.params.source.n_samples or 0
    n_shown = len(maps.source.labels)
    if named > n_shown:
        findings.append(f"--source names {named} samples, of which --n-samples takes {n_shown}.")
    held = (maps.source, *([maps.donor] if maps.donor else []))
    n_lost = sum(int((~np.isfinite(one.values)).sum()) for one in held)
    if n_lost:
        findings.append(f"{n_lost:,} values are NaN or infinite, and are left white.")
    return findings


def _dead(maps: SiteMaps, context: Context) -> str:
    statistics, n_units = maps.statistics, maps.tensor.n_units
    dead = np.flatnonzero(statistics.is_zero.all(axis=0)).tolist()
    constant = np.flatnonzero(statistics.is_constant.all(axis=0)).tolist()
    return (
        f"{maps.tensor.site} of {context.generator.name!r}: {len(dead)} of {n_units:,} units are"
        f" dead ({_listed(dead)}zero everywhere) in {_samples(maps.source.labels)},"
        f" {len(constant)} constant{_behind(constant)}; n = {_counted(maps)}, seed {context.seed}."
    )


def _most_different(maps: SiteMaps, context: Context) -> str:
    shares = maps.statistics.pooled_shares
    assert shares is not None
    assert maps.donor is not None
    pair = f"from {_samples(maps.source.labels)} to {_samples(maps.donor.labels)}"
    made = f"n = {_counted(maps)}, seed {context.seed}"
    if not np.isfinite(shares).all():
        return f"No unit's difference can be told {pair}: there is none, or NaN in it; {made}."
    order = np.argsort(-shares, kind="stable")
    first = ", ".join(f"{unit} ({_percent(shares[unit])})" for unit in order[:5])
    top = _percent(shares[order[:N_TOP]].sum())
    held = f"; the {N_TOP} that differ most, of {len(order):,}, hold {top} of it"
    return (
        f"Most of the difference {pair} is in units {first}, as shares of the squared difference"
        f"{held if len(order) > N_TOP else ''}; {made}."
    )


def _marked(maps: SiteMaps, context: Context) -> str:
    shares = maps.statistics.pooled_shares
    assert shares is not None
    n_marked, n_units = len(maps.marked), maps.tensor.n_units
    share = shares[list(maps.marked)].sum()
    return (
        f"The {n_marked} units of --units hold {_percent(share)} of the squared difference; as"
        f" many units chosen at random would hold {_percent(n_marked / n_units)} on average;"
        f" n = {_counted(maps)}, seed {context.seed}."
    )


def _arrays(maps: SiteMaps) -> dict[str, Array]:
    site, statistics = maps.tensor.site, maps.statistics
    arrays = {
        "source": Array(maps.source.values, _PLACES, description=f"activation at {site}"),
        "source_image": _image_array(maps.source.images),
    }
    for name, told in OF_A_MAP.items():
        arrays[name] = _by_unit(statistics.source[name], f"{told} of the source's map")
    if maps.donor is None:
        return arrays
    assert maps.difference is not None
    assert statistics.root_mean_square is not None
    assert statistics.shares is not None
    arrays |= {
        "donor": Array(maps.donor.values, _PLACES, description=f"the donor's activation at {site}"),
        "difference": Array(maps.difference, _PLACES, description="donor less source"),
        "donor_image": _image_array(maps.donor.images),
        "rms_difference": _by_unit(
            statistics.root_mean_square, "root mean square of the difference over positions"
        ),
        "share_of_difference": _by_unit(
            statistics.shares, "share of the squared difference of all units"
        ),
    }
    for name, told in OF_A_MAP.items():
        arrays[f"donor_{name}"] = _by_unit(statistics.donor[name], f"{told} of the donor's map")
    return arrays


def _by_unit(values: object, description: str) -> Array:
    return Array(np.asarray(values), ("sample", "unit"), description=description)


def _image_array(images: object) -> Array:
    dims = ("sample", "channel", "image_y", "image_x")
    return Array(np.asarray(images), dims, description="images, black 0 and white 1")


def _table(maps: SiteMaps) -> Table:
    """A row for each sample and unit that is drawn."""
    statistics = maps.statistics
    held = dict(statistics.source)
    if maps.donor is not None:
        assert statistics.root_mean_square is not None
        assert statistics.shares is not None
        held["donor_mean"] = statistics.donor["mean"]
        held["rms_difference"] = statistics.root_mean_square
        held["share_of_difference"] = statistics.shares
    rows: list[tuple[str | int | float | bool | None, ...]] = []
    for sample, label in enumerate(maps.source.labels):
        for unit in maps.shown:
            numbers = (float(one[sample, unit]) for one in held.values())
            rows.append((label, unit, unit in maps.marked, *numbers))
    told = "of each unit's map in the source sample; the difference is donor less source"
    return Table(("source", "unit", "is_marked", *held), tuple(rows), told)


def _figures(maps: SiteMaps, context: Context) -> dict[str, Figure]:
    n, what = len(maps.source.labels), "sample" if maps.donor is None else "pair"
    shown = f"n = 1 {what}" if n == 1 else f"one of {n} {what}s"
    made = f"{context.generator.name}, {maps.tensor.site}, seed {context.seed}, {shown}"
    sheets = plan_sheets(maps, context.generator.name)
    return {sheet.name: Figure(draw_sheet(sheet, made), _caption(sheet, made)) for sheet in sheets}


def _caption(sheet: Sheet, made: str) -> str:
    return f"{sheet.title}. {sheet.note} ({made})."


def _counted(maps: SiteMaps) -> str:
    n = len(maps.source.labels)
    what = "sample" if maps.donor is None else "pair"
    return f"{n} {what}" + ("s" if n > 1 else "")


def _samples(labels: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(labels))
    return distinct[0] if len(distinct) == 1 else f"{len(distinct)} samples"


def _listed(units: Sequence[int]) -> str:
    more = ", ..." if len(units) > _MOST_LISTED else ""
    return f"{', '.join(map(str, units[:_MOST_LISTED]))}{more}: " if units else ""


def _behind(units: Sequence[int]) -> str:
    return f" ({_listed(units).removesuffix(': ')})" if units else ""


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
