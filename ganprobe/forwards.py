"""Forwards of one generator: a dry one, which finds its sites, and those that carry out a plan."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from ganprobe.engine import (
    DRY_RUN_SAMPLES,
    Hooks,
    Noise,
    Plan,
    StopForward,
    dry_run,
    eager,
    is_compiled,
    same_noise,
)
from ganprobe.errors import ParameterError
from ganprobe.generators import Generator
from ganprobe.latents import Latents
from ganprobe.layers import LayerTable
from ganprobe.runs import Run

__all__ = ["DryRun", "Forwards", "modes"]

_GOLDEN = 0x9E3779B97F4A7C15  # spreads consecutive numbers over all seeds


@dataclass(frozen=True, eq=False)
class DryRun:
    """What one forward of two samples told about a generator.

    Args:
        table: its layers and sites.
        noise: the streams of random numbers that it drew from.
        image_shape: (channels, height, width).
        image_dtype: of its images.
    """

    table: LayerTable
    noise: Noise
    image_shape: tuple[int, ...]
    image_dtype: torch.dtype


class Forwards:
    """Runs a generator's module, on the device and in the dtype that it is in.

    Without gradients a forward runs under `torch.no_grad`, not in inference mode: a tensor of
    inference mode does not count the writes into it, and only that count tells whether a recorded
    activation is still what the next layer saw.
    """

    def __init__(self, generator: Generator, device: torch.device, dtype: torch.dtype) -> None:
        self._generator, self._device, self._dtype = generator, device, dtype

    @cached_property
    def dry_run(self) -> DryRun:
        """The layer table and all that goes with it, from one forward of two samples."""
        generator, images = self._generator, list[Tensor]()
        with modes(grad=False), eager():
            latents = self._ready(generator.sample(DRY_RUN_SAMPLES))
            table, noise = dry_run(
                generator.module,
                lambda: images.append(generator.forward(latents)),
                name=generator.name,
                unit_axes=generator.unit_axes,
            )
        return DryRun(table, noise, tuple(images[0].shape[1:]), images[0].dtype)

    def run(
        self,
        latents: Latents | Tensor,
        plan: Plan,
        *,
        grad: bool = False,
        noise_seed: int | None = 0,
    ) -> Run:
        """One forward that carries out a plan.

        Args:
            grad: keep the graph.
            noise_seed: where the noise inside the forward begins; None: go on from outside.

        Raises:
            UsageError: a layer is in train mode by now.
            ParameterError: latents or noise seed do not fit.
            ForwardError: the forward raised, or a site was not reached, or was overwritten.
        """
        self.refuse_train_mode()
        images: Tensor | None = None
        with modes(grad=grad):
            ready = self._ready(latents)
            with (
                self._noise(ready, noise_seed),
                eager() if self._is_compiled else nullcontext(),
                Hooks(self._generator.module, plan, keeps_graph=grad) as hooks,
            ):
                with suppress(StopForward):
                    images = self._generator.forward(ready)
                return Run(ready, hooks.finish(), images)

    def refuse_train_mode(self) -> None:
        """Raise `UsageError` if a layer is in train mode by now, naming it."""
        if any(layer.training for layer in self._modules):
            self._generator.refuse_train_mode()

    def _ready(self, latents: Latents | Tensor) -> Latents:
        given = latents if isinstance(latents, Latents) else Latents(latents)
        shape = self._generator.latent_space.shape
        if tuple(given.z.shape[1:]) != shape or not len(given):
            sizes = ", ".join(map(str, shape))
            raise ParameterError(
                f"latents of generator {self._generator.name!r} are (n, {sizes}) with at least"
                f" one sample, got {tuple(given.z.shape)}"
            )
        if given.z.is_inference():  # which a forward outside inference mode may not write into
            given = replace(given, z=given.z.clone())
        return given.to(self._device, self._dtype)

    def _noise(self, latents: Latents, noise_seed: int | None) -> AbstractContextManager[object]:
        """The same noise for the same latents; each batch of a seed has some of its own."""
        noise = self.dry_run.noise
        if not noise or noise_seed is None:
            return nullcontext()
        if not 0 <= noise_seed < 2**63:
            raise ParameterError(f"a noise seed is a number from 0 to 2**63 - 1, got {noise_seed}")
        first = latents.indices[0] if latents.indices else 0
        return same_noise(noise, (noise_seed + first * _GOLDEN) % 2**63)

    @cached_property
    def _modules(self) -> list[nn.Module]:
        return list(self._generator.module.modules())

    @cached_property
    def _is_compiled(self) -> bool:
        return any(map(is_compiled, self._modules))


@contextmanager
def modes(*, grad: bool) -> Iterator[None]:
    """With or without gradients, and never in inference mode, whatever is around."""
    leaving = torch.inference_mode(False) if torch.is_inference_mode_enabled() else nullcontext()
    with leaving, torch.set_grad_enabled(grad):
        yield
