"""What the experiment says: sentences, tables, arrays, figures, and sets for other analyses."""

from __future__ import annotations

from collections.abc import Sequence

from ganprobe import Array, Context, Figure, Result, Table, UnitSet, draw_image_grid
from ganprobe_swap.experiment import Experiment
from ganprobe_swap.figures import draw_curves, draw_transfer, draw_units
from ganprobe_swap.images import progress_rows, strip_rows
from ganprobe_swap.pairs import counted
from ganprobe_swap.searching import Found
from ganprobe_swap.sentences import findings, mode, own_rates, wants
from ganprobe_swap.verdicts import Rate


def make_result(done: Experiment, context: Context) -> Result:
    """The result of an experiment."""
    return Result(
        findings=findings(done, context),
        arrays=_arrays(done),
        coordinates={"size": done.sizes.tolist()},
        tables=_tables(done),
        figures=_figures(done, context),
        unit_sets=_unit_sets(done, context),
    )


def _tables(done: Experiment) -> dict[str, Table]:
    tables = {"sets": _sets_table(done)}
    if done.judge is not None:
        tables |= {"success": _success_table(done), "transfer": _transfer_table(done)}
    return tables


def _sets_table(done: Experiment) -> Table:
    rows = [
        (one.kind, one.objective.name, one.detail, number, " ".join(map(str, units)),
         float(base), float(path[-1]))
        for one in [*done.found, *done.found_elsewhere]
        for number, (units, base, path) in enumerate(
            zip(one.units.tolist(), one.base, one.paths, strict=True))
    ]  # fmt: skip
    columns = ("pairs", "objective", "strategy", "set", "units", "unedited", "edited")
    return Table(columns, tuple(rows), "Each set, its units in the order of their picks.")


def _success_table(done: Experiment) -> Table:
    rows = [
        ("" if found is None else found.objective.name,
         "random" if found is None else found.detail,
         *_numbers(becomes), *_numbers(stays), becomes.n, becomes.n_sets)
        for found, becomes, stays in own_rates(done)
    ]  # fmt: skip
    columns = ("objective", "strategy", "donor", "donor low", "donor high", "source",
               "source low", "source high", "pairs", "sets")  # fmt: skip
    text = (
        "Share of edited images that are called what the donor or what the source is, with 95 %"
        " intervals; each pair with its own set, where there is one for each."
    )
    return Table(columns, tuple(rows), text)


def _transfer_table(done: Experiment) -> Table:
    rows = []
    for one in done.tested:
        becomes, stays = one.verdicts.rate("donor"), one.verdicts.rate("source")
        found = "random" if one.found is None else f"{one.found.name} on {one.found.kind}"
        rows.append((found, one.pairs.kind, *_numbers(becomes), *_numbers(stays), becomes.n,
                     becomes.n_sets))  # fmt: skip
    columns = ("found", "tested on", "donor", "donor low", "donor high", "source", "source low",
               "source high", "pairs", "sets")  # fmt: skip
    return Table(columns, tuple(rows), "Every set on pairs held out, where there are such.")


def _numbers(rate: Rate) -> tuple[float, float, float]:
    return rate.value, rate.low, rate.high


def _arrays(done: Experiment) -> dict[str, Array]:
    arrays: dict[str, Array] = {
        "random units": Array(done.random.units, ("draw", "pick"), "", "random sets, nested"),
    }
    for name, paths in done.random.paths.items():
        text = f"objective {name} with the first units of random sets, mean over pairs"
        arrays[f"{_plain(name)} random path"] = Array(paths, ("draw", "pick"), "", text)
    for one in done.found:
        own = "set" if one.is_one_for_all else "pair"
        text = f"{one.objective.name}, {one.detail}"
        name = _plain(one.name)
        arrays[f"{name} units"] = Array(one.units, (own, "pick"), "", f"units found: {text}")
        arrays[f"{name} path"] = Array(one.paths, (own, "pick"), "", f"objective: {text}")
    for name, verdicts in done.curves.items():
        if name != "random":
            text = "column of the judge that the edited image has most of, after so many units"
            arrays[f"{_plain(name)} called"] = Array(verdicts.called, ("size", "pair"), "", text)
    return arrays


def _plain(name: str) -> str:
    """A name that a dataset and a file can have; two objectives never have the same."""
    written = f"less_{name[1:]}" if name.startswith("-") else name
    return "".join(sign if sign.isalnum() or sign in "_.-" else "_" for sign in written).lstrip(".")


