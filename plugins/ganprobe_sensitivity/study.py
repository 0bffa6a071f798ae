"""The study: all that is found out about the elements of a space."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from ganprobe import Context, control_band, mean_interval
from ganprobe_sensitivity import SensitivityParams
from ganprobe_sensitivity.associated import Associated, associate
from ganprobe_sensitivity.moves import (
    Caused,
    Moves,
    differentiate,
    disagreement,
    move_by_steps,
    shown_images,
    try_to_differentiate,
)
from ganprobe_sensitivity.plan import Floats, Plan, make_plan

SIGNIFICANT = 0.05
_STRIPS = 2  # base samples whose images are shown


@dataclass(frozen=True, eq=False)
class Links:
    """Which element has to do with which column of the measures.

    Latent elements are independent, so that what they are correlated with is what they do. Units
    of a site vary together: of them only a move tells.

    Args:
        values: (element, column) correlation; or the change of the column by one deviation of the
            element, in standard deviations of the column.
        q: (element, column).
        is_moved: whether that is the change.
    """

    values: Floats
    q: Floats
    is_moved: bool


@dataclass(frozen=True, eq=False)
class Study:
    """What was found.

    Args:
        steps: by finite steps; None: not asked for.
        slopes: by derivatives; None: not asked for, or there are none.
        refusal: why there are no derivatives; "": there are, or they were not asked for.
        disagreement: of derivatives and small steps, as a share; None: not compared.
        images: (shown element, row, 3, channels, y, x) of the elements that figures show.
    """

    plan: Plan
    steps: Moves | None
    slopes: Moves | None
    refusal: str
    disagreement: float | None
    caused: Caused | None
    associated: Associated | None
    images: Tensor

    @cached_property
    def main(self) -> Moves:
        """What elements are ranked by: the steps, or the derivatives where these alone are."""
        found = self.steps or self.slopes
        assert found is not None  # one of them was made
        return found

    @property
    def is_by_steps(self) -> bool:
        """Whether that are the steps."""
        return self.steps is not None

    @cached_property
    def order(self) -> list[int]:
        """Places of the elements, strongest first; ties to the lowest."""
        return ranking(self.main)

    @cached_property
    def shown(self) -> list[int]:
        """Places of the elements that figures show, strongest first."""
        return self.order[: self.plan.params.n_shown]

    @cached_property
    def standardised(self) -> Floats | None:
        """(element, column) what moving an element does, in deviations of the column."""
        if self.caused is None or self.associated is None:
            return None
        spread = self.associated.spread
        mean = self.caused.told("mean")
        told: Floats = mean / np.where(spread > 0, spread, 1.0)
        return told

    @cached_property
    def links(self) -> Links | None:
        """What the page tells of elements and measures; None: nothing was measured."""
        if self.associated is None:
            return None
        if self.plan.space.is_latent or self.caused is None or self.standardised is None:
            found = self.associated.found.pearson
            return Links(found.value, found.q, is_moved=False)
        return Links(self.standardised, self.caused.q, is_moved=True)

    def sizes(self, moves: Moves) -> tuple[Floats, Floats, Floats]:
        """(element,) mean change and the limits of its interval, in per cent."""
        params, context = self.plan.params, self.plan.context
        return mean_interval(
            100 * moves.elements.by_sample,
            seed=context.seed,
            n_resamples=params.n_resamples,
            confidence=params.confidence,
        )

    @property
    def is_above(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """(element,) which ones change the image more than nearly all random directions."""
        _, high = band(self.main)
        mean = 100 * self.main.elements.by_sample.mean(1)
        above: np.ndarray[tuple[int], np.dtype[np.bool_]] = (mean > high) & (
            self.main.effects.q < SIGNIFICANT
        )
        return above


def ranking(moves: Moves) -> list[int]:
    """Places of the elements by their mean change, largest first."""
    mean = moves.elements.by_sample.mean(1)
    largest = float(mean.max()) or 1.0
    order: list[int] = np.argsort(-np.round(mean / largest, 9), kind="stable").tolist()
    return order


def band(moves: Moves) -> tuple[float, float]:
    """The limits of the mean change of random directions, in per cent."""
    low, high = control_band(100 * moves.random.by_sample.mean(1))
    return float(low), float(high)


def study_elements(context: Context, params: SensitivityParams) -> Study:
    """Move, differentiate, associate.

    Raises:
        UnknownNameError: there is no such site, measure or column.
        ParameterError: the space, an element or the samples do not fit.
        NotDifferentiableError: derivatives alone were asked for, and there are none.
    """
    plan = make_plan(context, params)
    slopes, refusal = _slopes(plan)
    steps, caused = (None, None) if params.method == "jvp" else move_by_steps(plan)
    compared = disagreement(plan) if steps is not None and slopes is not None else None
    main = steps or slopes
    assert main is not None  # derivatives alone are made or refused
    shown = ranking(main)[: params.n_shown]
    images = shown_images(plan, shown, min(_STRIPS, len(plan.base)))
    associated = associate(plan)
    return Study(plan, steps, slopes, refusal, compared, caused, associated, images)


def _slopes(plan: Plan) -> tuple[Moves | None, str]:
    if plan.params.method == "difference":
        return None, ""
    if plan.params.method == "jvp":
        return differentiate(plan), ""
    return try_to_differentiate(plan)
