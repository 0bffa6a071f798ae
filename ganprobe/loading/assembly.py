"""Assembly: a module, and what is said and found out about it, made into a generator.

What the user gives comes first, then what the description file says, then what is found out,
which costs a forward of two samples, and where the image range is not given one of up to 64.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from ganprobe.calls import Call
from ganprobe.classes import Classes
from ganprobe.errors import ForwardError
from ganprobe.generators import Generator
from ganprobe.latents import LatentSpace
from ganprobe.loading.description import Description
from ganprobe.loading.image_finding import find_images
from ganprobe.loading.latent_finding import find_latent
from ganprobe.loading.method_module import MethodModule
from ganprobe.loading.options import LoadOptions
from ganprobe.loading.range_finding import MeasuredValues, find_range, range_note
from ganprobe.loading.trial import N_SAMPLES, Called, check_arguments, placed_as
from ganprobe.style import is_style_network, style_generator

__all__ = ["Parts", "assemble"]


@dataclass(frozen=True)
class Parts:
    """What a generator is made of, wherever it came from.

    Args:
        made: a module, or a whole generator.
        name: what it is called, unless its description says otherwise.
        description: what its folder says about it.
        source: where it came from, as plain values.
        notes: sentences about how it was loaded.
        latent_shape: what comes with it says, where it does.
        said_by: what that is, as ``"its configuration"``.
    """

    made: nn.Module | Generator
    name: str
    description: Description = field(default_factory=Description)
    source: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    latent_shape: tuple[int, ...] | None = None
    said_by: str = "its configuration"


def assemble(parts: Parts, options: LoadOptions) -> Generator:
    """The generator, in eval mode unless another normalisation is asked for.

    Raises:
        UsageError: something that has to be known was not given and cannot be found out.
        ForwardError: the module raised, or returned no images.
        ParameterError: what was given does not fit.
    """
    if isinstance(parts.made, Generator):
        generator = _overridden(parts.made, parts, options)
    elif _is_style(parts, options):
        generator = _styled(parts.made, parts, options)
    else:
        generator = _completed(parts.made, parts, options)
    wanted = options.normalisation or _described_normalisation(parts.description)
    return generator if wanted is None else generator.with_normalisation(wanted)


def _described_normalisation(description: Description) -> Any:
    is_said = "normalisation" in description.generator.model_fields_set
    return description.generator.normalisation if is_said else None


def _is_style(parts: Parts, options: LoadOptions) -> bool:
    """Whether it is a StyleGAN that is to be called in the way of its kind."""
    said = parts.description
    if said.generator.kind is not None:
        return said.generator.kind == "stylegan2"
    is_called_otherwise = options.method or said.generator.method or said.call is not None
    return not is_called_otherwise and is_style_network(cast(nn.Module, parts.made))


def _styled(module: nn.Module, parts: Parts, options: LoadOptions) -> Generator:
    """A StyleGAN with its sites w and w_plus, and its truncation."""
    module, was_training = _in_eval_mode(module)
    notes = [*parts.notes, *_about_mode(module, was_training)]
    notes.append(
        f"{type(module).__name__} is a StyleGAN: its w is at mapping, its w_plus at w_plus"
    )
    style = parts.description.style
    generator = style_generator(
        module,
        name=parts.name,
        truncation=style.truncation,
        cutoff=style.cutoff,
        noise=style.noise,
        classes=_classes(parts.description),
    )
    return _overridden(generator, replace(parts, notes=tuple(notes)), options)


def _about_mode(module: nn.Module, was_training: bool) -> list[str]:
    return [f"{type(module).__name__} was put in eval mode"] if was_training else []


def _overridden(generator: Generator, parts: Parts, options: LoadOptions) -> Generator:
    """A generator that was whole, with what was said about it."""
    said = _said(parts.description, options)
    latent = options.latent or parts.description.latent.sizes
    if isinstance(latent, LatentSpace):
        said["latent_space"] = latent
    elif "latent" in parts.description.model_fields_set:
        said["latent_space"] = _space(latent or generator.latent_space.shape, parts.description)
    elif latent is not None:
        said["latent_space"] = replace(generator.latent_space, shape=latent)
    return replace(
        generator,
        **said,
        name=parts.description.generator.name or generator.name,
        source={**generator.source, **parts.source},
        notes=(*parts.notes, *generator.notes),
    )


def _said(description: Description, options: LoadOptions) -> dict[str, Any]:
    """What was given of a generator's fields, by the user or the description."""
    images, sites = description.images, description.sites
    order = images.channel_order if "channel_order" in images.model_fields_set else None
    last = images.channels_last if "channels_last" in images.model_fields_set else None
    said = {
        "image_range": options.image_range or images.range,
        "image_shape": options.image_shape or images.shape,
        "output": _path(options.output if options.output is not None else images.output),
        "unit_axes": {**sites.unit_axes, **(options.unit_axes or {})} or None,
        "w_site": sites.w,
        "w_plus_site": sites.w_plus,
        "classes": _classes(description),
        "call": _call(description),
        "channel_order": order,
        "channels_last": last,
    }
    return {name: value for name, value in said.items() if value is not None}


