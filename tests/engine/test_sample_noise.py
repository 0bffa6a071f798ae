"""Noise by sample: what a draw gives a sample depends on its number, the draw's, and the seed's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ganprobe import Ablate, ActivationStore, Generator, Latents, Probe
from ganprobe.engine import Draw, find_draws, same_noise


class Drawing(nn.Module):
    """Latents (n, 6) to images (n, 1, 2, 3) of what is drawn for them."""

    def __init__(self, draw: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.draw = draw

    def forward(self, z: Tensor) -> Tensor:
        first = self.draw(z).reshape(len(z), -1)[:, :6]
        second = self.draw(z).reshape(len(z), -1)[:, :6]
        return (first + 10 * second + z).view(-1, 1, 2, 3)


def into(name: str, *args: Any) -> Callable[[Tensor], Tensor]:
    def draw(z: Tensor) -> Tensor:
        drawn: Tensor = getattr(torch.empty(len(z), 6, 3).to(z), name)(*args)
        return drawn

    return draw


DRAWS: dict[str, Callable[[Tensor], Tensor]] = {
    "randn": lambda z: torch.randn(len(z), 6, dtype=z.dtype),
    "rand of several rows": lambda z: torch.rand(3 * len(z), 2),
    "randn_like": torch.randn_like,
    "rand_like in channels last": lambda z: torch.rand_like(
        z.view(-1, 3, 2, 1).expand(-1, 3, 2, 5).contiguous(memory_format=torch.channels_last)
    ),
    "randint": lambda z: torch.randint(0, 1000, (len(z), 6)),
    "the batch on the second axis": lambda z: torch.randn(3, len(z), 2).transpose(0, 1),
    "normal of means": lambda z: torch.normal(z, 2.0),
    "normal of deviations": lambda z: torch.normal(0.0, z.abs() + 1.0),
    "normal of both": lambda z: torch.normal(z[:, :1], torch.ones(1, 6).to(z)),
    "normal of a size": lambda z: torch.normal(0.0, 1.0, (len(z), 6)),
    "bernoulli": lambda z: torch.bernoulli(torch.full_like(z, 0.5)),
    "bernoulli_ of probabilities": lambda z: torch.empty_like(z).bernoulli_(z.sigmoid()),
    "poisson": lambda z: torch.poisson(z.abs() * 50),
    "multinomial": lambda z: torch.multinomial(z.sigmoid().repeat(1, 9), 6, replacement=True),
    "dropout": lambda z: functional.dropout(z + 9.0, 0.5, training=True),
    "alpha_dropout": lambda z: functional.alpha_dropout(z + 9.0, 0.5, training=True),
    "dropout of maps": lambda z: functional.dropout2d(z[:, :, None, None] + 9.0, 0.5),
    "rrelu": lambda z: functional.rrelu(-z.abs() - 1.0, training=True),
    "out": lambda z: torch.randn((len(z), 6), out=torch.empty(len(z), 6)),
    "a slice of it": lambda z: torch.zeros_like(z).index_copy(
        1, torch.arange(5), torch.randn_like(z)[:, 1:]
    ),
    **{name: into(name) for name in ("normal_", "uniform_", "exponential_", "cauchy_")},
    "geometric_": into("geometric_", 0.1),
    "log_normal_": into("log_normal_"),
    "random_": into("random_", 1000),
}


def probe_of(draw: Callable[[Tensor], Tensor]) -> Probe:
    return Probe(Generator.from_module(Drawing(draw).eval(), latent=6), dtype=torch.float64)


@pytest.mark.parametrize("name", DRAWS)
def test_what_a_sample_draws_is_its_own_whatever_is_in_its_batch(name: str) -> None:
    probe = probe_of(DRAWS[name])
    latents = probe.generator.sample(7, seed=2, start=3)
    whole = probe.images(latents)
    for rows in ([0], [6, 2], [1, 1, 4], [5, 4, 3, 2]):
        assert torch.equal(probe.images(latents.take(rows)), whole[rows])
    with torch.no_grad():
        noise = whole - latents.z.view(-1, 1, 2, 3)
    assert len(noise.flatten(1).unique(dim=0)) == 7
    assert not torch.equal(probe.run(latents, noise_seed=1).images, whole)


def test_what_is_drawn_has_the_distribution_that_was_asked_for() -> None:
    draws = (Draw(2, 0),)
    with same_noise(nn.Identity(), 5, range(4000), draws):
        drawn = torch.randn(4000, 20)
    assert abs(float(drawn.mean())) < 0.02
    assert abs(float(drawn.std()) - 1.0) < 0.02
    assert drawn.T.corrcoef().fill_diagonal_(0.0).abs().max() < 0.1  # of columns
    assert drawn[:400].corrcoef().fill_diagonal_(0.0).abs().max() < 0.95  # of neighbours, 20 long
    along = (drawn[1:] * drawn[:-1]).mean()
    assert abs(float(along)) < 0.02


def test_one_draw_for_all_samples_is_the_same_in_every_batch() -> None:
    probe = probe_of(lambda z: z + torch.randn(1, 6) + torch.randn(2, 6)[1] + torch.randperm(6))
    latents = probe.generator.sample(5)
    whole = probe.images(latents)
    for rows in ([0], [1, 2], [3, 4, 0]):
        assert torch.equal(probe.images(latents.take(rows)), whole[rows])
    offsets = whole - 12 * latents.z.view(-1, 1, 2, 3)
    assert torch.allclose(offsets, offsets[:1].expand_as(offsets))


def test_draws_are_told_apart_by_what_changes_with_the_batch() -> None:
    def forward(n: int) -> None:
        torch.randn(n, 4)
        torch.randn(2, 4)
        torch.rand(3, 2 * n)
        torch.randperm(7)

    assert find_draws(nn.Identity(), forward) == (
        Draw(2, 0, 1),
        Draw(2, None),
        Draw(2, 1, 2),
        Draw(1, None),
    )


def test_a_stream_that_the_forward_makes_and_seeds_is_left_alone() -> None:
    def draw(z: Tensor) -> Tensor:
        own = torch.Generator().manual_seed(3)
        return torch.randn(6, generator=own) + torch.randn_like(z)

    fixed = torch.randn(6, generator=torch.Generator().manual_seed(3))
    probe, other = probe_of(draw), probe_of(torch.randn_like)
    latents = probe.generator.sample(3)
    expected = other.images(latents) + 11 * fixed.view(1, 1, 2, 3)
    assert torch.allclose(probe.images(latents), expected)


def test_streams_are_put_back_and_no_mode_is_left_when_a_forward_raises() -> None:
    def draw(z: Tensor) -> Tensor:
        if len(z) == 5:
            raise ValueError("five")
        return torch.randn_like(z)

    probe = probe_of(draw)
    probe.layers()
    before = torch.random.get_rng_state()
    with pytest.raises(RuntimeError, match="five"):
        probe.images(probe.generator.sample(5))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not torch.equal(torch.randn(3), torch.randn(3))
    assert torch._C._len_torch_dispatch_stack() == 0


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("name", ["randn_like", "normal_", "dropout", "normal of means"])
def test_noise_by_sample_goes_with_gradients_and_derivatives(name: str) -> None:
    probe = probe_of(DRAWS[name])
    latents = probe.generator.sample(4)
    whole = probe.images(latents)
    with_grad = probe.run(latents, grad=True).images
    assert torch.equal(with_grad.detach(), whole)

    def images(z: Tensor) -> Tensor:
        return probe.run(Latents(z, indices=latents.indices), grad=True).images

    tangents = torch.randn(3, 4, 6, dtype=torch.float64)
    found: Any = torch.func.jvp(images, (latents.z.double(),), (tangents[0],))
    value, along = found
    assert torch.equal(value, whole)
    many = torch.vmap(
        lambda tangent: torch.func.jvp(images, (latents.z.double(),), (tangent,)),
        randomness="same",
    )(tangents)
    assert torch.equal(many[0], whole.expand(3, *whole.shape))
    assert torch.allclose(many[1][0], along)


def test_a_generator_that_draws_nothing_never_pays() -> None:
    probe = probe_of(torch.sin)
    assert not probe.layers().draws_noise
    assert probe._forwards.dry_run.draws == ()


class Mapped(nn.Module):
    """Latents (n, 6) to images (n, 1, 4, 4), with noise ahead of a site and after it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.maps = nn.Linear(6, 16), nn.Conv2d(1, 4, 3, padding=1)
        self.last = nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        hidden = self.first(z).view(-1, 1, 4, 4)
        maps = self.maps(hidden + torch.randn_like(hidden)).relu()
        drawn: Tensor = self.last(maps + torch.rand(len(z), 1, 4, 4)).sin()
        return drawn


