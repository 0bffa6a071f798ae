"""The plan: sites, segmenter and settings, resolved before anything is generated or read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ganprobe import (
    Context,
    DissectionSettings,
    ParameterError,
    Run,
    Segmenter,
    Site,
    SiteError,
    SiteTensor,
)
from ganprobe_dissection import DissectionParams

_MB = 2**20


@dataclass(frozen=True, eq=False)
class Plan:
    """What is dissected, and with what.

    Args:
        sites: each once, with the units that were asked for.
        tensors: at the sites.
    """

    context: Context
    params: DissectionParams
    segmenter: Segmenter
    sites: tuple[Site, ...]
    tensors: tuple[SiteTensor, ...]
    settings: DissectionSettings

    def read(
        self, sites: str | Site | Sequence[str | Site], n_samples: int, *, images: bool = False
    ) -> Iterator[Run]:
        """The first samples, from the store or the generator, in batches as asked for."""
        return self.context.activations(
            sites, n_samples, images=images, batch_size=self.params.batch_size
        )

    def read_only(self, sites: Sequence[Site], samples: Sequence[int]) -> Iterator[Run]:
        """Only these samples with their images: random access to a store, else generated again."""
        n_samples, size = self.params.n_samples, self.params.batch_size
        return self.context.chosen_activations(
            sites, samples, n_samples, images=True, batch_size=size
        )


def make_plan(context: Context, params: DissectionParams) -> Plan:
    """Resolve all that was asked for.

    Raises:
        ParameterError: no segmenter was named, or what stands behind its colon does not fit.
        UnknownNameError: there is no such segmenter or site.
        PluginError: the segmenter takes other images than the generator makes.
        SiteError: a site has no maps (y, x).
    """
    segmenter = _segmenter(context, params.segmenter)
    found = [one for written in params.site for one in _resolved(context, written)]
    by_site = dict(found)
    settings = DissectionSettings(
        domain=params.domain,
        share=params.share,
        n_top=min(params.n_top, params.n_samples),
        n_resamples=params.n_resamples,
        memory=params.memory * _MB,
        seed=context.seed,
    )
    return Plan(context, params, segmenter, tuple(by_site), tuple(by_site.values()), settings)


def _segmenter(context: Context, name: str | None) -> Segmenter:
    if name is not None:
        return context.segmenter(name)
    fitting = [one.written for one in context.segmenters()]
    there = (
        f"those that fit: {', '.join(fitting)}" if fitting else "none fits: a plugin can add one"
    )
    raise ParameterError(
        "which classes? Give --segmenter a name, as in --segmenter luminance; for the images of"
        f" {context.generator.name!r} {there}"
    )


def _resolved(context: Context, written: Site) -> list[tuple[Site, SiteTensor]]:
    """The sites that a written one stands for, each with maps."""
    table = context.probe.layers()
    units = table.parse(written).units
    tensors = table.resolve(written)
    for tensor in tensors:
        _check_has_maps(tensor)
    return [(replace(tensor.site, units=units), tensor) for tensor in tensors]


def _check_has_maps(tensor: SiteTensor) -> None:
    if not tensor.shape or not tensor.is_batched:
        raise SiteError(
            f"{tensor.site} holds no units for each sample, so that none can be dissected; name"
            " another site"
        )
    if len(tensor.spatial_shape) not in (0, 2):
        raise SiteError(
            f"{tensor.site} has no maps (y, x) to compare with pixels: of each unit it has"
            f" {tensor.spatial_shape} values; name a site whose units are maps, or one number each"
        )
