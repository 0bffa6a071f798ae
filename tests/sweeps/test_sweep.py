"""Sweeps: what is asked for, how it is answered, and what is refused."""

from __future__ import annotations

import copy
import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from ganprobe import (
    Ablate,
    Apply,
    GanprobeError,
    Generator,
    Intervention,
    Measure,
    NotReplayableError,
    ParameterError,
    Patch,
    Probe,
    Scale,
    Shift,
    Swap,
    UnknownNameError,
)
from ganprobe.progress import Bar
from ganprobe.sweeps import Replays
from subjects import probe_of, random_network
from traces import hooks_of, state_of


@pytest.fixture
def double_probe() -> Probe:
    return Probe(Generator.from_module(random_network(3), latent=5), dtype=torch.float64)


def brightness(images: Tensor) -> Tensor:
    return images.flatten(1).mean(1)


def by_runs(probe: Probe, z: Tensor, variants: Sequence[Sequence[Intervention]]) -> Tensor:
    return torch.stack([probe.run(z, variant).images for variant in variants])


def attempted(
    probe: Probe, z: Tensor, variants: Sequence[Sequence[Intervention]], method: str
) -> tuple[Tensor | None, str | None]:
    """The images by a method, or the kind of its refusal."""
    sweep: Any = probe.sweep
    try:
        return torch.stack(list(sweep(z, variants, method=method))), None
    except NotReplayableError as error:
        return None, error.kind


def some_variants(n: int, probe: Probe) -> list[list[Intervention]]:
    """Per-sample patches, donors, regions and directions, at several sites, in several ways."""
    z = torch.randn(n, 5, dtype=torch.float64)
    donor = probe.run(torch.randn(n, 5, dtype=torch.float64), record=["2", "4"])
    other = probe.generator.sample(n, seed=8)
    shape = probe.run(z, record="4")["4"].shape
    mask = torch.rand(n, *shape[2:]) > 0.5
    return [
        [],
        [Ablate("4", units=[1])],
        [Ablate("4", units=[5, 0, 2], to=[0.1, 0.2, 0.3])],
        [Swap("2", donor=donor, units=[3]), Scale("4", by=2.0, units=[0])],
        [Swap("2", donor=other, units=[3, 1])],
        [Patch("4", values=torch.randn(shape, dtype=torch.float64), region=mask)],
        [Shift("2", direction=torch.randn(n, 6, 4, 4, dtype=torch.float64), strength=0.5)],
        [Ablate("4", units=[2], strength=0.5), Ablate("4", units=[2, 3], to=1.0, strength=0.5)],
        [Ablate("0", units=[7]), Ablate("5:in", units=[2])],
        [Scale(":in", by=-1.0, units=[2])],
    ]


@pytest.mark.parametrize("n", [1, 4])
def test_a_sweep_over_many_sites_gives_what_runs_give(double_probe: Probe, n: int) -> None:
    z = torch.randn(n, 5, dtype=torch.float64)
    variants = some_variants(n, double_probe)
    expected = by_runs(double_probe, z, variants)
    for method in ("auto", "replay", "batched", "single"):
        images = torch.stack(list(double_probe.sweep(z, variants, method=method)))
        assert torch.allclose(images, expected, rtol=1e-9, atol=1e-11), method


@pytest.mark.parametrize("measured", ["a function", "a measure"])
def test_many_samples_are_measured_a_few_at_a_time(double_probe: Probe, measured: str) -> None:
    z = torch.randn(37, 5, dtype=torch.float64)
    variants = some_variants(37, double_probe)
    sizes: list[int] = []

    def two(images: Tensor) -> Tensor:
        sizes.append(len(images))
        return torch.stack([brightness(images), images.flatten(1).amax(1)], dim=1)

    class Two(Measure):
        name: ClassVar[str] = "two"
        summary: ClassVar[str] = "Two numbers."
        columns: ClassVar[tuple[str, ...]] = ("mean", "most")

        def measure(self, images: Tensor) -> Tensor:
            return two(images)

    objective = two if measured == "a function" else Two()
    values = double_probe.sweep(z, variants, objective).values
    assert max(sizes) < 37 * len(variants) / 2
    images = by_runs(double_probe, z, variants)
    if measured == "a measure":
        images = double_probe.generator.to_unit_range(images)
    expected = torch.stack([two(own) for own in images])
    assert values.shape == (len(variants), 37, 2)
    assert torch.allclose(values, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    "edit",
    [
        Ablate("4", to="mean", units=[1, 2]),
        Swap("4", donor=[2, 0, 1], units=[1]),
        Apply("4", function=lambda maps: maps - maps.mean(0), units=[1, 2]),
    ],
)
def test_edits_that_need_the_whole_batch_have_it(double_probe: Probe, edit: Intervention) -> None:
    z = torch.randn(3, 5, dtype=torch.float64)
    variants = [[edit.for_units((unit,))] for unit in range(6)]
    values = double_probe.sweep(z, variants, lambda images: images.flatten(1)).values
    expected = by_runs(double_probe, z, variants).flatten(2)
    assert torch.allclose(values, expected, rtol=1e-9, atol=1e-11)


