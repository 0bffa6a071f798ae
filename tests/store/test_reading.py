"""Any part of a store is that part of the whole: from one file or shards, also beside a writer."""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ganprobe import (
    ActivationStore,
    ForwardError,
    Generator,
    Latents,
    ParameterError,
    Probe,
    Run,
    Site,
    StoreError,
)
from ganprobe.store import Compression, merge_stores

COMPRESSIONS: list[Compression] = ["none", "zstd", "lz4"]
N_SAMPLES, BATCH_SIZE = 70, 9
SITES = ["maps", "tokens", "vector#30,2,17,5,36"]
MAPS, TOKENS = (64, 17, 17), (7, 20)  # maps take several chunks a block, tokens one


class Varied(nn.Module):
    """Latents (n, 5) to images (n, 1, 17, 17), with maps, tokens and a vector on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.vector, self.tokens = nn.Linear(5, 37), nn.Sequential(nn.Linear(37, 140))
        self.tokens.append(nn.Unflatten(1, TOKENS))
        self.maps = nn.Sequential(nn.Linear(37, 64 * 17), nn.Unflatten(1, (64, 1, 17)), Spread())
        self.fails_at = self.waits_ms = 0
        self.count = 0

    def forward(self, z: Tensor) -> Tensor:
        self.count += 1
        if self.fails_at and self.count >= self.fails_at:
            raise RuntimeError("broke")
        time.sleep(self.waits_ms / 1000)
        hidden = self.vector(z)
        maps: Tensor = self.maps(hidden)
        tokens: Tensor = self.tokens(hidden)
        return maps.mean(1, keepdim=True) + tokens.mean((1, 2)).view(-1, 1, 1, 1)


class Spread(nn.Module):
    """(n, units, 1, 17) to (n, units, 17, 17), every number another."""

    def forward(self, row: Tensor) -> Tensor:
        return row * torch.linspace(-1, 1, 17).view(17, 1).exp()


def varied(seed: int = 0) -> Probe:
    torch.manual_seed(seed)
    return Probe(Generator.from_module(Varied().eval(), latent=5, name="varied"))


def module_of(probe: Probe) -> Varied:
    module = probe.generator.module
    assert isinstance(module, Varied)
    return module


@dataclass(frozen=True)
class Recorded:
    """A store and what it should hold."""

    path: Path
    activations: dict[str, Tensor]
    latents: Latents
    images: Tensor


def record(path: Path, compression: Compression = "none") -> Recorded:
    probe = varied()
    probe.record(
        N_SAMPLES, SITES, path, seed=3, batch_size=BATCH_SIZE, images=True, compression=compression
    )
    latents = probe.generator.sample(N_SAMPLES, seed=3)
    parts = [slice(at, at + BATCH_SIZE) for at in range(0, N_SAMPLES, BATCH_SIZE)]
    runs = [probe.run(latents.z[part], record=SITES) for part in parts]
    whole = {site: torch.cat([run[site] for run in runs]) for site in SITES}
    return Recorded(path, whole, latents, torch.cat([run.images for run in runs]))


@pytest.fixture(scope="module", params=COMPRESSIONS)
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return record(tmp_path_factory.mktemp("store") / "a.h5", request.param)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return record(tmp_path_factory.mktemp("store") / "a.h5")


def assert_holds_all(store: ActivationStore, recorded: Recorded) -> None:
    assert store.n_samples == store.n_planned == N_SAMPLES
    assert [str(site) for site in store.sites] == SITES
    for site, whole in recorded.activations.items():
        assert torch.equal(store.activations(site), whole)
    latents = store.latents()
    assert torch.equal(latents.z, recorded.latents.z)
    assert (latents.seed, latents.indices) == (3, tuple(range(N_SAMPLES)))
    assert torch.equal(store.images(), recorded.images)


bounds = st.one_of(st.none(), st.integers(-N_SAMPLES - 5, N_SAMPLES + 5))
slices = st.builds(
    slice, bounds, bounds, st.sampled_from([None, 1, 2, 3, 17, 100, -1, -2, -7, -100])
)
lists = st.lists(st.integers(-N_SAMPLES, N_SAMPLES - 1), max_size=20)
samples = st.one_of(slices, lists)
regions = st.tuples(*[st.builds(slice, *[st.one_of(st.none(), st.integers(-20, 20))] * 2)] * 2)
many = settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=8,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def rows_of(whole: Tensor, chosen: slice | Sequence[int]) -> Tensor:
    numbers = range(len(whole))[chosen] if isinstance(chosen, slice) else chosen
    return whole[torch.tensor(list(numbers), dtype=torch.int64)]


def test_a_store_holds_what_the_generator_made(recorded: Recorded) -> None:
    with ActivationStore(recorded.path) as store:
        assert_holds_all(store, recorded)
    with ActivationStore(recorded.path, verify=False) as store:
        assert_holds_all(store, recorded)


@many
@given(samples, st.lists(st.integers(0, 63), min_size=1, max_size=20), regions)
def test_any_samples_units_and_region_are_those_of_the_whole(
    recorded: Recorded,
    chosen: slice | list[int],
    units: list[int],
    region: tuple[slice, slice],
) -> None:
    whole = recorded.activations["maps"]
    with ActivationStore(recorded.path) as store:
        assert torch.equal(store.activations("maps", chosen), rows_of(whole, chosen))
        some = rows_of(whole, chosen)[:, units]
        assert torch.equal(store.activations("maps", chosen, units=units), some)
        part = some[:, :, region[0], region[1]]
        if part.shape[2] and part.shape[3]:
            read = store.activations("maps", chosen, units=units, region=region)
            assert torch.equal(read, part)
        else:
            with pytest.raises(ParameterError, match="is a slice without a step"):
                store.activations("maps", chosen, units=units, region=region)


@many
@given(samples, st.lists(st.integers(0, 19), min_size=1, max_size=30))
def test_units_of_tokens_are_on_their_last_axis(
    recorded: Recorded, chosen: slice | list[int], units: list[int]
) -> None:
    whole = recorded.activations["tokens"]
    with ActivationStore(recorded.path) as store:
        read = store.activations("tokens", chosen, units=units)
        assert torch.equal(read, rows_of(whole, chosen)[:, :, units])
        assert torch.equal(store.latents(chosen).z, rows_of(recorded.latents.z, chosen))
        indices = rows_of(torch.arange(N_SAMPLES), chosen)
        assert store.latents(chosen).indices == tuple(indices.tolist())
        assert torch.equal(store.images(chosen), rows_of(recorded.images, chosen))
        recording = store.recording(chosen)
        for site, values in recorded.activations.items():
            assert torch.equal(recording[site], rows_of(values, chosen))


@many
@given(st.lists(st.sampled_from([30, 2, 17, 5, 36]), min_size=1, max_size=8), st.booleans())
def test_units_of_a_part_are_asked_for_by_their_numbers_in_the_layer(
    recorded: Recorded, units: list[int], is_written: bool
) -> None:
    whole = recorded.activations[SITES[2]]
    places = [[30, 2, 17, 5, 36].index(unit) for unit in units]
    with ActivationStore(recorded.path) as store:
        if is_written and len(set(units)) == len(units):
            read = store.activations(Site("vector", units=tuple(units)))
        else:
            read = store.activations(SITES[2], units=units)
        assert torch.equal(read, whole[:, places])
        with pytest.raises(ParameterError, match="holds vector#30,2,17,5,36, without unit 7"):
            store.activations("vector#7,2")


def test_units_are_found_in_whichever_site_holds_them(tmp_path: Path) -> None:
    probe = varied()
    path = probe.record(9, ["vector#5,1", "vector", "vector#0,2"], tmp_path / "a.h5")
    with ActivationStore(path) as store:
        whole = store.activations("vector")
        for units in ([5], [1, 5], [0], [5, 0], [36, 2]):
            site = Site("vector", units=tuple(units))
            assert torch.equal(store.activations(site), whole[:, units])


def test_one_row_may_be_asked_for_from_either_end(recorded: Recorded) -> None:
    whole = recorded.activations["maps"]
    with ActivationStore(recorded.path) as store:
        for row in (0, 15, 16, 63, 64, 69, -1, -70):
            assert torch.equal(store.activations("maps", [row])[0], whole[row])
        for row in (70, -71, 10**12):
            with pytest.raises(ParameterError, match="rows are from 0 to 69, got"):
                store.activations("maps", [3, row])


@pytest.mark.parametrize("wanted", [[0.7], [True, False], [1, 2.5], torch.ones(N_SAMPLES).bool()])
def test_only_whole_numbers_are_rows_and_units(plain: Recorded, wanted: Sequence[int]) -> None:
    with ActivationStore(plain.path) as store:
        with pytest.raises(ParameterError, match="whole number"):
            store.activations("maps", wanted)
        with pytest.raises(ParameterError, match="whole number"):
            store.activations("maps", units=wanted)


def test_rows_may_be_a_tensor_an_array_or_a_range(plain: Recorded) -> None:
    rows = torch.tensor([5, 2, 2, -1])
    whole = plain.activations["tokens"]
    with ActivationStore(plain.path) as store:
        for wanted in (rows.tolist(), tuple(rows.tolist()), rows.numpy(), rows):
            assert torch.equal(store.activations("tokens", wanted), whole[rows])  # type: ignore[arg-type]
        assert torch.equal(store.activations("tokens", range(60, 3, -4)), whole[4:61:4].flip(0))


def test_impossible_parts_are_refused(plain: Recorded) -> None:
    with ActivationStore(plain.path) as store:
        with pytest.raises(ParameterError, match="units are numbers from 0 to 63, got"):
            store.activations("maps", units=[3, 64])
        with pytest.raises(ParameterError, match="units are numbers from 0 to 63, got"):
            store.activations("maps", units=[-1])
        with pytest.raises(ParameterError, match="units are numbers from 0 to 63, got"):
            store.activations("maps", units=[])
        with pytest.raises(ParameterError, match="there is no x to choose from"):
            store.activations("tokens", region=(slice(0, 2), slice(0, 2)))
        with pytest.raises(ParameterError, match="slice without a step"):
            store.activations("maps", region=(slice(0, 6, 2), slice(None)))
        with pytest.raises(ParameterError, match="batch size is a whole number from 1 on"):
            store.batches(batch_size=0)


@pytest.mark.parametrize("batch_size", [1, 16, 23, 1000])
@pytest.mark.parametrize("prefetch", [0, 2, 50])
def test_batches_together_are_the_whole(recorded: Recorded, batch_size: int, prefetch: int) -> None:
    sites = ["tokens", "vector#17,30"]
    with ActivationStore(recorded.path) as store:
        runs = list(store.batches(sites, batch_size=batch_size, prefetch=prefetch))
    assert [len(run.latents) for run in runs[:-1]] == [batch_size] * (len(runs) - 1)
    assert torch.equal(torch.cat([run["tokens"] for run in runs]), recorded.activations["tokens"])
    two = torch.cat([run["vector#17,30"] for run in runs])
    assert torch.equal(two, recorded.activations[SITES[2]][:, [2, 0]])
    assert torch.equal(torch.cat([run.images for run in runs]), recorded.images)
    indices = [index for run in runs for index in run.latents.indices or ()]
    assert indices == list(range(N_SAMPLES))


def test_batches_come_in_the_order_that_was_asked_for(recorded: Recorded) -> None:
    order = torch.randperm(N_SAMPLES, generator=torch.Generator().manual_seed(0)).tolist()
    with ActivationStore(recorded.path) as store:
        runs = list(store.batches(["maps"], samples=order, batch_size=13, images=False))
        none = list(store.batches(samples=slice(5, 5)))
    assert torch.equal(
        torch.cat([run["maps"] for run in runs]), recorded.activations["maps"][order]
    )
    assert [i for run in runs for i in run.latents.indices or ()] == order
    assert all(run.finished is None for run in runs)
    assert none == []


def reading_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("ganprobe")}


def divide_by_zero(runs: Iterator[Run]) -> None:
    for run in runs:
        len(run.latents) / 0


@pytest.mark.parametrize("end", ["close", "forget", "raise"])
def test_no_thread_outlives_batches_that_are_left_half_way(plain: Recorded, end: str) -> None:
    before = reading_threads()
    store = ActivationStore(plain.path)
    batches = store.batches(batch_size=4, prefetch=5)
    assert len(next(iter(batches)).latents) == 4
    if end == "close":
        assert hasattr(batches, "close")
        batches.close()
    elif end == "raise":
        with pytest.raises(ZeroDivisionError):
            divide_by_zero(batches)
    del batches
    gc.collect()
    assert {thread.name for thread in reading_threads() - before} <= {
        f"ganprobe-read_{number}" for number in range(4)
    }
    store.close()
    assert reading_threads() <= before


def test_batches_end_with_an_error_when_the_store_is_closed(recorded: Recorded) -> None:
    store = ActivationStore(recorded.path)
    batches = store.batches(["maps"], batch_size=2, prefetch=1)
    next(batches)
    store.close()
    with pytest.raises(StoreError, match=r"a\.h5 was closed; open it again"):
        list(batches)


def test_a_closed_store_says_so(plain: Recorded) -> None:
    with ActivationStore(plain.path) as store:
        pass
    store.close()
    reading: list[Callable[[], object]] = [
        lambda: store.n_samples,
        lambda: store.is_complete,
        lambda: store.activations("maps"),
        lambda: store.activations("maps", [3]),
        lambda: store.latents(),
        lambda: store.images(),
        lambda: store.recording(),
        lambda: list(store.batches()),
        lambda: store.check(),
    ]
    for read in reading:
        with pytest.raises(StoreError, match=r"a\.h5 was closed; open it again"):
            read()
    assert "a.h5" in repr(store)


def test_several_threads_read_at_once(recorded: Recorded) -> None:
    whole = recorded.activations

    def read(seed: int) -> None:
        random = torch.Generator().manual_seed(seed)
        for _ in range(4):
            rows = torch.randint(0, N_SAMPLES, (9,), generator=random).tolist()
            units = torch.randint(0, 64, (3,), generator=random).tolist()
            assert torch.equal(store.activations("maps", rows), whole["maps"][rows])
            read = store.activations("maps", rows, units=units)
            assert torch.equal(read, whole["maps"][rows][:, units])
            assert torch.equal(store.activations("tokens", rows), whole["tokens"][rows])
            assert store.latents(rows).indices == tuple(rows)

    with ActivationStore(recorded.path) as store, ThreadPoolExecutor(8) as pool:
        list(pool.map(read, range(8)))


def test_a_pickled_store_is_the_same(recorded: Recorded) -> None:
    with ActivationStore(recorded.path, verify=False) as store:
        kept = pickle.dumps(store)
    with pickle.loads(kept) as again:
        assert again.verify is False
        assert_holds_all(again, recorded)
        with pickle.loads(pickle.dumps(again)) as third:
            assert_holds_all(third, recorded)


def test_a_pickled_store_names_the_file_that_has_gone(recorded: Recorded, tmp_path: Path) -> None:
    shutil.copy(recorded.path, tmp_path / "b.h5")
    with ActivationStore(tmp_path / "b.h5") as store:
        kept = pickle.dumps(store)
    (tmp_path / "b.h5").unlink()
    with pytest.raises(StoreError, match=r"there is no file .*b\.h5"):
        pickle.loads(kept)


class Rows(Dataset[tuple[int, Tensor, Tensor]]):
    """A dataset of one's own over a store."""

    def __init__(self, store: ActivationStore) -> None:
        self.store = store

    def __len__(self) -> int:
        return self.store.n_samples

    def __getitem__(self, index: int) -> tuple[int, Tensor, Tensor]:
        maps = self.store.activations("maps", [index, index - 1, -index])
        return index, maps[0], self.store.latents([index]).z[0]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("is_used_before", [False, True])
