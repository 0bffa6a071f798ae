from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pytest
import torch
import xarray
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ganprobe import (
    Ablate,
    ActivationStore,
    ForwardError,
    Generator,
    Latents,
    OutputExistsError,
    ParameterError,
    Patch,
    Probe,
    Recording,
    Site,
    SiteError,
    StoreError,
    Swap,
    UnknownNameError,
    load,
)
from ganprobe.store import Compression
from ganprobe.store.layout import chunk_shape, group_name
from subjects import TinyNetwork


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_what_is_recorded_reads_back(tiny: Generator, tmp_path: Path, batch_size: int) -> None:
    probe = Probe(tiny)
    path = probe.record(
        20, ["2", "4#5,1", "0"], tmp_path / "a.h5", seed=3, batch_size=batch_size, images=True
    )
    expected = probe.run(tiny.sample(20, seed=3), record=["2", "4#5,1", "0"])
    with ActivationStore(path) as store:
        assert store.n_samples == 20
        assert set(store.sites) == {Site.parse(site) for site in ("2", "4#5,1", "0")}
        for site in store.sites:
            assert torch.allclose(store.activations(site), expected[site], atol=1e-6)
        assert torch.equal(store.activations("2", slice(5, 9)), store.activations("2")[5:9])
        assert torch.allclose(store.images(), expected.images, atol=1e-6)
        latents = store.latents(slice(4, 6))
        assert torch.equal(latents.z, expected.latents.z[4:6])
        assert (latents.seed, latents.indices) == (3, (4, 5))


def test_given_latents_are_recorded_with_their_own_seed_and_indices(
    tiny: Generator, tmp_path: Path
) -> None:
    probe = Probe(tiny)
    latents = tiny.sample(10, seed=6, start=90)
    with ActivationStore(probe.record(latents, ["2"], tmp_path / "a.h5", batch_size=4)) as store:
        assert torch.allclose(store.activations("2"), probe.run(latents, record=["2"])["2"])
        assert store.latents().indices == tuple(range(90, 100))
        assert store.latents().seed == 6
    own = Latents(torch.randn(3, 5))
    with ActivationStore(probe.record(own, ["2"], tmp_path / "b.h5")) as store:
        assert torch.equal(store.latents().z, own.z)
        assert (store.latents().seed, store.latents().indices) == (None, (0, 1, 2))


def test_xarray_opens_every_group_with_named_dimensions(tiny: Generator, tmp_path: Path) -> None:
    path = Probe(tiny).record(5, ["2", "0", "4#5,1"], tmp_path / "a.h5", images=True)
    dims = {
        "sites/2": ("activation", ("sample", "unit", "y", "x"), (5, 6, 4, 4)),
        "sites/0": ("activation", ("sample", "unit"), (5, 32)),
        "sites/4#5,1": ("activation", ("sample", "unit", "y", "x"), (5, 2, 4, 4)),
        "latents": ("z", ("sample", "latent"), (5, 5)),
        "images": ("image", ("sample", "channel", "y", "x"), (5, 1, 8, 8)),
    }
    for group, (name, names, shape) in dims.items():
        with xarray.open_dataset(path, engine="h5netcdf", group=group) as opened:
            assert opened[name].dims == names
            assert opened[name].shape == shape
            assert opened["sample"].values.tolist() == [0, 1, 2, 3, 4]
    with xarray.open_dataset(path, engine="h5netcdf", group="sites/4#5,1") as opened:
        assert opened["unit"].values.tolist() == [5, 1]
    with xarray.open_datatree(path, engine="h5netcdf") as tree:
        assert tree["sites/2"]["activation"].dims == ("sample", "unit", "y", "x")


def test_the_file_says_how_it_was_made(tiny: Generator, tmp_path: Path) -> None:
    edits = [Ablate("2#1")]
    path = Probe(tiny).record(
        5, ["4"], tmp_path / "a.h5", seed=9, interventions=edits, command="ganprobe record ..."
    )
    with ActivationStore(path) as store:
        made = store.provenance
    assert made["generator"]["weights_sha256"] == tiny.weights_sha256()
    assert made["generator"]["latent_space"] == tiny.latent_space.to_json()
    assert (made["seed"], made["device"], made["dtype"]) == (9, "cpu", "float32")
    assert made["parameters"] == {
        "sites": ["4"],
        "interventions": ["Ablate('2#1')"],
        "n_samples": 5,
        "batch_size": 64,
        "images": False,
        "dtype": None,
        "compression": "none",
        "share": None,
    }
    assert made["command"] == "ganprobe record ..."
    assert made["versions"].keys() == {"ganprobe", "python", "torch", "numpy", "h5py"}


