"""Values of an objective for sets of units: what searches ask for, again and again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import index

import torch
from torch import Tensor

from ganprobe.errors import NotReplayableError, ParameterError
from ganprobe.indices import check_count, check_distinct, check_indices
from ganprobe.interventions import Intervention
from ganprobe.progress import Bar
from ganprobe.sites import SiteTensor
from ganprobe.sweeps.evaluation import Evaluation, How, Options
from ganprobe.sweeps.evaluators import Base, Single
from ganprobe.sweeps.measured import Measured
from ganprobe.sweeps.variants import UnitSets, Variants
from ganprobe.sweeps.ways import Replays

__all__ = ["UnitValues"]

UnitSet = tuple[int, ...]


class UnitValues:
    """The mean of an objective over the samples, for an intervention at sets of units.

    Call it with sets of units, as often as you like: which way is fastest, and what it keeps in
    memory, is found out once. An empty set stands for nothing edited.

    Args:
        column: of an objective of several numbers.
        n_expected: about how many sets there will be.

    Raises:
        ParameterError: the objective has no such column.
    """

    def __init__(
        self,
        replays: Replays,
        base: Base,
        variants: Variants,
        measured: Measured,
        options: Options,
        *,
        column: int,
        n_expected: int,
    ) -> None:
        check_count(column, "a column", least=0)
        self._variants, self._measured, self._column = variants, measured, column
        self._single = Single(replays.forwards, base)
        self._evaluation = Evaluation(replays, base, variants, options, n_expected)
        self.n_evaluated = 0

    def __call__(self, sets: Sequence[Sequence[int]], bar: Bar | None = None) -> Tensor:
        """(sets,) float64 on the host.

        Raises:
            ParameterError: there is no such unit, or a set names one twice.
            NotReplayableError: a check on the way failed, so that earlier values may be wrong, too.
        """
        if not sets:
            return torch.zeros(0, dtype=torch.float64)
        checked = [self._checked(units) for units in sets]
        found: list[Tensor] = []
        for _, images in self._evaluation.images(self._variants.with_sets(checked)):
            found.append(self._means(images))
            if bar is not None:
                bar.advance(len(images))
        self.n_evaluated += len(sets)
        return torch.cat(found).cpu()

    def by_single_forwards(self, sets: Sequence[UnitSet]) -> Tensor:
        """The same, by a plain forward for each set."""
        variants = self._variants.with_sets(sets)
        means = [self._means(self._single.images(variants, [one])) for one in range(len(sets))]
        return torch.cat(means).cpu()

    @property
    def intervention(self) -> Intervention:
        """What is done to units."""
        each = self._variants.each
        assert isinstance(each, UnitSets)
        return each.template

    @property
    def tensor(self) -> SiteTensor:
        """The site."""
        return self._variants.sites[0]

    @property
    def base(self) -> Base:
        """What the intervention is made to."""
        return self._single.base

    def with_gradient(self, images: Tensor) -> Tensor:
        """The objective of one set's images (n, ...), a number that gradients flow from."""
        return self._measured.of_batch(images)[:, self._column].double().mean()

    @property
    def how(self) -> How:
        """By which method, why, and how it was checked."""
        return self._evaluation.how

    def demote(self, error: NotReplayableError) -> bool:
        """Give up the way that failed a check; whether another is left to begin again with."""
        return self._evaluation.demote(error)

    def _checked(self, units: Iterable[int]) -> UnitSet:
        try:
            chosen = tuple(map(index, units))
        except TypeError as error:
            raise ParameterError(f"a set of units is some whole numbers, got {units!r}") from error
        n_units = self.tensor.n_units
        if chosen and (len(set(chosen)) < len(chosen) or min(chosen) < 0 or max(chosen) >= n_units):
            check_distinct(chosen)
            check_indices(chosen, n_units, "unit", str(self.tensor.site))
        return chosen

    def _means(self, images: Tensor) -> Tensor:
        values = self._measured(images)  # (sets, n, columns)
        if self._column >= values.shape[2]:
            raise ParameterError(
                f"no column {self._column} in an objective of {values.shape[2]}, numbered from 0"
            )
        return values[..., self._column].to(torch.float64).mean(1)
