from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import nn

from ganprobe import (
    ForwardError,
    Generator,
    NotReplayableError,
    ParameterError,
    Probe,
    Swap,
    UsageError,
    load,
)


def normalised_network(seed: int) -> nn.Sequential:
    """Two-dimensional and flat batch normalisation, with running statistics of their own."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Linear(5, 6 * 4 * 4),
        nn.Unflatten(1, (6, 4, 4)),
        nn.BatchNorm2d(6),
        nn.LeakyReLU(0.2),
        nn.ConvTranspose2d(6, 4, 4, stride=2, padding=1),
        nn.BatchNorm2d(4, affine=False),
        nn.Conv2d(4, 1, 3, padding=1),
        nn.Tanh(),
    )
    for layer in network:
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean = torch.randn(layer.num_features)
            layer.running_var = torch.rand(layer.num_features) + 0.5
            if layer.affine:
                nn.init.normal_(layer.weight)
                nn.init.normal_(layer.bias)
    return network.eval()


def state_of(module: nn.Module) -> dict[str, Any]:
    """Everything that could have changed: attributes, hooks, tensors, classes."""
    return {
        name: (type(layer), layer.training, sorted(vars(layer)), len(layer._forward_hooks))
        for name, layer in module.named_modules()
    } | {name: (tensor.data_ptr(), tensor.clone()) for name, tensor in module.state_dict().items()}


def in_train_mode(network: nn.Module, z: torch.Tensor, *, at_once: int) -> torch.Tensor:
    """What a module that never saw ``.eval()`` makes of so many latents at a time."""
    with torch.no_grad():
        parts = [copy.deepcopy(network).train()(part) for part in z.split(at_once)]
    return torch.cat(parts)


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_sample_is_train_mode_with_one_latent_at_a_time_whatever_the_batch(batch: int) -> None:
    network = normalised_network(0)
    generator = Generator.from_module(network, latent=5, normalisation="sample")
    z = generator.sample(7, seed=3).z
    probe = Probe(generator)
    images = torch.cat([probe.images(part) for part in z.split(batch)])
    expected = in_train_mode(network, z, at_once=1)
    assert torch.allclose(images, expected, atol=1e-6)
    assert not torch.allclose(images, network(z), atol=1e-2)


def test_samples_are_the_same_to_the_last_bit_in_any_batch_before_the_first_convolution() -> None:
    network = normalised_network(0)
    probe = Probe(Generator.from_module(network, latent=5, normalisation="sample"))
    maps = torch.randn(6, 6, 4, 4)
    norm = probe.generator.module.get_submodule("2")
    alone = torch.cat([norm(one) for one in maps.split(1)])
    assert torch.equal(norm(maps), alone)


def test_batch_is_train_mode_with_all_latents_at_once() -> None:
    network = normalised_network(1)
    generator = Generator.from_module(network, latent=5, normalisation="batch")
    z = generator.sample(6, seed=3).z
    assert torch.allclose(
        Probe(generator).images(z), in_train_mode(network, z, at_once=6), atol=1e-6
    )


@pytest.mark.parametrize("mode", ["sample", "batch"])
def test_nothing_of_a_mode_stays_on_the_module(mode: Any) -> None:
    network = normalised_network(2)
    before = state_of(network)
    probe = Probe(Generator.from_module(network, latent=5, normalisation=mode))
    probe.run(probe.generator.sample(3), [Swap("3", donor=probe.generator.sample(3, seed=1))])
    after = state_of(network)
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert str(after[name]) == str(value)
    z = probe.generator.sample(3).z
    assert torch.equal(Probe(Generator.from_module(network, latent=5)).images(z), network(z))


def test_the_copy_holds_the_very_weights_of_the_module() -> None:
    network = normalised_network(0)
    generator = Generator.from_module(network, latent=5)
    other = generator.with_normalisation("sample")
    pairs = zip(network.parameters(), other.module.parameters(), strict=True)
    assert all(own is its for own, its in pairs)
    assert other.weights_sha256() == generator.weights_sha256()
    assert other.sample(3).z.equal(generator.sample(3).z)


def test_the_mode_belongs_to_the_identity() -> None:
    generator = Generator.from_module(normalised_network(0), latent=5)
    assert generator.to_json()["normalisation"] == "eval"
    other = generator.with_normalisation("sample")
    assert other.to_json()["normalisation"] == "sample"
    assert Probe(other).provenance({}, seed=0).generator["normalisation"] == "sample"
    assert other.with_normalisation("sample") is other
    with pytest.raises(UsageError, match=r"is in normalisation 'sample'; make one in 'eval'"):
        other.with_normalisation("eval")


def test_sites_have_the_same_names_in_every_mode() -> None:
    digits = load("digits")
    names = [[layer.name for layer in Probe(digits.with_normalisation(mode)).layers()]
             for mode in ("eval", "sample", "batch")]  # fmt: skip
    assert names[0] == names[1] == names[2]
    assert load("digits", normalisation="sample").normalisation == "sample"


def test_sweeps_give_in_sample_mode_what_single_runs_give() -> None:
    generator = Generator.from_module(normalised_network(4), latent=5, normalisation="sample")
    probe = Probe(generator, dtype=torch.float64)
    source, donor = generator.sample(2, seed=0), generator.sample(2, seed=1)
    swaps = [Swap("3", donor=donor, units=[unit]) for unit in range(6)]
    swept = list(probe.sweep(source, swaps))
    for swap, images in zip(swaps, swept, strict=True):
        assert torch.allclose(images, probe.run(source, swap).images, atol=1e-12)


def test_sweeps_refuse_batch_mode_and_say_why() -> None:
    generator = Generator.from_module(normalised_network(4), latent=5, normalisation="batch")
    probe = Probe(generator)
    z = generator.sample(2)
    swap = Swap("3", donor=generator.sample(2, seed=1))
    match = "each sample depends on all others of its batch.*'sample' for each sample's own"
    with pytest.raises(NotReplayableError, match=match) as refused:
        probe.sweep(z, [swap])
    assert refused.value.kind == "batch"
    with pytest.raises(NotReplayableError, match=match):
        probe.unit_values(z, swap, lambda images: images.flatten(1).mean(1))
    with pytest.raises(NotReplayableError, match=match):
        probe.replay_plan("3")


def test_a_generator_without_batch_normalisation_has_one_mode_only() -> None:
    plain = nn.Sequential(nn.Linear(5, 4), nn.Unflatten(1, (1, 2, 2))).eval()
    with pytest.raises(ParameterError, match="no layer of batch normalisation, so that"):
        Generator.from_module(plain, latent=5, normalisation="sample")
    with pytest.raises(ParameterError, match="no normalisation 'train'; there are: eval, sample"):
        Generator.from_module(
            plain,
            latent=5,
            normalisation="train",  # type: ignore[arg-type]
        )


class OwnNorm(nn.BatchNorm2d):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return 2.0 * super().forward(input)


class NamedNorm(nn.BatchNorm2d):
    """Another name, the usual forward."""


@pytest.mark.parametrize(("kind", "is_known"), [(OwnNorm, False), (NamedNorm, True)])
def test_a_forward_of_its_own_is_refused(kind: type[nn.BatchNorm2d], is_known: bool) -> None:
    module = nn.Sequential(nn.Unflatten(1, (2, 2, 2)), kind(2)).eval()
    generator = Generator.from_module(module, latent=8)
    if is_known:
        assert (
            Probe(generator.with_normalisation("sample"))
            .images(generator.sample(2))
            .isfinite()
            .all()
        )
    else:
        with pytest.raises(UsageError, match=r"layer '1' \(OwnNorm\) normalises in a forward"):
            generator.with_normalisation("sample")


def test_a_single_value_for_each_unit_has_no_statistics() -> None:
    module = nn.Sequential(nn.Linear(5, 4), nn.Unflatten(1, (4, 1, 1)), nn.BatchNorm2d(4)).eval()
    generator = Generator.from_module(module, latent=5, normalisation="sample")
    with pytest.raises(ForwardError, match=r"raised on latents.*one value for each unit"):
        Probe(generator).images(generator.sample(2))


def test_a_probe_in_sample_mode_survives_pickling() -> None:
    probe = Probe(Generator.from_module(normalised_network(0), latent=5, normalisation="sample"))
    again = pickle.loads(pickle.dumps(probe))
    z = probe.generator.sample(2)
    assert torch.equal(again.images(z), probe.images(z))


def test_user_hooks_stay_in_force_and_stay_the_users() -> None:
    network = normalised_network(0)
    seen: list[int] = []
    handle = network[3].register_forward_hook(lambda *_: seen.append(1))
    generator = Generator.from_module(network, latent=5, normalisation="sample")
    Probe(generator).images(generator.sample(2))
    assert seen
    handle.remove()
    assert not network[3]._forward_hooks
