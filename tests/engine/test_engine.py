"""The engine against forwards rewritten by hand, and the traces that it must not leave."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganprobe import (
    Ablate,
    ForwardError,
    Generator,
    NotATensorError,
    Probe,
    SiteError,
    SiteNotReachedError,
    UnknownNameError,
)
from ganprobe.engine import make_plan
from subjects import TinyNetwork, probe_of, random_network
from traces import hooks_of, state_of


def by_hand(network: TinyNetwork, z: Tensor, edits: dict[int, Callable[[Tensor], Tensor]]) -> Any:
    """Images and every layer's outcome of a forward written out, with edits after layers."""
    seen = []
    value = z
    for position, layer in enumerate(network):
        value = layer(value.clone())
        value = edits[position](value) if position in edits else value
        seen.append(value.clone())
    return value, seen


@pytest.mark.parametrize("seed", range(5))
def test_recordings_and_ablations_equal_a_forward_by_hand_in_float64(seed: int) -> None:
    network = random_network(seed).double()
    probe = probe_of(network)
    z = torch.randn(4, 5, dtype=torch.float64)
    levels = torch.randn(2, dtype=torch.float64)

    def edit_2(tensor: Tensor) -> Tensor:
        tensor[:, [1, 4]] = 0.25 * tensor[:, [1, 4]] + 0.75 * levels.view(2, 1, 1)
        return tensor

    def edit_4(tensor: Tensor) -> Tensor:
        tensor[:, 3] = 0.0
        return tensor

    with torch.no_grad():
        images, seen = by_hand(network, z, {2: edit_2, 4: edit_4})
    first, second = levels.tolist()
    edits = [Ablate("2#1,4", to=(first, second), strength=0.75), Ablate("4#3")]
    run = probe.run(z, edits, record=list("0123456"))
    assert torch.allclose(run.images, images, rtol=1e-12, atol=1e-14)
    for position in range(7):
        assert torch.allclose(run[str(position)], seen[position], rtol=1e-12, atol=1e-14)


def test_a_run_without_edits_equals_the_model_bit_for_bit(network: TinyNetwork) -> None:
    z = torch.randn(6, 5)
    with torch.no_grad():
        plain = network(z)
    assert torch.equal(probe_of(network).run(z, record=["2", "4"]).images, plain)


def test_an_activation_is_safe_from_later_writes_in_place(network: TinyNetwork) -> None:
    run = probe_of(network).run(torch.randn(3, 5), record=["3", "4", "4:in"])
    assert torch.equal(run["3"].relu(), run["4"])
    assert torch.equal(run["3"], run["4:in"])
    assert (run["3"] < 0).any()


def test_recorded_units_are_the_sites_units_in_the_order_asked(network: TinyNetwork) -> None:
    run = probe_of(network).run(torch.randn(3, 5), record=["2", "2#4,1"])
    assert torch.equal(run["2#4,1"], run["2"][:, [4, 1]])


def test_recordings_come_after_the_edits_at_their_site_and_others_stay(
    network: TinyNetwork,
) -> None:
    probe, z = probe_of(network), torch.randn(3, 5)
    plain = probe.run(z, record=["2", "1"])
    edited = probe.run(z, [Ablate("2#0")], record=["2", "1"])
    assert edited["2"][:, 0].abs().sum() == 0.0
    assert torch.equal(edited["2"][:, 1:], plain["2"][:, 1:])
    assert torch.equal(edited["1"], plain["1"])


def test_edits_at_one_site_compose_in_the_order_given(network: TinyNetwork) -> None:
    probe, z = probe_of(network), torch.randn(3, 5)
    edits = [Ablate("2#0", to=1.0), Ablate("2#0", to=3.0, strength=0.5)]
    assert probe.run(z, edits, record=["2"])["2"][:, 0].unique().item() == 2.0
    assert probe.run(z, edits[::-1], record=["2"])["2"][:, 0].unique().item() == 1.0


def test_an_input_can_be_edited_without_touching_where_it_comes_from(
    network: TinyNetwork,
) -> None:
    run = probe_of(network).run(torch.randn(3, 5), [Ablate("5:in#2")], record=["5:in", "4"])
    assert run["5:in"][:, 2].abs().sum() == 0.0
    assert run["4"][:, 2].abs().sum() > 0.0


