"""Linear parts: where all that an edit does goes on through one call that is a sum over units."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from ganprobe.engine import has_hooks_on_output
from ganprobe.errors import NotReplayableError
from ganprobe.layers import LayerTable
from ganprobe.replay import ReplayPlan
from ganprobe.replay.trace import Call, Trace
from ganprobe.sites import Port, SiteTensor
from ganprobe.sweeps.contributions import LINEAR

__all__ = ["LinearCall", "linear_call", "not_additive", "single_ways"]

_FORWARDS = {kind.forward for kind in LINEAR}
_PRECISE = ("float32", "float64")
_MOST_WAYS = 6


@dataclass(frozen=True)
class LinearCall:
    """The call of a linear layer through which all that an edit does goes on."""

    layer: nn.Module
    given: SiteTensor
    returned: SiteTensor


def linear_call(plan: ReplayPlan, table: LayerTable) -> LinearCall:
    """The linear layer that the plan's one site feeds.

    Raises:
        NotReplayableError: there is none, or something else is fed, too.
    """
    trace = plan.trace
    if len(plan.sites) != 1 or plan.one_at_once is not None or trace.first_edit is None:
        raise not_additive("several sites are edited, or the forward depends on values")
    for call in trace.calls:
        is_linear = type(call.layer).forward in _FORWARDS and "forward" not in vars(call.layer)
        if call.begin >= trace.first_edit and call.is_tainted and is_linear:
            break
    else:
        raise not_additive("no linear or convolution layer comes after the site")
    if not _is_only_way(trace, call):
        raise not_additive(f"what the site feeds goes past {call.name}, too")
    if getattr(call.layer, "groups", 1) != 1 or has_hooks_on_output(call.layer):
        raise not_additive(f"{call.name} is in groups, or has a hook of its own")
    given, returned = (_tensor_at(table, call.name, call.number, port) for port in ("in", "out"))
    if returned.dtype not in _PRECISE or given.dtype != returned.dtype:
        raise not_additive(f"{call.name} works in {returned.dtype}")
    return LinearCall(call.layer, given, returned)


def single_ways(plan: ReplayPlan, table: LayerTable) -> Iterator[SiteTensor]:
    """What the first few calls return through which all that the plan's one site does goes on.

    In the order in which they end. Whether it is a sum over units is for numbers to say.
    """
    trace = plan.trace
    if len(plan.sites) != 1 or plan.one_at_once is not None or trace.first_edit is None:
        return
    after = [
        call
        for call in trace.calls[1:]
        if call.is_tainted and call.begin >= trace.first_edit and len(call.leaves) == 1
    ]
    n_found = 0
    for call in sorted(after, key=lambda call: call.end or 0):
        if n_found < _MOST_WAYS and call.leaves[0].path == () and _is_only_way(trace, call):
            try:
                tensor = _tensor_at(table, call.name, call.number, "out")
            except NotReplayableError:
                continue
            if tensor.dtype in _PRECISE and not tensor.is_shared:
                n_found += 1
                yield tensor


def _is_only_way(trace: Trace, call: Call) -> bool:
    """Whether nothing that an edit reaches goes on but through what a call returned."""
    if call.end is None:  # it raised
        return False
    returned = {leaf.memory for leaf in call.leaves}
    ahead = {memory for memory in trace.tainted if trace.created[memory] < call.end} - returned
    goes_past = any(not ahead.isdisjoint(done.reads) for done in trace.operations[call.end :])
    is_image = not ahead.isdisjoint(leaf.memory for leaf in trace.calls[0].leaves)
    return not (goes_past or is_image)


def _tensor_at(table: LayerTable, name: str, number: int, port: Port | str) -> SiteTensor:
    for tensor in table[name].tensors:
        site = tensor.site
        is_there = (site.port, site.call or 0, site.path) == (port, number, ())
        if is_there and tensor.is_batched:
            return tensor
    raise not_additive(f"{name} is not given one batch of tensors")


def not_additive(why: str) -> NotReplayableError:
    """The error that says why units do not add up."""
    return NotReplayableError("additive", why)
