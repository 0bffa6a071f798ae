"""Planted generators: small generators in which given units draw given things.

What an analysis finds in one can be compared with what is there. Two sites hold units in an order
of no meaning; `PlantedTruth` says what each of them does::

    latents      early, 8 x 8             late, 16 x 16          classes
    places  ---> upper half, lower half > left half, right half  door    either draws its part
            ---> one, other ------------> one, other             lamp    either is enough
            ---> wall ------------------> wall                   wall
            ---> window ----------------> window, times the wall window  on a wall alone
            ---> blot ------------------> blot                   blot    over all others
            ---> follower --------------> follower                       where doors are; draws none
                 dead, constant --------> dead, constant                 the same everywhere
    noise   ---> noise units -----------> noise units                    anywhere; draw none

Where things can be is drawn in `ganprobe.testing.layout`. A unit is 0 or above 1, in proportion to
the latent of its place, and a class is drawn from 1/2 on: so insert units at 1 or more. Works on
the CPU or a GPU, but TensorFloat-32 can take a place whose latent is within 0.001 of 0.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ganprobe.analysis import Context
from ganprobe.catalogue import every_measure, find_measure, find_segmenter
from ganprobe.errors import ParameterError
from ganprobe.generators import Generator
from ganprobe.indices import check_count
from ganprobe.measures import Measure
from ganprobe.probe import Probe
from ganprobe.segmenters import AreaMeasure, Segmenter
from ganprobe.testing.layout import CELLS, FEATURES, Feature, things_of
from ganprobe.testing.network import LIT, PlantedNetwork
from ganprobe.testing.truth import PlantedTruth
from ganprobe.testing.wiring import EARLY, LATE, Wiring, make_wiring

__all__ = ["Planted", "PlantedSegmenter", "planted_generator"]

_NOISE_LATENTS = 8
_GRID = 2 * CELLS


class PlantedSegmenter(Segmenter):
    """Sees each class of a planted generator by its colour, exactly."""

    name = "planted"
    summary = "What a planted generator draws, by its colours."

    def __init__(self, wiring: Wiring, size: int) -> None:
        self.classes = tuple(thing.name for thing in wiring.things)
        self.image_shape = (3, size, size)
        self.colours = torch.tensor([thing.colour for thing in wiring.things], dtype=torch.bool)
        codes = (tuple(255 * part for part in thing.colour) for thing in wiring.things)
        self.class_colours = tuple("#{:02x}{:02x}{:02x}".format(*code) for code in codes)

    def segment(self, images: Tensor) -> Tensor:
        """(n, classes, y, x) whether exactly the channels of a class's colour are lit."""
        is_lit = (images > LIT)[:, None]  # (n, 1, 3, y, x)
        return (is_lit == self._colours(images)).all(dim=2)

    def soft(self, images: Tensor) -> Tensor:
        """(n, classes, y, x) in [0, 1): the brighter the colour of a class, the nearer to 1."""
        lit = (images / (images + LIT))[:, None]  # 1/2 where a channel begins to count as lit
        return torch.where(self._colours(images), lit, 1 - lit).prod(dim=2)

    def _colours(self, images: Tensor) -> Tensor:
        return self.colours.to(images.device)[..., None, None]  # (classes, 3, 1, 1)


@dataclass(frozen=True, eq=False)
class Planted:
    """A planted generator with what is known about it.

    Args:
        generator: colour images, latents from a normal prior.
        segmenter: sees its classes exactly.
        truths: for each of its sites, ``"early"`` and ``"late"``.
        seed: of the order of units and latents, and of the weights of noise units.
    """

    generator: Generator
    segmenter: PlantedSegmenter
    truths: Mapping[str, PlantedTruth]
    seed: int

    @property
    def sites(self) -> tuple[str, ...]:
        """From the first to the last."""
        return tuple(self.truths)

    @property
    def site(self) -> str:
        """The first of them, ``"early"``."""
        return self.sites[0]

    @property
    def truth(self) -> PlantedTruth:
        """About the units of `site`."""
        return self.truths[self.site]

    def context(self, *, seed: int = 0) -> Context:
        """What an analysis runs in, with the segmenter ``planted`` and ``area:planted`` in it.

        Args:
            seed: of the samples that it sees, and of its random choices.
        """
        area = AreaMeasure(self.segmenter)

        def measure_named(name: str) -> Measure:
            return area if name == area.name else find_measure(name)

        def segmenter_named(name: str) -> Segmenter:
            return self.segmenter if name == self.segmenter.name else find_segmenter(name)

        return Context(
            Probe(self.generator),
            seed,
            measure_named,
            list_measures=lambda: [*every_measure(), area],
            find_segmenter=segmenter_named,
        )


def planted_generator(
    *,
    seed: int = 0,
    features: Sequence[Feature] = FEATURES,
    n_noise: int = 8,
    size: int = 32,
) -> Planted:
    """A generator whose every unit has a known job, with its segmenter and the truth about it.

    Args:
        seed: shuffles units and latents, so that none can be told by its number, and draws the
            weights of noise units.
        features: what is planted, all by default; `Feature` says what there is.
        n_noise: how many units fire with no regard to what is drawn.
        size: of its images (3, size, size), in pixels: a multiple of 16.

    Raises:
        ParameterError: a feature, number or size that cannot be.

    Example:
        >>> import ganprobe
        >>> planted = planted_generator(seed=3)
        >>> door = planted.truth.units["door"]
        >>> latents = planted.generator.sample(100, seed=1)
        >>> edit = ganprobe.Ablate(planted.site, units=door[:1])
        >>> images = ganprobe.Probe(planted.generator).run(latents, edit).images
        >>> found = ganprobe.AreaMeasure(planted.segmenter)(images).double().numpy()
        >>> bool((found == planted.truth.areas(latents, removed=door[:1])).all())
        True
    """
    check_count(n_noise, "the number of noise units", least=0)
    check_count(seed, "a seed", least=0)
    if check_count(size, "the size of an image", least=_GRID) % _GRID:
        raise ParameterError(f"the size of an image is a multiple of {_GRID}, got {size}")
    things, rng = things_of(tuple(features)), np.random.default_rng(seed)
    wiring = make_wiring(things, features, n_noise=n_noise, n_noise_latents=_NOISE_LATENTS, rng=rng)
    mixed = rng.standard_normal((n_noise, CELLS**2, _NOISE_LATENTS))
    mixed /= np.linalg.norm(mixed, axis=2, keepdims=True)
    network = PlantedNetwork(wiring, torch.from_numpy(mixed).float(), size).eval()
    generator = Generator.from_module(
        network, latent=wiring.n_latents, name="planted", image_range=(0.0, 1.0)
    )
    truths = {site: PlantedTruth(site, wiring) for site in (EARLY, LATE)}
    return Planted(generator, PlantedSegmenter(wiring, size), truths, seed)
