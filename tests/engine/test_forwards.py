"""How forwards are run: noise, gradients, inference mode, autocast, compiled and train mode."""

from __future__ import annotations

import copy
import threading
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganprobe import (
    Ablate,
    Apply,
    ForwardError,
    Generator,
    Latents,
    NotFiniteError,
    NotRecordedError,
    OverwrittenError,
    ParameterError,
    Patch,
    Probe,
    Scale,
    Shift,
    Site,
    SiteError,
    SiteNotReachedError,
    Swap,
    UnknownNameError,
    UsageError,
)
from modules import LATENT, Noisy
from subjects import TinyNetwork, probe_of, random_network

# Noise inside the forward


@pytest.fixture
def noisy() -> Probe:
    torch.manual_seed(3)
    return probe_of(Noisy(), latent=LATENT)


def test_base_and_edited_run_have_the_same_noise(noisy: Probe) -> None:
    z = torch.randn(3, LATENT)
    base = noisy.run(z, record=["conv"])
    again = noisy.run(z, [Scale("conv#0", by=1.0)], record=["conv"])
    assert torch.equal(base.images, again.images)
    other = noisy.run(z, noise_seed=1)
    assert not torch.equal(base.images, other.images)
    assert torch.equal(other.images, noisy.run(z, noise_seed=1).images)
    assert noisy.layers().draws_noise


def test_the_random_state_outside_is_left_as_it_was(noisy: Probe) -> None:
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    noisy.layers()
    noisy.run(torch.zeros(3, LATENT))
    with pytest.raises(ForwardError):
        noisy.run(torch.zeros(3, LATENT), Apply("conv", function=lambda x: 1 / 0))  # type: ignore[arg-type, return-value]
    assert torch.equal(torch.random.get_rng_state(), before)


def test_noise_that_goes_on_from_outside_can_be_asked_for(noisy: Probe) -> None:
    z = torch.randn(3, LATENT)
    torch.manual_seed(5)
    with torch.no_grad():
        plain = noisy.generator.module(z)
    torch.manual_seed(5)
    assert torch.equal(noisy.run(z, noise_seed=None).images, plain)
    assert not torch.equal(noisy.run(z, noise_seed=None).images, plain)


def test_a_donors_noise_is_that_of_its_own_run(noisy: Probe) -> None:
    z, donors = noisy.generator.sample(2), noisy.generator.sample(2, start=9)
    recorded = noisy.run(donors, record=["conv"], noise_seed=4)
    expected = noisy.run(z, Swap("conv", donor=recorded), noise_seed=4)
    assert torch.equal(
        noisy.run(z, Swap("conv", donor=donors), noise_seed=4).images, expected.images
    )


def test_each_sample_has_noise_of_its_own_whatever_its_batch(noisy: Probe) -> None:
    same = Latents(torch.zeros(5, LATENT), seed=0, indices=(0, 1, 2, 3, 9))
    together = noisy.run(same).images
    assert len(together.flatten(1).unique(dim=0)) == 5
    for size in (1, 2, 3):
        parts = torch.cat([run.images for run in noisy.runs(same, batch_size=size)])
        assert torch.allclose(parts, together, atol=1e-6)
    assert torch.allclose(noisy.run(same.take([4, 1])).images, together[[4, 1]], atol=1e-6)


def test_noise_from_a_modules_own_stream_is_repeated_too() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.stream = nn.Linear(5, 4), torch.Generator()

        def forward(self, z: Tensor) -> Tensor:
            noise = torch.randn(len(z), 4, generator=self.stream)
            images: Tensor = (self.linear(z) + noise).view(-1, 1, 2, 2)
            return images

    module = Own()
    probe, state = probe_of(module), module.stream.get_state()
    assert torch.equal(probe.images(torch.zeros(2, 5)), probe.images(torch.zeros(2, 5)))
    assert torch.equal(module.stream.get_state(), state)


def test_threads_that_draw_noise_take_turns(noisy: Probe) -> None:
    z = torch.randn(2, LATENT)
    expected = [noisy.run(z, noise_seed=seed).images for seed in range(3)]
    wrong: list[int] = []

    def work(seed: int) -> None:
        for _ in range(60):
            if not torch.equal(noisy.run(z, noise_seed=seed).images, expected[seed]):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_noise_seed_out_of_range_is_refused(noisy: Probe) -> None:
    with pytest.raises(ParameterError, match=r"from 0 to 2\*\*63 - 1, got -1"):
        noisy.run(torch.zeros(2, LATENT), noise_seed=-1)


