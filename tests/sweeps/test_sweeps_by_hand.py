"""Sweeps by every method, on every kind of module, against forwards by hand, in float64."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from typing import Any

import pytest
import torch

from by_hand import KINDS, Place, blend
from ganprobe import Generator, NotReplayableError, Probe, Site
from ganprobe.sweeps import Method
from modules import LATENT, SUBJECTS, Rewritten, Subject, noise_of_a_run
from traces import hooks_of, state_of

# A recording holds each call's own activation: swaps below are of layers that run several times.
PAIRS = [
    pytest.param(subject, kind, id=f"{kind}-{subject.name}")
    for subject in SUBJECTS
    for kind in KINDS
    if "recording" not in kind or subject.name not in ("every-call", "shared")
]


def probe_of(module: Rewritten) -> Probe:
    return Probe(Generator.from_module(module, latent=LATENT, name="subject"))


@pytest.mark.parametrize(("subject", "kind"), PAIRS)
def test_a_sweep_equals_the_edits_by_hand(subject: Subject, kind: str) -> None:
    seed = torch.seed() % 2**31  # fresh inputs in each run of the tests; named when it fails
    module = subject.module(seed)
    probe = probe_of(module)
    tensors = probe.layers().resolve(subject.site)
    n = 1 + seed % 2
    z = torch.randn(n, LATENT, dtype=torch.float64)
    shape = torch.Size((n, *tensors[0].shape))
    variants, expected = [], []
    for size in (1, 1, 3, 8, 1, 2, 1):
        units = torch.randperm(8)[:size].tolist() if size < 8 else list(range(8))
        place = Place(Site.parse(subject.site), shape, subject.unit_axis, units, {})
        case = KINDS[kind](place)
        variants.append(case.intervention)
        with torch.no_grad(), noise_of_a_run(module, n):
            how: Any = {"axis": subject.unit_axis, "units": units}
            outcome = case.outcome
            expected.append(module.compute(z, lambda x: blend(x, outcome(x), **how)))  # noqa: B023
    before = hooks_of(module), state_of(module)
    methods: list[Method] = ["additive", "replay", "batched", "single"]
    for method in methods:
        with suppress(NotReplayableError) if method == "additive" else nullcontext():
            images = list(probe.sweep(z, variants, method=method, chunk=3))
            worst = (torch.stack(images) - torch.stack(expected)).abs().max()
            assert worst < 1e-9, (seed, method, worst)
    auto = torch.stack(list(probe.sweep(z, variants)))
    assert torch.allclose(auto, torch.stack(expected), rtol=1e-9, atol=1e-11), seed
    assert (hooks_of(module), state_of(module)) == before


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_every_module_can_be_replayed(subject: Subject) -> None:
    plan = probe_of(subject.module(0)).replay_plan(subject.site)
    assert plan.skips
    assert plan.one_at_once is None
