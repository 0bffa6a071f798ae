"""What all interventions have in common: site, region and strength; values that can be written."""

from __future__ import annotations

import copy
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from operator import index
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from ganprobe.errors import ParameterError, ShapeError, UnknownNameError
from ganprobe.indices import check_distinct, check_indices, parse_indices
from ganprobe.interventions.edit import Edit
from ganprobe.interventions.values import (
    decode,
    describe,
    encode,
    is_plain,
    is_same,
    read_numbers,
    read_tensor,
)
from ganprobe.sites import Site, SiteTensor, usual_unit_axis

__all__ = ["Intervention", "Numbers", "Outcome"]

Numbers = float | Sequence[float] | Tensor
"""One number, or one for each unit."""

Outcome = Callable[[Tensor], Tensor]
"""From the chosen units of an activation to what they become at full strength."""


class Intervention(ABC):
    """Something done to the activation at a site: a value, comparable, printable, kept as JSON.

    A kind of your own defines `outcome`, names what else it holds in `own`, and hands that to
    ``super().__init__``; it then has units, regions, strengths and JSON like all others.

    Args:
        site: where, with the units: ``"conv2#3,7"``; without units, all of them. A pattern means
            every layer that it matches; without a call, every time that the layer runs.
        units: which units, if the site does not say it.
        region: where in space: a mask of booleans or of weights in [0, 1], at any resolution,
            (y, x), or (n, y, x) with one for each sample; (tokens,) at a token site. Each cell of
            the site takes the mean of the mask over its area. None: everywhere.
        strength: in [0, 1], one number, or one for each unit; a tensor receives gradients.

    Raises:
        ParameterError: a strength or region outside [0, 1]; units that are named twice.

    Example:
        >>> class Invert(Intervention):
        ...     def outcome(self, tensor):
        ...         return lambda chosen: -chosen
        >>> edit = Invert("conv2#1", strength=0.5)
        >>> edit, edit.apply(torch.ones(1, 3))
        (Invert('conv2#1', strength=0.5), tensor([[1., 0., 1.]]))
    """

    kinds: ClassVar[dict[str, type[Intervention]]] = {}
    own: ClassVar[tuple[str, ...]] = ()
    """The names of what a kind holds besides site, region and strength."""
    defaults: ClassVar[dict[str, object]] = {"region": None, "strength": 1.0}
    gives_held: ClassVar[bool] = False
    """Its outcome is, or may be, what it holds, not memory of its own."""

    site: Site
    region: Tensor | None
    strength: float | tuple[float, ...] | Tensor

    def __init_subclass__(cls) -> None:
        cls.kinds.setdefault(cls.__name__, cls)

    def __init__(
        self,
        site: str | Site,
        *,
        units: Iterable[int] | None = None,
        region: object = None,
        strength: Numbers = 1.0,
        **own: object,
    ) -> None:
        self.__dict__.update(site=_site(site, units), region=_region(region))
        self.__dict__.update(strength=_strength(strength), **own)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"an intervention is a value; make another to change its {name}")

    def at(self, tensor: SiteTensor) -> Edit:
        """The same, prepared for one tensor that a dry run found: call it with the activation.

        Args:
            tensor: its site says which units are meant.

        Raises:
            ParameterError: the activation has no units, or is of whole numbers.
            ShapeError: values, region or strengths do not fit its shape.
        """
        if not tensor.shape:
            raise ParameterError(
                f"{tensor.site} has no units to edit: it is a number or a list of them"
            )
        if "float" not in tensor.dtype and "complex" not in tensor.dtype:
            raise ParameterError(f"{tensor.site} is of {tensor.dtype}; edit a site of floats")
        if self.region is not None and not (tensor.is_batched or tensor.is_alone):
            raise ShapeError(
                f"the first axis of {tensor.site} is not the batch, so that it is not known which"
                " of its axes are space; leave out region=..."
            )
        return Edit(self, tensor, self.outcome(tensor), level=self.level)

    def apply(self, activation: Tensor) -> Tensor:
        """The edited activation, in memory of its own, with the units on the usual axis.

        Raises:
            ParameterError, ShapeError: the intervention does not fit it.

        Example:
            >>> from ganprobe import Ablate
            >>> Ablate("conv2#3,7").apply(torch.ones(1, 8, 2, 2)).sum().item()
            24.0
        """
        dtype = str(activation.dtype).removeprefix("torch.")
        shape, axis = tuple(activation.shape[1:]), usual_unit_axis(activation.ndim)
        tensor = SiteTensor(self.site, shape, dtype, axis, is_batched=True, is_overwritten=False)
        if self.site.units is not None:
            check_indices(self.site.units, tensor.n_units, "unit", str(self.site.whole))
        edited = self.at(tensor)(activation)
        return activation.clone() if edited is activation else edited

    @abstractmethod
    def outcome(self, tensor: SiteTensor) -> Outcome:
        """What the chosen units of this tensor become; shapes are checked here, once."""

    @property
    def level(self) -> float | None:
        """The one number that everything becomes, where it is one: then it is only filled in."""
        return None

    def is_for_each_unit(self, tensor: SiteTensor) -> bool:
        """Whether it makes of each unit of a tensor what it would make of that unit alone.

        What it makes of several units is then what it makes of all, on those.
        """
        return False

    def for_samples(self, tensor: SiteTensor, samples: slice) -> Intervention | None:
        """The same for some samples of the batch it is meant for; None where it needs them all."""
        return None

    def for_units(self, units: tuple[int, ...] | None) -> Self:
        """The same at other units of its site, None meaning all."""
        changed = copy.copy(self)
        changed.__dict__["site"] = replace(self.site, units=units)
        return changed

    @property
    def is_plain(self) -> bool:
        """Whether it holds numbers alone, no tensors: then it is cheap to compare and hash."""
        return all(is_plain(value) for value in self.__dict__.values())

    @property
    def differs_by_call(self) -> bool:
        """Whether its outcome depends on which call of a layer it is done at."""
        return False

    def to_json(self) -> dict[str, Any]:
        """Its kind, site and what it holds, as `json` can write them; tensors bit for bit."""
        held = {name: encode(value) for name, value in self._held().items()}
        return {"kind": type(self).__name__, **held}

    @staticmethod
    def from_json(written: str | Mapping[str, Any]) -> Intervention:
        """The intervention that `to_json` wrote, from a mapping or from text.

        Raises:
            UnknownNameError: there is no such kind.
            ParameterError: it lacks something, or has something that its kind does not know.

        Example:
            >>> Intervention.from_json('{"kind": "Ablate", "site": "conv2#3"}')
            Ablate('conv2#3')
        """
        fields = _fields(written)
        name = str(fields.pop("kind", ""))
        kind = Intervention.kinds.get(name)
        if kind is None:
            raise UnknownNameError("kind of intervention", name, Intervention.kinds)
        try:
            return kind(**{key: decode(value) for key, value in fields.items()})
        except TypeError as error:
            raise ParameterError(f"this is no {name}: {error}") from error

    def __repr__(self) -> str:
        held = self._held()
        shown = [describe(held.pop("site"))]
        shown += [f"{name}={describe(value)}" for name, value in held.items()]
        return f"{type(self).__name__}({', '.join(shown)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Intervention) or type(self) is not type(other):
            return NotImplemented
        return all(is_same(value, other.__dict__[name]) for name, value in self.__dict__.items())

    def __hash__(self) -> int:
        plain = [value for value in self.__dict__.values() if is_plain(value)]
        return hash((type(self).__name__, *plain))

    def _changed(self, tensor: SiteTensor, samples: slice, **own: object) -> Self:
        """A copy that holds something else, and the regions of these samples alone."""
        changed = copy.copy(self)
        changed.__dict__.update(own)
        region = self.region
        if region is not None and region.ndim == tensor.rank - 1:
            changed.__dict__["region"] = region[samples]
        return changed

    def _held(self) -> dict[str, object]:
        """What it was made with, leaving out what is as it is when nothing is said."""
        names = ("site", *self.own, "region", "strength")
        held = {name: self.__dict__[name] for name in names}
        return {
            name: value
            for name, value in held.items()
            if name not in self.defaults or not is_same(value, self.defaults[name])
        }