def _unit_sets(done: Experiment, context: Context) -> dict[str, UnitSet]:
    identity = context.generator.to_json()
    generator = {key: identity[key] for key in ("name", "weights_sha256", "normalisation")}
    sets = {}
    for one in done.found:
        if one.strategy == "given":
            continue
        for number, units in enumerate(one.units[: done.params.n_shown].tolist()):
            own = "" if len(one.units) == 1 else f"-pair{number}"
            found = _how_found(done, context, one, number)
            name = f"{_plain(one.name)}-{done.n_units}{own}"
            sets[name] = UnitSet(tuple(units), str(done.site), generator, found)
    if not done.found or all(one.strategy == "given" for one in done.found):
        found = {"analysis": "swap", "strategy": "random", "seed": context.seed, "draw": 0}
        units = tuple(done.random.units[0].tolist())
        sets[f"random-{done.n_units}"] = UnitSet(units, str(done.site), generator, found)
    return sets


def _how_found(done: Experiment, context: Context, one: Found, number: int) -> dict[str, object]:
    return {
        "analysis": "swap",
        "objective": one.objective.name,
        "strategy": one.detail,
        "pairs": one.kind,
        "n_pairs": len(done.pairs) if one.is_one_for_all else 1,
        "pair": None if one.is_one_for_all else number,
        "seed": context.seed,
        "base": float(one.base[number]),
        "path": [float(value) for value in one.paths[number]],
    }


def _figures(done: Experiment, context: Context) -> dict[str, Figure]:
    made = (
        f"{context.generator.name}, {mode(context)}; {done.site}; {done.pairs.kind};"
        f" {counted(len(done.pairs))}, seed {context.seed}"
    )
    figures = {
        "strip": _strip(done, context, made),
        "progressive": _progressive(done, context, made),
    }
    if done.found:
        title = f"What swapping units of {done.site} does, {done.pairs.kind}"
        drawn = draw_curves(done, title=title, made=made)
        figures["curve"] = Figure(drawn, "Each objective against the number of units swapped.")
    own = [one for one in done.found if len(one.units) > 1]
    if own:
        drawn = draw_units(done, own, title="Which units are chosen", made=made)
        figures["units"] = Figure(drawn, "How many pairs chose each unit; how much sets share.")
    if done.judge is not None:
        figures["transfer"] = _transfer_figure(done, made)
    return figures


def _strip(done: Experiment, context: Context, made: str) -> Figure:
    rows, labels, columns = strip_rows(context, done)
    swapped = f"{done.n_units} of {done.tensor.n_units} units of {done.site} swapped"
    framed = "" if done.judge is None else f"{_quoted(done)}, framed where it succeeded"
    drawn = draw_image_grid(
        rows,
        title=f"{swapped}: {done.pairs.kind}",
        note=f"Red: brighter than the source, blue: darker{framed}.",
        row_labels=labels,
        column_labels=columns,
        made=made,
    )
    text = "Source, donor, what each strategy makes of it, and the difference to the source."
    return Figure(drawn, text)


def _progressive(done: Experiment, context: Context, made: str) -> Figure:
    rows, labels, columns = progress_rows(context, done)
    drawn = draw_image_grid(
        rows,
        title=f"Unit by unit: {done.pairs.name(0)}, {done.pairs.kind}",
        note=f"The units of one order, nested{_quoted(done)}.",
        row_labels=labels,
        column_labels=columns,
        made=made,
    )
    return Figure(drawn, "One pair, with more and more units swapped.")


def _quoted(done: Experiment) -> str:
    return "" if done.judge is None else f"; in quotes what {done.judge.measure.name!r} sees"


def _transfer_figure(done: Experiment, made: str) -> Figure:
    rows: list[tuple[str, Sequence[Rate]]] = []
    kinds = [f"{side.kind}\n(n = {len(side.tested)})" for side in done.sides]
    for found in [*done.found, *done.found_elsewhere, None]:
        mine = [one for one in done.tested if one.found is found]
        rates = [one.verdicts.rate(wants(one)) for one in mine]
        rows.append((_row_label(found, rates[0]), rates))
    title = (
        f"Do {done.n_units} units work elsewhere? Share of edited images that show what they should"
    )
    return Figure(
        draw_transfer(rows, kinds, title=title, made=made),
        "Sets of units on pairs that were held out, where there are such.",
    )


def _row_label(found: Found | None, rate: Rate) -> str:
    if found is None:
        return f"random ({rate.n_sets} sets)"
    goal = "" if found.objective.wants == "donor" else ", should stay"
    each = f"each of {rate.n_sets} pairs' own" if rate.n_sets > 1 else "one set"
    if found.strategy == "given":
        return f"the units given{goal}"
    return f"{found.objective.name}, {found.strategy}{goal}\n{each}, of {found.kind}"
