"""What a forward has left so far, and the checks that it is still what the next layer saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import get_ident

import torch
from torch import Tensor, nn

from ganprobe.engine.gate import Gate
from ganprobe.errors import (
    ForwardError,
    NotATensorError,
    NotFiniteError,
    OverwrittenError,
    SiteNotReachedError,
)
from ganprobe.recordings import Recording, Slots
from ganprobe.sites import Site

__all__ = ["Kept", "check_is_tensor", "not_reached"]

_NO_VERSION = -1


class Kept:
    """The activations of one forward by slot, each with the number of writes it had seen.

    Args:
        keeps_graph: they keep what they need for gradients.
    """

    def __init__(self, slots: Slots, *, keeps_graph: bool) -> None:
        self._slots, self._keeps_graph = slots, keeps_graph
        self._nothing: list[Tensor | None] = [None] * len(slots.sites)
        self._activations = self._nothing.copy()
        self._versions = [_NO_VERSION] * len(slots.sites)
        self._n_bad: list[tuple[Site, Tensor]] = []
        self.missing = len(slots.sites)

    def __bool__(self) -> bool:
        return any(activation is not None for activation in self._activations)

    def begin(self) -> None:
        """Start a new forward."""
        self._activations[:] = self._nothing
        self._n_bad.clear()
        self.missing = len(self._nothing)

    def keep(self, slot: int, activation: Tensor, *, is_copied: bool) -> None:
        """Keep an activation under its slot.

        Raises:
            ForwardError: there is one already.
        """
        if self._activations[slot] is not None:
            raise self._ran_again(slot)
        if is_copied or activation.is_inference():
            activation = activation.clone()
        version = _NO_VERSION if activation.is_inference() else activation._version
        self._activations[slot], self._versions[slot] = activation, version
        self.missing -= 1

    def keepers(self, gate: Gate) -> list[Callable[..., None]]:
        """For each slot a forward hook that does nothing but keep what a layer returns.

        They do what `keep` does without a copy and without a graph, as fast as it goes: all share
        one closure, and the slot is a default, so that making one costs no more than a list item.
        """
        kept, activations, versions = self, self._activations, self._versions
        hooks: list[Callable[..., None]] = []
        for number in range(len(activations)):

            def keep(layer: nn.Module, args: object, output: Tensor, slot: int = number) -> None:
                if get_ident() != gate.thread:
                    return
                if activations[slot] is not None:
                    raise kept._ran_again(slot)
                try:
                    versions[slot] = output._version
                    activations[slot] = output
                except (AttributeError, RuntimeError):  # no tensor, or one of inference mode
                    check_is_tensor(output, kept._slots.sites[slot])
                    kept.keep(slot, output, is_copied=True)

            hooks.append(keep)
        return hooks

    def count_bad(self, site: Site, activation: Tensor) -> None:
        """Count the values that are NaN or infinite, without waiting for the device."""
        if activation.is_floating_point() or activation.is_complex():
            n_bad = activation.numel() - activation.detach().isfinite().sum()
            self._n_bad.append((site, n_bad))

    def recording(self) -> Recording:
        """All that was kept.

        Raises:
            SiteNotReachedError: a slot is empty.
            OverwrittenError: an activation was written into after it was kept.
            NotFiniteError: values that were counted are NaN or infinite.
        """
        activations: list[Tensor] = self._activations[:]  # type: ignore[assignment]
        if not self._are_intact(activations):
            self._check_each()
        self._check_finite()
        if not self._keeps_graph and True in [kept.requires_grad for kept in activations]:
            activations = [kept.detach() for kept in activations]
        return Recording.of_slots(self._slots, activations)

    def _are_intact(self, activations: Sequence[Tensor]) -> bool:
        try:
            return [kept._version for kept in activations] == self._versions
        except (AttributeError, RuntimeError):  # one is missing, or of inference mode
            return False

    def _check_each(self) -> None:
        for slot, activation in enumerate(self._activations):
            if activation is None:
                raise not_reached(self._slots.sites[slot], 0)
            version = self._versions[slot]
            if version != _NO_VERSION and activation._version != version:
                raise OverwrittenError(
                    f"the activation at {self._slots.sites[slot]} was overwritten in place later"
                    " in this forward, though not in the dry run; record the site that writes"
                    " into it instead"
                )

    def _check_finite(self) -> None:
        if not self._n_bad:
            return
        device = self._n_bad[0][1].device
        counts = torch.stack([n_bad.to(device) for _, n_bad in self._n_bad]).tolist()
        for (site, _), n_bad in zip(self._n_bad, counts, strict=True):
            if n_bad:
                raise NotFiniteError(
                    f"{n_bad:,} values at {site} are NaN or infinite; it is the first such site"
                )

    def _ran_again(self, slot: int) -> ForwardError:
        return ForwardError(
            f"{self._slots.sites[slot]} ran again in this forward, unlike in the dry run; if this"
            " is another forward, begun without calling the module itself, call begin() before it"
        )


def not_reached(site: Site, n_calls: int) -> SiteNotReachedError:
    """The error of a site whose layer did not run, or not often enough."""
    return SiteNotReachedError(
        f"{site} was not reached in this forward: layer {site.layer!r} ran {n_calls} times, unlike"
        " in the dry run; which layers run depends on the input, or they ran in another thread"
    )


def check_is_tensor(value: object, site: Site) -> Tensor:
    """The value, if it is a tensor.

    Raises:
        NotATensorError: it is not.
    """
    if not isinstance(value, Tensor):
        raise NotATensorError(f"{site} is a {type(value).__name__}, no tensor")
    return value