# Gradients


def test_gradients_reach_latents_values_and_strengths(network: TinyNetwork) -> None:
    network.double()
    probe = probe_of(network)

    def images(z: Tensor, values: Tensor, strength: Tensor, factor: Tensor, amount: Tensor) -> Any:
        edits = [
            Patch("2#1,3", values=values, strength=strength),
            Scale("2#0,5", by=factor),
            Shift("1", direction=torch.arange(8.0), amount=amount),
            Ablate("4#2", to=amount, strength=0.5),
        ]
        return probe.run(z, edits, grad=True).images

    inputs = [
        torch.randn(2, 5),
        torch.randn(2, 2, 4, 4),
        torch.tensor([0.3, 0.8]),
        torch.randn(2),
        torch.tensor(0.7),
    ]
    wanted = [tensor.double().requires_grad_() for tensor in inputs]
    assert torch.autograd.gradcheck(images, wanted)


def test_a_recording_keeps_its_graph_only_when_asked(network: TinyNetwork) -> None:
    probe, z = probe_of(network), torch.randn(2, 5, requires_grad=True)
    for stop_early in (False, True):
        run = probe.run(z, record=["2", "3", "2#1"], grad=True, stop_early=stop_early)
        assert torch.autograd.grad(run["2"].sum(), z, retain_graph=True)[0].abs().sum() > 0
        assert run["3"].requires_grad
        assert run["2#1"].requires_grad
    plain = probe.run(z, record=["2"])
    assert not plain["2"].requires_grad
    assert not plain.images.requires_grad
    with probe.intervening(record=["2"]) as session:
        images = network(z)
    assert images.requires_grad
    assert not session["2"].requires_grad
    with probe.intervening(record=["2"], grad=True) as session:
        network(z)
    assert session["2"].requires_grad


def test_grad_is_the_runs_own_whatever_is_around_it(network: TinyNetwork) -> None:
    probe, z = probe_of(network), torch.randn(2, 5, requires_grad=True)
    values = torch.randn(8, 2, 2, requires_grad=True)
    with torch.no_grad():
        run = probe.run(z, Patch("1", values=values, strength=0.5), grad=True)
    assert all(grad.abs().sum() > 0 for grad in torch.autograd.grad(run.images.sum(), (z, values)))
    assert torch.is_grad_enabled()


def test_a_strength_that_is_optimised_is_read_anew_in_each_run(network: TinyNetwork) -> None:
    probe, z = probe_of(network), torch.randn(4, 5)
    strength = torch.full((6,), 0.5, requires_grad=True)
    edit, base = Ablate("2", strength=strength), probe.images(z)
    optimiser = torch.optim.SGD([strength], lr=0.05)
    losses = []
    for _ in range(5):
        optimiser.zero_grad()
        loss = (probe.run(z, edit, grad=True).images - base).square().sum()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]


# Modes around a run


def test_a_run_in_inference_mode_is_recorded_and_guarded(network: TinyNetwork) -> None:
    probe, z = probe_of(network), torch.randn(3, 5)
    plain = probe.run(z, [Ablate("2#0")], record=["3", "4"])
    with torch.inference_mode():
        inferred = Probe(Generator.from_module(network, latent=5))
        run = inferred.run(z.clone(), [Ablate("2#0")], record=["3", "4"])
        with inferred.intervening(record=["3", "4"]) as session:
            network(z)
            assert (session["3"] < 0).any()  # not what the ReLU in place made of it
    assert torch.equal(run["3"], plain["3"])
    assert not run.images.is_inference()


