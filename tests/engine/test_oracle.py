"""Every intervention on every kind of module, against forwards rewritten by hand, in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from by_hand import KINDS, Case, Place, blend
from ganprobe import Generator, Latents, Probe, Site, Swap
from modules import LATENT, SUBJECTS, Rewritten, Subject, noise_of_a_run

N_SAMPLES = 3


def probe_of(module: Rewritten) -> Probe:
    return Probe(Generator.from_module(module, latent=LATENT, name="subject"))


def computed(module: Rewritten, z: Tensor, case: Case, **how: Any) -> Tensor:
    """The images of the forward rewritten by hand, with the noise that a run has."""
    with torch.no_grad(), noise_of_a_run(module, len(z)):
        return module.compute(z, lambda x: blend(x, case.outcome(x), **how))


# A recording holds each call's own activation: swaps below are of layers that run several times.
PAIRS = [
    pytest.param(subject, kind, id=f"{kind}-{subject.name}")
    for subject in SUBJECTS
    for kind in KINDS
    if "recording" not in kind or subject.name not in ("every-call", "shared")
]


@pytest.mark.parametrize(("subject", "kind"), PAIRS)
def test_an_intervention_equals_the_edit_by_hand(subject: Subject, kind: str) -> None:
    seed = torch.seed() % 2**31  # fresh inputs in each run of the tests; named when it fails
    module = subject.module(seed)
    probe, z = probe_of(module), torch.randn(N_SAMPLES, LATENT, dtype=torch.float64)
    tensors = probe.layers().resolve(subject.site)
    shape = torch.Size((N_SAMPLES, *tensors[0].shape))
    assert (tensors[0].n_units, tensors[0].unit_axis) == (8, subject.unit_axis)
    has_space = len(shape) > 2
    for strength in (1.0, 0.0, 0.3):
        for region in (None, random_mask(shape, subject.unit_axis)) if has_space else (None,):
            units = torch.randperm(8)[:3].tolist()
            site = Site.parse(subject.site)
            more = {"strength": strength, "region": region}
            case = KINDS[kind](Place(site, shape, subject.unit_axis, units, more))
            how = {"axis": subject.unit_axis, "units": units, **more}
            expected = computed(module, z, case, **how)
            images = probe.run(z, case.intervention).images
            assert torch.allclose(images, expected, rtol=1e-9, atol=1e-11), (seed, case)
            again = probe.run(z, [case.intervention], record=[str(tensors[0].site)])
            assert torch.equal(again.images, images)


def random_mask(shape: torch.Size, axis: int) -> Tensor:
    """Soft weights on a finer grid than the site's, where every other cell is hard."""
    grid = [2 * size for position, size in enumerate(shape) if position not in (0, axis)]
    mask = torch.rand(grid, dtype=torch.float64)
    return torch.where(mask > 0.5, mask, (mask > 0.25).double())


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_a_swap_with_other_latents_equals_their_activation_put_in_by_hand(
    subject: Subject,
) -> None:
    seed = torch.seed() % 2**31
    module = subject.module(seed)
    probe = probe_of(module)
    z, other = torch.randn(2, N_SAMPLES, LATENT, dtype=torch.float64)
    seen: list[Tensor] = []

    def watch(x: Tensor) -> Tensor:
        seen.append(x.clone())
        return x

    with torch.no_grad(), noise_of_a_run(module, N_SAMPLES):
        module.compute(other, watch)
    calls = iter(seen)
    with torch.no_grad(), noise_of_a_run(module, N_SAMPLES):
        expected = module.compute(
            z, lambda x: blend(x, next(calls), axis=subject.unit_axis, units=[6, 1])
        )
    images = probe.run(z, Swap(subject.site, donor=Latents(other), units=[6, 1])).images
    assert torch.allclose(images, expected, rtol=1e-9, atol=1e-11), seed


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_what_is_recorded_before_and_after_equals_what_the_hand_saw(subject: Subject) -> None:
    module = subject.module(1)
    probe, z = probe_of(module), torch.randn(N_SAMPLES, LATENT, dtype=torch.float64)
    site = probe.layers().resolve(subject.site)[0].site
    shape = torch.Size((N_SAMPLES, *probe.layers().resolve(subject.site)[0].shape))
    case = KINDS["scale"](Place(Site.parse(subject.site), shape, subject.unit_axis, [0, 5], {}))
    seen: list[tuple[Tensor, Tensor]] = []

    def by_hand(x: Tensor) -> Tensor:
        edited = blend(x, case.outcome(x), axis=subject.unit_axis, units=[0, 5])
        seen.append((x.clone(), edited.clone()))
        return edited

    with torch.no_grad(), noise_of_a_run(module, N_SAMPLES):
        module.compute(z, by_hand)
    for before, expected in ((True, seen[0][0]), (False, seen[0][1])):
        run = probe.run(z, case.intervention, record=[site], before=before)
        assert torch.allclose(run[site], expected, rtol=1e-12, atol=1e-14)
        stopped = probe.run(z, case.intervention, record=[site], before=before, stop_early=True)
        assert torch.equal(stopped[site], run[site])


@pytest.mark.parametrize("seed", range(4))
def test_several_at_one_site_compose_in_the_order_given(seed: int) -> None:
    subject = SUBJECTS[1]
    module = subject.module(seed)
    probe, z = probe_of(module), torch.randn(N_SAMPLES, LATENT, dtype=torch.float64)
    shape = torch.Size((N_SAMPLES, 8, 4, 4))
    cases = []
    for kind in torch.randperm(len(KINDS))[:4].tolist():
        units, strength = torch.randperm(8)[:4].tolist(), float(torch.rand(()))
        region = random_mask(shape, 1)
        more: dict[str, Any] = {"strength": strength, "region": region}
        make = list(KINDS.values())[kind]
        at = Place(Site("conv"), shape, 1, units, more)
        cases.append((make(at), {**more, "units": units}))

    def by_hand(x: Tensor) -> Tensor:
        for case, how in cases:
            x = blend(x, case.outcome(x), axis=1, **how)
        return x

    with torch.no_grad():
        expected = module.compute(z, by_hand)
    images = probe.run(z, [case.intervention for case, _ in cases]).images
    assert torch.allclose(images, expected, rtol=1e-9, atol=1e-11)
