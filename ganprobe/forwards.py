"""Forwards of one generator: a dry one, which finds its sites, and those that carry out a plan."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from operator import index

import torch
from torch import Tensor, nn

from ganprobe.engine import (
    DRY_RUN_SAMPLES,
    Draw,
    Hooks,
    Plan,
    StopForward,
    dry_run,
    eager,
    find_draws,
    same_noise,
)
from ganprobe.errors import ForwardError, ParameterError
from ganprobe.generators import Generator
from ganprobe.latents import Latents
from ganprobe.layers import LayerTable
from ganprobe.runs import Run

__all__ = ["DryRun", "Forwards", "modes"]


@dataclass(frozen=True, eq=False)
class DryRun:
    """What one forward of two samples told about a generator.

    Args:
        table: its layers and sites.
        image_shape: (channels, height, width).
        image_dtype: of its images.
        writes_latents: it writes into the latents that it is given.
        shares_images: its images lie in memory that the next forward writes into.
        draws: of random numbers, in order.
    """

    table: LayerTable
    image_shape: tuple[int, ...]
    image_dtype: torch.dtype
    writes_latents: bool
    shares_images: bool
    draws: tuple[Draw, ...] = ()


class Forwards:
    """Runs a generator's module, on the device and in the dtype that it is in.

    Without gradients a forward runs under `torch.no_grad`, not in inference mode: a tensor of
    inference mode does not count the writes into it, and only that count tells whether a recorded
    activation is still what the next layer saw.
    """

    def __init__(self, generator: Generator, device: torch.device, dtype: torch.dtype) -> None:
        self.generator, self.device, self.dtype = generator, device, dtype

    @cached_property
    def dry_run(self) -> DryRun:
        """The layer table and all that goes with it, from one forward of two samples."""
        generator, images = self.generator, list[Tensor]()
        with modes(grad=False), eager():
            latents = self.ready(generator.sample(DRY_RUN_SAMPLES))
            try:
                table = dry_run(
                    generator.module,
                    lambda: images.append(generator.forward(latents)),
                    name=generator.name,
                    unit_axes=generator.unit_axes,
                )
            except ForwardError as error:
                raise type(error)(f"in a dry run of {DRY_RUN_SAMPLES} samples, {error}") from error
        given = [tensor for tensor in table[""].tensors if tensor.site.port == "in"]
        made = [tensor for tensor in table[""].tensors if tensor.site.port == "out"]
        return DryRun(
            table,
            tuple(images[0].shape[1:]),
            images[0].dtype,
            writes_latents=any(tensor.is_overwritten for tensor in given),
            shares_images=any(tensor.is_shared for tensor in made),
            draws=self._draws() if table.draws_noise else (),
        )

    def _draws(self) -> tuple[Draw, ...]:
        """What a forward draws, from two more of them."""
        generator = self.generator
        with modes(grad=False), eager():
            return find_draws(
                generator.module, lambda n: generator.forward(self.ready(generator.sample(n)))
            )

    def run(
        self,
        latents: Latents | Tensor,
        plan: Plan,
        *,
        grad: bool = False,
        noise_seed: int | None = 0,
        start: int = 0,
    ) -> Run:
        """One forward that carries out a plan.

        Args:
            grad: keep the graph.
            noise_seed: where the noise inside the forward begins; None: go on from outside.
            start: the position of the first latent among all, where it has no index of its own.

        Raises:
            UsageError: a layer is in train mode by now.
            ParameterError: latents or noise seed do not fit.
            ForwardError: the forward raised, or a site was not reached, or was overwritten.
        """
        dry = self.dry_run
        self.refuse_train_mode()
        with modes(grad=grad):
            ready = self.ready(latents)
            noise = self._noise(ready, noise_seed, start)
            z = ready.z.clone() if dry.writes_latents else ready.z
            hooks = Hooks(self.generator.module, plan, keeps_graph=grad)
            with noise, eager():
                try:
                    hooks.open()
                    images = self._images(replace(ready, z=z) if dry.writes_latents else ready)
                    recording = hooks.finish()
                finally:
                    try:
                        hooks.close()
                    finally:
                        hooks.close()  # what an interruption left
        if images is not None and dry.shares_images:
            images = images.clone()
        return Run(ready, recording, images)

    def within(
        self,
        latents: Latents | Tensor,
        around: AbstractContextManager[object],
        *,
        noise_seed: int | None = 0,
        start: int = 0,
    ) -> Tensor | None:
        """The images of one forward inside of something else; None where that stopped it.

        Raises:
            UsageError, ParameterError, ForwardError: as for `run`.
        """
        dry = self.dry_run
        self.refuse_train_mode()
        with modes(grad=False):
            ready = self.ready(latents)
            with self._noise(ready, noise_seed, start), eager(), around:
                if dry.writes_latents:
                    ready = replace(ready, z=ready.z.clone(memory_format=torch.contiguous_format))
                images = self._images(ready)
        return images.clone() if images is not None and dry.shares_images else images

    def _images(self, latents: Latents) -> Tensor | None:
        """The images, or None where the forward was stopped early."""
        try:
            return self.generator.forward(latents)
        except StopForward:
            return None

    def n_written(self) -> int:
        """How often parameters and buffers were written into: another number, other weights."""
        module = self.generator.module
        return sum(
            tensor._version
            for tensor in (*module.parameters(), *module.buffers())
            if not tensor.is_inference()
        )

    def refuse_train_mode(self) -> None:
        """Raise `UsageError` if a layer is in train mode by now, naming it."""
        layers: list[nn.Module | None] = [self.generator.module]
        while layers:  # `modules` takes several times as long
            layer = layers.pop()
            if layer is not None:
                if layer.training:
                    self.generator.refuse_train_mode()
                layers.extend(layer._modules.values())

    def ready(self, latents: Latents | Tensor) -> Latents:
        """The latents on the generator's device and in its dtype.

        Raises:
            ParameterError: they do not fit the generator.
        """
        given = latents if isinstance(latents, Latents) else Latents(latents)
        shape = self.generator.latent_space.shape
        if not isinstance(given.z, Tensor):
            raise ParameterError(f"latents are a tensor or Latents, got {type(given.z).__name__}")
        if given.z.shape[1:] != shape or not len(given):
            sizes = ", ".join(map(str, shape))
            raise ParameterError(
                f"latents of generator {self.generator.name!r} are (n, {sizes}) with at least"
                f" one sample, got {tuple(given.z.shape)}"
            )
        if given.z.is_inference():  # which a forward outside inference mode may not write into
            given = replace(given, z=given.z.clone())
        return self.generator.labelled(given).to(self.device, self.dtype)

    def _noise(
        self, latents: Latents, noise_seed: int | None, start: int
    ) -> AbstractContextManager[object]:
        """The same noise for the same sample, whatever else is in the batch."""
        if not self.dry_run.table.draws_noise or noise_seed is None:
            return nullcontext()
        indices = latents.indices or range(start, start + len(latents))
        seed = _checked_seed(noise_seed)
        return same_noise(self.generator.module, seed, indices, self.dry_run.draws)


def _checked_seed(noise_seed: int) -> int:
    try:
        seed = index(noise_seed)
    except TypeError as error:
        raise ParameterError(f"a noise seed is a whole number, got {noise_seed!r}") from error
    if not 0 <= seed < 2**63:
        raise ParameterError(f"a noise seed is a number from 0 to 2**63 - 1, got {noise_seed}")
    return seed


@contextmanager
def modes(*, grad: bool) -> Iterator[None]:
    """With or without gradients, and never in inference mode, whatever is around."""
    leaving = torch.inference_mode(False) if torch.is_inference_mode_enabled() else nullcontext()
    was_enabled = torch.is_grad_enabled()
    try:
        with leaving:
            torch.set_grad_enabled(grad)
            yield
    finally:
        try:
            torch.set_grad_enabled(was_enabled)
        finally:
            torch.set_grad_enabled(was_enabled)  # what an interruption left
