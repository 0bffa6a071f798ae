"""Generators as others published them: probing agrees with plain torch, and leaves no trace."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from architectures import ARCHITECTURES, Architecture
from ganprobe import Ablate, ActivationStore, Apply, Generator, Latents, Probe, Swap

Change = Callable[[Any], Any]


@pytest.fixture(params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> Architecture:
    return ARCHITECTURES[request.param]


@pytest.fixture
def generator(architecture: Architecture) -> Generator:
    return architecture.build(0)


@pytest.fixture
def probe(generator: Generator) -> Probe:
    return Probe(generator)


@pytest.fixture
def precise(generator: Generator) -> Probe:
    """The same in float64, so that two ways of one computation agree to many digits."""
    return Probe(generator, dtype=torch.float64)


def sample(probe: Probe, *, seed: int = 1) -> Latents:
    return probe.generator.sample(3, seed=seed).to(probe.device, probe.dtype)


@torch.no_grad()
def plain(probe: Probe, latents: Latents) -> Tensor:
    """The images of a forward without ganprobe's hooks; noise is drawn from seed 7."""
    torch.manual_seed(7)
    return probe.generator.forward(latents)


def run(probe: Probe, *given: Any, **options: Any) -> Any:
    """`Probe.run` with the noise that `plain` has: drawn from the state that is there."""
    probe.layers()
    torch.manual_seed(7)
    return probe.run(*given, noise_seed=None, **options)


def seen(probe: Probe, latents: Latents, layer: str) -> list[Any]:
    """What a layer returned, call by call, as a plain hook saw it."""
    found: list[Any] = []
    watched = probe.generator.module.get_submodule(layer)
    handle = watched.register_forward_hook(lambda *given: found.append(copy.deepcopy(given[-1])))
    try:
        plain(probe, latents)
    finally:
        handle.remove()
    return found


def watched(probe: Probe, latents: Latents) -> dict[tuple[str, str, int], Any]:
    """Copies of all that each layer was given and returned, by name, port and call."""
    found: dict[tuple[str, str, int], Any] = {}

    def keep(name: str, port: str, value: Any) -> None:
        call = sum(key[:2] == (name, port) for key in found)
        found[name, port, call] = copy.deepcopy(value)

    with ExitStack() as removals:
        for name, layer in probe.generator.module.named_modules():
            given = layer.register_forward_pre_hook(
                lambda _, args, kwargs, name=name: keep(
                    name, "in", {**dict(enumerate(args)), **kwargs}
                ),
                with_kwargs=True,
            )
            returned = layer.register_forward_hook(
                lambda *seen, name=name: keep(name, "out", seen[-1])
            )
            removals.callback(given.remove)
            removals.callback(returned.remove)
        plain(probe, latents)
    return found


