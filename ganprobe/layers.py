"""The layer table: every layer of a generator that runs, and every tensor it takes and returns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ganprobe.errors import SiteError, UnknownNameError
from ganprobe.indices import check_indices
from ganprobe.sites import Site, SiteTensor

__all__ = ["Layer", "LayerTable"]


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
    """The layers of a generator in the order in which they first finish, from one dry run.

    Args:
        generator: its name, for messages.
        idle: the names of layers that did not run.
        draws_noise: the forward drew random numbers.
    """

    def __init__(
        self,
        layers: Iterable[Layer],
        generator: str,
        *,
        idle: Iterable[str] = (),
        draws_noise: bool = False,
    ) -> None:
        self._layers = {layer.name: layer for layer in layers}
        self._aliases = {
            alias: layer for layer in self._layers.values() for alias in (*layer.aliases,)
        }
        self._idle = frozenset(idle)
        self.generator = generator
        self.draws_noise = draws_noise

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
        """The tensors that a site stands for: one for each call that it means.

        A pattern stands for every layer whose name it matches and that has a tensor at its port,
        path and call. A site without a path also means the one tensor in a tuple, dict or
        dataclass, where there is but one. Layer aliases become the layer's name; units are checked.

        Raises:
            UnknownNameError: there is no such layer.
            SiteError: the layer has no such port, path or call; names those that it has.
            ParameterError: it has no such unit.
        """
        wanted = self.parse(site)
        layers = self._matching(wanted.layer)
        found = [tensor for layer in layers for tensor in _tensors_at(wanted, layer)]
        if not found:
            raise _no_tensor(wanted, layers)
        if wanted.units is not None:
            for tensor in found:
                if not tensor.shape:
                    raise SiteError(f"{tensor.site} has no units: it is a number or a list of them")
                check_indices(wanted.units, tensor.n_units, "unit", str(tensor.site))
        return found

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

    def is_pattern(self, site: str | Site) -> bool:
        """Whether the site's layer is a pattern, and not itself the name of a layer."""
        layer = self.parse(site).layer
        return _is_pattern(layer) and layer not in self

    def spellings(self, site: Site) -> set[Site]:
        """Every way to write a site: under its layer's other names, and with or without @0."""
        layer = self[site.layer]
        calls = {site.call, 0, None} if layer.calls == 1 else {site.call}
        names = (layer.name, *layer.aliases)
        return {replace(site, layer=name, call=call) for name in names for call in calls}

    def _matching(self, name: str) -> list[Layer]:
        if name in self or not _is_pattern(name):
            return [self[name]]
        matches = _pattern(name)
        found = [
            layer
            for layer in self
            if any(known and matches.fullmatch(known) for known in (layer.name, *layer.aliases))
        ]
        return found or [self[name]]  # which raises

    def parse(self, site: str | Site) -> Site:
        """As `Site.parse`, but a layer whose name looks like a site is found by its name."""
        if isinstance(site, Site) and (site.layer in self or _is_pattern(site.layer)):
            return site
        text = str(site)
        names = [name for name in (*self._layers, *self._aliases) if text.startswith(name)]
        for name in sorted(filter(None, names), key=len, reverse=True):
            rest = Site.parse(f"layer{text.removeprefix(name)}")
            if rest.layer == "layer":
                return replace(rest, layer=name)
        return Site.parse(site)


def _tensors_at(wanted: Site, layer: Layer) -> list[SiteTensor]:
    """Those that the site means; without a path, also the one tensor in a tuple or dict."""
    if wanted.layer != layer.name:  # an alias, or a pattern
        wanted = replace(wanted, layer=layer.name)
    found = [tensor for tensor in layer.tensors if _means(wanted, tensor.site)]
    if found or wanted.path:
        return found
    at_port = [tensor for tensor in layer.tensors if tensor.site.port == wanted.port]
    paths = {tensor.site.path for tensor in at_port}
    if len(paths) != 1:
        return []
    only = replace(wanted, path=paths.pop())
    return [tensor for tensor in at_port if _means(only, tensor.site)]


def _means(wanted: Site, there: Site) -> bool:
    call_fits = wanted.call is None or wanted.call == (there.call or 0)
    is_first_input = wanted.port == "in" and wanted.path == (0,) and there.path == ()
    is_same_path = wanted.path == there.path or [*map(str, wanted.path)] == [*map(str, there.path)]
    path_fits = is_same_path or is_first_input
    return wanted.layer == there.layer and wanted.port == there.port and call_fits and path_fits


def _no_tensor(wanted: Site, layers: list[Layer]) -> SiteError:
    kinds = ", ".join(dict.fromkeys(layer.kind for layer in layers))
    sites = [str(tensor.site) for layer in layers for tensor in layer.tensors]
    there = ", ".join(sites[:12]) + (", ..." if len(sites) > 12 else "") if sites else "none"
    return SiteError(f"no tensor at {wanted.whole} ({kinds}); its sites are: {there}")


def _is_pattern(name: str) -> bool:
    return "*" in name or "?" in name


def _pattern(name: str) -> re.Pattern[str]:
    parts = {"**": r".*", "*": r"[^.]*", "?": r"[^.]"}
    tokens = re.split(r"(\*\*|\*|\?)", name)
    return re.compile("".join(parts.get(token, re.escape(token)) for token in tokens), re.DOTALL)
