"""Site sets: sites and patterns of sites, before it is known which layers a generator has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from ganprobe.errors import SiteError
from ganprobe.layers import LayerTable
from ganprobe.sites import Site, SiteTensor

__all__ = ["SiteSet"]


@dataclass(frozen=True)
class SiteSet:
    """Sites and patterns of sites, in the order given: ``conv2``, ``conv?``, ``block.**:in``.

    Raises:
        SiteError: there is none.

    Example:
        >>> str(SiteSet.parse(["conv?", "block.**:in"]))
        'conv?, block.**:in'
    """

    sites: tuple[Site, ...]

    def __post_init__(self) -> None:
        if not self.sites:
            raise SiteError("no site was given; name at least one, as conv2 or conv?")

    @classmethod
    def parse(cls, written: str | Site | Iterable[str | Site]) -> Self:
        """One site or pattern, or several.

        Raises:
            SiteError: one of them is no site, or there is none.
        """
        several = [written] if isinstance(written, str | Site) else written
        return cls(tuple(map(Site.parse, several)))

    def resolve(self, layers: LayerTable) -> list[SiteTensor]:
        """The tensors that they stand for, each once, in the order of the sites.

        Example::

            for tensor in params.sites.resolve(context.probe.layers()): ...

        Raises:
            UnknownNameError: no layer is called so; names the nearest.
            SiteError, ParameterError: as `LayerTable.resolve`.
        """
        found = [tensor for site in self.sites for tensor in layers.resolve(site)]
        return list({tensor.site: tensor for tensor in found}.values())

    def __iter__(self) -> Iterator[Site]:
        return iter(self.sites)

    def __len__(self) -> int:
        return len(self.sites)

    def __str__(self) -> str:
        return ", ".join(map(str, self.sites))
