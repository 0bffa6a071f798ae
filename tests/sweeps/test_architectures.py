"""Sweeps on generators as others published them: by replay, and as runs give it."""

from __future__ import annotations

import pytest
import torch

from architectures import ARCHITECTURES, Architecture
from ganprobe import Ablate, Intervention, NotReplayableError, Probe, Scale, Swap
from traces import hooks_of, state_of


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("n", [1, 2])
def test_a_published_generator_is_replayed(name: str, n: int) -> None:
    architecture = ARCHITECTURES[name]
    probe = Probe(architecture.build(n), dtype=torch.float64)
    module = probe.generator.module
    before = hooks_of(module), [entry[:2] for entry in state_of(module)]
    latents, donors = (probe.generator.sample(n, seed=seed) for seed in (3, 4))
    for layer in (architecture.middle, architecture.late):
        site = architecture.sites(layer)[-1]
        n_units = probe.layers().resolve_one(site).n_units
        variants: list[list[Intervention]] = [
            [Swap(site, donor=donors, units=[unit])] for unit in range(min(n_units, 6))
        ]
        variants += [[Ablate(site, units=[0]), Scale(site, by=2.0, units=[1, 2])], []]
        expected = torch.stack([probe.run(latents, variant).images for variant in variants])
        tolerance = 1e-9 * float(expected.abs().max())
        for method in ("auto", "replay", "batched"):
            sweep = probe.sweep(latents, variants, method=method)
            assert torch.allclose(torch.stack(list(sweep)), expected, rtol=0, atol=tolerance)
            assert sweep.how.method != "single"
        computed, total = probe.replay_plan(site).flops
        assert computed < total
    assert (hooks_of(module), [entry[:2] for entry in state_of(module)]) == before


def test_noise_behind_the_site_is_the_same_in_all_variants() -> None:
    architecture: Architecture = ARCHITECTURES["stylegan2"]
    probe = Probe(architecture.build(0), dtype=torch.float64)
    plan = probe.replay_plan(architecture.middle)
    assert plan.n_draws == 4
    assert "noise that is drawn again keeps its values: 4 draws" in str(plan)
    assert probe.replay_plan(architecture.late).n_draws == 0


def test_a_convolution_that_a_style_modulates_is_a_sum_over_units() -> None:
    probe = Probe(ARCHITECTURES["stylegan2"].build(0), dtype=torch.float64)
    latents, donors = (probe.generator.sample(2, seed=seed) for seed in (3, 4))
    site = "network.style_convs.4"
    variants: list[list[Intervention]] = [[Swap(site, donor=donors, units=[u])] for u in range(8)]
    variants += [[Swap(site, donor=donors, units=[0, 1, 5]), Ablate(site, units=[3])], []]
    expected = torch.stack([probe.run(latents, variant).images for variant in variants])
    sweep = probe.sweep(latents, variants, method="additive")
    tolerance = 1e-9 * float(expected.abs().max())
    assert torch.allclose(torch.stack(list(sweep)), expected, rtol=0, atol=tolerance)
    assert str(sweep.how.plan).startswith("replay from network.style_convs.5.modulated_conv: ")


def test_a_codebook_is_not_mistaken_for_a_sum() -> None:
    """Behind the site values are looked up in a table: no sum of units, and yet replayable."""
    probe = Probe(ARCHITECTURES["vqvae"].build(0), dtype=torch.float64)
    latents = probe.generator.sample(1, seed=3)
    variants = [[Scale(":in", by=-1.0, units=[unit])] for unit in range(4)] * 2
    expected = torch.stack([probe.run(latents, variant).images for variant in variants])
    assert torch.allclose(torch.stack(list(probe.sweep(latents, variants))), expected, atol=1e-9)
    with pytest.raises(NotReplayableError) as refused:
        list(probe.sweep(latents, variants, method="additive"))
    assert refused.value.kind == "additive"
