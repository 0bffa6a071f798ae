"""Activations for an analysis are the same from a store and from the generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ganprobe import (
    Ablate,
    ActivationStore,
    Context,
    Generator,
    ParameterError,
    Probe,
    Run,
    SiteError,
    StoreError,
    UnknownNameError,
)
from subjects import TinyNetwork, random_network

N_SAMPLES, BATCH_SIZE, SEED = 11, 4, 3
SITES = ["0", "1", "2", "3", "4", "6", "2:in", ":in", ":out", "2@0", "5", "?", "2#3,5", "3#5,0"]
RECORDED = ["?", ":in", ":out", "2:in"]


class Twice(nn.Module):
    """A shared layer that runs twice; latents (n, 5) to images (n, 1, 5, 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 5)

    def forward(self, z: Tensor) -> Tensor:
        again: Tensor = self.layer(self.layer(z).relu())
        return again[:, None, :, None] * z[:, None, None, :]


class Noisy(nn.Module):
    """A layer that draws noise; latents (n, 5) to images (n, 1, 5, 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Identity()

    def forward(self, z: Tensor) -> Tensor:
        noisy: Tensor = self.layer(z + torch.randn_like(z))
        return noisy[:, None, :, None] * z[:, None, None, :]


def generator_of(module: nn.Module) -> Generator:
    return Generator.from_module(module.eval(), latent=5, name="tiny")


def context_of(probe: Probe, file: Path | None = None, *, seed: int = SEED) -> Context:
    return Context(probe, seed, lambda name: pytest.fail(name), activations_file=file)


@dataclass(frozen=True)
class Recorded:
    """A probe, and files of its first samples with and without images."""

    probe: Probe
    bare: Path
    with_images: Path

    @property
    def live(self) -> Context:
        return context_of(self.probe)

    @property
    def stored(self) -> Context:
        return context_of(self.probe, self.with_images)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    folder, probe = tmp_path_factory.mktemp("recorded"), Probe(generator_of(random_network(0)))
    bare, with_images = folder / "bare.h5", folder / "images.h5"
    probe.record(N_SAMPLES, RECORDED, bare, seed=SEED, batch_size=BATCH_SIZE)
    probe.record(N_SAMPLES, RECORDED, with_images, seed=SEED, batch_size=BATCH_SIZE, images=True)
    return Recorded(probe, bare, with_images)


def assert_same_run(one: Run, other: Run, *, images: bool = False) -> None:
    assert (one.latents.seed, one.latents.indices) == (other.latents.seed, other.latents.indices)
    assert torch.equal(one.latents.z, other.latents.z)
    assert list(one.recording) == list(other.recording)
    for site in one.recording:
        assert one[site].dtype == other[site].dtype
        assert one[site].device == other[site].device
        assert torch.equal(one[site], other[site])
        assert torch.equal(one[str(site)], other[str(site)])
    assert (one.finished is None) == (other.finished is None) == (not images)
    if images:
        assert torch.equal(one.images, other.images)


@given(
    sites=st.lists(st.sampled_from(SITES), min_size=1, max_size=3, unique=True),
    n_samples=st.integers(1, N_SAMPLES),
    images=st.booleans(),
)
def test_stored_activations_are_the_live_ones_bit_for_bit(
    recorded: Recorded, sites: list[str], n_samples: int, images: bool
) -> None:
    live, stored = (
        list(source.activations(sites, n_samples, images=images, batch_size=BATCH_SIZE))
        for source in (recorded.live, recorded.stored)
    )
    # The last batch of fewer samples was recorded as part of a larger one.
    whole = n_samples // BATCH_SIZE if n_samples < N_SAMPLES else len(live)
    assert [len(run.latents) for run in live] == [len(run.latents) for run in stored]
    for one, other in zip(live[:whole], stored[:whole], strict=True):
        assert_same_run(one, other, images=images)
    for one, other in zip(live, stored, strict=True):
        assert one.latents.indices == other.latents.indices
        for site in one.recording:
            assert torch.allclose(one[site], other[site], atol=1e-5)


@given(units=st.lists(st.integers(0, 5), min_size=1, max_size=6, unique=True))
def test_units_of_a_site_come_from_a_store_of_all_of_it(
    recorded: Recorded, units: list[int]
) -> None:
    site = f"2#{','.join(map(str, units))}"
    live, stored = (
        next(iter(source.activations([site], BATCH_SIZE, batch_size=BATCH_SIZE)))
        for source in (recorded.live, recorded.stored)
    )
    assert stored[site].shape == (BATCH_SIZE, len(units), 4, 4)
    assert_same_run(live, stored)


@pytest.mark.parametrize("batch_size", [1, 3, 4, 64])
def test_a_store_gives_what_was_recorded_at_any_batch_size(
    recorded: Recorded, batch_size: int
) -> None:
    runs = list(recorded.stored.activations(["4"], 10, batch_size=batch_size))
    assert [len(run.latents) for run in runs[:-1]] == [batch_size] * (len(runs) - 1)
    with ActivationStore(recorded.with_images) as store:
        expected = store.activations("4", slice(0, 10))
    assert torch.equal(torch.cat([run["4"] for run in runs]), expected)


@pytest.mark.parametrize("written", ["2", "2@0", "2:out"])
def test_a_site_is_found_however_it_is_written(
    recorded: Recorded, tmp_path: Path, written: str
) -> None:
    path = recorded.probe.record(4, [written], tmp_path / "a.h5", seed=SEED, batch_size=BATCH_SIZE)
    stored = context_of(recorded.probe, path)
    for asked in ("2", "2@0", "2:out", "2#1"):
        (live,) = recorded.live.activations([asked], 4, batch_size=BATCH_SIZE)
        (run,) = stored.activations([asked], 4, batch_size=BATCH_SIZE)
        assert torch.equal(live[asked], run[asked])


def test_every_call_of_a_layer_is_found(tmp_path: Path) -> None:
    torch.manual_seed(0)
    probe = Probe(generator_of(Twice()))
    calls = ["layer@0", "layer@1"]
    path = probe.record(4, calls, tmp_path / "a.h5", seed=SEED, batch_size=BATCH_SIZE)
    for sites in (calls, ["layer@1"], ["layer@0#2", "layer@1"]):
        (live,) = context_of(probe).activations(sites, 4, batch_size=BATCH_SIZE)
        (stored,) = context_of(probe, path).activations(sites, 4, batch_size=BATCH_SIZE)
        assert_same_run(live, stored)


def test_rounded_values_come_as_they_were_stored(recorded: Recorded, tmp_path: Path) -> None:
    path = recorded.probe.record(
        4, ["2"], tmp_path / "half.h5", seed=SEED, batch_size=BATCH_SIZE, dtype="float16"
    )
    source = context_of(recorded.probe, path)
    (live,) = recorded.live.activations(["2"], 4, batch_size=BATCH_SIZE)
    (stored,) = source.activations(["2"], 4, batch_size=BATCH_SIZE)
    assert torch.equal(stored["2"], live["2"].half())
    told = source.activations_json()
    assert told is not None
    assert (told["file"], told["dtypes"]) == (str(path), {"2": "float16"})
    assert recorded.live.activations_json() is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_stored_activations_come_to_the_device_of_the_probe(recorded: Recorded) -> None:
    probe = Probe(recorded.probe.generator, device="cuda")
    (live,) = context_of(probe).activations(["2"], 4, images=True)
    (stored,) = context_of(probe, recorded.with_images).activations(["2"], 4, images=True)
    for one, other in ((live["2"], stored["2"]), (live.images, stored.images)):
        assert one.device == other.device == probe.device
        assert torch.allclose(one, other, atol=1e-4)
    assert stored.latents.z.device == probe.device


def recorded_with(path: Path, *, weights: int = 0, dtype: torch.dtype = torch.float32) -> Path:
    probe = Probe(generator_of(random_network(weights)), dtype=dtype)
    return probe.record(4, ["2"], path, seed=SEED)


def test_a_store_of_something_else_is_refused_by_name(recorded: Recorded, tmp_path: Path) -> None:
    edited, given = tmp_path / "edited.h5", tmp_path / "given.h5"
    recorded.probe.record(4, ["2"], edited, seed=SEED, interventions=[Ablate("2#1")])
    recorded.probe.record(torch.zeros(4, 5), ["2"], given)
    refused = {
        recorded_with(tmp_path / "other.h5", weights=1): r"weights \w{12} \(now \w{12}\)",
        recorded_with(tmp_path / "double.h5", dtype=torch.float64): "dtype of the weights float64",
        edited: r"interventions \[.*Ablate.*\] \(now \[\]\)",
        given: r"seed null \(now 3\)",
    }
    for path, reason in refused.items():
        with pytest.raises(StoreError, match=rf"{path.name} does not hold .* of tiny: .*{reason}"):
            context_of(recorded.probe, path).activations(["2"], 4)
    with pytest.raises(StoreError, match=r"bare.h5 does not hold .*: seed 3 \(now 4\); name ano"):
        context_of(recorded.probe, recorded.bare, seed=4).activations(["2"], 4)


@pytest.mark.parametrize(
    ("site", "n_samples", "reason"),
    [
        ("3", 4, r"holds 2#1,3, not 3; record it again: ganprobe record tiny --site '3' --samples"),
        ("2", 4, r"holds 2#1,3, not 2; record it again"),
        ("2#1,2", 4, r"holds 2#1,3, not 2#1,2; record it again"),
        ("2#1", 6, r"holds 5 samples, and 6 are needed; record it again: .* --samples 6 --seed 3"),
    ],
)
def test_a_store_that_lacks_something_is_refused_with_the_way_out(
    recorded: Recorded, tmp_path: Path, site: str, n_samples: int, reason: str
) -> None:
    path = recorded.probe.record(5, ["2#1,3"], tmp_path / "few.h5", seed=SEED)
    with pytest.raises(StoreError, match=reason):
        context_of(recorded.probe, path).activations([site], n_samples)


def test_a_store_of_other_samples_is_refused(recorded: Recorded, tmp_path: Path) -> None:
    later = recorded.probe.generator.sample(4, seed=SEED, start=2)
    path = recorded.probe.record(later, ["2"], tmp_path / "later.h5")
    with pytest.raises(StoreError, match=r"other samples than the first 3 of its seed; record it"):
        context_of(recorded.probe, path).activations(["2"], 3)


def test_images_are_not_made_up_for_a_store_without_them(recorded: Recorded) -> None:
    source = context_of(recorded.probe, recorded.bare)
    with pytest.raises(
        StoreError, match=r"bare.h5 holds no images, .*: ganprobe record .*--images"
    ):
        source.activations(["2"], 4, images=True)
    (run, *_) = source.activations(["2"], 4)
    assert run.finished is None


@pytest.mark.parametrize("is_stored", [False, True])
def test_what_the_generator_does_not_have_is_refused_before_any_batch(
    recorded: Recorded, is_stored: bool
) -> None:
    source = recorded.stored if is_stored else recorded.live
    refused: list[tuple[type[Exception], Sequence[str], int]] = [
        (UnknownNameError, ["nothing"], 4),
        (SiteError, ["2:out[1]"], 4),
        (ParameterError, ["2#6"], 4),
        (ParameterError, ["2"], 0),
        (ParameterError, ["2"], -1),
    ]
    for kind, sites, n_samples in refused:
        with pytest.raises(kind):
            source.activations(sites, n_samples)
    with pytest.raises(ParameterError, match="batch size"):
        source.activations(["2"], 4, batch_size=0)


def test_a_damaged_or_missing_store_is_named(recorded: Recorded, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none\.h5"):
        context_of(recorded.probe, tmp_path / "none.h5").activations(["2"], 4)
    (tmp_path / "text.h5").write_text("not a store")
    with pytest.raises(StoreError, match=r"text\.h5"):
        context_of(recorded.probe, tmp_path / "text.h5").activations(["2"], 4)


def test_the_module_is_left_as_it_was(recorded: Recorded) -> None:
    module = recorded.probe.generator.module
    assert isinstance(module, TinyNetwork)
    before = {name: set(vars(layer)) for name, layer in module.named_modules()}
    runs = iter(recorded.live.activations(["2"], N_SAMPLES, batch_size=BATCH_SIZE))
    next(runs)
    assert {name: set(vars(layer)) for name, layer in module.named_modules()} == before
    assert not any(layer._forward_hooks for layer in module.modules())


@given(
    samples=st.sets(st.integers(0, N_SAMPLES - 1), min_size=1),
    sites=st.lists(st.sampled_from(SITES), min_size=1, max_size=2, unique=True),
    images=st.booleans(),
)
def test_chosen_samples_are_those_rows_of_all_samples(
    recorded: Recorded, samples: set[int], sites: list[str], images: bool
) -> None:
    everything = list(recorded.live.activations(sites, N_SAMPLES, images=images, batch_size=4))
    for source, atol in ((recorded.live, 1e-5), (recorded.stored, 0.0)):
        runs = list(
            source.chosen_activations(sites, [*samples], N_SAMPLES, images=images, batch_size=4)
        )
        assert [i for run in runs for i in run.latents.indices or ()] == sorted(samples)
        for site in everything[0].recording:
            whole = torch.cat([run[site] for run in everything])[sorted(samples)]
            found = torch.cat([run[site] for run in runs])
            assert torch.allclose(found, whole, rtol=0, atol=atol)
        if images:
            drawn = torch.cat([run.images for run in everything])[sorted(samples)]
            assert torch.allclose(torch.cat([run.images for run in runs]), drawn, atol=1e-5)
        else:
            assert all(run.finished is None for run in runs)


def test_chosen_samples_have_the_noise_that_they_had_among_all() -> None:
    context = context_of(Probe(generator_of(Noisy())))
    everything = torch.cat([run["layer"] for run in context.activations("layer", 11, batch_size=4)])
    runs = list(context.chosen_activations(["layer"], [10, 2, 5], 11, batch_size=4))
    assert [run.latents.indices for run in runs] == [(2, 5, 10)]
    assert torch.equal(torch.cat([run["layer"] for run in runs]), everything[[2, 5, 10]])


def test_a_sample_that_is_not_there_cannot_be_chosen(recorded: Recorded) -> None:
    for source in (recorded.live, recorded.stored):
        with pytest.raises(ParameterError, match="no sample 11 at this seed: it has 11"):
            source.chosen_activations(["2"], [3, 11], 11)
    with pytest.raises(StoreError, match="holds no images"):
        context_of(recorded.probe, recorded.bare).chosen_activations(["2"], [3], 11, images=True)


def test_chosen_samples_of_no_number_are_none(recorded: Recorded) -> None:
    assert list(recorded.live.chosen_activations(["2"], [], 11)) == []
