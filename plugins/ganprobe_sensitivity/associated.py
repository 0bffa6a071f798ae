"""What elements go with: their values and those of measures, over fresh samples of the prior."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from ganprobe import Associations, Coefficients, Latents, associations
from ganprobe_sensitivity.moves import column_values
from ganprobe_sensitivity.plan import Floats, Plan

_BATCH = 128
_FLAT = 1e-9  # of the values' size: variation below it is rounding


@dataclass(frozen=True, eq=False)
class Associated:
    """Elements and columns of measures.

    Args:
        elements: (n, element) values, in deviations from the middle.
        values: (n, column) of the measures.
        found: of each element with each column; q is over all of these.
        random: (direction, column) correlations of the positions along random directions.
        first: the first of the samples, of the seed.
    """

    elements: Floats
    values: Floats
    found: Associations
    random: Floats
    first: int

    @property
    def information(self) -> Coefficients:
        """The mutual information, which is always asked for."""
        assert self.found.mutual_information is not None
        return self.found.mutual_information

    @property
    def spread(self) -> Floats:
        """(column,) the standard deviation of each measure."""
        spread: Floats = self.values.std(0, ddof=1)
        return spread


def associate(plan: Plan) -> Associated | None:
    """Elements with measures; None where nothing is measured."""
    if not plan.columns:
        return None
    params, first = plan.params, plan.params.n_samples
    seed = plan.context.seed
    latents = plan.context.generator.sample(params.n_associated, seed=seed, start=first)
    standing, values = _look(plan, latents)
    elements = standing[:, list(plan.axes)]
    with plan.context.progress(1, "associations") as bar:
        found = associations(
            elements,
            values,
            seed=seed,
            n_resamples=plan.n_resamples,
            confidence=params.confidence,
        )
        bar.advance()
    found = replace(
        found,
        pearson=_over_all(found.pearson),
        spearman=_over_all(found.spearman),
        mutual_information=_over_all(found.mutual_information),
    )
    random = _correlations(standing @ plan.random.numpy().T, values)
    return Associated(elements, values, found, random, first)


def _over_all(found: Coefficients | None) -> Coefficients:
    """The same with q over all elements and columns: a page that shows all must answer for all."""
    assert found is not None  # each kind is asked for
    q = stats.false_discovery_control(found.p.ravel()).reshape(found.p.shape)
    return replace(found, q=q)


def _correlations(rows: Floats, values: Floats) -> Floats:
    """(k, column) of rows (n, k) with values (n, column); 0 where one of them never varies."""
    centred = [one - one.mean(0) for one in (rows, values)]
    lengths = [np.linalg.norm(one, axis=0) for one in centred]
    unit = [
        one / np.where(length > _FLAT * np.abs(raw).max(0), length, np.inf)
        for one, length, raw in zip(centred, lengths, (rows, values), strict=True)
    ]
    found: Floats = unit[0].T @ unit[1]
    return found


def _look(plan: Plan, latents: Latents) -> tuple[Floats, Floats]:
    """(n, n_axes) where samples stand, in deviations, and (n, column) what is measured of them."""
    standing: list[Tensor] = []
    values: list[Floats] = []
    site = plan.space.site
    with plan.context.progress(len(latents), "samples measured") as bar:
        record = [] if site is None else [site]
        for run in plan.context.probe.runs(latents, record=record, batch_size=_BATCH):
            points = run.latents.z if site is None else run[site]
            standing.append(plan.standardised(plan.space.coordinates(points)))
            values.append(column_values(plan, plan.context.generator.to_unit_range(run.images)))
            bar.advance(len(points))
    return torch.cat(standing).numpy(), np.concatenate(values)
