"""Cases that are easy to get silently wrong: each was found by trying to break the engine."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import weakref
from collections import UserDict
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ganprobe import (
    Ablate,
    Apply,
    ForwardError,
    Generator,
    Intervention,
    Latents,
    NotRecordedError,
    ParameterError,
    Patch,
    Probe,
    Recording,
    Shift,
    SiteNotReachedError,
    Swap,
    UsageError,
)
from modules import LATENT, Noisy, Repeated
from subjects import probe_of, random_network
from traces import hooks_of


class Lone(nn.Module):
    """One linear layer, and what is to happen to its output."""

    def __init__(self, after: Callable[[Tensor], Tensor] = lambda maps: maps) -> None:
        super().__init__()
        self.layer, self.after = nn.Linear(5, 4), after

    def forward(self, z: Tensor) -> Tensor:
        return self.after(self.layer(z)).reshape(len(z), -1, 2, 2)


@pytest.fixture
def z() -> Tensor:
    return torch.randn(3, 5, generator=torch.Generator().manual_seed(0))


# Blocks and what happens inside them


def test_a_block_goes_on_after_a_run_in_it_was_stopped_or_interrupted() -> None:
    probe, z = probe_of(Repeated(), latent=LATENT), torch.randn(3, LATENT)
    module, edit = probe.generator.module, Ablate("again@0")
    expected = probe.run(z, edit, record=["again@0"])
    with torch.no_grad(), probe.intervening(edit, record=["again@0"]) as session:
        probe.run(z, record=["again@1"], stop_early=True)
        assert torch.equal(module(z), expected.images)
        with pytest.raises(KeyboardInterrupt):
            probe.run(z, Apply("again@1", function=interrupt))
        assert torch.equal(module(z), expected.images)
        handle = module.register_forward_pre_hook(interrupt, prepend=True)
        with pytest.raises(KeyboardInterrupt):
            module(z)
        handle.remove()
        assert torch.equal(module(z), expected.images)
        assert torch.equal(session["again@0"], expected["again@0"])


def interrupt(*_: object) -> Any:
    raise KeyboardInterrupt


def test_a_forward_that_raised_leaves_no_recording(z: Tensor) -> None:
    module = Lone()
    expected = module.layer(z)
    with torch.no_grad(), probe_of(module).intervening(record=["layer"]) as session:
        module(z)
        assert torch.equal(session["layer"], expected)
        for broken in (interrupt, fail):
            module.after = broken
            with pytest.raises((KeyboardInterrupt, KeyError)):
                module(2 * z)
            with pytest.raises(NotRecordedError, match="no forward has finished since"):
                _ = session["layer"]


def fail(*_: object) -> Any:
    raise KeyError


def test_a_copy_made_inside_a_block_is_free_after_it(z: Tensor) -> None:
    network = random_network(0)
    probe = probe_of(network)
    plain = probe.images(z)
    with probe.intervening([Ablate("2"), Ablate("5:in")], record=["1", "4"]):
        clone, moved = copy.deepcopy(network), Probe(probe.generator, dtype=torch.float64)
        assert not hooks_of(moved.generator.module) or not any(
            numbers for _, _, numbers in hooks_of(moved.generator.module)
        )
    for _ in range(2):
        assert torch.equal(clone(z), plain)
    assert torch.allclose(moved.images(z), plain.double(), atol=1e-5)


def test_a_probe_may_run_its_own_module_inside_a_function_that_is_applied() -> None:
    probe, z = probe_of(Repeated(), latent=LATENT), torch.randn(3, LATENT)
    donor = probe.run(z + 1, record=["again@1"])["again@1"]

    def edits(function: Callable[[Tensor], Tensor]) -> list[Intervention]:
        return [Apply("again@0", function=function), Ablate("again@1#0")]

    def running(x: Tensor) -> Tensor:
        return probe.run(z + 1, record=["again@1"])["again@1"]

    expected = probe.run(z, edits(lambda x: donor)).images
    assert torch.equal(probe.run(z, edits(running)).images, expected)


def test_blocks_on_a_compiled_module_may_end_in_any_order(z: Tensor) -> None:
    module = Lone().eval()
    module.compile(backend="eager")
    probe = probe_of(module)
    probe.layers()
    module(z)
    first, second = probe.intervening(), probe.intervening(Ablate("layer"))
    with torch.no_grad():
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert not module(z).any()
        second.__exit__(None, None, None)
    from torch._dynamo import eval_frame

    assert eval_frame._stance.stance == "default"


def test_a_module_that_is_compiled_after_its_first_run_is_probed(z: Tensor) -> None:
    module = Lone().eval()
    probe = probe_of(module)
    expected = probe.run(z, Ablate("layer#1")).images
    module.compile(backend="eager")
    module(z)
    assert torch.equal(probe.run(z, Ablate("layer#1")).images, expected)


def test_another_threads_forward_survives_a_hook_coming_off_under_it(z: Tensor) -> None:
    module = Lone().eval()
    probe = probe_of(module)
    probe.layers()
    inside, closed, outcome = threading.Event(), threading.Event(), list[object]()

    def own(layer: nn.Module, args: object) -> None:
        if threading.current_thread() is not threading.main_thread():
            inside.set()
            closed.wait(10)

    def work() -> None:
        try:
            outcome.append(module(z).shape)
        except BaseException as error:
            outcome.append(error)

    module.layer.register_forward_pre_hook(own)
    thread = threading.Thread(target=work)
    with probe.intervening(record=["layer:in"]):
        thread.start()
        inside.wait(10)
    closed.set()
    thread.join()
    assert outcome == [torch.Size([3, 1, 2, 2])]


# Memory


def test_a_run_that_is_dropped_is_freed_at_once(z: Tensor) -> None:
    probe = probe_of(Lone(torch.relu_))
    gc.collect()
    gc.disable()
    try:
        for how in ({"record": ["layer:in"]}, {"record": ["layer"], "grad": True}, {}):
            wanted: dict[str, Any] = {"record": ["layer"], **how}
            run = probe.run(z.clone().requires_grad_(), Ablate("layer#0"), **wanted)
            kept = [weakref.ref(tensor) for tensor in run.recording.values()]
            del run
            assert [reference() for reference in kept] == [None]
        with probe.intervening(Ablate("layer#0"), record=["layer"]) as session:
            probe.generator.module(z)
            kept = [weakref.ref(tensor) for tensor in session.recording.values()]
        del session
        assert [reference() for reference in kept] == [None]
    finally:
        gc.enable()


def test_what_a_function_returns_is_not_written_into_by_the_forward(z: Tensor) -> None:
    held = torch.zeros(3, 4)
    probe = probe_of(Lone(lambda maps: maps.sub_(1.0)))
    for _ in range(2):
        assert (probe.run(z, Apply("layer", function=lambda x: held)).images == -1.0).all()
    assert not held.any()
    activation = torch.ones(1, 2)
    assert Ablate("a", strength=0.0).apply(activation) is not activation


def test_an_edit_never_writes_into_latents_or_buffers() -> None:
    class First(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act, self.last, self.clamp = nn.ReLU(inplace=True), nn.Linear(5, 4), Clamped()

        def forward(self, z: Tensor) -> Any:
            return (self.last(self.act(z)) + self.clamp()).view(-1, 1, 2, 2)

    class Clamped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("level", torch.randn(1, 4))

        def forward(self) -> Tensor:
            return self.get_buffer("level").clamp_(-2.0, 2.0)

    probe = probe_of(First())
    latents = probe.generator.sample(2)
    before = latents.z.clone()
    base = probe.run(latents).images
    for site in ("act", "clamp"):
        assert not torch.equal(probe.run(latents, Ablate(site, to=-1.5)).images, base)
        assert torch.equal(latents.z, before)
        assert torch.equal(probe.run(latents).images, base)


def test_memory_that_a_module_makes_in_its_first_forward_is_not_shared_by_runs(z: Tensor) -> None:
    class Caching(nn.Module):
        memory: Tensor | None = None

        def forward(self, maps: Tensor) -> Tensor:
            if self.memory is None or self.memory.shape != maps.shape:
                self.memory = torch.empty_like(maps)
            return self.memory.copy_(maps)

    module = Lone()
    cache = module.cache = Caching()
    for after in (lambda maps: cache(maps) * 1.0, cache):
        module.after = after
        probe = probe_of(module)
        run = probe.run(z, record=["cache"])
        before = run["cache"].clone(), run.images.clone()
        probe.run(z + 1, record=["cache"])
        assert torch.equal(run["cache"], before[0])
        assert torch.equal(run.images, before[1])


def test_a_container_that_the_module_keeps_is_not_changed(z: Tensor) -> None:
    class Keeping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kept: UserDict[str, Tensor] = UserDict(level=torch.ones(1, 4))

        def forward(self) -> UserDict[str, Tensor]:
            return self.kept

    module = Lone()
    keeping = module.keeping = Keeping()
    module.after = lambda maps: maps * keeping()["level"]
    probe = probe_of(module)
    assert not probe.run(z, Ablate("keeping")).images.any()
    assert (keeping.kept["level"] == 1.0).all()


# Samples, units, calls


def test_what_has_another_axis_first_than_the_batch_is_not_taken_for_samples() -> None:
    class TokensFirst(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Linear(5, 5)

        def forward(self, z: Tensor) -> Any:
            return self.mix(z.expand(4, -1, -1)).transpose(0, 1)[:, None]

    probe, z = probe_of(TokensFirst()), torch.randn(4, 5)
    with pytest.raises(UsageError, match="first axis of mix is not the batch"):
        probe.run(z, Swap("mix", donor=[1, 0, 2, 3]))
    with pytest.raises(UsageError, match="first axis of mix is not the batch"):
        probe.run(z, Ablate("mix", region=[1, 0, 0, 0]))
    assert not probe.run(z, Ablate("mix#2")).images[..., 2].any()


def test_units_that_are_all_in_another_order_are_put_in_order_once(z: Tensor) -> None:
    probe, site = probe_of(Lone()), "layer#3,0,1,2"
    run = probe.run(z, record=[site, "layer"])
    assert torch.equal(probe.run(z, Swap(site, donor=run)).images, run.images)
    only = Recording({site: run[site]})
    assert torch.equal(probe.run(z, Swap(site, donor=only)).images, run.images)
    whole = Recording({"layer": run["layer"]})
    assert torch.equal(probe.run(z, Swap(site, donor=whole)).images, run.images)
    means = probe.run(z, Ablate(site, to=only), record=["layer"])["layer"]
    assert torch.allclose(means, run["layer"].mean(0).expand(3, 4))
    direction = torch.tensor([3.0, 0.0, 1.0, 2.0])  # one for each unit named, in that order
    moved = Shift(site, direction=direction).apply(torch.zeros(1, 4))
    assert moved.tolist() == [[0.0, 1.0, 2.0, 3.0]]
    patched = Patch(site, values=direction).apply(torch.zeros(1, 4))
    assert torch.equal(patched, moved)


def test_calls_that_a_recording_does_not_have_are_an_error(z: Tensor) -> None:
    class Growing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.again = nn.Linear(5, 5)

        def forward(self, z: Tensor) -> Any:
            for _ in range(2 if len(z) == 2 else 4):
                z = self.again(z)
            return z.view(-1, 1, 1, 5)

    probe = probe_of(Growing())
    donor = Recording({"again": torch.ones(3, 5)})
    with pytest.raises(ForwardError, match="ran 4 times in this forward and 2 times in the dry"):
        probe.run(z, Swap("again", donor=donor))
    assert (probe.run(z, Patch("again", values=torch.ones(3, 5))).images == 1.0).all()


def test_calls_whose_units_lie_on_other_axes_are_edited_each_in_its_own_way() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.same = nn.Identity()

        def forward(self, z: Tensor) -> Tensor:
            ones = torch.ones(len(z), 4, 4)
            return torch.stack([self.same(ones), self.same(ones)], 1)

    generator = Generator.from_module(Twice().eval(), latent=5, unit_axes={"same@0": 1})
    images = Probe(generator).run(torch.zeros(2, 5), Ablate("same#0")).images
    assert not images[:, 0, 0].any()
    assert not images[:, 1, :, 0].any()
    assert images.sum() == 2 * 2 * (16 - 4)


def test_stopping_early_still_finds_an_edit_that_was_not_reached(z: Tensor) -> None:
    class Skipping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last, self.skips = nn.Linear(5, 5), nn.Linear(5, 4), False

        def forward(self, z: Tensor) -> Any:
            return self.last(z if self.skips else self.first(z)).view(-1, 1, 2, 2)

    module = Skipping()
    probe = probe_of(module)
    probe.layers()
    module.skips = True
    with pytest.raises(SiteNotReachedError, match="first was not reached"):
        probe.run(z, Ablate("first"), record=["last"], stop_early=True)


@pytest.mark.parametrize("name", ["b#2", "a@1", "x:in", "odd*"])
def test_a_layer_whose_name_looks_like_a_site_is_found_by_its_name(name: str, z: Tensor) -> None:
    module = Lone()
    named = module.named = nn.ModuleDict({name: nn.Linear(4, 4)})
    module.after = lambda maps: named[name](maps)
    probe = probe_of(module)
    site = f"named.{name}"
    run = probe.run(z, record=[site, f"{site}#1"])
    assert run[site].shape == (3, 4)
    assert torch.equal(run[f"{site}#1"], run[site][:, 1:2])
    assert not probe.run(z, Ablate(site)).images.any()


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ([1.7], "units are whole numbers"),
        ([True, False], "units are numbers, not a mask"),
        ("1,x", "is not a list of numbers"),
    ],
)
def test_units_that_are_no_numbers_are_refused(units: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        Ablate("a", units=units)
    assert Ablate("a", units="3-5") == Ablate("a#3-5")  # type: ignore[arg-type]


# Noise, gradients, dtypes


def test_a_copy_of_a_probe_repeats_its_noise_too() -> None:
    probe, z = probe_of(Noisy(), latent=LATENT), torch.randn(2, LATENT)
    images = probe.images(z)
    for copied in (copy.deepcopy(probe), pickle.loads(pickle.dumps(probe))):
        state = torch.random.get_rng_state()
        assert torch.equal(copied.images(z), images)
        assert torch.equal(torch.random.get_rng_state(), state)


def test_batches_of_latents_without_a_seed_have_noise_of_their_own_too() -> None:
    probe = probe_of(Noisy(), latent=LATENT)
    first, second = probe.runs(torch.zeros(4, LATENT), batch_size=2)
    assert not torch.equal(first.images, second.images)


def test_streams_of_a_modules_own_are_each_repeated_and_differ() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.streams = {"a": [torch.Generator()], "b": [torch.Generator()]}

        def forward(self, z: Tensor) -> Tensor:
            pairs = self.streams.values()
            return torch.stack([torch.randn(len(z), 2, 2, generator=own) for (own,) in pairs], 1)

    probe = probe_of(Two())
    images = probe.images(torch.zeros(2, 5))
    assert torch.equal(images, probe.images(torch.zeros(2, 5)))
    assert not torch.equal(images[:, 0], images[:, 1])
    one, next_one = (
        probe.images(Latents(torch.zeros(1, 5), seed=0, indices=(index,))) for index in (0, 1)
    )
    assert not torch.equal(one[:, 1], next_one[:, 0])  # nor do they meet those of its neighbour


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("is_reentrant", [False, True])
def test_a_site_in_a_checkpointed_part_is_refused_where_gradients_are_asked_for(
    is_reentrant: bool, z: Tensor
) -> None:
    module = Lone()
    inner = module.inner = nn.Linear(4, 4)
    module.after = lambda maps: checkpoint(inner, maps, use_reentrant=is_reentrant)
    probe = probe_of(module)
    with pytest.raises(UsageError, match="inner lies in a part that is checkpointed"):
        probe.run(z, Shift("inner", direction=torch.ones(4)), grad=True)
    probe.run(z, Shift("layer", direction=torch.ones(4)), grad=True)
    probe.run(z, Shift("inner", direction=torch.ones(4)))


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is:FutureWarning")
def test_gradients_of_forward_mode_reach_strengths(z: Tensor) -> None:
    probe = probe_of(Lone())
    probe.layers()

    def images(strength: Tensor) -> Tensor:
        return probe.run(z, Ablate("layer", strength=strength), grad=True).images

    strength = torch.tensor(0.5)
    tangent = torch.func.jvp(images, (strength,), (torch.tensor(1.0),))[1]
    difference = (images(strength + 0.1) - images(strength - 0.1)) / 0.2
    assert torch.allclose(tangent, difference, atol=1e-4)


def test_a_plan_made_in_inference_mode_serves_gradients_later(z: Tensor) -> None:
    probe, edit = probe_of(Lone()), Ablate("layer", to=[1.0, 2.0, 3.0, 4.0], strength=0.5)
    with torch.inference_mode():
        probe.run(z, edit)
    wanted = z.clone().requires_grad_()
    images = probe.run(wanted, edit, grad=True).images
    assert torch.autograd.grad(images.square().sum(), wanted)[0].any()


def test_donor_latents_receive_gradients(z: Tensor) -> None:
    donor = torch.randn(3, 5, requires_grad=True)
    images = probe_of(Lone()).run(z, Swap("layer#1", donor=Latents(donor)), grad=True).images
    (grad,) = torch.autograd.grad(images.sum(), donor)
    assert grad.any()


@pytest.mark.parametrize("is_whole", [False, True])
def test_values_that_want_gradients_may_change_in_a_block(is_whole: bool, z: Tensor) -> None:
    module = Lone()
    probe = probe_of(module)
    values = torch.zeros(3, 4 if is_whole else 2, requires_grad=True)
    with probe.intervening(Patch("layer#0,2", values=values)):
        for level in (1.0, 2.0):
            with torch.no_grad():
                values.fill_(level)
            images = module(z)
            assert (images.flatten(1)[:, [0, 2]] == level).all()
            images.sum().backward()


def test_blending_is_exact_where_all_or_nothing_is_taken() -> None:
    infinite = torch.full((1, 2), torch.inf)
    assert Ablate("a", strength=(0.0, 1.0)).apply(infinite).tolist() == [[torch.inf, 0.0]]
    mask = torch.tensor([[0.0, 1.0, 0.5]])
    edited = Ablate("a", region=mask).apply(torch.full((1, 1, 1, 3), torch.inf))
    assert edited.flatten().tolist() == [torch.inf, 0.0, torch.inf]


def test_a_region_of_any_size_covers_each_cell_by_its_area() -> None:
    edited = Ablate("a", region=[[0.0, 1.0, 0.0]]).apply(torch.ones(1, 1, 1, 2))
    assert torch.allclose(edited.flatten(), torch.tensor([2 / 3, 2 / 3]))
    mask = torch.rand(5, 7, dtype=torch.float64)
    fine = mask.repeat_interleave(3, 0).repeat_interleave(2, 1)  # (15, 14), which 3 x 2 divides
    means = fine.reshape(3, 5, 2, 7).mean((1, 3))
    edited = Ablate("a", region=mask).apply(torch.ones(1, 1, 3, 2, dtype=torch.float64))
    assert torch.allclose(1.0 - edited[0, 0], means, rtol=1e-12)


@pytest.mark.parametrize("size", [3, 6, 7, 11, 28])
def test_a_hard_region_stays_hard_at_any_resolution(size: int) -> None:
    mask = torch.zeros(2, 4, dtype=torch.bool)
    mask[1], mask[0, 3] = True, True
    infinite = torch.full((1, 2, 2 * size, 4 * size), torch.inf)
    for finer in (mask, mask.repeat_interleave(size * 3, 0).repeat_interleave(size * 3, 1)):
        edited = Ablate("a", region=finer).apply(infinite)
        assert edited.unique().tolist() == [0.0, torch.inf]
        assert (edited == 0.0).float().mean() == mask.float().mean()


def test_a_level_that_the_dtype_cannot_hold_is_refused(z: Tensor) -> None:
    with pytest.raises(ParameterError, match=r"a level of 1e\+300 is too large for layer"):
        probe_of(Lone()).run(z, Ablate("layer", to=1e300))


def test_a_module_of_several_dtypes_keeps_them_on_another_device(z: Tensor) -> None:
    module = nn.Sequential(Lone().bfloat16(), nn.Conv2d(1, 1, 1)).eval()
    generator = Generator.from_module(module, latent=5)
    with pytest.raises(ForwardError, match="in a dry run of 2 samples, generator 'Sequential'"):
        Probe(generator).layers()
    probe = Probe(generator, device="cpu:0")
    assert {p.dtype for p in probe.generator.module.parameters()} == {torch.bfloat16, torch.float32}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda probe, z: probe.run(z.tolist()), "latents are a tensor or Latents, got list"),
        (lambda probe, z: probe.run(z, "Ablate"), "interventions are Ablate, Scale, ..., got 'A'"),
        (lambda probe, z: probe.run(z, [3]), "interventions are Ablate, Scale, ..., got 3"),
    ],
)
def test_what_is_no_latents_or_intervention_is_refused(
    make: Callable[[Probe, Tensor], object], message: str, z: Tensor
) -> None:
    with pytest.raises(ParameterError, match=message):
        make(probe_of(Lone()), z)


def test_a_lazy_layer_is_named() -> None:
    module = nn.Sequential(nn.LazyLinear(4), nn.Unflatten(1, (1, 2, 2)))
    with pytest.raises(UsageError, match=r"'0\.weight' has no shape yet; run the module once"):
        probe_of(module).layers()


def test_checking_for_nan_sees_complex_numbers_and_passes_over_what_is_no_tensor() -> None:
    class Changing(nn.Module):
        def forward(self, maps: Tensor) -> Any:
            return (maps,) if len(maps) == 2 else None

    module = Lone()
    changing, spectrum = Changing(), nn.Identity()
    module.changing, module.spectrum = changing, spectrum

    def after(maps: Tensor) -> Tensor:
        changing(maps)
        transformed: Tensor = spectrum(torch.fft.fft(maps))
        return transformed.abs().nan_to_num()

    module.after = after
    probe, z = probe_of(module), torch.randn(3, 5)
    probe.run(z, check_finite=True)
    with pytest.raises(ForwardError, match="values at spectrum are NaN or infinite"):
        probe.run(z, Apply("spectrum", function=lambda x: x * torch.nan), check_finite=True)