@contextmanager
def changed(probe: Probe, layer: str, change: Change, call: int | None = None) -> Iterator[None]:
    """While it lasts, what a layer returns is changed by hand: at one call, or at each."""
    found = probe.generator.module.get_submodule(layer)
    original, calls = found.forward, 0

    def forward(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        returned, is_meant = original(*args, **kwargs), call in (None, calls)
        calls += 1
        return change(returned) if is_meant else returned

    found.forward = forward
    try:
        yield
    finally:
        del found.forward


def zeroed(units: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    """A change that puts 0 at units of (n, units, y, x), without indexing as ganprobe does."""

    def change(maps: Tensor) -> Tensor:
        kept = torch.ones(maps.shape[1], dtype=maps.dtype)
        for unit in units:
            kept[unit] = 0.0
        return maps * kept.view(-1, 1, 1)

    return change


def agree(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-9, atol=1e-12)


def at_units(site: str, units: tuple[int, ...]) -> str:
    return f"{site}#{','.join(map(str, units))}"


def test_layers_are_listed_with_the_shapes_and_the_calls_they_have(
    architecture: Architecture, probe: Probe
) -> None:
    layers = probe.layers()
    for name in (architecture.middle, architecture.late):
        assert layers[name].calls == architecture.calls
        assert [tensor.is_batched for tensor in layers.resolve(name)] == [True] * architecture.calls
    for site in architecture.sites(architecture.middle):
        assert layers.resolve_one(site).shape == architecture.middle_shape
        assert layers.resolve_one(site).n_units == architecture.middle_shape[0]


def test_every_layer_that_runs_is_listed_as_often_as_it_runs(probe: Probe) -> None:
    counts: dict[str, int] = {}
    handles = [
        layer.register_forward_hook(
            lambda *_, name=name: counts.__setitem__(name, counts.get(name, 0) + 1)
        )
        for name, layer in probe.generator.module.named_modules()
    ]
    plain(probe, sample(probe))
    for handle in handles:
        handle.remove()
    assert {layer.name: layer.calls for layer in probe.layers()} == counts


def test_a_run_without_edits_equals_the_plain_forward_bit_for_bit(
    architecture: Architecture, probe: Probe
) -> None:
    latents = sample(probe)
    record = architecture.sites(architecture.middle) + architecture.sites(architecture.late)
    assert torch.equal(run(probe, latents).images, plain(probe, latents))
    assert torch.equal(run(probe, latents, record=record).images, plain(probe, latents))


def test_the_same_latents_give_the_same_images_again(
    architecture: Architecture, probe: Probe
) -> None:
    latents = sample(probe)
    first, second = probe.run(latents).images, probe.run(latents).images
    assert torch.equal(first, second)
    site = architecture.sites(architecture.late)[-1]
    nothing = probe.run(latents, [Ablate(at_units(site, (0,)), strength=0.0)]).images
    assert torch.equal(first, nothing)


def test_a_run_leaves_the_random_state_as_it_was(architecture: Architecture, probe: Probe) -> None:
    latents, site = sample(probe), architecture.sites(architecture.middle)[0]
    before = torch.random.get_rng_state()
    probe.layers()
    probe.run(latents)
    probe.run(latents, [Ablate(at_units(site, architecture.units))], record=[site])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_noise_is_drawn_anew_by_a_plain_forward_and_by_its_seed_in_a_run(
    architecture: Architecture, probe: Probe
) -> None:
    latents = sample(probe)
    with torch.no_grad():
        plain_images = [probe.generator.forward(latents) for _ in range(2)]
    runs = [probe.run(latents, noise_seed=seed).images for seed in (4, 4, 5)]
    assert torch.equal(*plain_images) != architecture.draws_noise
    assert torch.equal(runs[0], runs[1])
    assert torch.equal(runs[0], runs[2]) != architecture.draws_noise


def test_a_recording_equals_what_a_plain_hook_sees(
    architecture: Architecture, probe: Probe
) -> None:
    latents = sample(probe)
    for layer in (architecture.middle, architecture.late):
        sites = architecture.sites(layer)
        recorded = run(probe, latents, record=sites)
        expected = seen(probe, latents, layer)
        assert len(expected) == len(sites)
        for site, activation in zip(sites, expected, strict=True):
            assert torch.equal(recorded[site], activation)


def test_every_site_that_is_listed_is_recorded_as_plain_hooks_see_it(probe: Probe) -> None:
    latents = sample(probe)
    sites = [tensor.site for layer in probe.layers() for tensor in layer.tensors]
    recorded = run(probe, latents, record=map(str, sites))
    expected = watched(probe, latents)
    for site in sites:
        value = expected[site.layer, site.port, site.call or 0]
        for key in (0,) if site.port == "in" and not site.path else site.path:
            value = value[key]
        assert torch.equal(recorded[str(site)], value), site


def test_an_ablation_equals_an_edit_by_hand_in_float64(
    architecture: Architecture, precise: Probe
) -> None:
    latents, units = sample(precise), architecture.units
    edited = run(precise, latents, [Ablate(at_units(architecture.middle, units))]).images
    with changed(precise, architecture.middle, zeroed(units)):
        expected = plain(precise, latents)
    assert edited.dtype == torch.float64
    assert agree(edited, expected)
    assert not agree(edited, plain(precise, latents))


def test_an_ablation_at_one_call_equals_an_edit_of_that_call_by_hand(
    architecture: Architecture, precise: Probe
) -> None:
    latents, units = sample(precise), architecture.units
    images = []
    for call, site in enumerate(architecture.sites(architecture.middle)):
        images.append(run(precise, latents, [Ablate(at_units(site, units))]).images)
        with changed(precise, architecture.middle, zeroed(units), call):
            assert agree(images[-1], plain(precise, latents))
    assert not any(agree(one, other) for one, other in pairwise(images))


def filled(value: Any) -> Any:
    """All that is inside, with 0.4 as unit 0 of each tensor that has units on axis 1."""
    if isinstance(value, Tensor):
        has_units = value.is_floating_point() and value.ndim in (2, 4)
        rest = value[:, 1:] if has_units else value
        return torch.cat([torch.full_like(value[:, :1], 0.4), rest], 1) if has_units else value
    if isinstance(value, tuple | list):
        return type(value)(map(filled, value))
    if isinstance(value, dict):
        return type(value)(**{key: filled(inner) for key, inner in value.items()})
    return value


def test_edits_at_every_site_at_once_equal_edits_by_hand(precise: Probe) -> None:
    latents = sample(precise)
    tensors = [tensor for layer in precise.layers() for tensor in layer.tensors]
    sites = [it.site for it in tensors if "float" in it.dtype and len(it.shape) in (1, 3)]
    edits = [Ablate(f"{site}#0", to=0.4) for site in sites]
    with ExitStack() as removals:
        for layer in precise.generator.module.modules():
            given = layer.register_forward_pre_hook(
                lambda _, args, kwargs: (filled(args), filled(kwargs)), with_kwargs=True
            )
            returned = layer.register_forward_hook(lambda *seen: filled(seen[-1]))
            removals.callback(given.remove)
            removals.callback(returned.remove)
        expected = plain(precise, latents)
    assert len(edits) > 100
    assert agree(run(precise, latents, edits).images, expected)


def traces(module: nn.Module) -> list[tuple[Any, ...]]:
    """Of every layer: its training flag, its attributes' names, and its hooks one by one."""
    return [
        (name, layer.training, sorted(vars(layer)), hooks_of(layer))
        for name, layer in module.named_modules()
    ]


def hooks_of(layer: nn.Module) -> list[tuple[Any, ...]]:
    found = {kind: hooks for kind, hooks in vars(layer).items() if kind.endswith("hooks")}
    return [(kind, *hooks.items()) for kind, hooks in found.items() if isinstance(hooks, dict)]


def test_runs_leave_the_module_as_it_was(architecture: Architecture, generator: Generator) -> None:
    before, weights = traces(generator.module), generator.weights_sha256()
    probe = Probe(generator)
    site = architecture.sites(architecture.middle)[-1]
    probe.run(sample(probe), [Ablate(at_units(site, architecture.units))], record=[site, ":in"])
    assert traces(generator.module) == before
    assert generator.weights_sha256() == weights


def unpickled(module: nn.Module) -> nn.Module:
    restored: nn.Module = pickle.loads(pickle.dumps(module))
    return restored


@pytest.mark.parametrize("duplicate", [copy.deepcopy, unpickled])
def test_the_module_can_still_be_copied_and_pickled_after_a_run(
    architecture: Architecture, probe: Probe, duplicate: Callable[[nn.Module], nn.Module]
) -> None:
    latents, sites = sample(probe), architecture.sites(architecture.middle)
    probe.run(latents, [Ablate(at_units(sites[0], architecture.units))], record=sites)
    module = duplicate(probe.generator.module)
    given = probe.generator
    again = Generator.from_module(
        module, latent=given.latent_space, name=given.name, output=given.output
    )
    assert torch.equal(plain(Probe(again), latents), plain(probe, latents))


def built(name: str, dtype: torch.dtype | None = None) -> Probe:
    return Probe(ARCHITECTURES[name].build(0), dtype=dtype)


def test_a_field_of_a_dataclass_is_recorded_at_each_call() -> None:
    probe = built("diffusion")
    latents, sites = sample(probe), [f"unet:out[sample]@{call}" for call in range(4)]
    recorded = run(probe, latents, record=sites)
    expected = seen(probe, latents, "unet")
    for site, returned in zip(sites, expected, strict=True):
        assert torch.equal(recorded[site], returned.sample)


@pytest.mark.parametrize("call", [None, 2])
def test_a_field_of_a_dataclass_is_edited_as_by_hand(call: int | None) -> None:
    probe, change = built("diffusion", torch.float64), zeroed((1,))
    latents, site = sample(probe), "unet:out[sample]" + ("" if call is None else f"@{call}")
    edited = run(probe, latents, [Ablate(f"{site}#1")]).images
    with changed(probe, "unet", lambda it: type(it)(sample=change(it.sample)), call):
        assert agree(edited, plain(probe, latents))
    assert not agree(edited, plain(probe, latents))


def test_an_edited_dataclass_is_whole_under_all_its_keys() -> None:
    probe = built("diffusion")
    returned: list[Any] = []
    unet = probe.generator.module.get_submodule("unet")

    class Watched(type(unet)):  # type: ignore[misc]
        def __call__(self, *given: Any, **named: Any) -> Any:
            returned.append(super().__call__(*given, **named))
            return returned[-1]

    unet.__class__ = Watched
    probe.run(sample(probe), [Ablate("unet:out[sample]#1", to=5.0)])
    for output in returned[-4:]:
        assert type(output).__name__ == "UNet2DOutput"
        assert (output.sample[:, 1] == 5.0).all()
        assert output.sample is output["sample"]
        assert output.sample is output[0]


def test_a_tensor_deep_in_tuples_is_recorded_and_edited_as_by_hand() -> None:
    probe, change = built("diffusion", torch.float64), zeroed((0, 2))
    latents, site = sample(probe), "unet.down_blocks.0:out[1][0]@1"
    ran = run(probe, latents, [Ablate(f"{site}#0,2")], record=[site])

    def by_hand(returned: Any) -> Any:
        maps, (first, *others) = returned
        return maps, (change(first), *others)

    expected = seen(probe, latents, "unet.down_blocks.0")[1][1][0]
    with changed(probe, "unet.down_blocks.0", by_hand, 1):
        assert agree(ran.images, plain(probe, latents))
    assert agree(ran[site], change(expected))
    assert not agree(ran.images, plain(probe, latents))


def test_arguments_given_by_name_are_sites() -> None:
    probe = built("diffusion")
    latents = sample(probe)
    sites = [f"unet:in[timestep]@{call}" for call in range(4)]
    recorded = run(probe, latents, record=[*sites, "unet.down_blocks.0:in[hidden_states]@0"])
    assert [int(recorded[site]) for site in sites] == [400, 300, 200, 100]
    first = seen(probe, latents, "unet.conv_in")[0]
    assert torch.equal(recorded["unet.down_blocks.0:in[hidden_states]@0"], first)


def test_an_argument_given_by_name_is_edited_as_by_hand() -> None:
    probe, change = built("diffusion", torch.float64), zeroed((0, 2))
    latents, site = sample(probe), "unet.down_blocks.0:in[hidden_states]@3#0,2"
    edited = run(probe, latents, [Ablate(site)]).images
    block = probe.generator.module.get_submodule("unet.down_blocks.0")
    calls: list[None] = []

    def edit(layer: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        calls.append(None)
        maps = kwargs["hidden_states"]
        return args, {**kwargs, "hidden_states": change(maps) if len(calls) == 4 else maps}

    handle = block.register_forward_pre_hook(edit, with_kwargs=True)
    expected = plain(probe, latents)
    handle.remove()
    assert agree(edited, expected)
    assert not agree(edited, plain(probe, latents))


def test_codes_of_a_codebook_are_recorded_though_they_are_whole_numbers() -> None:
    probe = built("vqvae")
    latents, site = sample(probe), "autoencoder.quantize:out[2][2]"
    expected = seen(probe, latents, "autoencoder.quantize")[0][2][2]
    recorded = run(probe, latents, record=[site])[site]
    assert torch.equal(recorded, expected)
    assert recorded.dtype == torch.int64


@pytest.mark.parametrize("name", ["stylegan2", "vae", "vqvae"])
def test_images_that_come_inside_a_tuple_or_dataclass_are_a_site(name: str) -> None:
    probe = built(name)
    site = ":out[0]" if name == "stylegan2" else ":out[sample]"
    latents = sample(probe)
    ran = run(probe, latents, [Ablate(f"{site}#2", to=0.25)], record=[site])
    assert torch.equal(ran.images, ran[site])
    assert (ran.images[:, 2] == 0.25).all()
    assert torch.equal(ran.images[:, :2], plain(probe, latents)[:, :2])


def test_what_a_later_layer_overwrites_in_place_is_recorded_as_it_was() -> None:
    probe = built("stylegan2")
    latents, site = sample(probe), "network.style_convs.1.activate:in"
    recorded = run(probe, latents, record=[site, "network.style_convs.1"])
    before, after = recorded[site], recorded["network.style_convs.1"]
    assert (before < 0).any()
    assert torch.equal(nn.functional.leaky_relu(before, 0.2), after)


def test_units_of_a_normalisation_over_groups_are_its_channels() -> None:
    site = "autoencoder.decoder.mid_block.attentions.0.group_norm"
    tensor = built("vae").layers().resolve_one(site)
    assert (tensor.n_units, tensor.spatial_shape) == (24, (16,))


def test_units_of_tokens_are_their_last_axis() -> None:
    site = "autoencoder.decoder.mid_block.attentions.0.to_q"
    tensor = built("vae").layers().resolve_one(site)
    assert (tensor.n_units, tensor.spatial_shape) == (24, (16,))


def test_one_activation_shared_by_a_block_is_told_apart_by_its_calls() -> None:
    probe = built("biggan")
    block = "network.generator.layers.1"
    tensors = probe.layers().resolve(f"{block}.relu")
    assert [tensor.n_units for tensor in tensors] == [128, 32, 32, 32]
    latents = sample(probe)
    recorded = run(probe, latents, record=[f"{block}.relu@2", f"{block}.bn_2"])
    assert torch.equal(recorded[f"{block}.relu@2"], recorded[f"{block}.bn_2"].relu())


def test_what_is_recorded_in_a_file_is_what_a_run_of_the_same_batch_records(
    architecture: Architecture, probe: Probe, tmp_path: Path
) -> None:
    sites = [*architecture.sites(architecture.middle), architecture.sites(architecture.late)[0]]
    path = probe.record(3, sites, tmp_path / "recording.h5", seed=1)
    recorded = probe.run(probe.generator.sample(3, seed=1), record=sites)
    with ActivationStore(path) as store:
        for site in sites:
            assert torch.equal(store.activations(site, slice(0, 3)), recorded[site])


def test_copies_put_in_place_of_all_activations_change_nothing(probe: Probe) -> None:
    latents = sample(probe)
    tensors = [tensor for layer in probe.layers() for tensor in layer.tensors]
    sites = [it.site for it in tensors if it.shape and it.is_batched and "float" in it.dtype]
    assert len(sites) > 50
    images = run(probe, latents, [Apply(site, function=torch.clone) for site in sites]).images
    assert torch.equal(images, plain(probe, latents))


def test_a_full_swap_where_all_passes_gives_the_donors_images(
    architecture: Architecture, probe: Probe
) -> None:
    latents, others = sample(probe), sample(probe, seed=2)
    donor = run(probe, others, record=[architecture.cut])
    swapped = run(probe, latents, [Swap(architecture.cut, donor=donor)])
    assert torch.equal(swapped.images, donor.images)
    assert not torch.equal(run(probe, latents).images, donor.images)


@pytest.mark.parametrize("units", [None, (0, 3, 5), (2, 3, 4)])
def test_a_swap_with_itself_changes_nothing_to_the_last_bit(
    architecture: Architecture, probe: Probe, units: tuple[int, ...] | None
) -> None:
    latents = sample(probe)
    base = probe.run(latents, record=architecture.sites(architecture.middle))
    swap = Swap(architecture.middle, units=units, donor=base)
    assert torch.equal(probe.run(latents, [swap]).images, base.images)


def test_a_swap_of_some_units_equals_a_swap_by_hand_at_every_call(
    architecture: Architecture, precise: Probe
) -> None:
    latents, others, layer = sample(precise), sample(precise, seed=2), architecture.middle
    donor = run(precise, others, record=architecture.sites(layer))
    swap = Swap(layer, units=list(architecture.units), donor=donor)
    theirs = iter(seen(precise, others, layer))

    def by_hand(maps: Tensor) -> Tensor:
        given = next(theirs)
        rows = [given[:, u] if u in architecture.units else maps[:, u] for u in range(len(maps[0]))]
        return torch.stack(rows, dim=1)

    with changed(precise, layer, by_hand):
        expected = plain(precise, latents)
    edited = run(precise, latents, [swap]).images
    assert agree(edited, expected)
    assert not agree(edited, plain(precise, latents))


def test_a_run_that_stops_early_records_the_same_and_spares_the_rest(
    architecture: Architecture, probe: Probe
) -> None:
    latents, sites = sample(probe), architecture.sites(architecture.middle)
    full = run(probe, latents, record=sites)
    late = probe.generator.module.get_submodule(architecture.late)
    ran: list[None] = []
    handle = late.register_forward_hook(lambda *_: ran.append(None))
    for call, site in enumerate(sites):
        ran.clear()
        stopped = run(probe, latents, record=[site], stop_early=True)
        assert torch.equal(stopped[site], full[site])
        assert len(ran) == call
    handle.remove()
    assert torch.equal(plain(probe, latents), full.images)
