"""A replay plan at work: base forwards that fill a memory, and forwards that resume from it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from ganprobe.engine import (
    Editing,
    Hooks,
    Plan,
    PortPlan,
    Step,
    balanced_modes,
    eager,
    layer_names,
    noise_from,
)
from ganprobe.errors import ForwardError, NotReplayableError, is_out_of_memory
from ganprobe.forwards import Forwards, modes
from ganprobe.latents import Latents
from ganprobe.recordings import Recording, Slots
from ganprobe.replay.answers import Answering
from ganprobe.replay.folding import Folding
from ganprobe.replay.memory import Memory
from ganprobe.replay.noise import Aside, SameNoise
from ganprobe.replay.plan import ReplayPlan, make_replay_plan
from ganprobe.replay.watching import watch
from ganprobe.sites import Port, SiteTensor

__all__ = ["Replay"]


# A layer has one place for answers: threads that replay the same module take turns.
_LOCKS: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()


class Replay:
    """Forwards of a generator that resume from edited sites.

    Args:
        sites: the tensors that are edited, one for each call of a layer.
        answers_nothing: compute everything again: forwards of whole batches of variants.

    Set `is_channels_last` to have feature maps go on with channels last in memory, which some
    convolutions are faster with, and modules that take views of them cannot bear.

    Raises:
        NotReplayableError: it cannot be resumed there; its `kind` says why.
    """

    def __init__(
        self, forwards: Forwards, sites: Sequence[SiteTensor], *, answers_nothing: bool = False
    ) -> None:
        self._forwards = forwards
        self._module = forwards.generator.module
        self._lock = _LOCKS.setdefault(self._module, threading.RLock())
        self.table = forwards.dry_run.table
        self.plan = self._make_plan(sites, answers_nothing)
        self._folding = Folding(self.plan.computed_layers)
        self.is_channels_last = False

    def remember(
        self, latents: Latents, *, noise_seed: int | None = 0, start: int = 0
    ) -> tuple[Memory, Tensor]:
        """A base forward of these latents: what it leaves, and its images.

        Raises:
            NotReplayableError: it does not go as the trace did.
        """
        memory = Memory(self.plan, len(latents))
        images = self._forwards.within(
            latents, memory.filling(), noise_seed=noise_seed, start=start
        )
        assert images is not None
        return memory, images

    def images(
        self,
        latents: Latents,
        memory: Memory,
        edits: Mapping[SiteTensor, Editing],
        n_variants: int,
    ) -> Tensor:
        """The images of all variants, (n_variants * n, ...), sample by sample within a variant.

        Args:
            latents: those of the base.
            edits: for each site, what makes of (n_variants * n, ...) unedited rows edited ones.

        Raises:
            NotReplayableError, ForwardError: it does not go as the base did.
        """
        images, _ = self._run(latents, memory, edits, n_variants, record=())
        assert images is not None
        return images

    def recording(
        self,
        latents: Latents,
        memory: Memory,
        edits: Mapping[SiteTensor, Editing],
        n_variants: int,
        record: Sequence[SiteTensor],
    ) -> Recording:
        """What all variants leave at some sites, which are computed; it ends when all is there."""
        _, recording = self._run(latents, memory, edits, n_variants, record)
        return recording

    def _run(
        self,
        latents: Latents,
        memory: Memory,
        edits: Mapping[SiteTensor, Editing],
        n_variants: int,
        record: Sequence[SiteTensor],
    ) -> tuple[Tensor | None, Recording]:
        with self._alone():
            noise = None
            if memory.noise or self.plan.one_at_once is not None or self.table.draws_noise:
                noise = SameNoise(memory.noise, memory.n_samples, n_variants)
                edits = {tensor: Aside(edit, noise) for tensor, edit in edits.items()}
            hooks = Hooks(self._module, self._engine_plan(edits, record))
            answering = Answering(
                memory,
                n_variants,
                hooks.gate,
                hooks.on_output,
                self._folding,
                is_channels_last=self.is_channels_last,
                are_overwritten=all(
                    getattr(edit, "writes_all_rows", False) for edit in edits.values()
                ),
            )
            around = _InTurn(hooks, answering).on(noise)
            seeded = noise_from(self._module, 0) if noise is not None else nullcontext()
            with seeded:  # what the noise is, the memory says; what edits draw begins there
                images = self._forwards.within(
                    _for_variants(latents, n_variants), around, noise_seed=None
                )
            memory.check()
            if images is not None and memory.holds(images):
                images = images.clone()
            return images, hooks.finish()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other thread replays the module; a failure is one of the replay."""
        try:
            with self._lock:
                yield
        except NotReplayableError:
            raise
        except ForwardError as error:
            if is_out_of_memory(error):
                raise
            raise NotReplayableError("calls", f"a replay failed: {error}") from error

    def _make_plan(self, sites: Sequence[SiteTensor], answers_nothing: bool) -> ReplayPlan:
        forwards = self._forwards
        names = {layer: those[0] for layer, those in layer_names(self._module).items()}
        self._layers = {name: layer for layer, name in names.items()}
        with modes(grad=False), eager():
            one = forwards.ready(forwards.generator.sample(1))
            trace = watch(self._module, lambda z: forwards.generator.forward(z), one, sites, names)
        return make_replay_plan(trace, self.table, sites, answers_nothing=answers_nothing)

    def _engine_plan(
        self, edits: Mapping[SiteTensor, Editing], record: Sequence[SiteTensor]
    ) -> Plan:
        ports: dict[tuple[str, Port], list[Step]] = {}
        for tensor, edit in edits.items():
            call, is_answered = self.plan.visible_call(tensor)
            is_in_place = is_answered or (tensor.is_in_place and not tensor.is_shared)
            n_calls = len(self.plan.visible[self._layers[tensor.site.layer]])
            step = Step(
                tensor.value_path, call, edit=edit, is_in_place=is_in_place, n_calls=n_calls
            )
            ports.setdefault((tensor.site.layer, tensor.site.port), []).append(step)
        for slot, tensor in enumerate(record):
            call, _ = self.plan.visible_call(tensor)
            step = Step(tensor.value_path, call, slot=slot, is_copied=tensor.is_overwritten)
            ports.setdefault((tensor.site.layer, tensor.site.port), []).append(step)
        plans = tuple(PortPlan(*where, tuple(steps)) for where, steps in ports.items())
        return Plan(plans, Slots(tuple(tensor.site for tensor in record)), bool(record))


@dataclass
class _InTurn:
    """Hooks and answers, on together and off together."""

    hooks: Hooks
    answering: Answering

    @contextmanager
    def on(self, noise: AbstractContextManager[object] | None) -> Iterator[None]:
        try:
            self.hooks.open()
            self.answering.open()
            with balanced_modes(), noise or nullcontext():
                yield
        finally:
            try:
                self._close()
            finally:
                self._close()  # what an interruption left

    def _close(self) -> None:
        try:
            self.answering.close()
        finally:
            self.hooks.close()


def _for_variants(latents: Latents, n_variants: int) -> Latents:
    z, labels = latents.z, latents.labels
    if labels is not None:
        labels = labels.repeat(n_variants)
    return Latents(z.expand(n_variants, *z.shape).flatten(0, 1), labels=labels)
