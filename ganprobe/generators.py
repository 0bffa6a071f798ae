"""Generators: a module that turns latents into images, with what must be known about it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganprobe.calls import Call
from ganprobe.classes import Classes
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
        w_plus_site: where there is one w for each style, if anywhere: (n, styles, w).
        classes: that it can be asked for, if it is class-conditional.
        call: how the module is called, where that is not ``module(z)``, or ``module(z, label)``
            with classes.
        truncation: what ``"$truncation"`` in `call` stands for; None: 1.0, no truncation.
        channel_order: of three channels as the module returns them; images are always RGB.
        channels_last: the module returns images (n, height, width, channels).
        source: how it was loaded, as plain values, for the provenance: files with their SHA-256.
        notes: sentences about what was found out about it rather than told.
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
    w_plus_site: str | None = None
    classes: Classes | None = None
    call: Call | None = None
    truncation: float | None = None
    channel_order: Literal["rgb", "bgr"] = "rgb"
    channels_last: bool = False
    source: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        takes_classes = self.call is None or self.call.takes_classes
        if self.classes is not None and not takes_classes:
            raise ParameterError(
                f"generator {self.name!r} has classes, but its call passes none; write"
                ' "$label" or "$one-hot" where the class goes'
            )
        if self.classes is None and self.call is not None and self.call.takes_classes:
            raise ParameterError(
                f"the call of generator {self.name!r} passes a class; say how many classes there"
                " are: classes=Classes(10)"
            )

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
        w_plus_site: str | None = None,
        classes: Classes | int | None = None,
        call: Call | None = None,
        channel_order: Literal["rgb", "bgr"] = "rgb",
        channels_last: bool = False,
        source: Mapping[str, Any] | None = None,
        notes: tuple[str, ...] = (),
    ) -> Generator:
        """Make a generator of your own module, which is used as it is and never changed.

        Args:
            module: in eval mode, on any device. Where it or a layer of it is compiled, probing
                runs it as it was written, which gives the same up to rounding.
            latent: the latent's size, its shape, or a `LatentSpace`; normal unless that says
                otherwise.
            normalisation: as for `with_normalisation`.
            w_site: the site of its mapping network's output, if it has one, as ``"mapping"``.
            classes: of a class-conditional generator, or how many.
            w_plus_site, call, channel_order, channels_last, source, notes: as for `Generator`.

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
        generator = cls(
            name or type(written).__name__,
            written,
            latent,
            image_range,
            output=(output,) if isinstance(output, str | int) else tuple(output),
            image_shape=image_shape,
            unit_axes=dict(unit_axes or {}),
            w_site=w_site,
            w_plus_site=w_plus_site,
            classes=Classes(classes) if isinstance(classes, int) else classes,
            call=call,
            channel_order=channel_order,
            channels_last=channels_last,
            source=dict(source or {}),
            notes=notes,
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

    def with_class(self, chosen: int | str | None) -> Generator:
        """The same generator, asked for one class, by number or name; None: all in turn.

        In turn, sample i of every seed is of class i modulo the number of classes.

        Raises:
            ParameterError: it is not class-conditional, or has no class of this number.
            UnknownNameError: it has no class of this name.
        """
        if self.classes is None:
            raise ParameterError(
                f"generator {self.name!r} is not class-conditional, so that no class can be chosen"
            )
        return replace(self, classes=self.classes.choose(chosen))

    def with_truncation(self, truncation: float) -> Generator:
        """The same generator with its latents, or its w, closer to their mean.

        Where the module takes a truncation, it is passed on, as a StyleGAN's psi, which pulls w
        to its mean. A normal prior, or the truncated one of a module that takes a truncation too,
        as BigGAN, is cut at ± this number, by drawing again what lies beyond.

        Raises:
            ParameterError: not above 0, or the prior is uniform, or the module has a mapping
                network and takes no truncation.

        Source:
            Brock et al. 2019 (arXiv 1809.11096), section 3.1; Karras et al. 2019 (arXiv
            1812.04948), appendix B.
        """
        if not 0.0 < truncation < math.inf:
            raise ParameterError(f"a truncation is above 0 and finite, got {truncation}")
        is_passed = self.call is not None and "$truncation" in self.call.places
        space = self.latent_space
        if space.distribution == "truncated" or (space.distribution == "normal" and not is_passed):
            space = replace(space, distribution="truncated", bound=float(truncation))
        if not is_passed and (self.w_site is not None or space.distribution == "uniform"):
            what = "a mapping network" if self.w_site is not None else "a uniform prior"
            raise ParameterError(
                f"generator {self.name!r} has {what} and its call takes no truncation; where its"
                ' module has an argument for it, write "$truncation" there'
            )
        return replace(self, latent_space=space, truncation=float(truncation))

    def sample(self, n_samples: int, *, seed: int = 0, start: int = 0) -> Latents:
        """Draw samples start, start + 1, ... of a seed from the prior, with their classes.

        Sample i of a seed is the same whatever `n_samples` and `start` are.

        Raises:
            ParameterError: fewer than one sample, or a negative start or seed.
        """
        if n_samples < 1:
            raise ParameterError(f"the number of samples is at least 1, got {n_samples}")
        return self.samples(range(start, start + n_samples), seed=seed)

    def samples(self, indices: Sequence[int], *, seed: int = 0) -> Latents:
        """The samples of these indices of a seed, with their classes.

        Raises:
            ParameterError: a negative index or seed.
        """
        latents = self.latent_space.sample(indices, seed=seed)
        return self.labelled(latents)

    def labelled(self, latents: Latents) -> Latents:
        """The latents with the classes that they are of; the same where there are no classes.

        They keep the labels that they have. Others are of the chosen class, or in turn by their
        indices.

        Raises:
            ParameterError: no class was chosen, and they have neither labels nor indices; or a
                label that is no class.
        """
        if self.classes is None:
            return latents
        if latents.labels is not None:
            return _checked_labels(latents, self.classes, self.name)
        if self.classes.chosen is None and latents.indices is None:
            raise ParameterError(
                f"generator {self.name!r} has {self.classes.count} classes, and these latents are"
                " samples of none; choose a class: with_class(3), on the command line --class 3"
            )
        indices = range(len(latents)) if latents.indices is None else latents.indices
        labels = self.classes.labels(indices).to(latents.z.device)
        return replace(latents, labels=labels)

    def forward(self, latents: Latents) -> Tensor:
        """The images of these latents, (n, channels, height, width) in `image_range`.

        The latents must be on the module's device and in its dtype; gradient mode is the
        caller's.

        Raises:
            ParameterError: as `labelled`.
            ForwardError: the module raised, or returned something that is no batch of images.
            UsageError: the module was put in train mode since it was given.
        """
        if self.module.training:
            self.refuse_train_mode()
        try:
            returned = self._called(latents)
        except GanprobeError:
            raise
        except Exception as error:
            given = f"{tuple(latents.z.shape)} {latents.z.dtype} on {latents.z.device}"
            raise ForwardError(
                f"generator {self.name!r} raised on latents {given}: {error}"
            ) from error
        return self._images(returned, len(latents))

    def _called(self, latents: Latents) -> object:
        if self.classes is None and self.call is None:
            return self.module(latents.z)
        arguments, keywords = self.arguments(latents)
        return self.module(*arguments, **keywords)

    def arguments(self, latents: Latents) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What the module is called with for these latents: by position, and by name.

        Raises:
            ParameterError: as `labelled`.
        """
        latents = self.labelled(latents)
        usual = Call(("$z",) if self.classes is None else ("$z", "$label"))
        return (self.call or usual).filled(partial(self._argument, latents))

    def _argument(self, latents: Latents, place: str) -> object:
        if place == "$z":
            return latents.z
        if place == "$truncation":
            return 1.0 if self.truncation is None else self.truncation
        assert self.classes is not None  # by __post_init__
        assert latents.labels is not None
        if place == "$label":
            return latents.labels
        return functional.one_hot(latents.labels, self.classes.count).to(latents.z.dtype)

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
            **self.conditions(),
            **({"source": dict(self.source)} if self.source else {}),
        }

    def conditions(self) -> dict[str, Any]:
        """What its images depend on beside weights and latents, where there is anything.

        Its classes, call and truncation, as plain values.
        """
        found: dict[str, Any] = {}
        if self.classes is not None:
            found["classes"] = self.classes.to_json()
        if self.call is not None:
            found["call"] = self.call.to_json()
        if self.truncation is not None:
            found["truncation"] = self.truncation
        return found

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
        images = self._in_order(images)
        if images.ndim != 4 or len(images) != n:
            raise ForwardError(
                f"generator {self.name!r} returned {tuple(images.shape)} for {n} latents; images"
                " are (n, channels, height, width); give image_shape=... if they are flat"
            )
        return images

    def _in_order(self, images: Tensor) -> Tensor:
        """With the axes and channels that images have here, whatever the module's are."""
        if self.image_shape is not None and images.shape[1:].numel() == math.prod(self.image_shape):
            channels, *size = self.image_shape
            shape = (*size, channels) if self.channels_last else (channels, *size)
            images = images.reshape(-1, *shape)
        if self.channels_last and images.ndim == 4:
            images = images.movedim(-1, 1)
        return images.flip(1) if self.channel_order == "bgr" and images.ndim == 4 else images


def _checked_labels(latents: Latents, classes: Classes, name: str) -> Latents:
    labels = latents.labels
    assert labels is not None
    if labels.device.type == "cpu" and len(labels):  # elsewhere it would wait for the device
        low, high = labels.min().item(), labels.max().item()
        if low < 0 or high >= classes.count:
            raise ParameterError(
                f"generator {name!r} has classes 0-{classes.count - 1}, got label"
                f" {low if low < 0 else high}"
            )
    if labels.device != latents.z.device:
        return replace(latents, labels=labels.to(latents.z.device))
    return latents


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