@pytest.mark.parametrize("method", ["auto", "replay", "batched", "single"])
def test_a_sweep_over_many_samples_has_the_noise_that_runs_have(method: Any) -> None:
    torch.manual_seed(0)
    probe = Probe(Generator.from_module(Mapped().eval(), latent=6), dtype=torch.float64)
    latents = probe.generator.sample(70)
    variants = [Ablate("maps", units=[unit]) for unit in range(4)]

    def means(images: Tensor) -> Tensor:
        return images.flatten(1).mean(1)

    expected = torch.stack([means(probe.run(latents, edit).images) for edit in variants])
    found = probe.sweep(latents, variants, means, method=method).values[..., 0]
    assert torch.allclose(found, expected, atol=1e-12)
    some = probe.sweep(latents.take([50, 3]), variants, means, method=method).values[..., 0]
    assert torch.allclose(some, expected[:, [50, 3]], atol=1e-12)


def test_files_of_any_batch_size_hold_the_same(tmp_path: Any) -> None:
    probe = probe_of(torch.randn_like)
    found = []
    for size in (3, 8):
        path = probe.record(10, [":out"], tmp_path / f"{size}.h5", batch_size=size)
        with ActivationStore(path) as store:
            found.append(store.activations(":out"))
    assert torch.equal(*found)
