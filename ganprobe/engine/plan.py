"""The plan: what happens where, resolved and checked; pure, and tested without a model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ganprobe.interventions import Intervention
from ganprobe.nested import Path
from ganprobe.sites import LayerTable, Port, Site, SiteTensor

__all__ = ["Plan", "PortPlan", "Step", "make_plan"]


@dataclass(frozen=True)
class Step:
    """One thing to do with the tensor at `path` of a port, at `call` (None: every call)."""

    path: Path
    call: int | None
    intervention: Intervention | None = None
    record_as: Site | None = None
    is_copied: bool = False


@dataclass(frozen=True)
class PortPlan:
    """All steps at one port of one layer, in order: interventions first, then recordings."""

    layer: str
    port: Port
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Plan:
    """What happens where, resolved and checked: a value, printable and comparable."""

    ports: tuple[PortPlan, ...]
    recorded: tuple[Site, ...] = ()


def make_plan(
    table: LayerTable,
    *,
    record: Iterable[str | Site] = (),
    interventions: Iterable[Intervention] = (),
) -> Plan:
    """Resolve sites and interventions against the layer table.

    A site that is recorded is recorded as it was written (`run["conv2"]`), after all
    interventions on it, whatever their order here.

    Raises:
        UnknownNameError, SiteError, ParameterError: a site or its units do not fit the table.
    """
    steps: dict[tuple[str, Port], list[Step]] = {}
    for intervention in interventions:
        call = intervention.site.call
        # Without a call one step serves every time that the layer runs, however often that is.
        tensors = {_path(tensor): tensor for tensor in table.resolve(intervention.site)}
        for path, tensor in tensors.items():
            step = Step(path, call, intervention=intervention.at(tensor))
            steps.setdefault((tensor.site.layer, tensor.site.port), []).append(step)
    recorded = tuple(dict.fromkeys(Site.parse(site) for site in record))
    for site in recorded:
        tensor = table.resolve_one(site)
        is_copied = tensor.is_overwritten or tensor.is_shared
        step = Step(_path(tensor), site.call, record_as=site, is_copied=is_copied)
        steps.setdefault((tensor.site.layer, tensor.site.port), []).append(step)
    ports = [PortPlan(layer, port, tuple(found)) for (layer, port), found in steps.items()]
    return Plan(tuple(ports), recorded)


def _path(tensor: SiteTensor) -> Path:
    """Where the tensor is in what the hook is given: an input's first key is its argument."""
    if tensor.site.port == "in" and tensor.site.path == ():
        return (0,)
    return tensor.site.path
