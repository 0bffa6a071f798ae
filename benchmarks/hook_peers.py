"""The contenders of `hook_overhead.py`: hooks by hand, ganprobe, and the peers on PyPI.

Each does the same task on the same module and latents, in the cheapest way that its documentation
shows. A peer is imported only when it is asked for, and works on a copy of the module: some leave
things on it.
"""

from __future__ import annotations

import copy
import importlib
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

import ganprobe as gp

PEERS = ("nnsight", "captum", "pyvene", "torchlens")
BARE = "bare forward"
BY_HAND = "hooks by hand, kept on"
BY_HAND_EACH = "hooks by hand, for each forward"
SESSION = "**ganprobe**, session kept open"
SESSION_EACH = "**ganprobe**, session for each forward"
RUN_EACH = "**ganprobe**, `probe.run`"

Forward = Callable[[], Any]
Read = Callable[[Any], Mapping[str, Tensor]]


@dataclass(frozen=True, eq=False)
class Task:
    """What every contender does: record whole sites, or edit the first units of one site.

    Args:
        name: its column.
        donor_latents: as many other latents, whose units a swap takes.
        edit: what is done with the units of the only site; None: the sites are recorded.
        replacement: what the edited units become.
        image_shape: of the images, where the module returns them flat.
    """

    name: str
    module: nn.Module
    latents: Tensor
    donor_latents: Tensor
    sites: tuple[str, ...]
    edit: Literal["ablate", "swap"] | None = None
    n_units: int = 0
    replacement: Tensor | float = 0.0
    image_shape: tuple[int, int, int] | None = None

    def outcome(self, images: Tensor, recorded: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """What it is about: the images where it edits, else the activation of each site."""
        return {"images": images} if self.edit else {site: recorded[site] for site in self.sites}

    def edited(self) -> Callable[[Tensor], Tensor]:
        """Writes the replacement into the units of an activation, in place."""
        n_units, replacement = self.n_units, self.replacement

        def edited(activation: Tensor) -> Tensor:
            activation[:, :n_units] = replacement
            return activation

        return edited


@dataclass(frozen=True, eq=False)
class Way:
    """One contender's way to do a task.

    Args:
        name: its row.
        opened: a context with the forward that is timed; entering and leaving it is not.
        read: what that forward returned -> the outcome of the task.
        is_slow: so slow that one forward makes a block.
    """

    name: str
    opened: Callable[[], AbstractContextManager[Forward]]
    read: Read
    is_slow: bool = False


def each(name: str, forward: Forward, read: Read, *, is_slow: bool = False) -> Way:
    """A way that keeps nothing open between its forwards."""
    return Way(name, lambda: nullcontext(forward), read, is_slow)


def bare(task: Task) -> Way:
    """The module's forward: nothing recorded, nothing edited."""
    return each(BARE, lambda: task.module(task.latents), lambda images: {"images": images})


def by_hand(task: Task) -> list[Way]:
    """`register_forward_hook`: store a reference by name, or write into the output in place."""
    kept: dict[str, Tensor] = {}
    layers = [(task.module.get_submodule(site), _hook(task, site, kept)) for site in task.sites]

    def put_on() -> list[RemovableHandle]:
        return [layer.register_forward_hook(hook) for layer, hook in layers]

    @contextmanager
    def kept_on() -> Iterator[Forward]:
        handles = put_on()
        yield lambda: task.module(task.latents)
        _take_off(handles)

    def for_each() -> Tensor:
        handles = put_on()
        try:
            images: Tensor = task.module(task.latents)
        finally:
            _take_off(handles)
        return images

    def read(images: Tensor) -> Mapping[str, Tensor]:
        outcome = task.outcome(images, dict(kept))
        kept.clear()  # what the next way reads, it has recorded itself
        return outcome

    return [Way(BY_HAND, kept_on, read), each(BY_HAND_EACH, for_each, read)]


def _hook(task: Task, site: str, kept: dict[str, Tensor]) -> Callable[..., Tensor | None]:
    def keep(layer: nn.Module, given: object, output: Tensor) -> None:
        kept[site] = output

    edited = task.edited()

    def edit(layer: nn.Module, given: object, output: Tensor) -> Tensor:
        return edited(output)

    return edit if task.edit else keep


def _take_off(handles: list[RemovableHandle]) -> None:
    for handle in handles:
        handle.remove()


def with_ganprobe(task: Task) -> list[Way]:
    """A session kept open, a session for each forward, and `Probe.run`."""
    latent = tuple(task.latents.shape[1:])
    probe = gp.Probe(
        gp.Generator.from_module(task.module, latent=latent, image_shape=task.image_shape)
    )
    edits = _ganprobe_edits(task, probe)
    record = () if task.edit else task.sites

    @contextmanager
    def kept_open() -> Iterator[Forward]:
        with probe.intervening(edits, record=record) as session:
            yield lambda: (task.module(task.latents), session.recording)

    def for_each() -> Any:
        with probe.intervening(edits, record=record) as session:
            return task.module(task.latents), session.recording

    def running() -> Any:
        run = probe.run(task.latents, edits, record=record)
        return run.images, run.recording

    def read(returned: Any) -> Mapping[str, Tensor]:
        return task.outcome(*returned)

    return [
        Way(SESSION, kept_open, read),
        each(SESSION_EACH, for_each, read),
        each(RUN_EACH, running, read),
    ]


def _ganprobe_edits(task: Task, probe: gp.Probe) -> list[Any]:
    site = task.sites[0]
    units = f"{site}#0-{task.n_units - 1}"
    if task.edit == "ablate":
        return [gp.Ablate(units)]
    if task.edit == "swap":
        return [gp.Swap(units, donor=probe.run(task.donor_latents, record=[site]))]
    return []


def with_nnsight(task: Task) -> list[Way]:
    """A trace that caches the sites, saves their output, or writes into it.

    nnsight takes the body of a trace from its source: it has lines of its own and no return.
    """
    nnsight = importlib.import_module("nnsight")
    model = nnsight.NNsight(copy.deepcopy(task.module))
    layers = {site: model.get(site) for site in task.sites}

    def caching() -> Any:
        with model.trace(task.latents) as tracer:
            cache = tracer.cache(modules=list(layers.values()), device=None)
        return cache  # noqa: RET504

    def saving() -> Any:
        with model.trace(task.latents):
            kept = nnsight.save({})
            for site, layer in layers.items():
                kept[site] = layer.output
        return kept

    def read_cache(cache: Any) -> Mapping[str, Tensor]:
        return {site: cache[f"model.{site}"].output for site in task.sites}

    if task.edit:
        return [_nnsight_edit(task, model, layers[task.sites[0]])]
    return [each("nnsight, trace", saving, dict), each("nnsight, cache", caching, read_cache)]


def _nnsight_edit(task: Task, model: Any, layer: Any) -> Way:
    n_units, replacement = task.n_units, task.replacement

    def editing() -> Any:
        with model.trace(task.latents):
            layer.output[:, :n_units] = replacement
            images = model.output.save()
        return images  # noqa: RET504

    return each("nnsight, trace", editing, lambda images: {"images": images})


def with_captum(task: Task) -> list[Way]:
    """`LayerActivation`, all sites in one call; captum gives no images of edited activations."""
    attr = importlib.import_module("captum.attr")
    if task.edit:
        return []
    module = copy.deepcopy(task.module)
    activation = attr.LayerActivation(module, [module.get_submodule(s) for s in task.sites])

    def read(activations: list[Tensor]) -> Mapping[str, Tensor]:
        return dict(zip(task.sites, activations, strict=True))

    return [each("captum, LayerActivation", lambda: activation.attribute(task.latents), read)]


def with_pyvene(task: Task) -> list[Way]:
    """`CollectIntervention`, and functions as interventions.

    pyvene wants a `config` on the model, and keyword arguments.
    """
    pyvene = importlib.import_module("pyvene")
    module: Any = copy.deepcopy(task.module)
    module.config = types.SimpleNamespace()
    kept: dict[str, Tensor] = {}

    def intervened(intervention: Callable[[str], object]) -> Forward:
        component = [
            {"component": f"{site}.output", "intervention": intervention(site)}
            for site in task.sites
        ]
        model = pyvene.IntervenableModel(component, module)
        return lambda: model(base={"input": task.latents})

    functions = each(
        "pyvene, functions",
        intervened(lambda site: _pyvene_function(task, site, kept)),
        lambda returned: task.outcome(returned[1], kept),
    )
    collect = each(
        "pyvene, collect",
        intervened(lambda site: pyvene.CollectIntervention(keep_last_dim=True)),
        lambda returned: dict(zip(task.sites, returned[0][1], strict=True)),
    )
    return [functions] if task.edit else [functions, collect]


def _pyvene_function(task: Task, site: str, kept: dict[str, Tensor]) -> Callable[..., object]:
    def keep(base: Tensor, source: object) -> None:
        kept[site] = base

    edited = task.edited()
    return (lambda base, source: edited(base)) if task.edit else keep


def with_torchlens(task: Task) -> list[Way]:
    """`record` of the operations in the sites' layers, with an intervention where it edits."""
    torchlens = importlib.import_module("torchlens")
    module = copy.deepcopy(task.module)
    sites = frozenset(task.sites)
    edited = task.edited()

    def is_site(operation: Any) -> bool:
        return operation.address in sites

    options: dict[str, Any] = {"save": is_site, "return_output": True}
    if task.edit:
        options["intervene"] = torchlens.when(is_site, lambda output, **_: edited(output.clone()))

    def read(returned: Any) -> Mapping[str, Tensor]:
        images, recording = returned
        records = recording.records  # made when they are first asked for
        return task.outcome(images, {one.ctx.address: one.ram_payload for one in records})

    def recording() -> Any:
        return torchlens.record(module, task.latents, **options)

    return [each("torchlens, record", recording, read, is_slow=True)]


CONTENDERS: Mapping[str, Callable[[Task], list[Way]]] = {
    "by hand": by_hand,
    "ganprobe": with_ganprobe,
    "nnsight": with_nnsight,
    "captum": with_captum,
    "pyvene": with_pyvene,
    "torchlens": with_torchlens,
}