def test_no_graph_is_kept_even_where_the_module_turns_grad_on(network: TinyNetwork) -> None:
    class Stubborn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network

        def forward(self, z: Tensor) -> Any:
            with torch.enable_grad():
                return self.inner(z)

    run = probe_of(Stubborn()).run(torch.randn(2, 5), [Ablate("inner.2#0")], record=["inner.2"])
    assert not run["inner.2"].requires_grad


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_float32_donor_keeps_the_dtype_that_autocast_gave_the_site(
    network: TinyNetwork, dtype: torch.dtype
) -> None:
    probe, z = probe_of(network), torch.randn(3, 5)
    donor = probe.run(torch.randn(3, 5), record=["2"])
    seen: list[torch.dtype] = []
    network[3].register_forward_pre_hook(lambda layer, args: seen.append(args[0].dtype))
    with torch.autocast("cpu", dtype=dtype):
        for edit in (Swap("2", donor=donor, units=[1, 4]), Patch("2", values=donor["2"])):
            run = probe.run(z, [edit, Shift("2", direction=torch.ones(6))], record=["2"])
            assert run["2"].dtype == dtype
    assert seen == [dtype] * 2
    assert torch.allclose(run["2"].float(), (donor["2"] + 1.0), rtol=0.02, atol=0.05)


def compiled_in_place(network: TinyNetwork) -> nn.Module:
    network.compile(backend="eager")
    return network


def compiled_whole(network: TinyNetwork) -> nn.Module:
    compiled = torch.compile(network, backend="eager")
    assert isinstance(compiled, nn.Module)
    return compiled


def compiled_inside(network: TinyNetwork) -> nn.Module:
    return nn.Sequential(compiled_whole(network))


@pytest.mark.parametrize(
    ("compiled", "layer"),
    [
        (compiled_whole, "2"),
        (compiled_in_place, "2"),
        (compiled_inside, "0._orig_mod.2"),
    ],
    ids=["wrapped", "in place", "inside another"],
)
def test_a_compiled_module_is_probed_as_it_was_written(compiled: Any, layer: str) -> None:
    z = torch.randn(3, 5)
    expected = probe_of(random_network(0)).run(z, Ablate("2#0"), record=["2"])
    module = compiled(random_network(0)).eval()
    with torch.no_grad():
        plain = module(z)  # compiles it, without any hook
        probe = probe_of(module)
        run = probe.run(z, Ablate(f"{layer}#0"), record=[layer])
        with probe.intervening(Ablate(f"{layer}#0"), record=[layer]) as session:
            images = module(z)
        assert torch.equal(module(z), plain)
    assert torch.allclose(run.images, expected.images)
    assert torch.allclose(images, expected.images)
    assert torch.equal(session[layer], run[layer])


def test_a_layer_in_train_mode_is_refused_by_name(network: TinyNetwork) -> None:
    probe = probe_of(network)
    probe.images(torch.randn(2, 5))
    network[3].train()
    with pytest.raises(UsageError, match=r"layer '3' \(BatchNorm2d\) is in train mode"):
        probe.run(torch.randn(2, 5))
    with (
        pytest.raises(UsageError, match=r"layer '3' \(BatchNorm2d\) is in train mode"),
        probe.intervening(),
    ):
        pass


# Sites