def test_patches_of_all_units_in_another_order_keep_that_order(double_probe: Probe) -> None:
    z, values = torch.randn(1, 5, dtype=torch.float64), torch.randn(6, 4, 4, dtype=torch.float64)
    order = [3, 0, 5, 1, 4, 2]
    patch = Patch("4", values=values, units=order)
    variants: list[list[Intervention]] = [[patch]]
    variants += [[Ablate("4", units=[unit])] for unit in order]
    images = torch.stack(list(double_probe.sweep(z, variants)))
    assert torch.allclose(images, by_runs(double_probe, z, variants), rtol=1e-9)


def test_a_measure_that_compares_images_is_asked_variant_by_variant(double_probe: Probe) -> None:
    z = torch.randn(2, 5, dtype=torch.float64)
    variants = [[Ablate("4", units=[unit])] for unit in range(6)]

    def apart(images: Tensor) -> Tensor:
        return brightness(images) - brightness(images).mean()

    values = double_probe.sweep(z, variants, apart).values[..., 0]
    expected = torch.stack([apart(own) for own in by_runs(double_probe, z, variants)])
    assert torch.allclose(values, expected, rtol=1e-9, atol=1e-12)


def test_the_result_tells_how_it_was_made(network_probe: Probe) -> None:
    z, variants = torch.randn(1, 5), [Ablate("2", units=[unit]) for unit in range(6)] * 4
    sweep = network_probe.sweep(z, variants, method="replay", chunk=5)
    assert len(list(sweep)) == len(sweep) == 24
    how = sweep.how
    assert (how.method, how.chunk, how.reason) == ("replay", 5, "it was asked for")
    assert how.n_checked >= 3
    assert how.worst < 1e-5
    assert "0 " in str(how.plan)
    assert str(how).startswith("by replay in chunks of 5 (it was asked for); ")
    few = network_probe.sweep(z, variants[:2])
    assert (few.how.method, few.how.reason) == ("single", "there are only 2 variants")
    auto = network_probe.sweep(z, variants, brightness)
    assert auto.how.method in ("additive", "replay")
    assert "ms by replay" in auto.how.reason


def test_a_sweep_can_be_gone_through_twice_in_part_and_beside_another(
    network_probe: Probe,
) -> None:
    z, variants = torch.randn(1, 5), [[Ablate("2", units=[unit])] for unit in range(6)] * 3
    module = network_probe.generator.module
    before = hooks_of(module), state_of(module)
    sweep, other = network_probe.sweep(z, variants), network_probe.sweep(-z, variants)
    pairs = list(zip(sweep, other, strict=True))
    once = torch.stack([pair[0] for pair in pairs])
    assert torch.allclose(once, by_runs(network_probe, z, variants), atol=1e-5)
    first = next(iter(sweep))
    assert torch.allclose(first, once[0], atol=1e-6)
    for number, images in enumerate(sweep):
        assert (hooks_of(module), state_of(module)) == before
        assert torch.allclose(images, once[number], atol=1e-5)
        if number == 7:
            break
    del sweep, other
    gc.collect()
    assert (hooks_of(module), state_of(module)) == before


def test_progress_counts_variants(network_probe: Probe) -> None:
    seen: list[int] = []

    class Counting:
        def advance(self, n: int = 1) -> None:
            seen.append(n)

    @contextmanager
    def progress(total: int, what: str) -> Iterator[Bar]:
        assert (total, what) == (30, "variants")
        yield Counting()

    variants = [Ablate("2", units=[unit % 6]) for unit in range(30)]
    network_probe.sweep(torch.randn(1, 5), variants, brightness, progress=progress)
    assert sum(seen) == 30