def test_interventions_are_in_what_is_recorded(tiny: Generator, tmp_path: Path) -> None:
    path = Probe(tiny).record(5, ["2"], tmp_path / "a.h5", interventions=[Ablate("2#1")])
    with ActivationStore(path) as store:
        recorded = store.activations("2")
    assert recorded[:, 1].abs().sum() == 0.0
    assert recorded[:, 0].abs().sum() > 0.0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_dtypes_are_kept_as_they_are(tiny: Generator, tmp_path: Path, dtype: torch.dtype) -> None:
    probe = Probe(tiny, dtype=dtype)
    path = probe.record(4, ["2"], tmp_path / "a.h5")
    expected = probe.run(tiny.sample(4), record=["2"])["2"]
    with ActivationStore(path) as store:
        recorded = store.activations("2")
    assert recorded.dtype == dtype
    assert torch.equal(recorded, expected)
    with h5py.File(path) as file:  # where HDF5 has no such type, it converts
        read = torch.from_numpy(file["sites/2/activation"][:])
    assert torch.equal(read.double(), expected.double())


def test_an_existing_file_stays_unless_it_may_be_replaced(tiny: Generator, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_text("precious")
    with pytest.raises(OutputExistsError, match=r"a\.h5 exists; give --force"):
        Probe(tiny).record(5, ["2"], path)
    assert path.read_text() == "precious"
    Probe(tiny).record(5, ["2"], path, overwrite=True)
    with ActivationStore(path) as store:
        assert store.n_samples == 5


class Stopping(nn.Module):
    """Raises at its n-th batch."""

    def __init__(self, inner: nn.Module, error: BaseException, at: int) -> None:
        super().__init__()
        self.inner, self.error, self.at, self.count = inner, error, at, 0

    def forward(self, z: Tensor) -> Tensor:
        self.count += 1
        if self.count == self.at:
            raise self.error
        images: Tensor = self.inner(z)
        return images


@pytest.mark.parametrize("error", [RuntimeError("broke"), KeyboardInterrupt()])
@pytest.mark.parametrize("old", [None, "an older file"])
def test_a_recording_that_ends_early_keeps_what_is_whole(
    network: TinyNetwork, tmp_path: Path, error: BaseException, old: str | None
) -> None:
    path = tmp_path / "a.h5"
    if old is not None:
        path.write_text(old)
    module = Stopping(network, error, at=6).eval()
    probe = Probe(Generator.from_module(module, latent=5))
    with pytest.raises((ForwardError, KeyboardInterrupt)) as raised:
        probe.record(20, ["inner.2"], path, batch_size=2, overwrite=True)
    note = raised.value.__notes__[-1]
    assert re.fullmatch(r"8 of 20 samples are whole in .*a\.h5; go on with --resume.*", note)
    assert [file.name for file in tmp_path.iterdir()] == ["a.h5"]
    with ActivationStore(path) as store:
        assert (store.n_samples, store.n_planned, store.is_complete) == (8, 20, False)
        assert store.activations("inner.2").shape == (8, 6, 4, 4)
        assert not store.check()
    assert not network[2]._forward_hooks


@pytest.mark.parametrize("old", [None, "an older file"])
def test_nothing_is_left_of_a_recording_without_a_sample(
    network: TinyNetwork, tmp_path: Path, old: str | None
) -> None:
    path = tmp_path / "a.h5"
    if old is not None:
        path.write_text(old)
    module = Stopping(network, RuntimeError("broke"), at=2).eval()  # 1 was the dry run
    probe = Probe(Generator.from_module(module, latent=5))
    with pytest.raises(ForwardError):
        probe.record(20, ["inner.2"], path, batch_size=2, overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == ([] if old is None else ["a.h5"])
    assert old is None or path.read_text() == old


def test_a_folder_that_cannot_be_written_is_one_sentence(tiny: Generator, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot write .*a\.h5: .*choose another --output"):
        Probe(tiny).record(5, ["2"], tmp_path / "file" / "a.h5")


def test_a_disk_that_is_too_small_is_refused_before_the_first_sample(
    tiny: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(free=1000))
    with pytest.raises(StoreError, match=r"needs [\d,]+ bytes but its disk has 1,000 free"):
        Probe(tiny).record(5, ["2"], tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == []


def test_a_site_without_a_batch_axis_is_refused_by_name(tmp_path: Path) -> None:
    class Constant(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return torch.ones(1, 3)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.constant = Constant()

        def forward(self, z: Tensor) -> Tensor:
            constant: Tensor = self.constant(z)
            return (z[:, :3] * constant).view(-1, 3, 1, 1)

    probe = Probe(Generator.from_module(Network().eval(), latent=5))
    with pytest.raises(SiteError, match="constant has no batch axis"):
        probe.record(1, ["constant"], tmp_path / "a.h5", batch_size=1)
    assert list(tmp_path.iterdir()) == []


def test_impossible_requests_are_refused(tiny: Generator, tmp_path: Path) -> None:
    probe, path = Probe(tiny), tmp_path / "a.h5"
    with pytest.raises(ParameterError, match="number of samples is at least 1, got 0"):
        probe.record(0, ["2"], path)
    with pytest.raises(ParameterError, match="no site was given"):
        probe.record(5, [], path)
    with pytest.raises(UnknownNameError, match="no layer 'conv9'"):
        probe.record(5, ["conv9"], path)
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_every_sample(tiny: Generator, tmp_path: Path) -> None:
    advanced: list[int] = []

    class Bar:
        def advance(self, n: int = 1) -> None:
            advanced.append(n)

    @contextmanager
    def progress(total: int, what: str) -> Iterator[Bar]:
        assert (total, what) == (20, "samples recorded")
        yield Bar()

    Probe(tiny).record(20, ["2"], tmp_path / "a.h5", batch_size=8, progress=progress)
    assert advanced == [8, 8, 4]


def test_other_files_are_no_stores(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no file"):
        ActivationStore(tmp_path / "missing.h5")
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(StoreError, match="is not an HDF5 file"):
        ActivationStore(tmp_path / "text.h5")
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["values"] = np.arange(3)
    with pytest.raises(StoreError, match="no activation store of format version 2"):
        ActivationStore(tmp_path / "foreign.h5")


def test_what_a_store_does_not_hold_is_named(tiny: Generator, tmp_path: Path) -> None:
    path = Probe(tiny).record(5, ["2"], tmp_path / "a.h5")
    with ActivationStore(path) as store:
        with pytest.raises(UnknownNameError, match=r"no site '3' in .*a\.h5; nearest: 2"):
            store.activations("3")
        with pytest.raises(StoreError, match="holds no images; record them with --images"):
            store.images()


@given(st.text(min_size=1, max_size=12))
def test_any_layer_name_has_a_group_name_of_its_own(layer: str) -> None:
    name = group_name(Site(layer)).removeprefix("sites/")
    assert name not in ("", ".", "..")
    assert not set(name) & {"/", "\0"}
    assert name != group_name(Site(f"{layer}/"))


@pytest.mark.parametrize("layer", ["a#1", "b@2", "c:in", "k%2Fv", "e f", "up/block", "é"])
def test_layers_with_hostile_names_are_recorded_and_read_back(tmp_path: Path, layer: str) -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.ModuleDict({layer: nn.Linear(5, 4)})

        def forward(self, z: Tensor) -> Tensor:
            maps: Tensor = self.inner[layer](z)
            return maps.view(-1, 1, 2, 2)

    probe = Probe(Generator.from_module(Named().eval(), latent=5))
    name = f"inner.{layer}"
    run = probe.run(
        probe.generator.sample(3), [Ablate(Site(name, units=(2,)))], record=[Site(name)]
    )
    assert run[Site(name)][:, 2].abs().sum() == 0.0
    path = probe.record(3, [Site(name)], tmp_path / "a.h5")
    with ActivationStore(path) as store:
        assert store.sites == [Site(name)]
        assert store.activations(Site(name)).shape == (3, 4)


def test_a_module_that_reuses_its_output_buffer_is_recorded_right(tmp_path: Path) -> None:
    class Reusing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("kept", torch.zeros(8, 5))

        def forward(self, z: Tensor) -> Tensor:
            kept = self.get_buffer("kept")[: len(z)]
            return kept.copy_(z)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.reusing = Reusing()

        def forward(self, z: Tensor) -> Tensor:
            maps: Tensor = self.reusing(z)
            return maps.view(-1, 1, 1, 5) * 1.0

    probe = Probe(Generator.from_module(Network().eval(), latent=5))
    path = probe.record(100, ["reusing"], tmp_path / "a.h5", batch_size=8)
    with ActivationStore(path) as store:
        assert torch.equal(store.activations("reusing"), probe.generator.sample(100).z)
    first = probe.run(probe.generator.sample(4), record=["reusing"])
    probe.run(probe.generator.sample(4, seed=9), record=["reusing"])
    assert torch.equal(first["reusing"], first.latents.z)


def test_images_keep_their_own_dtype(network: TinyNetwork, tmp_path: Path) -> None:
    class Widening(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network.half()

        def forward(self, z: Tensor) -> Tensor:
            images: Tensor = self.inner(z)
            return images.float() / 3

    probe = Probe(Generator.from_module(Widening().eval(), latent=5))
    path = probe.record(4, ["inner.2"], tmp_path / "a.h5", images=True)
    with ActivationStore(path) as store:
        assert torch.equal(store.images(), probe.images(probe.generator.sample(4)))


def test_a_site_of_one_number_a_sample_is_recorded(tmp_path: Path) -> None:
    class Scores(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return z.sum(dim=1)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scores = Scores()

        def forward(self, z: Tensor) -> Tensor:
            scores: Tensor = self.scores(z)
            return z.view(-1, 1, 1, 5) + scores.view(-1, 1, 1, 1)

    probe = Probe(Generator.from_module(Network().eval(), latent=5))
    with ActivationStore(probe.record(6, "scores", tmp_path / "a.h5")) as store:
        assert torch.allclose(store.activations("scores"), probe.generator.sample(6).z.sum(dim=1))
    with pytest.raises(ParameterError, match="scores has no units to edit"):
        probe.run(probe.generator.sample(2), Ablate("scores"))


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=4), st.sampled_from([2, 4, 8]))
def test_chunks_are_within_the_stated_bounds(sizes: list[int], itemsize: int) -> None:
    shape = (100_000, *sizes)
    chunk = chunk_shape(shape, itemsize)
    n_bytes = int(np.prod(chunk, dtype=np.int64)) * itemsize
    assert all(1 <= part <= whole for part, whole in zip(chunk, shape, strict=True))
    assert n_bytes <= 1024 * 1024
    assert n_bytes >= 128 * 1024 or chunk[:2] == shape[:2]


def test_provenance_is_json_in_an_attribute(tiny: Generator, tmp_path: Path) -> None:
    path = Probe(tiny).record(2, ["2"], tmp_path / "a.h5")
    with h5py.File(path) as file:
        assert json.loads(file.attrs["provenance"])["generator"]["name"] == "tiny"
        assert file.attrs["format"] == b"ganprobe-activations"


def test_rows_of_a_store_are_donors_patches_and_means(tiny: Generator, tmp_path: Path) -> None:
    probe = Probe(tiny)
    path = probe.record(12, ["2", "4"], tmp_path / "a.h5")
    recorded = probe.run(tiny.sample(12), record=["2", "4"])
    z = torch.randn(3, 5)
    with ActivationStore(path) as store:
        donors = store.recording(slice(4, 7))
        patch = Patch("2#1", values=store.activations("2", slice(7, 8))[0])
        mean = Ablate("4", to=store.recording(sites=["4"]))
        with pytest.raises(UnknownNameError, match="no site '3'"):
            store.recording(sites=["3"])
    swapped = probe.run(z, Swap("2", donor=donors, units=[5, 0])).images
    by_hand = Swap("2", donor=Recording({"2": recorded["2"][4:7]}), units=[5, 0])
    assert torch.equal(swapped, probe.run(z, by_hand).images)
    assert torch.equal(
        probe.run(z, patch, record=["2"])["2"][:, 1], recorded["2"][7, 1].expand(3, 4, 4)
    )
    levels = recorded["4"].double().mean((0, 2, 3))
    ablated = probe.run(z, mean, record=["4"])["4"].double()
    assert torch.allclose(ablated, levels.view(1, -1, 1, 1).expand_as(ablated), atol=1e-6)


def test_going_on_and_ending_at_once_leaves_what_was_whole(
    network: TinyNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.h5"
    stopping = Probe(Generator.from_module(Stopping(network, RuntimeError(), 6).eval(), latent=5))
    with pytest.raises(ForwardError):
        stopping.record(60, ["inner.2"], path, batch_size=7)
    with ActivationStore(path) as store:
        assert (n := store.n_samples) == 28
        expected = store.activations("inner.2")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ganprobe.store.packing.Rows.put", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stopping.record(60, ["inner.2"], path, batch_size=7, resume=True)
    with ActivationStore(path) as store:
        assert store.n_samples == n
        assert torch.equal(store.activations("inner.2"), expected)
        assert not store.check()


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_a_torn_index_of_compressed_chunks_is_told_and_mended(
    tmp_path: Path, compression: Compression
) -> None:
    probe, path = Probe(load("digits")), tmp_path / "a.h5"
    probe.record(100, "conv2", path, compression=compression)
    with ActivationStore(path) as store:
        index = store.stored(Site("conv2")).extent.index
        expected = store.activations("conv2")
        assert index is not None
    content = bytearray(path.read_bytes())
    content[content.index(b"FADB", index) + 40] ^= 0xFF  # as a write that was cut off leaves it
    path.write_bytes(content)
    with ActivationStore(path) as store:
        assert torch.equal(store.activations("conv2"), expected)
        (found,) = store.check()
        assert (found.dataset, found.is_lost) == ("conv2", False)
    probe.record(100, "conv2", path, compression=compression, resume=True)
    with ActivationStore(path) as store:
        assert not store.check()
        assert torch.equal(store.activations("conv2"), expected)
    import hdf5plugin  # noqa: F401

    with h5py.File(path) as file:
        assert np.array_equal(file["sites/conv2/activation"][:], expected.numpy())
