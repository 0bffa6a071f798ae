"""Replay plans: what is answered from memory, what is computed, and why."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ganprobe
from ganprobe import Ablate, NotReplayableError, Probe, Scale
from subjects import TinyNetwork, probe_of
from traces import hooks_of, state_of


def answered(probe: Probe, site: str) -> set[str]:
    plan = probe.replay_plan(site)
    return {plan.trace.calls[answer.call].name for answer in plan.answers}


def test_digits_are_replayed_from_a_block_on() -> None:
    probe = Probe(ganprobe.load("digits"))
    assert answered(probe, "conv2") == {"fc1", "conv2"}
    plan = probe.replay_plan("conv2")
    computed, total = plan.flops
    assert computed / total == pytest.approx(0.2, abs=0.02)
    lines = str(plan).splitlines()
    assert lines[0].startswith("replay from conv2: computes 20% of 1")
    assert lines[1:5] == [
        "  (all)       computed     the edit reaches it",
        "  fc1         from memory  before the edit",
        "  conv2       from memory  before the edit",
        "  conv3       computed     the edit reaches it",
    ]
    assert repr(plan) == "<ReplayPlan from conv2: 2 calls answered from memory>"


def test_an_activation_in_place_is_computed_where_its_input_is_used(
    network_probe: Probe,
) -> None:
    assert answered(network_probe, "4") == {"0", "1", "2", "3"}
    assert "it writes into what is used again" in str(network_probe.replay_plan("4"))
    assert answered(network_probe, "5") == {"0", "1", "2", "3", "4", "5"}


class Styled(nn.Module):
    """A style that modulates two layers; the second is asked for after the first was used."""

    def __init__(self) -> None:
        super().__init__()
        self.style = nn.Linear(5, 8)
        self.one, self.two = nn.Linear(8, 8), nn.Linear(8, 8)
        self.const, self.last = nn.Linear(5, 8), nn.Linear(8, 16)

    def forward(self, z: Tensor) -> Tensor:
        style = self.style(z)
        hidden = self.const(z) * self.one(style)
        hidden = torch.tanh(hidden) * self.two(style)
        return torch.as_tensor(self.last(hidden)).view(-1, 1, 4, 4)


def test_what_the_edit_does_not_reach_is_answered_also_later() -> None:
    plan = probe_of(Styled()).replay_plan("const")
    assert "  two    from memory  the edit does not reach it" in str(plan).splitlines()
    assert {plan.trace.calls[answer.call].name for answer in plan.answers} == {
        "style",
        "const",
        "one",
        "two",
    }


class Hostile(nn.Module):
    """Two layers, and between them something done to the site."""

    def __init__(self, between: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 8), nn.Linear(8, 16)
        self.register_buffer("kept", torch.zeros(1))
        self.between = between

    def forward(self, z: Tensor) -> Tensor:
        hidden = self.between(self, self.first(z))
        return torch.as_tensor(self.last(hidden)).view(-1, 1, 4, 4)


def by_value(module: nn.Module, hidden: Tensor) -> Tensor:
    return hidden * 2 if hidden.sum() > 0 else hidden


def by_item(module: nn.Module, hidden: Tensor) -> Tensor:
    return hidden * hidden.abs().max().item()


def by_list(module: nn.Module, hidden: Tensor) -> Tensor:
    return hidden + torch.tensor(hidden.tolist()).mean()


def by_numpy(module: nn.Module, hidden: Tensor) -> Tensor:
    return hidden + float(hidden.detach().numpy().mean())


def by_mask(module: nn.Module, hidden: Tensor) -> Tensor:
    return hidden - hidden[hidden > 0].sum()


def by_state(module: nn.Module, hidden: Tensor) -> Tensor:
    module.get_buffer("kept").copy_(hidden[0, :1])
    return hidden


def by_bernoulli(module: nn.Module, hidden: Tensor) -> Tensor:
    return hidden * torch.bernoulli(hidden.sigmoid())


@pytest.mark.parametrize("between", [by_value, by_item, by_list, by_numpy, by_mask])
def test_what_depends_on_values_holds_one_variant_at_once(between: Any) -> None:
    torch.manual_seed(0)
    probe = probe_of(Hostile(between))
    plan = probe.replay_plan("first")
    assert plan.one_at_once is not None
    assert "one variant at once" in str(plan)
    z, variants = torch.randn(2, 5), [[Scale("first", by=-3.0, units=[unit])] for unit in range(8)]
    sweep = probe.sweep(z, variants, method="replay")
    images = torch.stack(list(sweep))
    expected = torch.stack([probe.run(z, variant).images for variant in variants])
    assert torch.allclose(images, expected, atol=1e-6)
    assert sweep.how.chunk == 1


def by_sparse(module: nn.Module, hidden: Tensor) -> Tensor:
    return torch.as_tensor(torch.sparse.mm(torch.eye(8).to_sparse(), hidden.t()).t())


@pytest.mark.parametrize(
    ("between", "kind"),
    [(by_state, "state"), (by_bernoulli, "noise"), (by_sparse, "memory")],
)
def test_what_cannot_be_resumed_is_refused_by_kind(between: Any, kind: str) -> None:
    probe = probe_of(Hostile(between))
    with pytest.raises(NotReplayableError) as refused:
        probe.replay_plan("first")
    assert refused.value.kind == kind
    variants = [[Ablate("first", units=[unit])] for unit in range(8)]
    how = probe.sweep(torch.randn(1, 5), variants).how
    assert (how.method, {refusal.kind for refusal in how.refused}) == ("single", {kind})


def test_a_site_without_a_batch_axis_is_refused() -> None:
    class Constant(nn.Module):
        def forward(self) -> Tensor:
            return torch.ones(1, 8)

    class Constantly(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.const, self.first = Constant(), nn.Linear(5, 8)

        def forward(self, z: Tensor) -> Tensor:
            return torch.as_tensor(self.first(z) * self.const()).view(-1, 1, 2, 4)

    with pytest.raises(NotReplayableError, match="the first axis of const is not the batch"):
        probe_of(Constantly()).replay_plan("const")


def test_hooks_of_the_user_act_once() -> None:
    network = TinyNetwork().eval()
    probe = probe_of(network)
    handle = network[2].register_forward_hook(lambda layer, args, output: output * 2.0)
    z, variants = torch.randn(1, 5), [[Ablate("4", units=[unit])] for unit in range(6)]
    images = torch.stack(list(probe.sweep(z, variants, method="replay")))
    expected = torch.stack([probe.run(z, variant).images for variant in variants])
    assert torch.allclose(images, expected, atol=1e-6)
    handle.remove()


def test_a_module_is_as_it_was_after_an_error_in_a_replay(network_probe: Probe) -> None:
    module = network_probe.generator.module
    network_probe.layers()
    before = hooks_of(module), state_of(module)

    class StopError(Exception):
        pass

    calls: list[int] = []

    def measure(images: Tensor) -> Tensor:
        assert (hooks_of(module), state_of(module)) == before
        calls.append(len(images))
        if len(calls) > 3:
            raise StopError
        return images.flatten(1).mean(1)

    with pytest.raises(StopError):
        network_probe.sweep(
            torch.randn(1, 5), [Ablate("2", units=[u % 6]) for u in range(99)], measure, chunk=4
        )
    assert (hooks_of(module), state_of(module)) == before


def test_other_threads_are_not_answered(network_probe: Probe) -> None:
    module, z = network_probe.generator.module, torch.randn(1, 5)
    with torch.no_grad():
        expected = module(2 * z)
    wrong, done = list[float](), threading.Event()

    def call() -> None:
        while not done.is_set():
            with torch.no_grad():
                wrong.append(float((module(2 * z) - expected).abs().max()))

    thread = threading.Thread(target=call)
    thread.start()
    try:
        for _ in range(20):
            variants = [Ablate("2", units=[unit]) for unit in range(6)] * 4
            list(network_probe.sweep(z, variants, method="replay"))
    finally:
        done.set()
        thread.join()
    assert wrong
    assert max(wrong) < 1e-6
