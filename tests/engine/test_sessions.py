"""Your own call of the module, with interventions and recordings around it."""

from __future__ import annotations

import copy
import pickle
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganprobe import (
    Ablate,
    Apply,
    ForwardError,
    Generator,
    NotRecordedError,
    Patch,
    Probe,
    Scale,
    SiteNotReachedError,
    Swap,
)
from subjects import TinyNetwork, probe_of, random_network
from traces import hooks_of, state_of


def test_your_own_call_is_edited_and_recorded_like_a_run(network: TinyNetwork) -> None:
    probe, z = probe_of(network), torch.randn(3, 5)
    edits = [Ablate("2#0"), Scale("4#1", by=3.0)]
    run = probe.run(z, edits, record=["2", "4"])
    with torch.no_grad(), probe.intervening(edits, record=["2", "4"]) as session:
        images = network(z)
        assert torch.equal(session["2"], run["2"])
    assert torch.equal(images, run.images)
    assert torch.equal(session.recording["4"], run["4"])
    assert torch.equal(network(z), probe.images(z))


def test_each_call_of_the_module_is_a_forward_of_its_own(network: TinyNetwork) -> None:
    probe, batches = probe_of(network), torch.randn(4, 3, 5)
    kept = []
    with torch.no_grad(), probe.intervening(record=["2"]) as session:
        for z in batches:
            network(z)
            kept.append(session["2"])
    for z, activation in zip(batches, kept, strict=True):
        assert torch.equal(activation, probe.run(z, record=["2"])["2"])


def test_without_a_forward_there_is_nothing_to_read(network: TinyNetwork) -> None:
    with (
        probe_of(network).intervening(record=["2"]) as session,
        pytest.raises(NotRecordedError, match="call the module first"),
    ):
        _ = session.recording


def test_a_part_that_is_called_instead_of_the_module_is_begun_by_you() -> None:
    network = random_network(0)
    probe, z = probe_of(network), torch.randn(2, 5)
    kept = probe.run(z, record=["1"])["1"]
    with torch.no_grad(), probe.intervening(record=["1"]) as session:
        network[1](network[0](z))
        assert torch.equal(session["1"], kept)
        with pytest.raises(ForwardError, match=r"1 ran again .* call begin\(\) before it"):
            network[1](network[0](z))
        session.begin()
        network[1](network[0](2 * z))
        assert not torch.equal(session["1"], kept)


def test_a_forward_that_raised_does_not_count(network: TinyNetwork) -> None:
    probe, z = probe_of(network), torch.randn(2, 5)
    with torch.no_grad(), probe.intervening(record=["2"]) as session:
        with pytest.raises(RuntimeError, match="shapes"):
            network(torch.randn(2, 6))
        network(z)
        assert torch.equal(session["2"], probe.run(z, record=["2"])["2"])


def test_a_site_that_your_call_does_not_reach_is_an_error() -> None:
    class Choosing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(5, 4), nn.Linear(5, 4)

        def forward(self, z: Tensor, *, use_b: bool = True) -> Tensor:
            h: Tensor = self.a(z) + (self.b(z) if use_b else 0.0)
            return h.view(-1, 1, 2, 2)

    module = Choosing()
    for how in ({"record": ["b"]}, {"interventions": Ablate("b")}):
        with (
            probe_of(module).intervening(**how),
            pytest.raises(SiteNotReachedError, match=r"b was not reached .*'b' ran 0 times"),
        ):
            module(torch.randn(2, 5), use_b=False)


def test_a_module_that_calls_itself_is_one_forward() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, z: Tensor, depth: int = 0) -> Tensor:
            h: Tensor = self.layer(z)
            return h.view(-1, 1, 2, 2) if depth else self(h, depth=1)

    module = Twice()
    probe, z = probe_of(module, latent=4), torch.randn(2, 4)
    run = probe.run(z, record=["layer@0", "layer@1"])
    with torch.no_grad(), probe.intervening(record=["layer@0", "layer@1"]) as session:
        module(z)
    assert torch.equal(session["layer@0"], run["layer@0"])
    assert torch.equal(session["layer@1"], run["layer@1"])
    assert torch.equal(run["layer@1"], module.layer(run["layer@0"]))


def test_runs_inside_the_block_are_edited_too_and_each_records_its_own(
    network: TinyNetwork,
) -> None:
    probe, z = probe_of(network), torch.randn(3, 5)
    both = probe.run(z, [Ablate("2#0"), Ablate("4#1")], record=["2", "4"])
    with torch.no_grad(), probe.intervening([Ablate("2#0")], record=["2"]) as session:
        inner = probe.run(z, [Ablate("4#1")], record=["4"])
        assert torch.equal(inner.images, both.images)
        assert torch.equal(session["2"], both["2"])
        with probe.intervening([Ablate("4#1")], record=["4"]) as nested:
            network(z)
        assert torch.equal(nested["4"], both["4"])
        outer = network(z)
    assert torch.equal(outer, probe.run(z, [Ablate("2#0")]).images)


def test_a_probe_made_inside_a_block_sees_the_module_and_not_the_block(
    network: TinyNetwork,
) -> None:
    values = torch.randn(7, 6, 4, 4)  # of a batch that a dry run does not have
    plain = [layer.tensors for layer in probe_of(random_network(0)).layers()]
    with probe_of(network).intervening([Patch("2", values=values)], record=["1"]) as session:
        assert [layer.tensors for layer in probe_of(network).layers()] == plain
        with pytest.raises(NotRecordedError):
            _ = session.recording


