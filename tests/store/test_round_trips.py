"""Whatever is written reads back bit for bit: by ganprobe, by h5py, by xarray and by h5dump."""

from __future__ import annotations

import math
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import xarray
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from ganprobe import ActivationStore, Latents, LatentSpace, Provenance, Recording, Site, StoreError
from ganprobe.progress import silent
from ganprobe.runs import Run
from ganprobe.sites import SiteTensor
from ganprobe.store.layout import Compression, RecordingSpec, group_name
from ganprobe.store.writer import write_store

COMPRESSIONS: list[Compression] = ["none", "zstd", "lz4"]
DTYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
    torch.complex64,
    torch.complex128,
]
SIZES = [1, 2, 3, 5, 7, 8, 13, 16, 17, 31, 32, 37, 64, 101, 128, 257]
HOSTILE = [
    "a/b",
    "a//b/",
    "/",
    "%2F",
    "a%2Fb",
    "a%252Fb",
    ".",
    "..",
    "./a",
    ".hidden",
    " ",
    " a ",
    "a\tb\nc",
    "a\0b",
    "a#1",
    "a#1,3",
    "b@2",
    "c:in",
    "c:out[0]",
    "c[1]",
    "'\"\\`$(x)",
    "é",
    "e\u0301",
    "\u202egnp.h5",
    "層.畳み込み",
    "🙂",
    "sites",
    "activation",
    "sample",
    "x" * 300,
    "畳" * 2000,
]
MOST_BYTES = 6_000_000

layers = st.one_of(st.sampled_from(HOSTILE), st.text(min_size=1, max_size=20))


