"""The truth about a planted generator: what its units do, and what its images show.

Computed in float64 from the latents and the wiring alone, without the module: sets of cells, not
convolutions. Costs about 20 kB and 0.1 ms a sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ganprobe.errors import ParameterError
from ganprobe.latents import Latents
from ganprobe.testing.layout import CHOSEN, Bools
from ganprobe.testing.wiring import EARLY, Job, Role, Wiring

__all__ = ["PlantedTruth"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PlantedTruth:
    """What the units of one site of a planted generator do.

    Args:
        site: ``"early"`` or ``"late"``.
        wiring: of the whole generator.
    """

    site: str
    wiring: Wiring

    @property
    def classes(self) -> tuple[str, ...]:
        """In the order of the segmenter, a later one painted over those before."""
        return tuple(thing.name for thing in self.wiring.things)

    @property
    def n_units(self) -> int:
        """How many units the site has."""
        return len(self._roles)

    @property
    def units(self) -> Mapping[str, tuple[int, ...]]:
        """For each class the units that draw it, in the order of their numbers."""
        return {name: self._where("draws", name) for name in self.classes}

    @property
    def labels(self) -> Mapping[int, str]:
        """For each unit that fires where a class is, the class: those that draw it or follow it."""
        return {unit: role.thing for unit, role in enumerate(self._roles) if role.thing}

    @property
    def redundant(self) -> tuple[str, ...]:
        """Classes of which each unit alone draws the whole."""
        return tuple(thing.name for thing in self.wiring.things if thing.feature == "pair")

    @property
    def gates(self) -> Mapping[str, str]:
        """For each class that is drawn on another alone, that other one."""
        return {thing.name: thing.gate for thing in self.wiring.things if thing.gate}

    @property
    def followers(self) -> tuple[int, ...]:
        """Units that fire wherever a door is, and draw nothing."""
        return self._where("follows")

    @property
    def artifacts(self) -> tuple[int, ...]:
        """Units that draw blots."""
        return self._where("draws", "blot")

    @property
    def dead(self) -> tuple[int, ...]:
        """Units that are 0 in every sample, at every place."""
        return self._where("dead")

    @property
    def constant(self) -> tuple[int, ...]:
        """Units that are above 0 and the same in every sample, at every place."""
        return self._where("constant")

    @property
    def noise(self) -> tuple[int, ...]:
        """Units that fire anywhere, with no regard to classes, and draw nothing."""
        return self._where("noise")

    @property
    def latents(self) -> Mapping[str, tuple[int, ...]]:
        """For each class the elements of the latent that take its places."""
        return dict(zip(self.classes, self.wiring.place_latents, strict=True))

    def drawn(
        self,
        latents: Latents | Tensor | ArrayLike,
        *,
        removed: Iterable[int] = (),
        inserted: Iterable[int] = (),
        region: ArrayLike | None = None,
    ) -> Bools:
        """(n, classes, 16, 16) what is seen of each class, a pixel in one class or none.

        Args:
            latents: (n, latents).
            removed: units of the site that are set to 0.
            inserted: units that are set to 1 or more; one that is also removed is inserted.
            region: (y, x) booleans on the site's grid, where that is done; None: everywhere.

        Raises:
            ParameterError: latents, a unit or a region that does not fit.
        """
        fired = _any(
            "nl,ulyx->nuyx", self._taken(latents), self.wiring.fires
        )  # (n, early units, 8, 8)
        if self.site == EARLY:
            fired = self._edited(fired, removed, inserted, region)
        passed = _passed(fired, self.wiring.feeds)  # (n, late units, 16, 16)
        if self.site != EARLY:
            passed = self._edited(passed, removed, inserted, region)
        return self._painted(_any("cu,nuyx->ncyx", self.wiring.draws, passed))

    def areas(
        self,
        latents: Latents | Tensor | ArrayLike,
        *,
        removed: Iterable[int] = (),
        inserted: Iterable[int] = (),
        region: ArrayLike | None = None,
    ) -> Floats:
        """(n, classes) the share of each image, in [0, 1], that each class covers.

        Args:
            latents, removed, inserted, region: as for `drawn`.

        Raises:
            ParameterError: as `drawn`.
        """
        drawn = self.drawn(latents, removed=removed, inserted=inserted, region=region)
        shares: Floats = drawn.mean(axis=(2, 3), dtype=np.float64)
        return shares

    @property
    def _roles(self) -> Sequence[Role]:
        return self.wiring.early if self.site == EARLY else self.wiring.late

    def _where(self, job: Job, thing: str | None = None) -> tuple[int, ...]:
        return tuple(
            unit
            for unit, role in enumerate(self._roles)
            if role.job == job and thing in (None, role.thing)
        )

    def _taken(self, latents: Latents | Tensor | ArrayLike) -> Bools:
        """(n, latents) which are above what takes a place."""
        z = latents.z if isinstance(latents, Latents) else latents
        if isinstance(z, Tensor):
            z = z.detach().cpu().double().numpy()
        values = np.asarray(z, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != self.wiring.n_latents:
            raise ParameterError(
                f"latents of this generator are (n, {self.wiring.n_latents}), got {values.shape}"
            )
        taken: Bools = values > CHOSEN
        return taken

    def _edited(
        self,
        fired: Bools,
        removed: Iterable[int],
        inserted: Iterable[int],
        region: ArrayLike | None,
    ) -> Bools:
        """Where units (n, units, y, x) fire once some were removed and others inserted."""
        where = np.ones(fired.shape[2:], dtype=bool)
        if region is not None:
            where = np.asarray(region, dtype=bool)
        if where.shape != fired.shape[2:]:
            raise ParameterError(
                f"a region at {self.site} is {fired.shape[2:]} booleans, got {where.shape}"
            )
        edited = fired.copy()
        for units, is_on in ((removed, False), (inserted, True)):
            for unit in units:
                self._check(unit)
                edited[:, unit, where] = is_on
        return edited

    def _check(self, unit: int) -> None:
        if not 0 <= unit < self.n_units:
            raise ParameterError(
                f"no unit {unit} at {self.site}: it has {self.n_units}, numbered"
                f" 0-{self.n_units - 1}"
            )

    def _painted(self, evidence: Bools) -> Bools:
        """(n, classes, 16, 16) what is left to be seen of classes that cover each other."""
        seen = np.zeros_like(evidence)
        for place, thing in enumerate(self.wiring.things):
            drawn = evidence[:, place]
            if thing.gate:
                drawn = drawn & evidence[:, self.classes.index(thing.gate)]
            seen &= ~drawn[:, None]
            seen[:, place] = drawn
        return seen


def _passed(fired: Bools, feeds: Bools) -> Bools:
    """(n, late units, 2 y, 2 x) where late units fire where early ones (n, units, y, x) did."""
    quarters = _any("vuij,nuyx->nvyixj", feeds, fired)
    n, units, height, _, width, _ = quarters.shape
    return quarters.reshape(n, units, 2 * height, 2 * width)


def _any(how: str, left: Bools, right: Bools) -> Bools:
    """Whether any of what `numpy.einsum` would sum is true in both."""
    counts = np.einsum(how, left.astype(np.float32), right.astype(np.float32), optimize=True)
    found: Bools = counts > 0
    return found
