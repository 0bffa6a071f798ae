"""The plan: what happens where, resolved and checked; pure, and tested without a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

from torch import Tensor

from ganprobe.errors import ParameterError
from ganprobe.interventions import Intervention
from ganprobe.layers import LayerTable
from ganprobe.nested import Path
from ganprobe.recordings import Slots
from ganprobe.sites import Port, Site, SiteTensor

__all__ = ["Editing", "Plan", "PortPlan", "Step", "make_plan"]


class Editing(Protocol):
    """What a step does to a tensor: `interventions.Edit`, or anything that can do the same."""

    def __call__(self, activation: Tensor) -> Tensor:
        """The edited activation, in memory of its own."""

    def write(self, activation: Tensor) -> None:
        """Edit an activation where it lies."""


@dataclass(frozen=True)
class Step:
    """One thing to do with the tensor at `path` of a port, at `call` (None: every call).

    Args:
        edit: what becomes of it; or
        slot: the position under which it is kept; or neither: it is checked to be finite.
        units: which of its units are kept (None: all), on this axis.
        is_copied: something writes into it later, so that a copy is kept.
        is_in_place: its layer wrote into what it was given, and so does the edit.
        n_calls: how many calls the steps of one intervention stand for, if that must be all.
    """

    path: Path
    call: int | None
    edit: Editing | None = None
    slot: int | None = None
    units: tuple[int, ...] | None = None
    unit_axis: int = 1
    is_copied: bool = False
    is_in_place: bool = False
    n_calls: int | None = None


@dataclass(frozen=True)
class PortPlan:
    """All steps at one port of one layer, in the order in which they are done.

    Args:
        must_run: the layer finishes before everything is recorded, also if nothing runs after.
    """

    layer: str
    port: Port
    steps: tuple[Step, ...]
    must_run: bool = True

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names on the way from the module to the layer."""
        return tuple(self.layer.split(".")) if self.layer else ()

    @cached_property
    def bare_slot(self) -> int | None:
        """The slot, if nothing happens here but that the one output is kept as it is."""
        step = self.steps[0]
        how = (step.units, step.call, step.path, step.is_copied)
        is_bare = len(self.steps) == 1 and how == (None, None, (), False) and self.port == "out"
        return step.slot if is_bare else None

    @property
    def is_lone_edit(self) -> bool:
        """Whether nothing happens here but that the one output is edited, at every call."""
        step = self.steps[0]
        is_plain = step.edit is not None and (step.call, step.path) == (None, ())
        return is_plain and len(self.steps) == 1 and self.port == "out"


@dataclass(frozen=True)
class Plan:
    """What happens where, resolved and checked: a value, printable and comparable."""

    ports: tuple[PortPlan, ...]
    slots: Slots = field(default_factory=lambda: Slots(()))
    stops_early: bool = False


def make_plan(
    table: LayerTable,
    *,
    record: Iterable[str | Site] = (),
    interventions: Iterable[Intervention] = (),
    before: bool = False,
    stop_early: bool = False,
    check_finite: bool = False,
) -> Plan:
    """Resolve sites and interventions against the layer table.

    A site that is recorded is recorded as it was written (`run["conv2"]`); a pattern as the
    sites that it matches.

    Args:
        before: record ahead of the interventions at a site, not after them.
        stop_early: end the forward when everything is recorded.
        check_finite: also look for NaN and infinity in what every layer returns.

    Raises:
        UnknownNameError, SiteError, ParameterError, ShapeError: a site, its units or an
            intervention's values do not fit the table.
    """
    found = {site: tensor for written in record for site, tensor in _recorded(table, written)}
    if stop_early and not found:
        raise ParameterError("nothing is recorded, so that there is no site to stop at")
    edits = [step for edit in interventions for step in _edit_steps(table, edit)]
    writes = any(step.is_in_place for _, step in edits)
    kept = [
        (tensor, _keep_step(tensor, site, slot, is_copied=writes))
        for slot, (site, tensor) in enumerate(found.items())
    ]
    checks = [(tensor, Step(tensor.value_path, None)) for tensor in _outputs(table, check_finite)]
    steps: dict[tuple[str, Port], list[Step]] = {}
    for tensor, step in (*kept, *edits, *checks) if before else (*edits, *kept, *checks):
        steps.setdefault((tensor.site.layer, tensor.site.port), []).append(step)
    order = {layer.name: position for position, layer in enumerate(table)}
    last = max((order[tensor.site.layer] for tensor in found.values()), default=0)
    ports = [
        PortPlan(layer, port, tuple(those), must_run=order[layer] <= last)
        for (layer, port), those in steps.items()
    ]
    return Plan(tuple(ports), _slots(table, found), stop_early)


