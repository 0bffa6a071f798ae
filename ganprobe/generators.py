"""Generators: a module that turns latents into images, with what must be known about it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from ganprobe.errors import ForwardError, GanprobeError, NotATensorError, ParameterError, UsageError
from ganprobe.latents import Latents, LatentSpace
from ganprobe.nested import Path, pick, tensors_in
from ganprobe.normalisation import Normalisation, in_mode

__all__ = ["Generator"]


@dataclass(frozen=True, eq=False)
class Generator:
    """A pretrained generator.

    Args:
        name: as it is called in messages and results.
        module: takes latents (n, \\*shape) and returns images (n, channels, height, width).
        latent_space: the shape and prior of its latents.
        image_range: the values that stand for black and white.
        output: where the images are, if the module returns more than a tensor: ``(0,)`` or
            ``("sample",)``.
        image_shape: (channels, height, width), if the module returns flat images.
        unit_axes: by site or pattern, which axis its units are on where custom is wrong:
            ``{"**": -1}`` for a module with channels last.
        w_site: where its intermediate latents w are, if it has a mapping network: the site of
            what that network returns.
        normalisation: which statistics its batch normalisation goes by: ``"eval"``, the running
            ones; ``"sample"``, each sample's own; ``"batch"``, those of the batch. To choose it,
            use `from_module` or `with_normalisation`.
    """

    name: str
    module: nn.Module
    latent_space: LatentSpace
    image_range: tuple[float, float] = (-1.0, 1.0)
    output: Path = ()
    image_shape: tuple[int, int, int] | None = None
    unit_axes: Mapping[str, int] = field(default_factory=dict)
    normalisation: Normalisation = "eval"
    w_site: str | None = None

    @classmethod
    def from_module(
        cls,
        module: nn.Module,
        *,
        latent: int | tuple[int, ...] | LatentSpace,
        name: str | None = None,
        image_range: tuple[float, float] = (-1.0, 1.0),
        output: Path | str | int = (),
        image_shape: tuple[int, int, int] | None = None,
        unit_axes: Mapping[str, int] | None = None,
        normalisation: Normalisation = "eval",
        w_site: str | None = None,
    ) -> Generator:
        """Make a generator of your own module, which is used as it is and never changed.

        Args:
            module: in eval mode, on any device. Where it or a layer of it is compiled, probing
                runs it as it was written, which gives the same up to rounding.
            latent: the latent's size, its shape, or a `LatentSpace`; normal unless that says
                otherwise.
            normalisation: as for `with_normalisation`.
            w_site: the site of its mapping network's output, if it has one, as ``"mapping"``.

        Raises:
            UsageError: a layer is in train mode, or is TorchScript.
            ParameterError: an empty latent shape or image range; and as `with_normalisation`.

        Example:
            >>> import torch
            >>> module = torch.nn.Sequential(
            ...     torch.nn.Linear(8, 9), torch.nn.Unflatten(1, (1, 3, 3))).eval()
            >>> Generator.from_module(module, latent=8).sample(4, seed=0).z.shape
            torch.Size([4, 8])
        """
        if not isinstance(latent, LatentSpace):
            latent = LatentSpace((latent,) if isinstance(latent, int) else tuple(latent))
        if not image_range[0] < image_range[1]:
            raise ParameterError(f"an image range is (black, white), got {image_range}")
        _refuse_deaf(module)
        modules = dict(module.named_children())
        written = modules.get("_orig_mod", module)  # what torch.compile was given
        _refuse_train_mode(written)
        path = (output,) if isinstance(output, str | int) else tuple(output)
        own_name = name or type(written).__name__
        axes = dict(unit_axes or {})
        generator = cls(
            own_name, written, latent, image_range, path, image_shape, axes, w_site=w_site
        )
        return generator.with_normalisation(normalisation)

    def with_normalisation(self, mode: Normalisation) -> Generator:
        """The same generator with its batch normalisation by other statistics.

        ``"eval"``: the running statistics of training. ``"sample"``: each sample's own, over
        space, as with a module in train mode that is given one latent at a time; the same
        whatever the batch is. ``"batch"``: those of the batch, whose samples then influence each
        other, so that sweeps and searches refuse it. Nothing of it stays on the module: a copy
        of its layers is made, which shares its parameters and buffers.

        Raises:
            ParameterError: there is no such mode, or no batch normalisation in the module.
            UsageError: a layer normalises in a forward of its own, the module cannot be copied,
                or this generator is in another mode than ``"eval"`` already.

        Example:
            >>> import torch
            >>> module = torch.nn.Sequential(torch.nn.Unflatten(1, (2, 2, 2)),
            ...     torch.nn.BatchNorm2d(2)).eval()
            >>> generator = Generator.from_module(module, latent=8).with_normalisation("sample")
            >>> generator.forward(generator.sample(3)).mean(dim=(2, 3)).abs().max() < 1e-6
            tensor(True)
        """
        if mode == self.normalisation:
            return self
        if self.normalisation != "eval":
            raise UsageError(
                f"generator {self.name!r} is in normalisation {self.normalisation!r}; make one in"
                f" {mode!r} of the generator that it was made of"
            )
        module = in_mode(self.module, mode, self.name)
        return replace(self, module=module, normalisation=mode)

    def sample(self, n_samples: int, *, seed: int = 0, start: int = 0) -> Latents:
        """Draw samples start, start + 1, ... of a seed from the prior.

        Sample i of a seed is the same whatever `n_samples` and `start` are.

        Raises:
            ParameterError: fewer than one sample, or a negative start or seed.
        """
        if n_samples < 1:
            raise ParameterError(f"the number of samples is at least 1, got {n_samples}")
        return self.latent_space.sample(range(start, start + n_samples), seed=seed)

    def forward(self, latents: Latents) -> Tensor:
        """The images of these latents, (n, channels, height, width) in `image_range`.

        The latents must be on the module's device and in its dtype; gradient mode is the
        caller's.

        Raises:
            ForwardError: the module raised, or returned something that is no batch of images.
            UsageError: the module was put in train mode since it was given.
        """
        if self.module.training:
            self.refuse_train_mode()
        try:
            returned = self.module(latents.z)
        except GanprobeError:
            raise
        except Exception as error:
            given = f"{tuple(latents.z.shape)} {latents.z.dtype} on {latents.z.device}"
            raise ForwardError(
                f"generator {self.name!r} raised on latents {given}: {error}"
            ) from error
        return self._images(returned, len(latents))

    def refuse_train_mode(self) -> None:
        """Raise `UsageError` if a layer is in train mode, naming it."""
        _refuse_train_mode(self.module)

    def to_unit_range(self, images: Tensor) -> Tensor:
        """Images with black at 0 and white at 1, clipped: what a `Measure` takes."""
        black, white = self.image_range
        return ((images - black) / (white - black)).clamp(0.0, 1.0)

    def weights_sha256(self) -> str:
        """SHA-256 over names, dtypes, shapes and bytes of all parameters and buffers."""
        digest = hashlib.sha256()
        named = {**dict(self.module.named_parameters()), **dict(self.module.named_buffers())}
        for name, tensor in sorted(named.items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            flat = tensor.detach().resolve_conj().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Its identity, as provenance keeps it."""
        return {
            "name": self.name,
            "module": type(self.module).__qualname__,
            "weights_sha256": self.weights_sha256(),
            "latent_space": self.latent_space.to_json(),
            "image_range": list(self.image_range),
            "normalisation": self.normalisation,
        }

    def _images(self, returned: object, n: int) -> Tensor:
        try:
            images = pick(returned, self.output)
        except LookupError as error:
            raise NotATensorError(
                f"generator {self.name!r} has {error} among its outputs"
            ) from error
        if not isinstance(images, Tensor):
            paths = ", ".join(repr(path) for path, _ in tensors_in(returned)) or "none"
            raise NotATensorError(
                f"generator {self.name!r} returned a {type(images).__name__}; say where its"
                f" images are with output=...; tensors are at: {paths}"
            )
        if self.image_shape is not None and images.shape[1:].numel() == math.prod(self.image_shape):
            images = images.reshape(-1, *self.image_shape)
        if images.ndim != 4 or len(images) != n:
            raise ForwardError(
                f"generator {self.name!r} returned {tuple(images.shape)} for {n} latents; images"
                " are (n, channels, height, width); give image_shape=... if they are flat"
            )
        return images


def _refuse_train_mode(module: nn.Module) -> None:
    for name, layer in module.named_modules():
        if layer.training:
            raise UsageError(
                f"{_spoken(name, layer)} is in train mode, where samples of a batch can influence"
                " each other, noise is drawn and statistics change; call module.eval() first"
                " (normalisation='sample' goes by each sample's own statistics, as a batch of one"
                " does in train mode)"
            )


def _refuse_deaf(module: nn.Module) -> None:
    """Raise for a scripted layer, whose forward does not hear hooks."""
    for name, layer in module.named_modules():
        if isinstance(layer, torch.jit.ScriptModule):
            raise UsageError(
                f"{_spoken(name, layer)} is TorchScript, whose layers cannot be hooked; give the"
                " module that it was made from"
            )


def _spoken(name: str, layer: nn.Module) -> str:
    kind = type(layer).__name__
    return f"layer {name!r} ({kind})" if name else f"the module ({kind})"
