"""The route: every tensor that a forward makes after the edit, in the order in which it does.

A stop of it is a layer's output, or the image. A container that returns just what its last layer
did is no stop of its own; what a repeated layer returns at each call is. Where a layer is given
what no layer returned, that is a stop too: something lies between the layers, such as a sum of two
branches or a function, and what it does must not be taken for the layer's doing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ganprobe import Apply, Context, Latents, Probe, Run, Site, SiteTensor

NON_LINEAR = (
    nn.CELU, nn.ELU, nn.GELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh,
    nn.LeakyReLU, nn.LogSigmoid, nn.Mish, nn.PReLU, nn.ReLU, nn.SELU, nn.SiLU, nn.Sigmoid,
    nn.Softplus, nn.Softshrink, nn.Softsign, nn.Tanh, nn.Tanhshrink, nn.Threshold,
)  # fmt: skip
"""Layers that do the same to each value alone."""

IMAGE = "image"


@dataclass(frozen=True)
class Stop:
    """One tensor on the way.

    Args:
        site: None is the image.
        kind: of its layer; ``input of Tanh`` for what lies between layers.
        given: the site of what its layer is given; None: it is none of its own, or has others in
            it.
        before: the place on the route of what it is compared with: what its layer was given,
            where that is on the route, else the stop before it.
        is_non_linear: its layer does the same to each value alone, and not in proportion.
    """

    site: Site | None
    kind: str
    given: Site | None = None
    before: int = 0
    is_non_linear: bool = False

    @property
    def is_between(self) -> bool:
        """Whether it is made outside of any layer."""
        return self.site is None or self.site.port == "in"

    @property
    def name(self) -> str:
        """The site as it is written, or ``image``."""
        return IMAGE if self.site is None else str(self.site)

    def of(self, run: Run) -> Tensor:
        """(n, ...) what a run has there."""
        return run.images if self.site is None else run[self.site]


def find_route(context: Context, start: SiteTensor, latents: Latents) -> tuple[Stop, ...]:
    """From the edit's site to the image."""
    ordered = order_of_sites(context.probe, start.site)
    begins = [one.site for one in ordered].index(start.site)
    stops = [_stop(context, one) for one in ordered[begins:]]
    given = [stop.given for stop in stops if stop.given is not None]
    sites = [one.site for one in ordered[begins:]]
    run = context.probe.run(latents, record=[*dict.fromkeys([*sites, *given])])
    return _linked([*stops, Stop(None, "image")], run)


def order_of_sites(probe: Probe, start: Site) -> list[SiteTensor]:
    """Every output of a layer with a batch axis, and the start, in the order of the forward.

    The layer table has all calls of a layer at once, so a forward is watched.
    """
    tensors = {
        tensor.site: tensor
        for layer in probe.layers()
        for tensor in layer.tensors
        if tensor.site == start or (layer.name and _is_followed(tensor))
    }
    order: list[SiteTensor] = []
    watching = [
        Apply(site, function=_watch(order.append, tensor)) for site, tensor in tensors.items()
    ]
    probe.run(probe.generator.sample(1), watching)
    return order


def _watch(note: Callable[[SiteTensor], None], tensor: SiteTensor) -> Callable[[Tensor], Tensor]:
    def function(activation: Tensor) -> Tensor:
        note(tensor)
        return activation

    return function


def _is_followed(tensor: SiteTensor) -> bool:
    return tensor.site.port == "out" and _can_be_followed(tensor)


def _can_be_followed(tensor: SiteTensor) -> bool:
    return tensor.is_batched and bool(tensor.shape) and "float" in tensor.dtype


def _stop(context: Context, tensor: SiteTensor) -> Stop:
    site, layer = tensor.site, context.probe.layers()[tensor.site.layer]
    module = context.generator.module.get_submodule(site.layer)
    if any(module.children()) or site.port == "in":
        return Stop(site, layer.kind)
    given = [
        one.site
        for one in layer.tensors
        if one.site.port == "in" and one.site.call == site.call and _can_be_followed(one)
    ]
    is_non_linear = isinstance(module, NON_LINEAR) and len(given) == 1
    return Stop(site, layer.kind, given[0] if given else None, 0, is_non_linear)


def _linked(stops: list[Stop], run: Run) -> tuple[Stop, ...]:
    """Without containers that only pass on, and each knowing what it is compared with."""
    kept: list[Stop] = []
    for stop in stops:
        if kept and _passes_on(stop, kept, run):
            continue
        alike = _places_of(_held(stop, run), kept, run)
        if kept and stop.given is not None and not alike:
            kept.append(Stop(stop.given, f"input of {stop.kind}", before=len(kept) - 1))
        last = max(0, len(kept) - 1)
        kept.append(replace(stop, before=alike[-1] if alike else last))
    return tuple(kept)


def _places_of(held: Tensor | None, kept: list[Stop], run: Run) -> list[int]:
    """Where on the route this very tensor is."""
    return [place for place, one in enumerate(kept) if _is_same(one.of(run), held)]


def _held(stop: Stop, run: Run) -> Tensor | None:
    """What a stop is made of, where that is known: the image is what some layer returned."""
    if stop.site is None:
        return run.images
    return None if stop.given is None else run[stop.given]


def _passes_on(stop: Stop, kept: list[Stop], run: Run) -> bool:
    """Whether a container returns what one of its layers did."""
    if stop.site is None or stop.given is not None:
        return False
    inside = f"{stop.site.layer}."
    return any(
        one.site is not None
        and one.site.layer.startswith(inside)
        and _is_same(one.of(run), stop.of(run))
        for one in kept
    )


def _is_same(one: Tensor, other: Tensor | None) -> bool:
    return other is not None and one.shape == other.shape and torch.equal(one, other)