def _path(output: Any) -> tuple[int | str, ...] | None:
    if output is None:
        return None
    return (output,) if isinstance(output, int | str) else tuple(output)


def _classes(description: Description) -> Classes | None:
    said = description.classes
    return None if said is None else Classes(said.count or len(said.names), said.names)


def _call(description: Description) -> Call | None:
    said = description.call
    return None if said is None else Call(said.arguments, said.keywords)


def _space(shape: tuple[int, ...], description: Description) -> LatentSpace:
    said = description.latent
    return LatentSpace(shape, said.distribution, 0.0 if said.bound is None else said.bound)


def _completed(module: nn.Module, parts: Parts, options: LoadOptions) -> Generator:
    """A generator of a module, with what is not said found out."""
    said, notes = _said(parts.description, options), list(parts.notes)
    module, was_training = _in_eval_mode(module)
    notes += _about_mode(module, was_training)
    name = parts.description.generator.name or parts.name
    if method := options.method or parts.description.generator.method:
        module = MethodModule(module, method)
    called = Called(module, said.get("call"), said.get("classes"), name)
    check_arguments(called)
    space = _latent_space(called, parts, options, notes)
    returned = _returned(called, space)
    notes += _held_against_archive(called, space)
    images = find_images(
        returned,
        name,
        output=said.pop("output", None),
        shape=said.pop("image_shape", None),
        channels_last=said.get("channels_last", False),
    )
    range_given = said.pop("image_range", None)
    generator = Generator.from_module(
        module,
        latent=space,
        name=name,
        source=parts.source,
        output=images.path,
        image_shape=images.shape,
        **said,
    )
    image_range, note = _range(generator, range_given)
    notes += [sentence for sentence in (images.note, note) if sentence]
    return replace(generator, image_range=image_range, notes=tuple(notes))


def _in_eval_mode(module: nn.Module) -> tuple[nn.Module, bool]:
    was_training = any(layer.training for layer in module.modules())
    return module.eval(), was_training


def _latent_space(
    called: Called, parts: Parts, options: LoadOptions, notes: list[str]
) -> LatentSpace:
    shape = options.latent or parts.description.latent.sizes
    if isinstance(shape, LatentSpace):
        return shape
    if shape is None and parts.latent_shape is not None:
        shape = parts.latent_shape
        times = "x".join(map(str, shape))
        notes.append(f"the latents' shape is what {parts.said_by} says: {times}")
    if shape is None:
        found = find_latent(called)
        shape = found.shape
        notes.append(found.note)
    return _space(shape, parts.description)


def _held_against_archive(called: Called, space: LatentSpace) -> tuple[str, ...]:
    """What is found when a module of an archive is held against the archive's own forward."""
    from ganprobe.archives import check_archive

    arguments, keywords = called.arguments(space)
    return check_archive(called.module, *arguments, **keywords)


def _returned(called: Called, space: LatentSpace) -> Any:
    fault = called.fault(space)
    if fault is None:
        return called.returned(space)
    times = "x".join(map(str, space.shape))
    raise ForwardError(
        f"generator {called.name!r} raised on {N_SAMPLES} latents {times}: {fault}; another shape"
        " is given with --latent"
    )


def _range(
    generator: Generator, given: tuple[float, float] | None
) -> tuple[tuple[float, float], str | None]:
    """The image range, and what is to be said about it."""

    def images_of(n_samples: int, start: int) -> Tensor:
        return _forward(generator, n_samples, start)

    first = images_of(N_SAMPLES, 0)
    if given is not None:
        values = MeasuredValues.of(first)
        return given, range_note(given, values)
    found = find_range(generator.module, MeasuredValues.measure(images_of, first), generator.name)
    return found.image_range, found.note


def _forward(generator: Generator, n_samples: int, start: int) -> Tensor:
    """Images without gradients, their noise from one seed, wherever the module is."""
    latents = placed_as(generator.sample(n_samples, start=start), generator.module)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        return generator.forward(latents)
