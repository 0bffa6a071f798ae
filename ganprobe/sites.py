"""Sites: where in a generator a tensor is; and the table of all of them.

A site is written ``layer[:port[path]][@call][#units]``:

    conv2                 what the layer conv2 returns
    conv2:in              what it is given
    block.attn:out[1]     the second of the tensors that it returns; also [key]
    conv2@3               the fourth time that it runs in one forward
    conv2#3,7,10-20       these units of it

``:in`` and ``:out`` alone are the generator's own input and output.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from ganprobe.errors import SiteError, UnknownNameError
from ganprobe.indices import check_indices, format_indices, parse_indices
from ganprobe.nested import Path

__all__ = ["Layer", "LayerTable", "Site", "SiteTensor", "unit_axis"]

Port = Literal["in", "out"]

_SITE = re.compile(
    r"(?P<layer>.*?)"
    r"(?::(?P<port>in|out)(?P<path>(?:\[[^\[\]]+\])*))?"
    r"(?:@(?P<call>\d+))?"
    r"(?:#(?P<units>[^#]*))?",
    re.DOTALL,
)


@dataclass(frozen=True)
class Site:
    """Where a tensor is: layer, port, path within the port, call, and which units of it.

    `call` None means every time that the layer runs; `units` None means all.

    Example:
        >>> Site.parse("block.attn:out[1]@2#3,7-9").units
        (3, 7, 8, 9)
    """

    layer: str
    port: Port = "out"
    path: Path = ()
    call: int | None = None
    units: tuple[int, ...] | None = None

    @classmethod
    def parse(cls, text: str | Site) -> Site:
        """Read a site as it is written; a `Site` is returned as it is.

        Raises:
            SiteError: there is no layer or port in it, or its units are no numbers.
        """
        if isinstance(text, Site):
            return text
        match = _SITE.fullmatch(text)
        if match is None or not (match["layer"] or match["port"]):
            raise SiteError(
                f"{text!r} is not a site; write layer[:in|:out][@call][#units], as in conv2#3,7"
            )
        call = None if match["call"] is None else int(match["call"])
        units = None if match["units"] is None else parse_indices(match["units"])
        port: Port = "in" if match["port"] == "in" else "out"
        return cls(match["layer"], port, _read_path(match["path"] or ""), call, units)

    def __str__(self) -> str:
        path = "".join(f"[{key}]" for key in self.path)
        port = f":{self.port}{path}" if self.port == "in" or path or not self.layer else ""
        call = "" if self.call is None else f"@{self.call}"
        units = "" if self.units is None else f"#{format_indices(self.units)}"
        return f"{self.layer}{port}{call}{units}"

    @property
    def whole(self) -> Site:
        """The same site with all its units."""
        return replace(self, units=None)


@dataclass(frozen=True)
class SiteTensor:
    """The tensor that a dry run found at a site.

    Args:
        site: with a call where the layer runs several times, and all units.
        shape: of one sample, without the first axis.
        is_batched: its first axis grows with the batch.
        is_overwritten: something later in the forward writes into it in place.
        is_shared: it lies in the memory of a parameter, a buffer or the generator's input.
    """

    site: Site
    shape: tuple[int, ...]
    dtype: str
    is_batched: bool
    is_overwritten: bool
    is_shared: bool = False

    @property
    def n_units(self) -> int:
        """How many units (channels) it has; 1 where a sample is a single number."""
        return self.shape[unit_axis(len(self.shape) + 1) - 1] if self.shape else 1

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """The sizes of the other axes of one sample: (height, width), or (tokens,)."""
        axis = unit_axis(len(self.shape) + 1) - 1
        return self.shape[:axis] + self.shape[axis + 1 :]


@dataclass(frozen=True)
class Layer:
    """One line of the layer table.

    Args:
        name: the dotted name in `named_modules`; "" is the generator itself.
        kind: the name of the module's class.
        calls: how many times it runs in one forward.
        n_parameters: its own and its children's.
        tensors: every tensor that it returns and is given, in order of its calls.
        aliases: other names of the same module.
    """

    name: str
    kind: str
    calls: int
    n_parameters: int
    tensors: tuple[SiteTensor, ...]
    aliases: tuple[str, ...] = ()


class LayerTable:
    """The layers of a generator in the order in which they first finish, from one dry run."""

    def __init__(
        self, layers: Iterable[Layer], generator: str, *, idle: Iterable[str] = ()
    ) -> None:
        self._layers = {layer.name: layer for layer in layers}
        self._aliases = {
            alias: layer for layer in self._layers.values() for alias in (*layer.aliases,)
        }
        self._idle = frozenset(idle)
        self.generator = generator

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._layers.values())

    def __len__(self) -> int:
        return len(self._layers)

    def __contains__(self, name: str) -> bool:
        return name in self._layers or name in self._aliases

    def __getitem__(self, name: str) -> Layer:
        """The layer of this name or alias.

        Raises:
            UnknownNameError: there is none; names the nearest.
            SiteError: there is, but it does not run.
        """
        layer = self._layers.get(name) or self._aliases.get(name)
        if layer is None:
            if name in self._idle:
                raise SiteError(
                    f"layer {name!r} of generator {self.generator!r} does not run in a forward:"
                    " nothing calls it as a module"
                )
            known = [known for known in (*self._layers, *self._aliases) if known]
            hint = f"list them: ganprobe layers {self.generator}, or probe.layers()"
            where = f"generator {self.generator!r}"
            raise UnknownNameError("layer", name, known, where=where, hint=hint)
        return layer

    def resolve(self, site: str | Site) -> list[SiteTensor]:
        """The tensors at a site: one for each call of its layer that the site means.

        Layer aliases become the layer's name; units are checked.

        Raises:
            UnknownNameError: there is no such layer.
            SiteError: the layer has no such port, path or call; names those that it has.
            ParameterError: it has no such unit.
        """
        wanted = self._parse(site)
        layer = self[wanted.layer]
        wanted = replace(wanted, layer=layer.name)
        found = [tensor for tensor in layer.tensors if _means(wanted, tensor.site)]
        if not found:
            there = ", ".join(str(tensor.site) for tensor in layer.tensors) or "none"
            raise SiteError(f"no tensor at {wanted.whole} ({layer.kind}); its sites are: {there}")
        if wanted.units is not None:
            for tensor in found:
                check_indices(wanted.units, tensor.n_units, "unit", str(tensor.site))
        return found

    def _parse(self, site: str | Site) -> Site:
        """As `Site.parse`, but a layer whose name looks like a site is found by its name."""
        if isinstance(site, str):
            names = [name for name in (*self._layers, *self._aliases) if site.startswith(name)]
            for name in sorted(filter(None, names), key=len, reverse=True):
                rest = Site.parse(f"layer{site.removeprefix(name)}")
                if rest.layer == "layer":
                    return replace(rest, layer=name)
        return Site.parse(site)

    def resolve_one(self, site: str | Site) -> SiteTensor:
        """The one tensor at a site.

        Raises:
            SiteError: its layer runs several times and the site does not say which call.
        """
        found = self.resolve(site)
        if len(found) > 1:
            listed = ", ".join(str(tensor.site) for tensor in found[:6])
            raise SiteError(
                f"{Site.parse(site).whole} stands for {len(found)} tensors; name one: {listed}"
            )
        return found[0]


def unit_axis(rank: int) -> int:
    """The axis of the units in a tensor of this rank: last for (n, tokens, units), else 1."""
    return 2 if rank == 3 else 1


def _means(wanted: Site, there: Site) -> bool:
    call_fits = wanted.call is None or wanted.call == (there.call or 0)
    is_first_input = wanted.port == "in" and wanted.path == (0,) and there.path == ()
    path_fits = list(map(str, wanted.path)) == list(map(str, there.path)) or is_first_input
    return wanted.port == there.port and call_fits and path_fits


def _read_path(text: str) -> Path:
    keys = re.findall(r"\[([^\[\]]+)\]", text)
    return tuple(int(key) if key.isdecimal() else key for key in keys)
