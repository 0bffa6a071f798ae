"""Sites: where in a generator a tensor is, and which of its units are meant.

A site is written ``layer[:port[path]][@call][#units]``:

    conv2                 what the layer conv2 returns
    conv2:in              what it is given
    block.attn:out[1]     the second of the tensors that it returns; also [key]
    conv2@3               the fourth time that it runs in one forward
    conv2#3,7,10-20       these units of it
    block?.conv*          each layer of such a name: ``?`` is one character, ``*`` any number of
                          them within one part of a dotted name, ``**`` across parts

``:in`` and ``:out`` alone are the generator's own input and output.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ganprobe.errors import ParameterError, SiteError
from ganprobe.indices import format_indices, parse_indices

if TYPE_CHECKING:
    from ganprobe.nested import Path

__all__ = ["Port", "Site", "SiteTensor", "usual_unit_axis"]

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
            SiteError: there is no layer or port in it.
            ParameterError: what stands behind # is no units.
        """
        if isinstance(text, Site):
            return text
        match = _SITE.fullmatch(text)
        if match is None or not (match["layer"] or match["port"]):
            raise SiteError(
                f"{text!r} is not a site; write layer[:in|:out][@call][#units], as in conv2#3,7"
            )
        call = None if match["call"] is None else int(match["call"])
        units = None if match["units"] is None else _read_units(match["units"], text)
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
        return self if self.units is None else replace(self, units=None)


@dataclass(frozen=True)
class SiteTensor:
    """The tensor that a dry run found at a site.

    Args:
        site: with a call where the layer runs several times, and all units.
        shape: of one sample, without the first axis.
        unit_axis: the axis of its units, counted with the first: 1 for (n, units, y, x).
        is_batched: its first axis grows with the batch.
        is_alone: its first axis has size 1 whatever the batch is.
        is_overwritten: something later in the forward writes into it in place.
        is_shared: it lies in memory that outlives the forward: of a parameter, a buffer,
            another attribute of a module, or the generator's input.
        is_in_place: its layer was given this very tensor and wrote into it.
    """

    site: Site
    shape: tuple[int, ...]
    dtype: str
    unit_axis: int
    is_batched: bool
    is_overwritten: bool
    is_alone: bool = False
    is_shared: bool = False
    is_in_place: bool = False

    @property
    def rank(self) -> int:
        """How many axes it has, with the first."""
        return len(self.shape) + 1

    @property
    def n_units(self) -> int:
        """How many units (channels) it has; 1 where a sample is a single number."""
        return self.shape[self.unit_axis - 1] if self.shape else 1

    @property
    def value_path(self) -> Path:
        """Where it is in what a hook is given: an input's first key is its argument."""
        is_lone_input = self.site.port == "in" and self.site.path == ()
        return (0,) if is_lone_input else self.site.path

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """The sizes of the other axes of one sample: (height, width), or (tokens,)."""
        return self.shape[: self.unit_axis - 1] + self.shape[self.unit_axis :]


def usual_unit_axis(rank: int, kind: str = "") -> int:
    """The axis of the units in a tensor of this rank, of a layer of this kind, by custom.

    It is 1, but last for (n, tokens, units); layers over sequences (`Conv1d`, `BatchNorm1d`) and
    `GroupNorm` have (n, units, length).

    Example:
        >>> usual_unit_axis(4), usual_unit_axis(3, "Linear"), usual_unit_axis(3, "Conv1d")
        (1, 2, 1)
    """
    has_units_first = kind.endswith("1d") or kind == "GroupNorm"
    return 2 if rank == 3 and not has_units_first else 1


def _read_units(written: str, text: str) -> tuple[int, ...]:
    if not written.strip():
        raise ParameterError(f"{text!r}: expected units behind #, as conv2#3,7,10-20")
    try:
        return parse_indices(written)
    except ParameterError as error:
        raise ParameterError(f"{text!r}: {error}") from error


def _read_path(text: str) -> Path:
    keys = re.findall(r"\[([^\[\]]+)\]", text)
    return tuple(int(key) if key.isdecimal() else key for key in keys)
