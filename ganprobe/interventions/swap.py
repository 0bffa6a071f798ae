"""Swap: a donor's activation in place of the sample's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import index
from typing import Any

from torch import Tensor

from ganprobe.errors import ParameterError, ShapeError, UsageError
from ganprobe.interventions.base import Intervention, Numbers, Outcome
from ganprobe.interventions.shapes import Rows
from ganprobe.interventions.units import unit_index
from ganprobe.interventions.values import HasRecording, recorded
from ganprobe.latents import Latents
from ganprobe.recordings import Recording
from ganprobe.sites import Site, SiteTensor

__all__ = ["Swap"]


class Swap(Intervention):
    """Put a donor's activation in place of the sample's own.

    Args:
        site, units, region, strength: as for every `Intervention`.
        donor: one of
            other latents (`Latents`), one for each sample, which are run first, unedited;
            for each sample the position in the batch of its donor, ``[1, 0]`` exchanging two;
            a run or a recording that has the site, one row for each sample.

    Raises:
        ParameterError: a donor of another type; a negative position.

    Example:
        >>> Swap("conv2", donor=[1, 0], units=[5])
        Swap('conv2#5', donor=(1, 0))
    """

    own = ("donor",)
    gives_held = True

    def __init__(
        self,
        site: str | Site,
        *,
        donor: Latents | Sequence[int] | Recording | HasRecording,
        units: Iterable[int] | None = None,
        region: object = None,
        strength: Numbers = 1.0,
    ) -> None:
        read = _donor(donor)
        super().__init__(site, units=units, region=region, strength=strength, donor=read)

    donor: Latents | tuple[int, ...] | Recording

    @property
    def differs_by_call(self) -> bool:
        return isinstance(self.donor, Recording)

    def with_recording(self, recording: Recording) -> Swap:
        """The same swap with what the donor's latents turned out to do."""
        held: dict[str, Any] = {"region": self.region, "strength": self.strength}
        return Swap(self.site, donor=recording, **held)

    def is_for_each_unit(self, tensor: SiteTensor) -> bool:
        if isinstance(self.donor, Recording) and not recorded(self.donor, self.site, tensor)[1]:
            return False
        return isinstance(self.strength, float)

    def for_samples(self, tensor: SiteTensor, samples: slice) -> Swap | None:
        if not isinstance(self.donor, Recording):
            return None
        some = Recording({site: rows[samples] for site, rows in self.donor.items()})
        return self._changed(tensor, samples, donor=some)

    def outcome(self, tensor: SiteTensor) -> Outcome:
        if isinstance(self.donor, Latents):
            raise UsageError(f"{self!r} holds latents that were not run yet; a Probe does that")
        if isinstance(self.donor, Recording):
            donor, is_whole = recorded(self.donor, self.site, tensor)
            return Rows(donor, tensor, "donors", is_whole=is_whole).like
        return _exchange(self.donor, tensor)


def _donor(donor: Any) -> Latents | tuple[int, ...] | Recording:
    recording = getattr(donor, "recording", donor)
    if isinstance(recording, Latents | Recording):
        return recording
    if isinstance(donor, Tensor) and donor.is_floating_point():
        raise ParameterError(
            "a donor that is a tensor could be latents or activations; write Latents(tensor), or"
            " use Patch with values=tensor"
        )
    try:
        positions = tuple(index(position) for position in donor)
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"a donor is Latents, a run, a recording, or positions in the batch, got {donor!r}"
        ) from error
    if not positions or min(positions) < 0:
        raise ParameterError(f"donors' positions count from 0, got {positions}")
    return positions


def _exchange(positions: tuple[int, ...], tensor: SiteTensor) -> Outcome:
    if not tensor.is_batched:
        raise ShapeError(
            f"the first axis of {tensor.site} is not the batch, so that samples cannot change"
            " places there"
        )

    def exchanged(chosen: Tensor) -> Tensor:
        if len(positions) != len(chosen) or max(positions) >= len(chosen):
            raise ShapeError(
                f"donors' positions {positions} do not fit the {len(chosen)} samples at"
                f" {tensor.site}; give one for each, from 0 to {len(chosen) - 1}"
            )
        return chosen.index_select(0, unit_index(positions, chosen.device))

    return exchanged