def test_patterns_stand_for_the_layers_that_they_match(network: TinyNetwork) -> None:
    class Nested(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks, self.net = nn.ModuleList(nn.Linear(5, 5) for _ in range(3)), network

        def forward(self, z: Tensor) -> Any:
            for block in (*self.blocks, self.blocks[0]):
                z = block(z)
            return self.net(z)

    probe, z = probe_of(Nested()), torch.randn(2, 5)
    run = probe.run(z, record=["blocks.?", "net.**", "*:in", ":out"])
    assert [str(site) for site in run.recording] == [
        *("blocks.0@0", "blocks.0@1", "blocks.1", "blocks.2"),
        *(f"net.{layer}" for layer in range(7)),
        "net:in",
        ":out",
    ]
    assert torch.equal(run[":out"], run.images)
    edited = probe.run(z, Ablate("blocks.*#1"), record=["blocks.*"])
    assert all((activation[:, 1] == 0).all() for activation in edited.recording.values())
    with pytest.raises(UnknownNameError, match=r"no layer 'block\.\*' in .*nearest: blocks\."):
        probe.run(z, record=["block.*"])
    with pytest.raises(SiteError, match=r"no tensor at blocks\.\*:out\[1\]"):
        probe.run(z, record=["blocks.*:out[1]"])


def test_a_site_may_be_read_by_any_of_its_names() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(5, 4)
            self.other = self.one

        def forward(self, z: Tensor) -> Tensor:
            maps: Tensor = self.other(z)
            return maps.view(-1, 1, 2, 2)

    run = probe_of(Shared()).run(torch.randn(2, 5), Ablate("other#1"), record=["other"])
    for name in ("one", "other", "one@0", "other@0"):
        assert Site.parse(name) in run.recording
        assert torch.equal(run[name], run["other"])
    assert [str(site) for site in run.recording] == ["other"]
    with pytest.raises(NotRecordedError, match="one#1 was not recorded; recorded: other"):
        _ = run["one#1"]


def test_the_axis_of_the_units_can_be_set() -> None:
    class LastChannels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.mix = nn.Linear(5, 2 * 3 * 4), nn.Linear(4, 6)

        def forward(self, z: Tensor) -> Any:
            return self.mix(self.first(z).view(-1, 2, 3, 4)).permute(0, 3, 1, 2)

    module, z = LastChannels().eval(), torch.randn(2, 5)
    usual = Probe(Generator.from_module(module, latent=5)).layers().resolve_one("mix")
    assert (usual.n_units, usual.spatial_shape) == (2, (3, 6))
    for axes in ({"mix": -1}, {"mix": 3}, {"**": -1}):
        probe = Probe(Generator.from_module(module, latent=5, unit_axes=axes))
        tensor = probe.layers().resolve_one("mix")
        assert (tensor.n_units, tensor.spatial_shape) == (6, (2, 3))
        run = probe.run(z, Ablate("mix#5", region=torch.tensor([[1, 1, 1], [0, 0, 0]])))
        plain = module(z)
        assert run.images[:, 5, 0].abs().sum() == 0.0
        assert torch.equal(run.images[:, :5], plain[:, :5])
        assert torch.equal(run.images[:, 5, 1], plain[:, 5, 1])
        assert torch.equal(probe.run(z, record=["mix#5,0"])["mix#5,0"][..., 0], plain[:, 5])
    with pytest.raises(ParameterError, match=r"mix has no axis 4 .* axes 1 to 3"):
        Probe(Generator.from_module(module, latent=5, unit_axes={"mix": 4})).layers()


# What can go wrong at a site


def test_an_activation_in_memory_that_a_module_keeps_is_copied() -> None:
    class Reusing(nn.Module):
        """Writes each forward's maps into the same memory, which is no buffer."""

        def __init__(self) -> None:
            super().__init__()
            self.linear, self.memory = nn.Linear(5, 4), {"maps": torch.zeros(2, 4)}
            self.reused = Reused(self.memory)

        def forward(self, z: Tensor) -> Any:
            return self.reused(self.linear(z)).view(-1, 1, 2, 2).clone()

    class Reused(nn.Module):
        def __init__(self, memory: dict[str, Tensor]) -> None:
            super().__init__()
            self.memory = memory

        def forward(self, maps: Tensor) -> Tensor:
            return self.memory["maps"].copy_(maps)

    probe = probe_of(Reusing())
    first = probe.run(torch.randn(2, 5), record=["reused"])
    before = first["reused"].clone()
    probe.run(torch.randn(2, 5), record=["reused"])
    assert torch.equal(first["reused"], before)


def test_a_value_overwritten_before_it_could_be_kept_is_an_error_of_its_own() -> None:
    class Sometimes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(5, 4)

        def forward(self, z: Tensor) -> Tensor:
            maps: Tensor = self.first(z)
            if len(z) > 2:
                maps[:, 0].zero_()
            return maps.view(-1, 1, 2, 2)

    probe = probe_of(Sometimes())
    with pytest.raises(OverwrittenError, match="first was overwritten in place later"):
        probe.run(torch.randn(3, 5), record=["first"])
    with (
        torch.no_grad(),
        probe.intervening(record=["first"]),
        pytest.raises(OverwrittenError, match="record the site that writes into it"),
    ):
        probe.generator.module(torch.randn(3, 5))


def test_a_replacement_never_shrinks_or_grows_the_batch(network: TinyNetwork) -> None:
    probe, z = probe_of(network), torch.randn(2, 5)
    one = probe.run(z[:1], record=["2"])
    for edit in (Patch("2", values=one["2"]), Swap("2", donor=one), Swap("2#0", donor=one)):
        with pytest.raises(UsageError, match=r"\(1, .* do not fit .*\(2, .*one for each sample"):
            probe.run(z, edit)
    alike = probe.run(z, Patch("2", values=one["2"][0]), record=["2"])
    assert torch.equal(alike["2"], one["2"].expand(2, -1, -1, -1))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_where_nan_or_infinity_appears_is_named_when_asked(
    network: TinyNetwork, bad: float
) -> None:
    probe, z = probe_of(network), torch.randn(3, 5)
    probe.run(z, check_finite=True)

    def spoiled(x: Tensor) -> Tensor:
        x[1, 2, 0, 0] = bad
        return x

    edit = Apply("3", function=spoiled)
    with pytest.raises(NotFiniteError, match=r"^1 values at 3 are NaN or infinite"):
        probe.run(z, edit, check_finite=True)
    with pytest.raises(NotFiniteError):
        list(probe.runs(2, Apply("3", function=lambda x: x / 0), check_finite=True))
    probe.run(z, edit)


def test_stopping_early_saves_what_lies_behind_and_has_no_images(network: TinyNetwork) -> None:
    probe, z = probe_of(network), torch.randn(3, 5)
    ran: list[int] = []
    for position, layer in enumerate(network):
        layer.register_forward_hook(lambda *_, position=position: ran.append(position))
    full = probe.run(z, [Ablate("1#0"), Ablate("5")], record=["2", "1:in"])
    ran.clear()
    run = probe.run(z, [Ablate("1#0"), Ablate("5")], record=["2", "1:in"], stop_early=True)
    assert ran == [0, 1, 2]
    assert torch.equal(run["2"], full["2"])
    with pytest.raises(NotRecordedError, match="it was stopped when everything was recorded"):
        _ = run.images
    with pytest.raises(ParameterError, match="nothing is recorded"):
        probe.run(z, stop_early=True)


def test_stopping_early_is_no_error_that_a_module_could_catch() -> None:
    class Careful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(5, 4), nn.Linear(4, 4)

        def forward(self, z: Tensor) -> Any:
            try:
                maps = self.first(z)
            except Exception:
                maps = torch.zeros(len(z), 4)
            return self.last(maps).view(-1, 1, 2, 2)

    probe, z = probe_of(Careful()), torch.randn(2, 5)
    run = probe.run(z, record=["first"], stop_early=True)
    assert torch.equal(run["first"], probe.run(z, record=["first"])["first"])
    with pytest.raises(SiteNotReachedError, match=r"last was not reached .* ran 0 times"):
        probe.run(z, Apply("first", function=_stop), record=["last"])


def _stop(x: Tensor) -> Tensor:
    from ganprobe.engine import StopForward

    raise StopForward


def test_a_site_of_numbers_or_of_no_tensor_is_refused() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.count, self.name, self.last = Count(), Name(), nn.Linear(5, 4)

        def forward(self, z: Tensor) -> Any:
            self.count(z)
            self.name(z)
            return self.last(z).view(-1, 1, 2, 2)

    class Count(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return z.argmax(1)

    class Name(nn.Module):
        def forward(self, z: Tensor) -> str:
            return "name"

    probe, z = probe_of(Counting()), torch.randn(2, 5)
    with pytest.raises(ParameterError, match="count has no units to edit"):
        probe.run(z, Ablate("count"))
    with pytest.raises(SiteError, match=r"no tensor at name \(Name\); its sites are: name:in"):
        probe.run(z, record=["name"])


def test_a_layer_that_was_replaced_is_hooked_and_one_that_is_gone_is_named(
    network: TinyNetwork,
) -> None:
    probe, z = probe_of(network), torch.randn(2, 5)
    probe.layers()
    network[4] = nn.Softplus().eval()
    assert torch.equal(probe.run(z, record=["3"])["3"], probe.run(z, record=["4:in"])["4:in"])
    assert (probe.run(z, record=["4"])["4"] > 0).all()
    del network[1:]
    with pytest.raises(SiteError, match="layer '4' is gone since the dry run"):
        probe.run(z, record=["0", "4"])


def test_a_copy_of_the_module_is_free_of_hooks_while_a_block_is_open(network: TinyNetwork) -> None:
    probe, z = probe_of(network), torch.randn(2, 5)
    plain = probe.images(z)
    with torch.no_grad(), probe.intervening([Ablate("2")]):
        network(z)
    assert torch.equal(copy.deepcopy(network)(z), plain)
