"""Optimised units: the share of each unit that makes the average causal effect largest.

The loss is -ACE(a) + penalty times the sum of a², where a in [0, 1] is for each unit how far it is
moved: (1 - a) x + a k where it is inserted, (1 - a) x where it is ablated. It falls by steps of
Adam, each on some samples and places.

With a segmenter that has soft masks the gradient is exact, and costs two forwards and backwards a
step. Any other segmenter is a step function; then the gradient is estimated from pairs of small
changes of all shares at once, up in some and down in others, and the other way round, each by
plain images in one sweep: 4 x `n_pairs` x `batch_size` images a step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ganprobe.causal.places import Places
from ganprobe.causal.readings import ClassAtPlaces, at_windows
from ganprobe.causal.target import Levels, Target
from ganprobe.errors import NotReplayableError, ParameterError
from ganprobe.indices import check_count
from ganprobe.interventions import Intervention
from ganprobe.latents import Latents
from ganprobe.probe import Probe
from ganprobe.progress import Progress, silent
from ganprobe.segmenters import Segmenter
from ganprobe.sites import Site
from ganprobe.sweeps import Method

__all__ = ["OptimisedUnits", "optimise_units"]

Floats = NDArray[np.float64]
Way = Literal["auto", "gradient", "perturbations"]

_REACH = 0.25  # how far a perturbation goes


@dataclass(frozen=True, eq=False)
class OptimisedUnits:
    """How far each unit is to be moved for the largest average causal effect.

    Args:
        site, units: that were looked at.
        levels: (units,) float64 of insertion.
        class_name: the class.
        alpha: (units,) float64 in [0, 1].
        start: (units,) float64, where they began.
        effect: (steps,) float64, the average causal effect of each step's samples: with soft masks
            where gradients are taken, else the mean over the perturbations.
        loss: (steps,) float64.
        penalty, rate, seed: as they were asked for.
        way: ``"gradient"`` or ``"perturbations"``.
        how: the same in words.
    """

    site: str
    units: tuple[int, ...]
    levels: Floats
    class_name: str
    alpha: Floats
    start: Floats
    effect: Floats
    loss: Floats
    penalty: float
    rate: float
    seed: int
    way: str
    how: str

    def top(self, k: int) -> tuple[int, ...]:
        """The k units with the largest shares, as a set to be taken whole; ties to the lowest.

        Raises:
            ParameterError: there are not so many.
        """
        if check_count(k, "the number of units") > len(self.units):
            raise ParameterError(f"there are {len(self.units)} units, got k={k}")
        order = sorted(range(len(self.units)), key=lambda at: (-self.alpha[at], self.units[at]))
        return tuple(self.units[at] for at in order[:k])


def optimise_units(
    probe: Probe,
    latents: Latents,
    site: str | Site,
    levels: Levels,
    segmenter: Segmenter,
    class_name: str,
    *,
    units: Iterable[int] | None = None,
    start: ArrayLike | None = None,
    penalty: float = 0.005,
    rate: float = 0.01,
    n_steps: int = 100,
    batch_size: int = 8,
    n_pairs: int = 8,
    way: Way = "auto",
    grid: int | tuple[int, int] | None = None,
    window: int | tuple[int, int] | None = None,
    seed: int = 0,
    memory: int = 2**28,
    progress: Progress = silent,
) -> OptimisedUnits:
    """Find how far each unit is to be moved for the largest average causal effect on a class.

    Args:
        latents: taken `batch_size` at a time, in turn.
        levels: one number, one for each unit of the site, or one for each of `units`.
        units: that are looked at; None: those that the site names, or all of it.
        start: (units,) in [0, 1], as IoU over the largest IoU; None: one half for each.
        penalty: of the sum of a².
        rate: of Adam.
        n_pairs: of perturbations in a step.
        way: ``"gradient"`` takes the segmenter's soft masks, ``"perturbations"`` takes any;
            ``"auto"`` the first where there are any.
        grid, window: of places, as for `average_causal_effects`; one is drawn for each sample.
        seed: of places and perturbations.
        memory: bytes of images at once.
        progress: shows how far it is.

    Raises:
        NotDifferentiableError: soft masks were asked for, and the segmenter has none.
        UnknownNameError, SiteError, ParameterError: as `average_causal_effects`; or a start
            outside [0, 1] or of another length.

    Source: Bau et al. 2019 (arXiv 1811.10597), equation 7 (loss); Spall 1992 (perturbations).
    """
    if way not in ("auto", "gradient", "perturbations"):
        raise ParameterError(f"there is no way {way!r}; there is: auto, gradient, perturbations")
    target = Target.of(probe, site, units, levels, segmenter, class_name)
    places = Places.over(target.tensor, probe.image_shape, grid=grid, window=window)
    alpha = _start(start, len(target.units))
    check_count(n_steps, "the number of steps")
    batches = latents.split(check_count(batch_size, "a batch size"))
    takes_gradient = way == "gradient" or (way == "auto" and segmenter.is_differentiable)
    estimate: _Gradient | _Perturbations
    if takes_gradient:
        estimate = _Gradient(target, places)
    else:
        estimate = _Perturbations(target, places, check_count(n_pairs, "n_pairs"), seed, memory)
    first, effects, losses = alpha.clone(), list[float](), list[float]()
    draw = torch.Generator().manual_seed(seed)
    adam = torch.optim.Adam([alpha], lr=rate)
    with progress(n_steps, f"steps for {class_name}") as bar:
        for step in range(n_steps):
            batch = batches[step % len(batches)]
            drawn = torch.randint(len(places), (len(batch),), generator=draw)
            effect, gradient = estimate(batch, drawn, alpha)
            effects.append(effect)
            losses.append(penalty * float(alpha.square().sum()) - effect)
            alpha.grad = 2 * penalty * alpha - gradient
            adam.step()
            alpha.clamp_(0.0, 1.0)
            bar.advance()
    return OptimisedUnits(
        target.site, target.units, target.levels[list(target.units)].numpy(), class_name,
        alpha.numpy(), first.numpy(), np.array(effects), np.array(losses), penalty, rate, seed,
        "gradient" if takes_gradient else "perturbations", estimate.how,
    )  # fmt: skip


def _start(given: ArrayLike | None, n_units: int) -> Tensor:
    if given is None:
        return torch.full((n_units,), 0.5, dtype=torch.float64)
    start = torch.tensor(np.asarray(given, np.float64))
    if start.shape != (n_units,) or not bool(((start >= 0) & (start <= 1)).all()):
        raise ParameterError(
            f"a start is a number in [0, 1] for each of {n_units} units, got {given!r:.80}"
        )
    return start


def _regions(places: Places, drawn: Tensor) -> Tensor | None:
    return places.masks()[drawn] if places.is_spatial else None


def _edits(
    target: Target, region: Tensor | None, alpha: Tensor
) -> tuple[Intervention, Intervention]:
    """Inserted and ablated, each as far as alpha (units,) says."""
    return (
        target.insertion(region, units=target.units, strength=alpha),
        target.ablation(region, units=target.units, strength=alpha),
    )


def _own_share(values: Tensor, places: Places, drawn: Tensor) -> Tensor:
    """(..., n): the share of its own place, of the shares of the image (..., n, 1 + places)."""
    shares = places.shares()[drawn].to(values)
    return values[..., torch.arange(len(drawn)), 1 + drawn] / shares


class _Gradient:
    """The effect with soft masks, and its gradient."""

    how = "gradients of the segmenter's soft masks"

    def __init__(self, target: Target, places: Places) -> None:
        self._target, self._places = target, places
        self._class = target.segmenter.place_of(target.class_name)

    def __call__(self, latents: Latents, drawn: Tensor, alpha: Tensor) -> tuple[float, Tensor]:
        """The effect of these samples at a place of each, and its gradient (units,)."""
        with torch.enable_grad():
            shares = alpha.detach().clone().requires_grad_()
            inserted, ablated = (
                self._share(latents, drawn, edit)
                for edit in _edits(self._target, _regions(self._places, drawn), shares)
            )
            effect = (inserted - ablated).mean()
            (gradient,) = torch.autograd.grad(effect, shares)
        return float(effect.detach()), gradient.double().cpu()

    def _share(self, latents: Latents, drawn: Tensor, edit: Intervention) -> Tensor:
        probe = self._target.probe
        images = probe.generator.to_unit_range(probe.run(latents, edit, grad=True).images)
        soft = self._target.segmenter.soft(images)[:, self._class]  # (n, y, x)
        return _own_share(at_windows(soft, self._places, images), self._places, drawn)


class _Perturbations:
    """The effect of plain images with all shares changed a little at once, and what that tells.

    A pair goes up where the other goes down. For a linear effect the mean of (difference of the
    pair) / (difference of the share) is the gradient, whatever the others do.
    """

    def __init__(
        self, target: Target, places: Places, n_pairs: int, seed: int, memory: int
    ) -> None:
        self._target, self._places, self._memory = target, places, memory
        self._n_pairs, self._draw = n_pairs, torch.Generator().manual_seed(seed)
        self._reading = ClassAtPlaces(target.segmenter, target.class_name, places)
        self._method: Method | Literal["auto"] = "auto"

    @property
    def how(self) -> str:
        """In words."""
        pairs = f"{self._n_pairs} pairs of antithetic perturbations of {_REACH:g} a step"
        return f"{pairs}, an approximation; images by {self._method}"

    def __call__(self, latents: Latents, drawn: Tensor, alpha: Tensor) -> tuple[float, Tensor]:
        """The mean effect at the perturbed shares, and the estimate of its gradient (units,)."""
        signs = torch.randint(2, (self._n_pairs, len(alpha)), generator=self._draw) * 2.0 - 1
        up = (alpha + _REACH * signs).clamp(0, 1)  # (pairs, units)
        down = (alpha - _REACH * signs).clamp(0, 1)
        region = _regions(self._places, drawn)
        variants = [
            [edit]
            for shares in torch.cat([up, down])
            for edit in _edits(self._target, region, shares)
        ]
        values = self._swept(latents, variants)
        shares = _own_share(values, self._places, drawn).mean(1)  # (variants,)
        effects = (shares[0::2] - shares[1::2]).view(2, -1)
        gradient = ((effects[0] - effects[1])[:, None] / (up - down)).mean(0)
        return float(effects.mean()), gradient

    def _swept(self, latents: Latents, variants: list[list[Intervention]]) -> Tensor:
        """(variants, n, 1 + places), by the way that the first step found best."""
        sweep = self._target.probe.sweep
        memory = self._memory
        try:
            found = sweep(
                latents, variants, self._reading, method=self._method, memory_limit=memory
            )
        except NotReplayableError:
            found = sweep(latents, variants, self._reading, memory_limit=memory)
        self._method = found.how.method
        return found.values.cpu().double()