def test_memory_that_runs_out_halves_the_chunk(
    network_probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    z, variants = torch.randn(1, 5), [[Ablate("2", units=[unit % 6])] for unit in range(40)]
    sizes: list[int] = []
    images_of = nn.Tanh.forward

    def forward(self: nn.Tanh, images: Tensor) -> Tensor:
        sizes.append(len(images))
        if len(images) > 9:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return images_of(self, images)

    monkeypatch.setattr(nn.Tanh, "forward", forward)
    sweep = network_probe.sweep(z, variants, method="replay")
    images = torch.stack(list(sweep))
    assert max(sizes) > 16
    assert sweep.how.chunk in (1, 2, 4, 8)
    assert torch.allclose(images, by_runs(network_probe, z, variants), atol=1e-5)


def test_memory_that_runs_out_for_one_is_an_error(
    network_probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(self: nn.Tanh, images: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    network_probe.layers()
    monkeypatch.setattr(nn.Tanh, "forward", forward)
    with pytest.raises(GanprobeError, match="out of memory"):
        list(network_probe.sweep(torch.randn(1, 5), [Ablate("2", units=[1])] * 8))


def test_the_memory_limit_bounds_the_chunk(network_probe: Probe) -> None:
    z, variants = torch.randn(1, 5), [Ablate("2", units=[unit % 6]) for unit in range(600)]
    plan = network_probe.replay_plan("2")
    assert plan.n_bytes > 4 * 6 * 4 * 4
    for n_at_once in (1, 3, 7):
        limit = 2 * plan.n_bytes * n_at_once
        sweep = network_probe.sweep(z, variants, method="replay", memory_limit=limit)
        assert len(list(sweep)) == 600
        assert sweep.how.chunk <= n_at_once
    assert network_probe.sweep(z, variants, method="replay", chunk=11).how.chunk == 11


def test_in_an_open_block_variants_are_run_one_by_one(network_probe: Probe) -> None:
    z, variants = torch.randn(1, 5), [[Ablate("2", units=[unit])] for unit in range(6)]
    with network_probe.intervening([Scale("4", by=3.0)]):
        sweep = network_probe.sweep(z, variants)
        images = torch.stack(list(sweep))
        with pytest.raises(NotReplayableError, match="an intervening block is open") as refused:
            list(network_probe.sweep(z, variants, method="replay"))
    assert refused.value.kind == "block"
    assert sweep.how.method == "single"
    edited = [[*variant, Scale("4", by=3.0)] for variant in variants]
    assert torch.allclose(images, by_runs(network_probe, z, edited), atol=1e-6)


def test_random_state_and_grad_mode_stay(network_probe: Probe) -> None:
    state = torch.random.get_rng_state()
    variants = [Ablate("2", units=[unit]) for unit in range(6)] * 3
    images = next(iter(network_probe.sweep(torch.zeros(1, 5), variants)))
    assert not images.requires_grad
    assert torch.is_grad_enabled()
    assert torch.equal(torch.random.get_rng_state(), state)


def test_what_cannot_be_meant_is_said_before_anything_runs(network_probe: Probe) -> None:
    z = torch.randn(2, 5)
    sweep: Any = network_probe.sweep
    for variants, message in (
        ([], "no variant was given"),
        ([[3]], "a variant is an intervention or a list of them, got 3 in variant 0"),
        ([[Ablate("2#99")]], "no unit 99 at 2"),
        ([[Ablate("2", to=[1.0, 2.0])]], "2 levels were given for 6 units"),
    ):
        with pytest.raises(GanprobeError, match=message):
            sweep(z, variants)
    with pytest.raises(UnknownNameError, match="no layer 'conv9'"):
        sweep(z, [Ablate("2#1"), Ablate("conv9")])
    with pytest.raises(ParameterError, match="no method 'fast'; there is: auto, additive"):
        sweep(z, [Ablate("2#1")], method="fast")
    with pytest.raises(ParameterError, match="a chunk is a whole number from 1 on, got 0"):
        sweep(z, [Ablate("2#1")], chunk=0)
    with pytest.raises(ParameterError, match=r"a measure of \d+ images gives"):
        sweep(z, [Ablate("2#1")], lambda images: images.mean())
    with pytest.raises(ParameterError, match="latents of generator 'tiny' are"):
        sweep(torch.randn(2, 6), [Ablate("2#1")])


class Coupled(nn.Module):
    """Normalises over the batch, very slightly."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 8), nn.Linear(8, 16)

    def forward(self, z: Tensor) -> Tensor:
        hidden = self.first(z)
        return torch.as_tensor(self.last(hidden - 1e-3 * hidden.mean(0))).view(-1, 1, 4, 4)


class Branching(nn.Module):
    """Goes another way where the mean over the batch is positive."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.one, self.other = nn.Linear(5, 8), nn.Linear(8, 16), nn.Linear(8, 16)

    def forward(self, z: Tensor) -> Tensor:
        hidden = self.first(z)
        chosen = self.one if hidden.mean() > 0 else self.other
        return torch.as_tensor(chosen(hidden)).view(-1, 1, 4, 4)


class Crowded(nn.Module):
    """Gives something else for more than twenty samples."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 8), nn.Linear(8, 16)

    def forward(self, z: Tensor) -> Tensor:
        images = torch.as_tensor(self.last(self.first(z))).view(-1, 1, 4, 4)
        return images * 2 if len(z) > 20 else images


@pytest.mark.parametrize("kind", [Coupled, Branching, Crowded])
@pytest.mark.parametrize("n", [1, 3])
def test_what_depends_on_the_batch_is_right_or_refused(kind: type[nn.Module], n: int) -> None:
    torch.manual_seed(n)
    probe = probe_of(kind().double())
    z = torch.randn(n, 5, dtype=torch.float64)
    variants = [[Ablate("first", to=float(unit), units=[unit % 8])] for unit in range(70)]
    expected = by_runs(probe, z, variants)
    assert torch.equal(torch.stack(list(probe.sweep(z, variants, method="single"))), expected)
    values = probe.sweep(z, variants, lambda images: images.flatten(1)).values
    assert torch.allclose(values, expected.flatten(2), rtol=1e-9, atol=1e-11)
    for method in ("additive", "replay", "batched"):
        images, refused = attempted(probe, z, variants, method)
        assert refused in (None, "batch", "mismatch", "additive", "calls")
        if images is not None:
            assert torch.allclose(images, expected, rtol=1e-9, atol=1e-11), method


def test_a_check_that_fails_on_the_way_begins_again_by_another_method() -> None:
    torch.manual_seed(0)
    probe = probe_of(Crowded().double())
    z = torch.randn(1, 5, dtype=torch.float64)
    variants = [[Ablate("first", to=float(unit), units=[unit % 8])] for unit in range(300)]
    expected = by_runs(probe, z, variants)
    sweep = probe.sweep(z, variants, lambda images: images.flatten(1))
    assert torch.allclose(sweep.values, expected.flatten(2), rtol=1e-9)
    assert sweep.how.method == "single"
    assert {refusal.kind for refusal in sweep.how.refused} == {"additive", "mismatch"}
    with pytest.raises(NotReplayableError, match="differ from plain forwards'"):
        probe.sweep(z, variants, brightness, method="replay")


def test_a_sweep_follows_new_weights(network_probe: Probe) -> None:
    z, variants = torch.randn(1, 5), [[Ablate("2", units=[unit])] for unit in range(6)] * 2
    list(network_probe.sweep(z, variants))
    with torch.no_grad():
        for parameter in network_probe.generator.module.parameters():
            parameter.mul_(1.3)
    images = torch.stack(list(network_probe.sweep(z, variants)))
    assert torch.allclose(images, by_runs(network_probe, z, variants), atol=1e-5)


def test_a_probe_is_copied_without_its_plans(network_probe: Probe) -> None:
    z, variants = torch.randn(1, 5), [[Ablate("2", units=[unit])] for unit in range(6)] * 2
    images = torch.stack(list(network_probe.sweep(z, variants)))
    copied = copy.deepcopy(network_probe)
    assert isinstance(copied._replays, Replays)
    again = torch.stack(list(copied.sweep(z, variants, method="replay")))
    assert torch.allclose(again, images, atol=1e-5)
