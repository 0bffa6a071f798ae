"""Analyses of a generator from an archive give what they give of the module it was made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import ganprobe as gp
from archived_modules import LATENT, WAYS, exported, pair, scripted, traced
from ganprobe import Ablate, Generator, Probe, Scale, Swap

SITES = {
    "dcgan": ("main.3", "main.5"),
    "residual": ("blocks.0.first", "blocks.1.norm"),
    "stylegan": ("convs.0", "mapping"),
    "grouped": ("convs.0", "to_rgb"),
    "attention": ("query", "value"),
    "shared": ("first", "tied"),
    "branching": ("conv", "first"),
}
EVERY = [(name, kind) for name in SITES for kind in WAYS[name]]


def probes(name: str, kind: str, dtype: torch.dtype = torch.float64) -> tuple[Probe, Probe]:
    module, back = pair(name, kind, dtype)
    make = Generator.from_module
    own, archived = make(module, latent=LATENT, name=name), make(back, latent=LATENT, name=name)
    return Probe(own), Probe(archived)


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_what_is_recorded_is_the_same(name: str, kind: str) -> None:
    own, archived = probes(name, kind)
    z = own.generator.sample(3, seed=1)
    record = [f"{site}@0" if name in ("shared", "branching") else site for site in SITES[name]]
    one, other = own.run(z, record=record), archived.run(z, record=record)
    assert torch.equal(one.images, other.images)
    for site in record:
        assert torch.equal(one[site], other[site])


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_edits_and_sweeps_of_them_do_the_same(name: str, kind: str) -> None:
    own, archived = probes(name, kind)
    z, others = own.generator.sample(3, seed=1), own.generator.sample(3, seed=2)
    first, second = SITES[name]
    once = f"{second}@0" if own.layers()[second].calls > 1 else second
    donor = own.run(others, record=[once])
    changes = []
    for edit in (
        [Ablate(f"{first}#1")],
        [Swap(once, donor=donor, units=[0])],
        [Ablate(f"{first}#0"), Scale(second, by=2.0)],
    ):
        expected = own.run(z, edit).images
        assert torch.equal(archived.run(z, edit).images, expected)
        changes.append(not torch.equal(own.run(z).images, expected))
    assert any(changes)
    variants = [[Ablate(f"{first}#{unit}")] for unit in range(2)]
    swept, plain = archived.sweep(z[:1], variants), own.sweep(z[:1], variants)
    torch.testing.assert_close(list(swept), list(plain), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", ["traced", "scripted", "exported"])
def test_another_normalisation_is_that_of_the_module(kind: str) -> None:
    own, archived = (probe.generator for probe in probes("dcgan", kind))
    z = own.sample(3).to(torch.device("cpu"), torch.float64)
    for mode in ("sample", "batch"):
        one, other = own.with_normalisation(mode), archived.with_normalisation(mode)
        assert torch.equal(one.forward(z), other.forward(z))
        assert not torch.equal(one.forward(z), own.forward(z))


@pytest.mark.parametrize("kind", ["traced", "scripted", "exported"])
def test_the_layer_table_names_the_layers_and_what_they_were(kind: str) -> None:
    own, archived = probes("dcgan", kind)
    rows = [[(one.name, one.kind, one.n_parameters) for one in probe.layers()]
            for probe in (own, archived)]  # fmt: skip
    assert rows[0] == rows[1]


@pytest.mark.parametrize("make", [traced, scripted, exported])
def test_an_archive_is_loaded_by_its_path(
    make: Callable[[nn.Module, Path], Path], tmp_path: Path
) -> None:
    module, _ = pair("dcgan", "traced")
    path = make(module, tmp_path / "net.pt")
    generator = gp.load(str(path), latent=LATENT)
    z = generator.sample(2)
    assert torch.equal(generator.forward(z), module(z.z))
    assert generator.latent_space.shape == (LATENT,)
