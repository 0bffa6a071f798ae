"""Batches: an edit, its destination and its controls, for as many samples as one forward takes.

Only numbers are kept, and the images that are shown. Everything is compared with the unedited run
of the same samples; what is drawn for a sample does not depend on the batch that it is in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe import Context, Intervention, Latents, Measure, Run
from ganprobe_veto import VetoParams
from ganprobe_veto.courses import Course, Floats, distances, follow, norms, rows
from ganprobe_veto.edits import Edit
from ganprobe_veto.pairs import Pairs
from ganprobe_veto.route import Stop
from ganprobe_veto.saturation import saturated
from ganprobe_veto.verdicts import Said, judged

KINDS = ("source", "edited", "destination", "blend", "random")
"""Of images."""

_NOISE = 3  # a stream of the seed


@dataclass(frozen=True, eq=False)
class Batch:
    """What one batch gave.

    Args:
        numbers: by name; the last axis is the sample, the one before it the stop.
        pixels: (2, y, x) sums over samples and channels of (h' - h)(hd - h) and (hd - h)².
        images: by kind, those that are shown.
        verdicts: by kind, where there is a judge.
    """

    numbers: Mapping[str, Floats]
    pixels: Floats
    images: Mapping[str, NDArray[np.float32]]
    verdicts: Mapping[str, Said]


@dataclass(frozen=True, eq=False)
class Follower:
    """Follows an edit of any samples along the route."""

    context: Context
    params: VetoParams
    edit: Edit
    stops: tuple[Stop, ...]
    judge: Measure | None

    def batch(self, pairs: Pairs, chosen: slice) -> Batch:
        """Everything of these samples."""
        edit, source, donor = self.edit, pairs.source[chosen], self._donor(pairs, chosen)
        base = self._run(source)
        whole = self._run(source, edit.whole(donor))
        here, there = self._at_stops(base), self._at_stops(whole)
        course, edited, flat = self._edited(source, edit.of(edit.units, donor), here, there)
        size = course.distance[0]
        blended = self._run(source, edit.put(_blended(here[0], there[0], size)))
        blend = follow(here, there, self._at_stops(blended))
        scrambled, far = self._random_edits(source, here, size, chosen.start)
        sets = [
            follow(here, there, self._at_stops(self._run(source, edit.of(units, donor)))).progress
            for units in edit.random_sets(self.params.n_controls, self.context.seed)
        ]
        states = [saturated(self.context, self.stops, run) for run in (base, whole)]
        numbers = {
            "norm": norms(here),
            "destination_distance": distances(here, there),
            **vars(course),
            **{f"blend_{name}": held for name, held in vars(blend).items()},
            "random_distance": far,
            "sets_progress": np.stack(sets),
            "saturation": np.stack([states[0], flat, states[1]], 1),
        }
        made = (base.images, edited, whole.images, blended.images, scrambled)
        return self._with_images(numbers, dict(zip(KINDS, made, strict=True)), chosen.start)

    def _with_images(
        self, numbers: Mapping[str, Floats], made: Mapping[str, Tensor], start: int
    ) -> Batch:
        base, edited, whole = (made[kind].double() for kind in KINDS[:3])
        needed = whole - base
        pixels = torch.stack([(edited - base) * needed, needed.square()]).sum((1, 2))
        drawn = {kind: self.context.generator.to_unit_range(made[kind]) for kind in KINDS}
        n_shown = max(0, self.params.n_shown - start)
        shown = {kind: drawn[kind][:n_shown].float().cpu().numpy() for kind in KINDS}
        judge = self.judge
        said = {} if judge is None else {kind: judged(judge, drawn[kind]) for kind in KINDS}
        return Batch(numbers, pixels.cpu().numpy(), shown, said)

    def _edited(
        self, source: Latents, edit: Intervention, here: list[Tensor], there: list[Tensor]
    ) -> tuple[Course, Tensor, Floats]:
        """The course of the edit, its images, and what is saturated."""
        run = self._run(source, edit)
        course = follow(here, there, self._at_stops(run))
        return course, run.images, saturated(self.context, self.stops, run)

    def _random_edits(
        self, source: Latents, here: list[Tensor], size: Floats, start: int
    ) -> tuple[Tensor, Floats]:
        """The images of the first random edit, and the mean (stop, sample) of all distances."""
        images, found = [], []
        for values in self._scrambled(here[0], size, start):
            run = self._run(source, self.edit.put(values))
            found.append(distances(here, self._at_stops(run)))
            images.append(run.images)
        return images[0], np.mean(found, axis=0)

    def _scrambled(self, here: Tensor, size: Floats, start: int) -> Iterator[Tensor]:
        """The activation, moved as far as the edit does, in a random direction, for each draw."""
        for draw in range(self.params.n_controls):
            keys = [(self.context.seed, _NOISE, draw, start + row) for row in range(len(here))]
            noise = [np.random.default_rng(key).standard_normal(here[0].numel()) for key in keys]
            away = torch.from_numpy(np.stack(noise))
            away *= torch.from_numpy(size)[:, None] / away.norm(dim=1, keepdim=True)
            yield _moved(here, away.to(here.device))

    def _donor(self, pairs: Pairs, chosen: slice) -> Run | None:
        if pairs.donor is None:
            return None
        site = self.edit.made_at
        return self.context.probe.run(pairs.donor[chosen], record=[site], stop_early=True)

    def _run(self, source: Latents, *edits: Intervention) -> Run:
        sites = [stop.site for stop in self.stops if stop.site is not None]
        given = [stop.given for stop in self.stops if stop.is_non_linear and stop.given]
        record = list(dict.fromkeys([*sites, *given]))
        return self.context.probe.run(source, edits, record=record, check_finite=True)

    def _at_stops(self, run: Run) -> list[Tensor]:
        return [stop.of(run) for stop in self.stops]


def _blended(here: Tensor, there: Tensor, size: Floats) -> Tensor:
    """The activation, moved so far toward its destination, all units alike."""
    way = rows(there) - rows(here)
    whole = way.norm(dim=1)
    far = torch.from_numpy(size).to(way.device)
    share = torch.where(whole > 0, far / torch.where(whole > 0, whole, 1.0), 0.0)
    return _moved(here, share[:, None] * way)


def _moved(here: Tensor, away: Tensor) -> Tensor:
    """An activation (n, ...) with rows (n, values) in float64 added, in its own dtype."""
    return (rows(here) + away).to(here.dtype).reshape(here.shape)