@dataclass(frozen=True)
class Planned:
    """A site, the shape of one sample there, and the axis of its units, counted with the first."""

    site: Site
    shape: tuple[int, ...]
    dtype: torch.dtype
    unit_axis: int = 1

    @property
    def tensor(self) -> SiteTensor:
        """As a dry run would have found it."""
        dtype = str(self.dtype).removeprefix("torch.")
        return SiteTensor(self.site, self.shape, dtype, self.unit_axis, True, False)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The names that its axes should have in the file."""
        others: dict[int, list[str]] = {0: [], 1: ["token"], 2: ["y", "x"], 3: ["z", "y", "x"]}
        if not self.shape:
            return ("sample",)
        n_others = len(self.shape) - 1
        names = others.get(n_others, [f"axis_{axis}" for axis in range(n_others)])
        return ("sample", *names[: self.unit_axis - 1], "unit", *names[self.unit_axis - 1 :])

    def coordinate(self, name: str) -> list[int]:
        """The numbers that a dimension, not `sample`, should have in the file."""
        size = self.shape[self.dimensions.index(name) - 1]
        units = self.site.units if name == "unit" else None
        return list(range(size) if units is None else units)


@dataclass(frozen=True)
class Case:
    """A whole recording: what is at each site, and how it comes."""

    planned: tuple[Planned, ...]
    n_samples: int
    batch_size: int
    compression: Compression
    latent_shape: tuple[int, ...] = (4,)
    image_shape: tuple[int, ...] | None = None
    start: int = 0
    seed: int | None = 0


@dataclass(frozen=True)
class Source:
    """The values of a case, every bit of them random."""

    case: Case
    activations: Mapping[Site, Tensor]
    latents: Latents
    images: Tensor | None

    def batches(self, first: int) -> Iterator[Run]:
        """Its samples as a generator would leave them."""
        for start in range(first, self.case.n_samples, self.case.batch_size):
            rows = slice(start, min(start + self.case.batch_size, self.case.n_samples))
            part: dict[Site | str, Tensor] = {
                site: values[rows] for site, values in self.activations.items()
            }
            latents = Latents(self.latents.z[rows], self.latents.seed, self.indices[rows])
            images = None if self.images is None else self.images[rows]
            yield Run(latents, Recording(part), images)

    @property
    def indices(self) -> tuple[int, ...]:
        """The index of each sample."""
        return tuple(range(self.case.start, self.case.start + self.case.n_samples))


@st.composite
def planned_sites(draw: st.DrawFn, site: Site) -> Planned:
    shape = tuple(draw(st.lists(st.sampled_from(SIZES), min_size=0, max_size=4)))
    while math.prod(shape) > 40_000:
        largest = shape.index(max(shape))
        shape = (*shape[:largest], shape[largest] // 2, *shape[largest + 1 :])
    unit_axis = draw(st.sampled_from([1, len(shape)])) if shape else 1
    dtype = draw(st.sampled_from(DTYPES))
    if shape and shape[unit_axis - 1] > 1 and draw(st.booleans()):
        numbers = st.integers(0, 600)
        n_units = shape[unit_axis - 1]
        units = draw(st.lists(numbers, min_size=n_units, max_size=n_units, unique=True))
        site = Site(site.layer, units=tuple(units))
    return Planned(site, shape, dtype, unit_axis)


@st.composite
def cases(draw: st.DrawFn, compressions: list[Compression] | None = None) -> Case:
    names = draw(st.lists(layers, min_size=1, max_size=3, unique=True))
    planned = tuple(draw(planned_sites(Site(name))) for name in names)
    n_samples = draw(st.one_of(st.integers(1, 20), st.integers(1, 300)))
    row = sum(math.prod(each.shape) * each.dtype.itemsize for each in planned)
    return Case(
        planned,
        max(1, min(n_samples, MOST_BYTES // row)),
        draw(st.integers(1, 70)),
        draw(st.sampled_from(compressions or COMPRESSIONS)),
        draw(st.sampled_from([(1,), (4,), (100,), (5, 1, 1), (3, 7)])),
        draw(st.sampled_from([None, (1, 4, 4), (3, 9, 5), (3, 32, 32)])),
        draw(st.sampled_from([0, 0, 7, 10**12])),
        draw(st.sampled_from([0, 3, 2**63 + 5, None])),
    )


def values_of(shape: tuple[int, ...], dtype: torch.dtype, rng: np.random.Generator) -> Tensor:
    """Every bit pattern is as likely as any other; half of the values are few, which compress."""
    if dtype == torch.bool:
        return torch.from_numpy(rng.integers(0, 2, shape, np.uint8)).bool()
    patterns = rng.integers(0, 256, (*shape, dtype.itemsize), np.uint8)
    patterns[rng.random(shape) < 0.5] = 0
    return torch.from_numpy(patterns).view(dtype).reshape(shape)


def source_of(case: Case, seed: int = 0) -> Source:
    rng = np.random.default_rng(seed)
    n = case.n_samples
    activations = {
        planned.site: values_of((n, *planned.shape), planned.dtype, rng) for planned in case.planned
    }
    z = values_of((n, *case.latent_shape), torch.float32, rng)
    images = None
    if case.image_shape is not None:
        images = values_of((n, *case.image_shape), torch.float32, rng)
    indices = tuple(range(case.start, case.start + n))
    return Source(case, activations, Latents(z, case.seed, indices), images)


def write(source: Source, path: Path, *, dtype: torch.dtype | None = None) -> None:
    case = source.case
    spec = RecordingSpec(
        path=path,
        samples=source.indices,
        seed=case.seed,
        batch_size=case.batch_size,
        sites={planned.site: planned.tensor for planned in case.planned},
        latent_space=LatentSpace(case.latent_shape),
        image_shape=case.image_shape,
        latent_dtype=torch.float32,
        image_dtype=torch.float32,
        provenance=Provenance({"name": "fabricated"}, case.seed, "cpu", "float32", {}),
        identity={"generator": "fabricated", "seed": case.seed},
        dtype=dtype,
        compression=case.compression,
        overwrite=True,
    )
    write_store(spec, source.batches, silent)


def same_bits(read: Tensor, expected: Tensor) -> bool:
    """Whether dtype, shape and every bit agree, those of NaN too."""
    if (read.dtype, read.shape) != (expected.dtype, expected.shape):
        return False
    return torch.equal(bits(read), bits(expected))


def same_numbers(read: Tensor, expected: Tensor) -> bool:
    """Whether dtype, shape and every bit agree, but those of NaN, which casts do not keep."""
    is_same_nan = torch.equal(read.isnan(), expected.isnan())
    return is_same_nan and same_bits(without_nan(read), without_nan(expected))


def without_nan(tensor: Tensor) -> Tensor:
    return tensor.masked_fill(tensor.isnan(), 0.0)


def bits(tensor: Tensor) -> Tensor:
    """The values as whole numbers of the same bits."""
    real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    kinds = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return real.view(kinds[real.itemsize])


def same_values(read: np.ndarray[tuple[int, ...], np.dtype[np.generic]], expected: Tensor) -> bool:
    """The same for what another program reads, where bfloat16 is converted."""
    if expected.dtype == torch.bfloat16:
        return np.array_equal(read, expected.float().numpy(), equal_nan=True)
    return same_bits(torch.from_numpy(np.ascontiguousarray(read)), expected)


def assert_reads_back(source: Source, path: Path) -> None:
    case = source.case
    with ActivationStore(path) as store:
        assert store.n_samples == store.n_planned == case.n_samples
        assert store.sites == [planned.site for planned in case.planned]
        assert (store.compression, store.batch_size) == (case.compression, case.batch_size)
        for planned in case.planned:
            expected = source.activations[planned.site]
            assert same_bits(store.activations(planned.site), expected)
            assert store.shape(planned.site) == planned.shape
            assert store.dtype(planned.site) == planned.dtype
        assert_latents_are(store.latents(), source.latents)
        if source.images is not None:
            assert same_bits(store.images(), source.images)
        assert store.has_images == (source.images is not None)
        recording = store.recording(slice(1, None))
        assert list(recording) == store.sites
        runs = list(store.batches(batch_size=11))
        for site, expected in source.activations.items():
            assert same_bits(recording[site], expected[1:])
            assert same_bits(torch.cat([run[site] for run in runs]), expected)
        assert same_bits(torch.cat([run.latents.z for run in runs]), source.latents.z)
        assert store.check() == []


def assert_latents_are(read: Latents, expected: Latents) -> None:
    assert same_bits(read.z, expected.z)
    assert (read.seed, read.indices) == (expected.seed, expected.indices)


def assert_h5py_reads(source: Source, path: Path) -> None:
    with h5py.File(path) as file:
        for planned in source.case.planned:
            group = file[group_name(planned.site)]
            assert same_values(group["activation"][()], source.activations[planned.site])
            dims = tuple(dimension[0].name.split("/")[-1] for dimension in group["activation"].dims)
            assert dims == planned.dimensions
        assert same_values(file["latents/z"][()], source.latents.z)
        if source.images is not None:
            assert same_values(file["images/image"][()], source.images)
        if source.case.seed is not None:
            assert set(file["latents/seed"][()].tolist()) == {source.case.seed}


def assert_xarray_reads(source: Source, path: Path) -> None:
    with xarray.open_datatree(path, engine="h5netcdf", decode_times=False) as tree:
        for planned in source.case.planned:
            assert_is_named(tree[group_name(planned.site)].to_dataset(), planned, source)
        latents = tree["latents"].to_dataset()["z"]
        assert latents.dims[:2] == ("sample", "latent")
        assert same_values(latents.values, source.latents.z)


def assert_xarray_reads_single_groups(source: Source, path: Path) -> None:
    for planned in source.case.planned[::4]:
        name = group_name(planned.site)
        opening = xarray.open_dataset(path, engine="h5netcdf", group=name, decode_times=False)
        with opening as opened:
            assert_is_named(opened, planned, source)


def assert_is_named(opened: xarray.Dataset, planned: Planned, source: Source) -> None:
    activation = opened["activation"]
    assert activation.dims == planned.dimensions
    assert same_values(activation.values, source.activations[planned.site])
    assert opened["sample"].values.tolist() == list(source.indices)
    for name in planned.dimensions[1:]:
        assert opened[name].values.tolist() == planned.coordinate(name)


def others_can_read(compression: Compression) -> bool:
    """Whether HDF5 has the filter: with compression only where a package of filters is there."""
    if compression == "none":
        return True
    try:
        import_module("hdf5plugin")
    except ImportError:
        return False
    return True


def check_round_trip(case: Case) -> None:
    source = source_of(case)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.h5"
        write(source, path)
        assert_reads_back(source, path)
        if others_can_read(case.compression):
            assert_h5py_reads(source, path)
        if case.compression == "none":
            assert_xarray_reads(source, path)


no_limits = settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)


@settings(no_limits, max_examples=5)
@given(cases(["none"]))
def test_any_recording_reads_back_bit_for_bit_in_every_program(case: Case) -> None:
    check_round_trip(case)


@settings(no_limits, max_examples=14)
@given(cases(["zstd", "lz4"]))
def test_any_compressed_recording_reads_back_bit_for_bit(case: Case) -> None:
    check_round_trip(case)


@pytest.mark.slow
@settings(no_limits, max_examples=600)
@given(cases())
def test_many_recordings_read_back_bit_for_bit(case: Case) -> None:
    check_round_trip(case)


@pytest.mark.parametrize("compression", ["none", "lz4"])
def test_hostile_names_read_back_in_every_program(tmp_path: Path, compression: Compression) -> None:
    planned = tuple(Planned(Site(layer), (3,), torch.float32) for layer in HOSTILE)
    source = source_of(Case(planned, 3, 2, compression))
    write(source, tmp_path / "a.h5")
    assert_reads_back(source, tmp_path / "a.h5")
    if others_can_read(compression):
        assert_h5py_reads(source, tmp_path / "a.h5")
    if compression == "none":
        assert_xarray_reads(source, tmp_path / "a.h5")
        assert_xarray_reads_single_groups(source, tmp_path / "a.h5")


SPELT_ALIKE = [
    (Site("a@2"), Site("a", call=2)),
    (Site("a:in"), Site("a", port="in")),
    (Site("a:out[0]"), Site("a", path=(0,))),
    (Site("a", path=(0,)), Site("a", path=("0",))),
    (Site("a#0,3,7"), Site("a", units=(0, 3, 7))),
    (Site("a", path=("b", "c")), Site("a", path=("b][c",))),
    (Site("a/b"), Site("a%2Fb")),
    (Site(".a"), Site("%2Ea")),
    (Site("a\0"), Site("a%00")),
    (Site("é"), Site("e\u0301")),
]


@pytest.mark.parametrize(("one", "other"), SPELT_ALIKE)
def test_sites_that_are_written_alike_are_kept_apart(
    tmp_path: Path, one: Site, other: Site
) -> None:
    shapes = {one: (3,), other: (3, 2, 2)}
    planned = tuple(Planned(site, shapes[site], torch.float32) for site in (one, other))
    source = source_of(Case(planned, 5, 2, "none"))
    write(source, tmp_path / "a.h5")
    assert_reads_back(source, tmp_path / "a.h5")


@pytest.mark.parametrize("layer", ["\udcff", "a\ud800b"])
def test_names_that_are_no_text_read_back(tmp_path: Path, layer: str) -> None:
    source = source_of(Case((Planned(Site(layer), (3,), torch.float32),), 3, 2, "none"))
    write(source, tmp_path / "a.h5")
    assert_reads_back(source, tmp_path / "a.h5")


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_hundreds_of_sites_and_thousands_of_units_read_back(
    tmp_path: Path, compression: Compression
) -> None:
    names = (f"a.very.long.name.{'of a layer ' * 20}.{i}" for i in range(30))
    many = tuple(Planned(Site(name), (2,), torch.float32) for name in names)
    units = Planned(Site("wide", units=tuple(range(20_000, 0, -2))), (10_000,), torch.float16)
    source = source_of(Case((*many, units), 5, 2, compression))
    write(source, tmp_path / "a.h5")
    assert_reads_back(source, tmp_path / "a.h5")


SHAPES = {"maps": (64, 16, 16), "large": (1, 181, 181), "vector": (100,)}  # blocks of 16, 8, many


@pytest.mark.parametrize("names", [("maps", "large"), ("large", "vector", "maps")])
@pytest.mark.parametrize("batch_size", [1, 5, 8, 16, 24])
def test_any_batch_size_fits_sites_whose_blocks_differ(
    tmp_path: Path, names: tuple[str, ...], batch_size: int
) -> None:
    planned = tuple(Planned(Site(name), SHAPES[name], torch.float32) for name in names)
    source = source_of(Case(planned, 35, batch_size, "none"))
    write(source, tmp_path / "a.h5")
    with ActivationStore(tmp_path / "a.h5") as store:
        for site, expected in source.activations.items():
            assert same_bits(store.activations(site), expected)


@pytest.mark.skipif(shutil.which("h5dump") is None, reason="h5dump is not installed")
@pytest.mark.parametrize("dtype", DTYPES)
def test_h5dump_reads_the_values(tmp_path: Path, dtype: torch.dtype) -> None:
    planned = Planned(Site("up/conv#2", units=(5, 1, 3)), (3, 2, 2), dtype)
    case = Case((planned,), 9, 4, "none", image_shape=(1, 2, 2))
    counted = torch.arange(9 * 12).reshape(9, 3, 2, 2)
    values = (counted % 2 if dtype == torch.bool else counted).to(dtype)
    write(with_activations(case, values), tmp_path / "a.h5")
    group = f"/{group_name(planned.site)}"
    wanted = ["-d", f"{group}/activation", "-s", "4,1,0,0", "-c", "1,2,2,2"]
    printed = h5dump(*wanted, "-y", "-A", "0", tmp_path / "a.h5")
    shown = printed[printed.rindex("DATA {") :]
    words = shown.replace("TRUE", "1").replace("FALSE", "0").replace(",", " ").split()
    numbers = [float(word) for word in words if is_number(word)]
    expected = values[4, 1:3].reshape(-1)
    real = torch.view_as_real(expected) if dtype.is_complex else expected
    assert numbers == real.double().flatten().tolist()
    assert h5dump("-d", f"{group}/unit", "-y", "-A", "0", tmp_path / "a.h5").count("5, 1, 3") == 1


@pytest.mark.skipif(shutil.which("h5dump") is None, reason="h5dump is not installed")
@pytest.mark.parametrize("compression", ["none", "lz4"])
def test_h5dump_reads_the_header_of_hostile_names(tmp_path: Path, compression: Compression) -> None:
    printable = [layer for layer in HOSTILE if layer.isprintable()]
    planned = tuple(Planned(Site(layer), (3, 5, 5), torch.bfloat16) for layer in printable)
    source = source_of(Case(planned, 40, 16, compression, image_shape=(3, 8, 8)))
    write(source, tmp_path / "a.h5")
    printed = h5dump("-H", "-A", tmp_path / "a.h5")
    assert printed.count('DATASET "activation" {') == len(planned)
    assert printed.count("DATASPACE  SIMPLE { ( 40, 3, 5, 5 ) / ( 40, 3, 5, 5 ) }") == len(planned)
    assert printed.count('GROUP "sites" {') >= 1


def h5dump(*arguments: str | Path) -> str:
    done = subprocess.run(
        ["h5dump", *map(str, arguments)], capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


CASTS = [
    (torch.float64, torch.float32),
    (torch.float64, torch.float16),
    (torch.float64, torch.bfloat16),
    (torch.float32, torch.float32),
    (torch.float32, torch.float16),
    (torch.float32, torch.bfloat16),
    (torch.float16, torch.float32),
    (torch.float16, torch.float16),
    (torch.float16, torch.bfloat16),
    (torch.bfloat16, torch.float32),
    (torch.bfloat16, torch.float16),
    (torch.bfloat16, torch.bfloat16),
]


@pytest.mark.parametrize("compression", ["none", "zstd"])
@pytest.mark.parametrize(("source", "stored"), CASTS)
def test_a_cast_is_the_one_of_torch(
    tmp_path: Path, source: torch.dtype, stored: torch.dtype, compression: Compression
) -> None:
    planned = Planned(Site("mid"), (17, 3, 3), source)
    case = Case((planned,), 40, 7, compression)
    torch.manual_seed(0)
    values = torch.randn(40, 17, 3, 3, dtype=torch.float64) * 10.0 ** torch.arange(-4, 5).reshape(
        3, 3
    ).clamp(max=3)
    values[3, 2, 1] = torch.tensor([math.inf, -math.inf, math.nan])
    values[9, 2, 1] = torch.tensor([0.0, -0.0, 1e-45])
    whole = values.to(source)
    write(with_activations(case, whole), tmp_path / "a.h5", dtype=stored)
    with ActivationStore(tmp_path / "a.h5") as store:
        assert same_numbers(store.activations("mid"), whole.to(stored))


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8, torch.bool, torch.complex64])
def test_only_real_numbers_are_cast(tmp_path: Path, dtype: torch.dtype) -> None:
    source = source_of(Case((Planned(Site("mid"), (7,), dtype),), 5, 2, "none"))
    write(source, tmp_path / "a.h5", dtype=torch.float16)
    assert_reads_back(source, tmp_path / "a.h5")


def with_activations(case: Case, values: Tensor) -> Source:
    made = source_of(case)
    return Source(case, {case.planned[0].site: values}, made.latents, made.images)


LARGEST = {torch.float16: 65504.0, torch.bfloat16: 2.0**127 * (2 - 2**-7)}
LARGEST[torch.float32] = torch.finfo(torch.float32).max
HALF_A_STEP = {torch.float16: 16.0, torch.bfloat16: 2.0**119, torch.float32: 2.0**103}


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("others", [0.0, math.nan, -math.inf])
@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float32])
def test_the_largest_value_is_stored_and_the_next_refused(
    tmp_path: Path, stored: torch.dtype, others: float, sign: int
) -> None:
    case = Case((Planned(Site("mid"), (5,), torch.float64),), 6, 2, "none")
    limit = LARGEST[stored] + HALF_A_STEP[stored]  # rounds to even, which is infinity
    below = LARGEST[stored] + 0.999 * HALF_A_STEP[stored]
    for value, fits in [(LARGEST[stored], True), (below, True), (limit, False)]:
        values = torch.zeros(6, 5, dtype=torch.float64)
        values[:, 1] = others
        values[5, 2] = sign * value
        source = with_activations(case, values)
        if fits:
            write(source, tmp_path / "a.h5", dtype=stored)
            with ActivationStore(tmp_path / "a.h5") as store:
                assert same_numbers(store.activations("mid"), values.to(stored))
                assert store.activations("mid")[5, 2] == sign * LARGEST[stored]
            continue
        name = str(stored).removeprefix("torch.")
        with pytest.raises(StoreError, match=rf"mid has values beyond the range of {name}"):
            write(source, tmp_path / "b.h5", dtype=stored)


@pytest.mark.parametrize("value", [65504.0, 65519.0, 65519.99, 65520.0, 65536.0, 1e30])
def test_float16_ends_at_65520(tmp_path: Path, value: float) -> None:
    case = Case((Planned(Site("mid"), (5,), torch.float32),), 6, 6, "none")
    source = with_activations(case, torch.full((6, 5), value))
    if value < 65520.0:
        write(source, tmp_path / "a.h5", dtype=torch.float16)
        with ActivationStore(tmp_path / "a.h5") as store:
            assert store.activations("mid").unique().tolist() == [65504.0]
    else:
        with pytest.raises(StoreError, match=r"mid has values beyond the range of float16.*rows 0"):
            write(source, tmp_path / "a.h5", dtype=torch.float16)
        assert list(tmp_path.iterdir()) == []


def test_samples_ahead_of_a_refused_value_stay(tmp_path: Path) -> None:
    case = Case((Planned(Site("mid"), (5,), torch.float32),), 20, 4, "none")
    values = torch.randn(20, 5)
    values[13, 3] = 1e6
    with pytest.raises(StoreError, match="beyond the range of float16 in rows 12 to 15"):
        write(with_activations(case, values), tmp_path / "a.h5", dtype=torch.float16)
    with ActivationStore(tmp_path / "a.h5") as store:
        assert (store.n_samples, store.n_planned) == (12, 20)
        assert same_bits(store.activations("mid"), values[:12].half())
        assert store.check() == []