def _fields(written: str | Mapping[str, Any]) -> dict[str, Any]:
    try:
        return dict(json.loads(written) if isinstance(written, str) else written)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"this is no intervention written as JSON: {error}") from error


def _site(site: str | Site, units: Iterable[int] | None) -> Site:
    parsed = Site.parse(site)
    if units is None:
        return parsed
    if parsed.units is not None:
        raise ParameterError(f"{parsed} names units already; leave out units=...")
    return replace(parsed, units=_units(units))


def _units(units: Iterable[int] | str | int) -> tuple[int, ...]:
    if isinstance(units, str):
        return parse_indices(units)
    try:
        chosen = tuple(map(index, units if isinstance(units, Iterable) else (units,)))
    except TypeError as error:
        raise ParameterError(f"units are whole numbers, got {units!r}") from error
    if isinstance(units, Iterable) and any(isinstance(unit, bool) for unit in units):
        raise ParameterError(f"units are numbers, not a mask; got {units!r}")
    check_distinct(chosen)
    return chosen


def _region(region: object) -> Tensor | None:
    if region is None:
        return None
    mask = read_tensor(region, "a region")
    mask = mask if mask.is_floating_point() else mask.to(torch.float32)
    if not mask.ndim or not mask.numel():
        raise ParameterError("a region is a mask with at least one axis and one cell")
    if not (mask.detach().amin() >= 0.0 and mask.detach().amax() <= 1.0):
        raise ParameterError(
            "a region is a mask of booleans or weights between 0 and 1, got values from"
            f" {mask.min():g} to {mask.max():g}"
        )
    return mask


def _strength(strength: object) -> float | tuple[float, ...] | Tensor:
    numbers = read_numbers(strength, "a strength")
    values = torch.as_tensor(numbers)
    if not values.numel() or not (values.detach().amin() >= 0 and values.detach().amax() <= 1):
        raise ParameterError(f"a strength is between 0 and 1, got {strength}")
    return numbers
