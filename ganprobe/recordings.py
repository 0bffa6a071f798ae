"""Recordings: the activations of one run, by site, on the device where they were made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

from ganprobe.errors import NotRecordedError
from ganprobe.sites import Site
from ganprobe.transfer import start_copy

__all__ = ["Recording", "Slots"]


@dataclass(frozen=True)
class Slots:
    """Which position of a run's list belongs to which site; made once, shared by its runs.

    Args:
        sites: as they were written, in order.
        spellings: other ways to write them.
    """

    sites: tuple[Site, ...]
    spellings: Mapping[Site, int] = field(default_factory=dict, hash=False)

    def find(self, site: Site | str) -> int | None:
        """The position of a site, also by its text; None where it is not there."""
        if isinstance(site, str):
            if site in self._texts:  # a layer's name may look like more than a layer
                return self._texts[site]
            site = Site.parse(site)
        if site in self.spellings:
            return self.spellings[site]
        return self.sites.index(site) if site in self.sites else None

    @cached_property
    def _texts(self) -> dict[str, int]:
        return {str(site): position for position, site in enumerate(self.sites)}


class Recording(Mapping[Site, Tensor]):
    """Site -> activation of one run, on the device; also by the site as it was written.

    An activation is the tensor that the forward made, where nothing in the forward writes into
    it later: copy it before you write into it yourself.

    Args:
        activations: tensors (n, ...) by site.

    Example:
        >>> import torch
        >>> recording = Recording({"conv2": torch.zeros(2, 8, 4, 4)})
        >>> recording["conv2"].shape
        torch.Size([2, 8, 4, 4])
        >>> recording
        <Recording of conv2 (2, 8, 4, 4)>
    """

    def __init__(self, activations: Mapping[Site | str, Tensor]) -> None:
        self._slots = Slots(tuple(Site.parse(site) for site in activations))
        self._activations: Sequence[Tensor] = list(activations.values())

    @classmethod
    def of_slots(cls, slots: Slots, activations: Sequence[Tensor]) -> Recording:
        """A recording whose sites were resolved before; costs nothing for each site."""
        recording = cls.__new__(cls)
        recording._slots, recording._activations = slots, activations
        return recording

    def __getitem__(self, site: Site | str) -> Tensor:
        position = self._slots.find(site)
        if position is None:
            there = ", ".join(map(str, self)) or "nothing"
            raise NotRecordedError(f"{site} was not recorded; recorded: {there}")
        return self._activations[position]

    def __iter__(self) -> Iterator[Site]:
        return iter(self._slots.sites)

    def __len__(self) -> int:
        return len(self._slots.sites)

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        """Whether it is this very recording; compare activations one by one."""
        return self is other

    def __repr__(self) -> str:
        held = (f"{site} {tuple(tensor.shape)}" for site, tensor in self.items())
        return f"<Recording of {', '.join(held) or 'nothing'}>"

    def cpu(self) -> Recording:
        """A copy on the host; all activations travel at once and are waited for together."""
        arriving = [start_copy(activation.detach()) for activation in self._activations]
        return Recording.of_slots(self._slots, [copy.wait() for copy in arriving])

    def __contains__(self, site: object) -> bool:
        return isinstance(site, Site | str) and self._slots.find(site) is not None
