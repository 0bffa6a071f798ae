"""What a study of directions gives: sentences, tables, arrays, sets of directions, figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ganprobe import Array, Context, Figure, Result, Table
from ganprobe_directions.effects import Effects
from ganprobe_directions.families import Family
from ganprobe_directions.figures import (
    draw_boundaries,
    draw_effects,
    draw_purity,
    draw_spectrum,
)
from ganprobe_directions.sentences import findings, in_deviations, made
from ganprobe_directions.strip_figure import draw_strips
from ganprobe_directions.strips import Strips
from ganprobe_directions.study import Study


def make_result(study: Study, context: Context) -> Result:
    """The result of a study."""
    arrays: dict[str, Array] = {}
    coordinates: dict[str, Sequence[Any]] = {}
    tables: dict[str, Table] = {}
    figures: dict[str, Figure] = {}
    with context.progress(len(study.families), "figures") as bar:
        for family, effects, strips in zip(
            study.families, study.effects, study.strips, strict=True
        ):
            arrays |= _arrays(family, effects, strips)
            coordinates |= _coordinates(study, family, effects, strips)
            tables[family.name] = _table(study, family, effects)
            figures |= _figures(study, family, effects, strips)
            bar.advance(1)
    return Result(
        findings=findings(study),
        arrays=arrays,
        coordinates=coordinates,
        tables=tables,
        figures=figures,
        direction_sets={family.name: family.set for family in study.families},
    )


def _arrays(family: Family, effects: Effects, strips: Strips) -> dict[str, Array]:
    own = f"{family.name} "
    direction, column = f"{own}direction", f"{own}measured"
    arrays = {
        f"{own}image_change": Array(
            effects.image, (direction, "base"), "black to white", "RMS over pixels"
        ),
        f"{own}random_image_change": Array(
            effects.control_image, (direction, "draw"), "black to white", "of random directions"
        ),
        f"{own}outside": Array(effects.outside, (direction,), description="share of moved points"),
        f"{own}strips": Array(
            strips.images,
            (f"{own}shown", "row", "step", "channel", "y", "x"),
            description="images in [0, 1]",
        ),
        f"{own}is_outside": Array(
            strips.is_outside, (f"{own}shown", "row", "step"), description="of the usual range"
        ),
    }
    if effects.found is None:
        return arrays
    what = {"mean": "mean paired change", "low": "lower limit of its 95 % interval",
            "high": "upper limit", "p": "by sign flips", "q": "Benjamini-Hochberg"}  # fmt: skip
    for name, described in what.items():
        values = effects.table(getattr(effects.found, name))
        arrays[f"{own}{name}"] = Array(values, (direction, column), description=described)
    arrays[f"{own}control"] = Array(
        effects.control, (direction, column), description="absolute mean of random directions"
    )
    arrays[f"{own}by_base"] = Array(
        effects.by_base, (direction, "base", column), description="paired change"
    )
    return arrays


def _coordinates(
    study: Study, family: Family, effects: Effects, strips: Strips
) -> dict[str, Sequence[Any]]:
    labels = study.plan.columns.labels
    own: dict[str, Sequence[Any]] = {
        f"{family.name} direction": family.set.names,
        "step": strips.steps.tolist(),
    }
    if effects.found is not None:
        own[f"{family.name} measured"] = [labels[place] for place in effects.columns]
    return own


def _table(study: Study, family: Family, effects: Effects) -> Table:
    columns = ("direction", "measure", "effect", "low", "high", "p", "q", "in deviations",
               "random at most", "random in deviations", "image change (%)")  # fmt: skip
    rows: list[tuple[Any, ...]] = []
    scaled = in_deviations(study, effects) if effects.found is not None else None
    for place, name in enumerate(family.set.names):
        change = 100 * float(effects.image[place].mean())
        if effects.found is None or scaled is None:
            rows.append((name, None, *[None] * 8, change))
            continue
        found = effects.found
        for at, column in enumerate(effects.columns):
            index = place * len(effects.columns) + at
            control = float(effects.control[place, at])
            deviation = study.scale.deviations[column]
            rows.append((
                name, study.plan.columns.labels[column], found.mean[index], found.low[index],
                found.high[index], found.p[index], found.q[index], scaled[place, at], control,
                control / deviation, change,
            ))  # fmt: skip
    far = study.plan.params.effect_at
    described = f"change from -{far:g} to +{far:g} deviations; {made(study.plan)}"
    return Table(columns, tuple(rows), described)


def _figures(study: Study, family: Family, effects: Effects, strips: Strips) -> dict[str, Figure]:
    how, own = made(study.plan), family.name
    figures = {
        f"{own}-strips": Figure(
            draw_strips(study.plan, family, strips, how),
            f"Samples moved along the directions of {family.title} ({how}).",
        )
    }
    if effects.found is not None:
        figures[f"{own}-effects"] = Figure(
            draw_effects(study, family, effects, how),
            f"What the directions of {family.title} change ({how}).",
        )
        purity = draw_purity(study, family, effects, how) if family.boundaries else None
        if purity is not None:
            caption = f"What the directions of attributes move beside them ({how})."
            figures[f"{own}-purity"] = Figure(purity, caption)
    if family.spectrum is not None:
        figures[f"{own}-spectrum"] = Figure(
            draw_spectrum(family, family.spectrum, how),
            f"How much each direction of {family.title} stands for ({how}).",
        )
    if family.boundaries:
        figures[f"{own}-distances"] = Figure(
            draw_boundaries(family, how),
            f"Distances from the boundaries in {family.space.name} ({how}).",
        )
    return figures