def _slots(table: LayerTable, found: Mapping[Site, SiteTensor]) -> Slots:
    spellings: dict[Site, int] = {}
    for slot, (site, tensor) in enumerate(found.items()):
        for spelling in table.spellings(replace(tensor.site, units=site.units)):
            spellings.setdefault(spelling, slot)
    spellings |= {site: slot for slot, site in enumerate(found)}
    return Slots(tuple(found), spellings)


def _recorded(table: LayerTable, site: str | Site) -> list[tuple[Site, SiteTensor]]:
    """As whom which tensor is recorded: as it was written, or as each site that a pattern means."""
    written = table.parse(site)
    if not table.is_pattern(site):
        return [(written, table.resolve_one(site))]
    return [(replace(found.site, units=written.units), found) for found in table.resolve(site)]


def _edit_steps(table: LayerTable, intervention: Intervention) -> Iterator[tuple[SiteTensor, Step]]:
    """One step for every call of a layer, where all are alike; else one for each.

    One step for all serves also calls that the dry run did not have.
    """
    site = table.parse(intervention.site)
    tensors = table.resolve(site)
    if site.units is not None:
        tensors = [replace(found, site=replace(found.site, units=site.units)) for found in tensors]
    for alike in _by_port_and_path(tensors).values():
        kinds = {(found.unit_axis, found.rank, found.is_in_place) for found in alike}
        one_for_all = len(kinds) == 1 and not intervention.differs_by_call
        is_every_call = site.call is None and len(alike) > 1
        for tensor in alike[:1] if one_for_all else alike:
            yield (
                tensor,
                Step(
                    tensor.value_path,
                    site.call if one_for_all else tensor.site.call,
                    edit=intervention.at(tensor),
                    is_in_place=tensor.is_in_place and not tensor.is_shared,
                    n_calls=len(alike) if is_every_call and not one_for_all else None,
                ),
            )


def _by_port_and_path(
    tensors: Iterable[SiteTensor],
) -> dict[tuple[str, Port, Path], list[SiteTensor]]:
    """The tensors of a layer's several calls together."""
    grouped: dict[tuple[str, Port, Path], list[SiteTensor]] = {}
    for tensor in tensors:
        site = tensor.site
        grouped.setdefault((site.layer, site.port, site.path), []).append(tensor)
    return grouped


def _keep_step(tensor: SiteTensor, site: Site, slot: int, *, is_copied: bool) -> Step:
    return Step(
        tensor.value_path,
        tensor.site.call if site.call is None else site.call,
        slot=slot,
        units=site.units,
        unit_axis=tensor.unit_axis,
        is_copied=is_copied or tensor.is_overwritten or tensor.is_shared,
    )


def _outputs(table: LayerTable, is_wanted: bool) -> Iterator[SiteTensor]:
    """One tensor for each path of what each layer returns."""
    for layer in table if is_wanted else ():
        outputs = [tensor for tensor in layer.tensors if tensor.site.port == "out"]
        first = {tensor.site.path: tensor for tensor in reversed(outputs)}
        yield from first.values()