def test_worker_processes_read_a_store_that_they_were_forked_with(
    plain: Recorded, is_used_before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganprobe.store.piece._WORTH_A_TASK", 1)  # several threads read
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("this system does not fork")
    with ActivationStore(plain.path) as store:
        if is_used_before:
            assert_holds_all(store, plain)
            list(store.batches(batch_size=7))
        loader = DataLoader(
            Rows(store), 10, num_workers=2, multiprocessing_context="fork", timeout=10
        )
        for indices, maps, z in loader:
            assert torch.equal(maps, plain.activations["maps"][indices])
            assert torch.equal(z, plain.latents.z[indices])
        assert_holds_all(store, plain)


@pytest.mark.slow
def test_worker_processes_that_are_spawned_read_a_store(recorded: Recorded) -> None:
    with ActivationStore(recorded.path) as store:
        assert_holds_all(store, recorded)
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            heads = pool.map(first_maps, [store] * 4)
    for head in heads:
        assert head == recorded.activations["maps"][:, 0, 0, 0].tolist()


def first_maps(store: ActivationStore) -> list[float]:
    """In a process of its own."""
    with store:
        first: list[float] = store.activations("maps", units=[0])[:, 0, 0, 0].tolist()
        return first


def watch_a_live_writer(
    path: Path, *, sites: list[str], n_samples: int, compression: Compression, waits_ms: int = 3
) -> list[int]:
    """Record in a thread, read all the time beside it; the counts that were seen, rising."""
    probe = varied()
    latents = probe.generator.sample(n_samples)
    parts = [slice(at, at + 4) for at in range(0, n_samples, 4)]
    runs = [probe.run(latents.z[part], record=sites) for part in parts]
    expected = {site: torch.cat([run[site] for run in runs]) for site in sites}
    module_of(probe).waits_ms = waits_ms
    seen = []
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(
            probe.record, n_samples, sites, path, batch_size=4, compression=compression
        )
        while not path.exists() and not writing.done():
            time.sleep(0.001)
        with ActivationStore(path) as store:
            while True:
                is_over = writing.done()
                n = store.n_samples
                for site, whole in expected.items():
                    read = store.activations(site)  # of those that are there by now
                    assert n <= len(read) <= n_samples
                    assert torch.equal(read, whole[: len(read)])
                assert torch.equal(store.latents(slice(0, n)).z, latents.z[:n])
                seen.append(n)
                if is_over:
                    break
            assert store.is_complete
            assert store.check() == []
        writing.result()
    assert seen == sorted(seen)
    return seen


@pytest.mark.parametrize("compression", ["none", "zstd"])
@pytest.mark.parametrize("sites", [["maps", "tokens"], ["tokens", "vector"]])
def test_a_reader_beside_a_live_writer_sees_committed_samples_alone(
    tmp_path: Path, sites: list[str], compression: Compression
) -> None:
    seen = watch_a_live_writer(
        tmp_path / "a.h5", sites=sites, n_samples=120, compression=compression
    )
    assert seen[-1] == 120
    assert len(set(seen)) > 3


def test_a_reader_sees_blocks_that_are_filled_up_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganprobe.store.writer._SECONDS_UNCOMMITTED", 0.0)
    seen = watch_a_live_writer(
        tmp_path / "a.h5", sites=["maps", "tokens"], n_samples=120, compression="none"
    )
    assert len(set(seen)) > 6


@pytest.mark.slow
@pytest.mark.parametrize("seconds_uncommitted", [0.0, 0.02, 1.0])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_reader_beside_a_writer_in_a_hurry_is_never_wrong(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    compression: Compression,
    seconds_uncommitted: float,
) -> None:
    monkeypatch.setattr("ganprobe.store.writer._SECONDS_UNCOMMITTED", seconds_uncommitted)
    for round_ in range(4):
        seen = watch_a_live_writer(
            tmp_path / f"{round_}.h5",
            sites=["maps", "tokens", "vector"],
            n_samples=600,
            compression=compression,
            waits_ms=0,
        )
        assert seen[-1] == 600


def test_the_file_that_is_cut_off_while_it_is_read_is_named(
    recorded: Recorded, tmp_path: Path
) -> None:
    path = Path(shutil.copy(recorded.path, tmp_path / "b.h5"))
    size = path.stat().st_size
    with ActivationStore(path) as store:
        store.activations("maps", [0])
        with path.open("r+b") as file:
            file.truncate(size // 2)
        with pytest.raises(StoreError, match=r"b\.h5"):
            [store.activations(site) for site in store.sites] + [store.latents().z, store.images()]
        with path.open("r+b") as file:
            file.truncate(0)
        with pytest.raises(StoreError, match=r"b\.h5"):
            store.activations("maps")


@dataclass(frozen=True)
class Sharded:
    """A recording in three shards, which lie in a folder of their own, and the same in one file."""

    folder: Path
    whole: Recorded

    @property
    def path(self) -> Path:
        """The file that joins them."""
        return self.folder / "a.h5"

    def shard(self, number: int) -> Path:
        """The file of one of them, from 1."""
        return self.folder / f"a.shard-{number}-of-3.h5"

    @property
    def shards(self) -> list[Path]:
        """All of them."""
        return [self.shard(number) for number in (1, 2, 3)]

    def copy(self, folder: Path) -> Sharded:
        """The same files, to be broken."""
        return Sharded(Path(shutil.copytree(self.folder, folder / "shards")), self.whole)


def record_shares(
    path: Path, *, seed: int = 3, compression: Compression = "none", weights: int = 0
) -> None:
    for number in (2, 3, 1):
        probe = varied(weights)
        probe.record(
            N_SAMPLES,
            SITES,
            path,
            seed=seed,
            batch_size=BATCH_SIZE,
            images=True,
            compression=compression,
            share=(number, 3),
        )


@pytest.fixture(scope="module", params=COMPRESSIONS)
def sharded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sharded:
    folder = tmp_path_factory.mktemp("shards")
    record_shares(folder / "a.h5", compression=request.param)
    whole = tmp_path_factory.mktemp("whole") / "a.h5"
    return Sharded(folder, record(whole, request.param))


@pytest.fixture(scope="module")
def plain_shards(plain: Recorded, tmp_path_factory: pytest.TempPathFactory) -> Sharded:
    folder = tmp_path_factory.mktemp("shards")
    record_shares(folder / "a.h5")
    return Sharded(folder, plain)


@pytest.fixture
def broken(plain_shards: Sharded, tmp_path: Path) -> Sharded:
    """Shards that a test may break."""
    return plain_shards.copy(tmp_path)


def test_shards_read_like_the_file_of_a_single_process(sharded: Sharded) -> None:
    assert sorted(path.name for path in sharded.folder.iterdir()) == [
        "a.h5",
        *(shard.name for shard in sharded.shards),
    ]
    with ActivationStore(sharded.path) as store:
        assert_holds_all(store, sharded.whole)
        assert store.check() == []
        assert set(store.files) == {sharded.path, *sharded.shards}
    with ActivationStore.of_shards(sharded.shards[::-1]) as store:
        assert_holds_all(store, sharded.whole)
    with ActivationStore.of_shards([sharded.path]) as store:
        assert_holds_all(store, sharded.whole)
        with pickle.loads(pickle.dumps(store)) as again:
            assert_holds_all(again, sharded.whole)


@many
@given(samples)
def test_any_samples_of_shards_are_those_of_the_whole(
    sharded: Sharded, chosen: slice | list[int]
) -> None:
    with ActivationStore(sharded.path) as store:
        for site, whole in sharded.whole.activations.items():
            assert torch.equal(store.activations(site, chosen), rows_of(whole, chosen))
        assert torch.equal(store.images(chosen), rows_of(sharded.whole.images, chosen))
        indices = tuple(rows_of(torch.arange(N_SAMPLES), chosen).tolist())
        assert store.latents(chosen).indices == indices
        runs = list(store.batches(["tokens"], samples=chosen, batch_size=7))
        parts = [run["tokens"] for run in runs]
        tokens = rows_of(sharded.whole.activations["tokens"], chosen)
        assert not len(tokens) or torch.equal(torch.cat(parts), tokens)


def test_each_shard_alone_is_a_store_of_its_own_samples(sharded: Sharded) -> None:
    first = 0
    for shard in sharded.shards:
        with ActivationStore(shard) as store:
            rows = slice(first, first + store.n_samples)
            assert store.latents().indices == tuple(range(N_SAMPLES))[rows]
            whole = sharded.whole.activations["maps"]
            assert torch.equal(store.activations("maps"), whole[rows])
            first += store.n_samples
    assert first == N_SAMPLES


@pytest.mark.parametrize("is_joined", [True, False])
def test_merged_shards_are_what_a_single_process_records(
    sharded: Sharded, tmp_path: Path, is_joined: bool
) -> None:
    paths = [sharded.path] if is_joined else sharded.shards[::-1]
    merged = merge_stores(paths, tmp_path / "merged.h5")
    with ActivationStore(merged) as store, ActivationStore(sharded.whole.path) as whole:
        assert_holds_all(store, sharded.whole)
        assert store.check() == []
        assert store.identity == whole.identity
        assert store.compression == whole.compression
        assert (store.batch_size, store.sites) == (whole.batch_size, whole.sites)


Break = Callable[[Sharded, Path], None]


def missing(shards: Sharded, other: Path) -> None:
    shards.shard(2).unlink()


def empty(shards: Sharded, other: Path) -> None:
    shards.shard(2).write_bytes(b"")


def text(shards: Sharded, other: Path) -> None:
    shards.shard(2).write_text("moved to the other disk")


def folder(shards: Sharded, other: Path) -> None:
    shards.shard(2).unlink()
    shards.shard(2).mkdir()


def truncated(shards: Sharded, other: Path) -> None:
    with shards.shard(2).open("r+b") as file:
        file.truncate(file.seek(0, 2) // 2)


def last_byte_gone(shards: Sharded, other: Path) -> None:
    with shards.shard(2).open("r+b") as file:
        file.truncate(file.seek(0, 2) - 1)


def of_another_seed(shards: Sharded, other: Path) -> None:
    record_shares(other / "a.h5", seed=4)
    shutil.copy(other / shards.shard(2).name, shards.shard(2))


def of_other_weights(shards: Sharded, other: Path) -> None:
    record_shares(other / "a.h5", weights=1)
    shutil.copy(other / shards.shard(2).name, shards.shard(2))


def a_whole_recording(shards: Sharded, other: Path) -> None:
    shutil.copy(shards.whole.path, shards.shard(2))


def a_copy_of_the_first(shards: Sharded, other: Path) -> None:
    shutil.copy(shards.shard(1), shards.shard(2))


def a_copy_of_the_third(shards: Sharded, other: Path) -> None:
    shutil.copy(shards.shard(3), shards.shard(2))


def the_joining_file(shards: Sharded, other: Path) -> None:
    shutil.copy(shards.path, shards.shard(2))


def short(shards: Sharded, other: Path) -> None:
    shards.shard(2).unlink()
    probe = varied()
    module_of(probe).fails_at = 4  # the first was the dry run
    with pytest.raises(ForwardError):
        probe.record(
            N_SAMPLES,
            SITES,
            shards.path,
            seed=3,
            batch_size=BATCH_SIZE,
            images=True,
            share=(2, 3),
            resume=True,
        )


BREAKS = [
    missing,
    empty,
    text,
    folder,
    truncated,
    last_byte_gone,
    of_another_seed,
    of_other_weights,
    a_whole_recording,
    a_copy_of_the_first,
    a_copy_of_the_third,
    the_joining_file,
    short,
]


@pytest.mark.parametrize("break_", BREAKS)
def test_a_shard_that_is_not_as_it_should_be_is_named(
    broken: Sharded, tmp_path: Path, break_: Break
) -> None:
    (tmp_path / "other").mkdir()
    break_(broken, tmp_path / "other")
    name = rf"(^|[\s/]){broken.shard(2).name}\b"
    with pytest.raises(StoreError, match=name):
        ActivationStore(broken.path)
    with pytest.raises(StoreError, match=name):
        ActivationStore.of_shards(broken.shards)
    with pytest.raises(StoreError, match=name):
        merge_stores([broken.path], tmp_path / "merged.h5")
    assert not (tmp_path / "merged.h5").exists()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_missing_shard_is_named(broken: Sharded, number: int) -> None:
    broken.shard(number).unlink()
    message = rf"there is no .*/{broken.shard(number).name}"
    with pytest.raises(StoreError, match=message):
        ActivationStore(broken.path)
    for paths in (broken.shards, [path for path in broken.shards if path.exists()]):
        with pytest.raises(StoreError, match=message):
            ActivationStore.of_shards(paths)


def test_shards_whose_names_were_swapped_are_read_in_order_or_named(broken: Sharded) -> None:
    kept = broken.shard(1).read_bytes()
    broken.shard(2).replace(broken.shard(1))
    broken.shard(2).write_bytes(kept)
    try:
        store = ActivationStore(broken.path)
    except StoreError as error:
        named = str(error)
    else:
        named = broken.shard(1).name
        with store:
            assert_holds_all(store, broken.whole)
    assert "a.shard-" in named


def test_a_joining_file_of_another_recording_does_not_pass_for_the_shards(
    broken: Sharded, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    record_shares(tmp_path / "other" / "a.h5", seed=4)
    shutil.copy(tmp_path / "other" / "a.h5", broken.path)
    with pytest.raises(StoreError, match=r"a\.shard-1-of-3\.h5.*seed"):
        ActivationStore(broken.path)


@pytest.fixture
def damaged(broken: Sharded) -> tuple[Sharded, int]:
    """Shards with one wrong byte in the maps of the second; and the first row that it is in."""
    with ActivationStore(broken.shard(1)) as first, ActivationStore(broken.shard(2)) as second:
        row = first.n_samples
        values = second.activations("maps", [0])[0, 0, 0].numpy().tobytes()
    raw = bytearray(broken.shard(2).read_bytes())
    raw[raw.index(values) + 1] ^= 0x10
    broken.shard(2).write_bytes(raw)
    return broken, row


def test_damage_in_a_shard_is_told_in_rows_of_the_whole(damaged: tuple[Sharded, int]) -> None:
    shards, row = damaged
    with ActivationStore(shards.path) as store:
        assert torch.equal(
            store.activations("maps", slice(0, row)), shards.whole.activations["maps"][:row]
        )
        with pytest.raises(StoreError, match=r"a\.shard-2-of-3\.h5 is damaged: maps, rows 0 to"):
            store.activations("maps", [row])
        found = store.check()
    assert [(each.dataset, each.rows.start) for each in found] == [("maps", row)]
