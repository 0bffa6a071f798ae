"""The study: one formula in several spaces, over many draws, beside its controls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe import Context, Latents, ParameterError, SampleChoice
from ganprobe_arithmetic import ArithmeticParams
from ganprobe_arithmetic.formula import Formula, Term
from ganprobe_arithmetic.groups import Group, find_group, random_group, read_groups
from ganprobe_arithmetic.judging import Judges, Verdicts
from ganprobe_arithmetic.sums import Sums

_N_TYPICAL = 500  # samples that tell how far a space reaches, and how sharp single ones are
_SINGLE_START = 2_000_000  # where the single samples of the seed begin
_N_NOISY = 8


@dataclass(frozen=True, eq=False)
class InSpace:
    """The formula in one space.

    Args:
        result: of the groups as they are; `random`: of random groups of equal size; `base`: of
            the mean of the last group that is added, alone.
        norms: (draw,) of the results' points; `typical_norm`: the mean of the prior's.
        is_outside: (draw,) whether a result lies where the prior's points hardly do.
        first_means: by group, the image (channel, y, x) of the first draw's mean.
        noisy: (8, channel, y, x) the first draw's result with noise added.
    """

    name: str
    sums: Sums
    result: Verdicts
    random: Verdicts
    base: Verdicts
    norms: NDArray[np.float64]
    typical_norm: float
    is_outside: NDArray[np.bool_]
    first_means: Mapping[str, NDArray[np.float32]]
    noisy: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Study:
    """What was made and what was said of it.

    Args:
        base_name: of the last group that is added.
        exemplars: by group, images (exemplar, channel, y, x) in [0, 1] of the first draw.
        single: samples of the prior, one by one.
    """

    params: ArithmeticParams
    formula: Formula
    groups: Mapping[str, Group]
    base_name: str
    judges: Judges
    spaces: tuple[InSpace, ...]
    exemplars: Mapping[str, NDArray[np.float32]]
    single: Verdicts


def study_sums(context: Context, params: ArithmeticParams) -> Study:
    """Find the groups, add them in each space, and judge results and controls.

    Raises:
        ParameterError: groups, formula, spaces or directions that do not fit.
        UnknownNameError: there is no such measure, column, group or site.
    """
    written = read_groups(params.group)
    formula = _formula(params, [name for name, _ in written])
    judges = Judges.of(context, params.want, params.judge or _named_judge(context, params, written))
    spaces = [
        Sums.of(
            context,
            formula,
            name,
            directions=params.direction,
            norm=params.norm,
            n_typical=_N_TYPICAL,
        )
        for name in params.space
    ]
    groups = _find_groups(context, params, formula, written)
    controls = _random_groups(context, params, groups)
    added = [term.name for term in formula.terms if term.times > 0 and term.name in groups]
    base = (added or list(groups))[-1]
    with context.progress(3 * params.n_draws * len(spaces), "sums made and judged") as bar:
        done = []
        for sums in spaces:
            done.append(_in_space(context, params, judges, sums, groups, controls, base))
            bar.advance(3 * params.n_draws)
    return Study(
        params=params,
        formula=formula,
        groups=groups,
        base_name=base,
        judges=judges,
        spaces=tuple(done),
        exemplars={
            name: _images_of(context, group.of_draws(0, 1)) for name, group in groups.items()
        },
        single=_single(context, params, judges),
    )


def _formula(params: ArithmeticParams, names: list[str]) -> Formula:
    directions = params.direction.names if params.direction else ()
    clash = sorted(set(names) & set(directions))
    if clash:
        raise ParameterError(f"{clash[0]!r} names a group and a direction; rename the group")
    if not params.formula:
        return Formula.of_groups(names)
    formula = Formula.parse(params.formula, [*names, *directions])
    if not any(term.name in names for term in formula.terms):
        raise ParameterError(f"the formula {params.formula!r} names no group; give one")
    return formula


def _named_judge(
    context: Context, params: ArithmeticParams, written: list[tuple[str, SampleChoice]]
) -> str | None:
    """The first measure of several columns that a condition names with =."""
    choices = [params.want, *(choice for _, choice in written)]
    conditions = [one for choice in choices if choice for one in choice.conditions]
    return next((one.measure for one in conditions if one.sign == "="), None)


def _find_groups(
    context: Context,
    params: ArithmeticParams,
    formula: Formula,
    written: list[tuple[str, SampleChoice]],
) -> dict[str, Group]:
    used = {term.name for term in formula.terms}
    return {
        name: find_group(
            context, name, choice, n_exemplars=params.n_exemplars, n_draws=params.n_draws
        )
        for name, choice in written
        if name in used
    }


def _random_groups(
    context: Context, params: ArithmeticParams, groups: Mapping[str, Group]
) -> dict[str, Group]:
    return {
        name: random_group(
            context.generator,
            name,
            place,
            n_exemplars=params.n_exemplars,
            n_draws=params.n_draws,
            seed=context.seed,
        )
        for place, name in enumerate(groups)
    }


def _in_space(
    context: Context,
    params: ArithmeticParams,
    judges: Judges,
    sums: Sums,
    groups: Mapping[str, Group],
    controls: Mapping[str, Group],
    base: str,
) -> InSpace:
    n_draws, kept = params.n_draws, params.n_shown
    results = list(sums.batches(groups, n_draws))
    points = torch.cat([some.cpu() for some, _ in results])
    random = sums.batches(controls, n_draws)
    mean_of_base = _mean_of(sums, base).batches({base: groups[base]}, n_draws)
    return InSpace(
        name=sums.space.name,
        sums=sums,
        result=judges.of_images(_images(sums, iter(results)), n_kept=kept),
        random=judges.of_images(_images(sums, random), n_kept=kept),
        base=judges.of_images(_images(sums, mean_of_base), n_kept=kept),
        norms=points.flatten(1).double().norm(dim=1).numpy(),
        typical_norm=sums.extent.typical_norm,
        is_outside=sums.extent.is_outside(points),
        first_means=_first_means(context, sums, groups),
        noisy=_noisy(context, params, sums, *results[0]),
    )


def _images(sums: Sums, batches: Iterator[tuple[Tensor, Latents]]) -> Iterator[Tensor]:
    for points, beside in batches:
        yield sums.space.images(points, beside)


def _mean_of(sums: Sums, name: str) -> Sums:
    """The mean of one group alone, in the norm that results have."""
    return replace(sums, formula=Formula((Term(1.0, name),)))


def _first_means(
    context: Context, sums: Sums, groups: Mapping[str, Group]
) -> dict[str, NDArray[np.float32]]:
    means = {}
    for name, group in groups.items():
        batches = _mean_of(sums, name).batches({name: group}, 1)
        means[name] = _shown(context, next(_images(sums, batches)))[0]
    return means


def _noisy(
    context: Context, params: ArithmeticParams, sums: Sums, points: Tensor, beside: Latents
) -> NDArray[np.float32]:
    """Around the first result, with uniform noise on each number."""
    random = torch.Generator().manual_seed(context.seed)
    uniform = 2 * torch.rand(_N_NOISY, *sums.space.shape, generator=random) - 1
    around = points[:1] + (params.noise * sums.unit_of_noise * uniform).to(points)
    return _shown(context, sums.space.images(around, beside[:1]))


def _images_of(context: Context, latents: Latents) -> NDArray[np.float32]:
    return _shown(context, context.probe.images(latents))


def _shown(context: Context, images: Tensor) -> NDArray[np.float32]:
    shown: NDArray[np.float32] = context.generator.to_unit_range(images).float().cpu().numpy()
    return shown


def _single(context: Context, params: ArithmeticParams, judges: Judges) -> Verdicts:
    n = max(params.n_draws, 100)
    latents = context.generator.sample(n, seed=context.seed, start=_SINGLE_START)
    images = (run.images for run in context.probe.runs(latents))
    return judges.of_images(images, n_kept=params.n_shown)