class Repeating(nn.Module):
    """One layer three times, with a keyword argument, tuples and dicts on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.again = nn.Linear(5, 5)
        self.pair = Splitting()

    def forward(self, z: Tensor) -> Tensor:
        for _ in range(3):
            z = self.again(z).tanh()
        halves = self.pair(values=z, scale=2.0)
        return torch.cat([halves["low"][0], halves["high"]], dim=1).view(-1, 1, 1, 5)


class Splitting(nn.Module):
    def forward(self, *, values: Tensor, scale: float) -> dict[str, Any]:
        return {"low": (values[:, :2] * scale, "text"), "high": values[:, 2:]}


def test_a_site_names_the_call_of_a_layer_that_runs_several_times() -> None:
    module = Repeating()
    probe, z = probe_of(module), torch.randn(4, 5)
    assert probe.layers()["again"].calls == 3
    run = probe.run(z, [Ablate("again@1#0")], record=["again@0", "again@1", "again@2"])
    first = module.again(z)
    second = module.again(first.tanh())
    second[:, 0] = 0.0
    third = module.again(second.tanh())
    for call, expected in enumerate((first, second, third)):
        assert torch.allclose(run[f"again@{call}"], expected, atol=1e-6)


def test_an_edit_without_a_call_is_done_every_time() -> None:
    run = probe_of(Repeating()).run(
        torch.randn(4, 5), [Ablate("again#0")], record=["again@0", "again@1", "again@2"]
    )
    assert all(run[f"again@{call}"][:, 0].abs().sum() == 0.0 for call in range(3))


def test_recording_a_layer_that_runs_several_times_asks_which() -> None:
    with pytest.raises(SiteError, match="again stands for 3 tensors; name one: again@0, again@1"):
        probe_of(Repeating()).run(torch.randn(2, 5), record=["again"])


def test_keyword_arguments_tuples_and_dicts_are_sites_too() -> None:
    run = probe_of(Repeating()).run(
        torch.randn(4, 5),
        [Ablate("pair:out[low][0]#1", to=9.0), Ablate("pair:in[values]#4")],
        record=["pair:in[values]", "pair:out[low][0]", "pair:out[high]"],
    )
    assert run["pair:in[values]"][:, 4].abs().sum() == 0.0
    assert run["pair:out[high]"][:, 2].abs().sum() == 0.0
    assert torch.equal(run.images[:, 0, 0, 1], torch.full((4,), 9.0))
    assert torch.equal(run.images[:, 0, 0, 0], run["pair:out[low][0]"][:, 0])


def test_a_module_under_two_names_is_one_site_under_both() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(5, 5)
            self.two = self.one

        def forward(self, z: Tensor) -> Tensor:
            return torch.as_tensor(self.two(z)).view(-1, 1, 1, 5)

    probe = probe_of(Shared())
    assert probe.layers()["two"] is probe.layers()["one"]
    run = probe.run(torch.randn(2, 5), [Ablate("two#0")], record=["one", "two"])
    assert torch.equal(run["one"], run["two"])
    assert run["one"][:, 0].abs().sum() == 0.0


def test_units_of_a_token_site_are_its_last_axis() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Linear(5, 6)

        def forward(self, z: Tensor) -> Tensor:
            tokens: Tensor = self.tokens(z.unsqueeze(1).expand(-1, 4, -1))
            return tokens.unsqueeze(1)

    run = probe_of(Tokens()).run(torch.randn(2, 5), [Ablate("tokens#5")], record=["tokens"])
    assert run["tokens"].shape == (2, 4, 6)
    assert run["tokens"][..., 5].abs().sum() == 0.0
    assert (run["tokens"][..., :5] != 0).all()


@dataclass
class Fault:
    """A layer that raises or goes missing when told to."""

    mode: str = ""


class Faulty(nn.Module):
    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(5, 4), nn.Linear(4, 4)
        self.fault = fault

    def forward(self, z: Tensor) -> Tensor:
        maps = self.first(z)
        if self.fault.mode == "raise":
            raise ValueError("the model's own mistake")
        if self.fault.mode == "interrupt":
            raise KeyboardInterrupt
        if self.fault.mode != "skip":
            maps = self.second(maps)
        images: Tensor = maps.view(-1, 1, 2, 2)
        return images


@pytest.mark.parametrize("mode", ["", "raise", "interrupt", "skip"])
def test_the_module_is_as_before_whatever_happens(mode: str) -> None:
    fault = Fault()
    module = Faulty(fault)
    own_calls: list[str] = []
    module.first.register_forward_hook(lambda *_: own_calls.append("user"))
    probe = probe_of(module)
    probe.layers()
    before = hooks_of(module), state_of(module)
    fault.mode = mode
    expected: tuple[type[BaseException], ...] = (ForwardError, KeyboardInterrupt)
    own_calls.clear()
    try:
        probe.run(torch.randn(2, 5), [Ablate("first#1")], record=["first", "second", "first:in"])
    except expected:
        assert mode
    else:
        assert not mode
    assert (hooks_of(module), state_of(module)) == before
    assert own_calls == ["user"]


def test_the_dry_run_leaves_nothing_when_the_module_raises() -> None:
    module = Faulty(Fault("raise")).eval()
    before = hooks_of(module), state_of(module)
    with pytest.raises(
        ForwardError, match=r"'subject' raised on latents .*the model's own mistake"
    ):
        probe_of(module).layers()
    assert (hooks_of(module), state_of(module)) == before


def test_a_wrong_second_site_leaves_no_hook_of_the_first(network: TinyNetwork) -> None:
    probe = probe_of(network)
    probe.layers()
    before = hooks_of(network)
    with pytest.raises(UnknownNameError, match="no layer 'nowhere'"):
        probe.run(torch.randn(2, 5), record=["2", "nowhere"])
    assert hooks_of(network) == before


def test_the_module_still_pickles_and_copies_after_a_run(network: TinyNetwork) -> None:
    probe = probe_of(network)
    probe.run(torch.randn(2, 5), [Ablate("2#1")], record=["3"])
    restored = pickle.loads(pickle.dumps(network))
    z = torch.randn(2, 5)
    assert torch.equal(restored(z), network(z))
    assert torch.equal(copy.deepcopy(network)(z), network(z))


def test_only_layers_in_the_plan_are_hooked(network: TinyNetwork) -> None:
    probe = probe_of(network)
    plan = make_plan(probe.layers(), record=["2", "2#1"], interventions=[Ablate("2#0")])
    assert [(port.layer, port.port, len(port.steps)) for port in plan.ports] == [("2", "out", 3)]


def test_a_plan_is_a_value(network: TinyNetwork) -> None:
    table = probe_of(network).layers()
    plans = [make_plan(table, record=["2"], interventions=[Ablate("4#0")]) for _ in range(2)]
    assert plans[0] == plans[1]
    assert hash(plans[0]) == hash(plans[1])


def test_a_site_that_is_not_reached_says_so() -> None:
    fault = Fault()
    probe = probe_of(Faulty(fault))
    probe.layers()
    fault.mode = "skip"
    with pytest.raises(SiteNotReachedError, match="layer 'second' ran 0 times"):
        probe.run(torch.randn(2, 5), record=["second"])
    with pytest.raises(SiteNotReachedError, match="layer 'second' ran 0 times"):
        probe.run(torch.randn(2, 5), [Ablate("second#1")])


def test_two_threads_edit_one_model_each_in_its_own_way(network: TinyNetwork) -> None:
    probe = probe_of(network)
    probe.layers()
    z = torch.randn(2, 5)
    expected = [probe.run(z, [Ablate(f"2#{unit}")]).images for unit in range(4)]
    wrong: list[int] = []

    def work(unit: int) -> None:
        for _ in range(50):
            if not torch.equal(probe.run(z, [Ablate(f"2#{unit}")]).images, expected[unit]):
                wrong.append(unit)

    threads = [threading.Thread(target=work, args=(unit,)) for unit in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_no_graph_is_kept(network: TinyNetwork) -> None:
    run = probe_of(network).run(torch.randn(2, 5), [Ablate("4#1")], record=["2", "4"])
    assert not any(tensor.requires_grad for tensor in (run.images, run["2"], run["4"]))


def test_an_output_that_is_no_tensor_is_named() -> None:
    class Mute(nn.Module):
        def forward(self, z: Tensor) -> dict[str, Any]:
            return {"images": z.view(-1, 1, 1, 5), "text": "none"}

    with pytest.raises(NotATensorError, match=r"returned a dict.*output=.*\('images',\)"):
        probe_of(Mute()).layers()
    generator = Generator.from_module(Mute().eval(), latent=5, output=("images",))
    assert Probe(generator).run(torch.randn(2, 5)).images.shape == (2, 1, 1, 5)


def test_an_edit_without_a_call_also_meets_calls_that_the_dry_run_did_not_see() -> None:
    class Growing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.again = nn.Linear(5, 5)

        def forward(self, z: Tensor) -> Tensor:
            for _ in range(2 if len(z) <= 2 else 4):
                z = self.again(z)
            return z.view(-1, 1, 1, 5)

    probe = probe_of(Growing())
    images = probe.run(torch.randn(3, 5), [Ablate("again#0", to=7.0)]).images
    assert torch.equal(images[:, 0, 0, 0], torch.full((3,), 7.0))
    run = probe.run(torch.randn(3, 5), record=["again@0", "again@1"])
    again = probe.generator.module.get_submodule("again")
    assert torch.allclose(run["again@1"], again(run["again@0"]))


def test_a_module_that_calls_itself_is_numbered_as_its_calls_finish() -> None:
    class Recursive(nn.Module):
        def forward(self, z: Tensor, depth: int = 2) -> Tensor:
            if depth:
                z = self(z, depth - 1)
            return z + 1

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Recursive()

        def forward(self, z: Tensor) -> Tensor:
            return torch.as_tensor(self.inner(z)).view(-1, 1, 1, 5)

    sites = ["inner@0", "inner@1", "inner@2"]
    z = torch.randn(2, 5)
    run = probe_of(Network()).run(z, record=sites)
    for call, site in enumerate(sites):
        assert torch.allclose(run[site], z + call + 1)


def test_recordings_do_not_share_memory_with_weights_or_latents() -> None:
    class Returning(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.constant = nn.Parameter(torch.randn(4, 5))

        def forward(self) -> Tensor:
            return self.constant

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.returning, self.first = Returning(), nn.Linear(5, 5)

        def forward(self, z: Tensor) -> Tensor:
            images: Tensor = self.first(z) + self.returning()[0]
            return images.view(-1, 1, 1, 5)

    module = Network()
    z = torch.randn(4, 5)
    before = module.returning.constant.detach().clone()
    run = probe_of(module).run(z, record=["returning", "first:in"])
    assert not run["returning"].requires_grad
    run["returning"].zero_()
    assert torch.equal(module.returning.constant, before)
    kept = run["first:in"].clone()
    z.zero_()
    assert torch.equal(run["first:in"], kept)


def test_another_threads_forward_does_not_disturb_the_dry_run(network: TinyNetwork) -> None:
    expected = [(layer.name, layer.calls) for layer in probe_of(network).layers()]
    is_done = threading.Event()

    def work() -> None:
        while not is_done.is_set():
            network(torch.randn(3, 5))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(30):
            table = probe_of(network).layers()
            assert [(layer.name, layer.calls) for layer in table] == expected
            assert all(tensor.is_batched for layer in table for tensor in layer.tensors)
    finally:
        is_done.set()
        thread.join()


def test_a_forward_in_inference_mode_is_recorded(network: TinyNetwork) -> None:
    class Inferring(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network

        def forward(self, z: Tensor) -> Tensor:
            with torch.inference_mode():
                images: Tensor = self.inner(z)
            return images

    z = torch.randn(2, 5)
    expected = probe_of(network).run(z, record=["3"])["3"]
    assert torch.equal(probe_of(Inferring()).run(z, record=["inner.3"])["inner.3"], expected)
    with torch.inference_mode():
        assert torch.equal(probe_of(network).run(z, record=["3"])["3"], expected)


def test_a_layer_that_no_forward_calls_is_told_apart_from_one_that_is_not_there() -> None:
    class Bypassing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used = nn.Linear(5, 5)

        def forward(self, z: Tensor) -> Tensor:
            return nn.functional.linear(z, self.used.weight).view(-1, 1, 1, 5)

    with pytest.raises(SiteError, match="layer 'used' of generator 'subject' does not run"):
        probe_of(Bypassing()).run(torch.randn(2, 5), record="used")


def test_one_site_or_intervention_need_not_be_in_a_list(network: TinyNetwork) -> None:
    run = probe_of(network).run(torch.randn(2, 5), Ablate("2#1"), record="2")
    assert run["2"][:, 1].abs().sum() == 0.0