def test_a_probe_may_run_inside_a_function_that_is_applied(network: TinyNetwork) -> None:
    probe, z = probe_of(network), torch.randn(3, 5)
    inner = Probe(Generator.from_module(random_network(1), latent=5))

    def replaced(activation: Tensor) -> Tensor:
        return inner.run(z, record=["2"])["2"]

    donor = inner.run(z, record=["2"])
    expected = probe.run(z, Patch("2", values=donor["2"])).images
    assert torch.equal(probe.run(z, Apply("2", function=replaced)).images, expected)


@pytest.mark.parametrize("how", ["", "raise", "interrupt"])
def test_the_module_is_as_before_after_the_block(network: TinyNetwork, how: str) -> None:
    heard: list[str] = []
    network[2].register_forward_hook(lambda *_: heard.append("first"))
    network[2].register_forward_pre_hook(lambda *_: heard.append("before"))
    network[2].register_forward_hook(lambda *_: heard.append("second"))
    probe = probe_of(network)
    probe.layers()
    heard.clear()
    before = hooks_of(network), state_of(network)
    raised: dict[str, type[BaseException]] = {"raise": KeyError, "interrupt": KeyboardInterrupt}

    def work() -> None:
        with probe.intervening([Ablate("2#0"), Ablate("2:in#0")], record=["4", ":in", ":out"]):
            network(torch.randn(2, 5))
            if how:
                raise raised[how]("mine")

    if how:
        with pytest.raises(raised[how], match="mine"):
            work()
    else:
        work()
    assert (hooks_of(network), state_of(network)) == before
    assert heard == ["before", "first", "second"]
    network[2]._forward_hooks.clear()
    network[2]._forward_pre_hooks.clear()
    assert isinstance(pickle.loads(pickle.dumps(network)), TinyNetwork)
    copy.deepcopy(network)


class Interrupting(OrderedDict[int, Any]):
    """A layer's hooks, where Ctrl-C falls right after one went in, and again as one comes off."""

    def __setitem__(self, number: int, hook: Any) -> None:
        super().__setitem__(number, hook)
        raise KeyboardInterrupt

    is_calm = False

    def pop(self, number: int, *default: Any) -> Any:
        self.is_calm = not self.is_calm
        if self.is_calm:
            raise KeyboardInterrupt
        return super().pop(number, *default)


def test_an_interruption_while_hooks_go_in_or_come_off_leaves_none(network: TinyNetwork) -> None:
    probe = probe_of(network)
    probe.layers()
    network[4]._forward_hooks = Interrupting()
    before = hooks_of(network), state_of(network)
    for how in ({"record": ["2", "4", "5"]}, {"interventions": [Ablate("2#0"), Ablate("4#0")]}):
        with pytest.raises(KeyboardInterrupt):
            probe.run(torch.randn(2, 5), **how)
        with pytest.raises(KeyboardInterrupt):
            probe.intervening(**how).__enter__()
        assert (hooks_of(network), state_of(network)) == before


def test_hooks_stay_in_the_order_in_which_they_came(network: TinyNetwork) -> None:
    heard: list[tuple[str, float]] = []

    def own(name: str) -> Callable[..., None]:
        return lambda layer, args, out: heard.append((name, out[:, 0].abs().sum().item()))

    probe, z = probe_of(network), torch.randn(2, 5)
    probe.layers()
    network[2].register_forward_hook(own("earlier"))
    with probe.intervening([Ablate("2#0")]):
        network[2].register_forward_hook(own("later"))
        network(z)
    assert [name for name, _ in heard] == ["earlier", "later"]
    assert heard[0][1] > 0.0
    assert heard[1][1] == 0.0


def test_threads_with_different_interventions_do_not_meet(network: TinyNetwork) -> None:
    probe = probe_of(network)
    z = torch.randn(2, 5)
    donor = probe.run(torch.randn(2, 5), record=["4"])
    edits = [Ablate("2#0"), Scale("2#1", by=9.0), Swap("4", donor=donor, units=[1, 2]), None]
    expected = [probe.run(z, [edit] if edit else []).images for edit in edits]
    wrong: list[int] = []
    barrier = threading.Barrier(len(edits))

    def work(number: int) -> None:
        edit = edits[number]
        barrier.wait()
        for _ in range(100):
            run = probe.run(z, [edit] if edit else [], record=["2"])
            with torch.no_grad(), probe.intervening([edit] if edit else []):
                images = network(z)
            if not (torch.equal(run.images, expected[number]) and torch.equal(images, run.images)):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(edits))]
    before = hooks_of(network)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert hooks_of(network) == before


def test_another_threads_call_inside_the_block_is_untouched(network: TinyNetwork) -> None:
    probe, z = probe_of(network), torch.randn(2, 5)
    plain = probe.images(z)
    seen: list[Tensor] = []

    def work() -> None:
        with torch.no_grad():
            seen.append(network(z))

    with torch.no_grad(), probe.intervening([Ablate("2")], record=["2"]) as session:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        with pytest.raises(NotRecordedError):
            _ = session.recording
    assert torch.equal(seen[0], plain)
