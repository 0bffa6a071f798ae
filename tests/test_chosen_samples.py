"""Chosen samples: the latents that a choice stands for, from a seed, a finding or a file."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file
from torch import Tensor

from ganprobe import (
    Measure,
    ParameterError,
    PluginError,
    Probe,
    SampleChoice,
    UnknownNameError,
)
from ganprobe import chosen_samples as module
from ganprobe.analysis import Context
from ganprobe.latent_files import read_latents
from ganprobe.latents import Latents, LatentSpace


class Halves(Measure):
    name = "halves"
    summary = "How much brighter than usual the two halves are."
    columns = ("upper", "lower half")

    def measure(self, images: Tensor) -> Tensor:
        halves = torch.stack([images[:, :, :4], images[:, :, 4:]], 1)  # (n, half, 1, y, x)
        return (halves.mean((2, 3, 4)) - torch.tensor([0.56, 0.574])) * 100


class Brightness(Measure):
    name = "brightness"
    summary = "How bright it is."
    columns = ("score",)

    def measure(self, images: Tensor) -> Tensor:
        return images.mean((1, 2, 3))[:, None]


class Unsure(Halves):
    name = "unsure"

    def measure(self, images: Tensor) -> Tensor:
        values = super().measure(images)
        return values.where(values > -0.2, torch.nan)


class OfColour(Brightness):
    name = "of-colour"
    image_shape = (3, 8, 8)


def find_measure(name: str) -> Measure:
    known = {one.name: one() for one in (Halves, Brightness, Unsure, OfColour)}
    if name not in known:
        raise UnknownNameError("measure", name, known)
    return known[name]


@pytest.fixture
def context(network_probe: Probe) -> Context:
    return Context(network_probe, 3, find_measure)


def halves_of(context: Context, n_samples: int) -> Tensor:
    generator = context.generator
    images = context.probe.images(generator.sample(n_samples, seed=context.seed))
    return Halves()(generator.to_unit_range(images))


def test_numbers_stand_for_samples_of_the_seed_in_their_order(context: Context) -> None:
    latents = context.latents("7,2-4")
    expected = context.generator.latent_space.sample([7, 2, 3, 4], seed=3)
    assert (latents.indices, latents.seed) == ((7, 2, 3, 4), 3)
    assert torch.equal(latents.z, expected.z)


def test_a_part_of_the_numbers_can_be_asked_for(context: Context) -> None:
    assert context.latents("0-9", 3).indices == (0, 1, 2)
    assert context.latents("0-9", 3, skip=6).indices == (6, 7, 8)
    assert context.latents("0-9", skip=6).indices == (6, 7, 8, 9)
    assert context.latents("0-9", 1, skip=9).indices == (9,)


def test_only_the_samples_that_are_asked_for_are_drawn(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = type(context.generator.latent_space)
    drawn: list[int] = []
    whole = space.sample

    def watched(self: LatentSpace, indices: Sequence[int], *, seed: int = 0) -> Latents:
        drawn.append(len(indices))
        return whole(self, indices, seed=seed)

    monkeypatch.setattr(space, "sample", watched)
    assert len(context.latents("0-999999", 2)) == 2
    assert drawn == [2]


@pytest.mark.parametrize(
    ("choice", "n_samples", "skip", "message"),
    [
        ("0-4", 6, 0, "'0-4' stands for 5 samples, and 6 are needed; name more, or ask for fewer"),
        ("0-4", 3, 3, "'0-4' stands for 5 samples, and 3 after the first 3 are needed"),
        ("0-4", None, 5, "'0-4' stands for 5 samples, and 1 after the first 5 are needed"),
        ("0-4", None, 7, "'0-4' stands for 5 samples, and 1 after the first 7 are needed"),
        ("9", 2, 0, "'9' stands for 1 sample, and 2 are needed"),
        ("9", 0, 0, "the number of samples is a whole number from 1 on, got 0"),
        ("9", 1, -1, "the number of samples to skip is a whole number from 0 on, got -1"),
        ("9", 1, 0.5, "the number of samples to skip is a whole number from 0 on, got 0.5"),
    ],
)
def test_more_than_there_are_is_refused_with_what_there_is(
    context: Context, choice: str, n_samples: int | None, skip: Any, message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        context.latents(choice, n_samples, skip=skip)


def test_a_finding_stands_for_the_first_samples_that_it_holds_of(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH", 7)  # what is asked for lies in several batches
    values = halves_of(context, 60)
    is_lower = (values[:, 1] > values[:, 0]).nonzero().flatten().tolist()
    assert 6 < len(is_lower) < 54
    assert context.latents("halves=lower half").indices == (is_lower[0],)
    assert context.latents("halves=lower half", 6).indices == tuple(is_lower[:6])
    others = context.latents("halves=lower half", 4, skip=2)
    assert others.indices == tuple(is_lower[2:6])
    assert torch.equal(others.z, context.latents(",".join(map(str, is_lower[2:6]))).z)


def test_every_condition_has_to_hold(context: Context) -> None:
    values = halves_of(context, 60)
    limit, upper = float(values[:, 0].quantile(0.8)), values[:, 0]
    holds = (upper < limit) & (values[:, 1] < 0.1) & (upper > values[:, 1])
    expected = holds.nonzero().flatten().tolist()
    choice = f"halves.upper<{limit} & halves.lower half < 0.1 & halves=upper"
    found = context.latents(choice, len(expected)).indices
    assert 2 < len(expected) < 40
    assert found == tuple(expected)


def test_a_finding_of_nan_holds_of_no_sample(context: Context) -> None:
    values = halves_of(context, 60)
    is_unsure = (values <= -0.2).any(1)
    expected = ((values[:, 0] > values[:, 1]) & ~is_unsure).nonzero().flatten().tolist()
    assert int(is_unsure.sum()) > 2
    assert len(expected) > 2
    assert context.latents("unsure=upper", len(expected)).indices == tuple(expected)


def test_a_condition_that_no_sample_meets_says_how_many_were_looked_at(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_TRIED", 1200)
    message = (
        "0 of the first 1,200 samples of seed 3 meet 'brightness>9', and 2 are needed; ask for"
        " fewer, or for less of them"
    )
    with pytest.raises(ParameterError, match=message):
        context.latents("brightness>9", 2)
    with pytest.raises(ParameterError, match=r"1200 of the first 1,200 samples .*and 1201 are"):
        context.latents("brightness<9", 1, skip=1200)


def test_unknown_measures_and_columns_name_the_nearest(context: Context) -> None:
    with pytest.raises(UnknownNameError, match="no measure 'halfs'; nearest: halves"):
        context.latents("halfs=upper")
    with pytest.raises(UnknownNameError, match="no column 'uper' in measure 'halves'; nearest: up"):
        context.latents("halves=uper")
    with pytest.raises(
        ParameterError, match=r"'halves' has 2 columns: .*; name one, as halves=upper"
    ):
        context.latents("halves>0.5")
    with pytest.raises(PluginError, match=r"measure 'of-colour' takes images \(3, 8, 8\), but"):
        context.latents("of-colour>0.5")


def test_the_largest_of_one_column_is_no_condition(context: Context) -> None:
    with pytest.raises(ParameterError, match=r"holds for every sample: .* write brightness>0 or"):
        context.latents("brightness=score")


def test_a_column_is_found_by_its_name(context: Context) -> None:
    measure, column = context.column(" halves = lower half ")
    assert (measure.name, column) == ("halves", 1)
    assert context.column("brightness")[1] == context.column("brightness=score")[1] == 0
    assert context.column("halves.lower half")[1] == 1
    for text in ("halves", "halves="):
        with pytest.raises(ParameterError, match=r"2 columns: upper, lower half; name one, as"):
            context.column(text)
    with pytest.raises(UnknownNameError, match="no column '1' in measure 'brightness'"):
        context.column("brightness=1")
    with pytest.raises(UnknownNameError, match="no measure ''"):
        context.column("=upper")


def test_an_analysis_looks_at_the_samples_of_the_seed_or_at_those_that_are_chosen(
    context: Context,
) -> None:
    of_the_seed = context.generator.sample(3, seed=3, start=2)
    assert torch.equal(context.sample(3, start=2).z, of_the_seed.z)
    brighter = replace(context, chosen=SampleChoice.parse("brightness>0.5"))
    both = brighter.sample(5)
    assert torch.equal(both[2:].z, brighter.sample(3, start=2).z)
    images = context.generator.to_unit_range(context.probe.images(both))
    assert (images.mean(dim=(1, 2, 3)) > 0.5).all()


def test_a_list_that_is_short_gives_what_it_has_where_that_is_enough(context: Context) -> None:
    few = replace(context, chosen=SampleChoice.parse("4,7,9"))
    assert few.sample(16, fewest=1).indices == (4, 7, 9)
    assert few.sample(2, fewest=1).indices == (4, 7)
    assert few.sample(16, start=1, fewest=1).indices == (7, 9)
    with pytest.raises(ParameterError, match="stands for 3 samples, and 16 are needed"):
        few.sample(16)
    with pytest.raises(ParameterError, match="stands for 3 samples, and 4 are needed"):
        few.sample(16, fewest=4)


def test_the_measures_that_fit_are_listed_by_name(context: Context) -> None:
    measures = [context.find_measure(name) for name in ("of-colour", "halves", "brightness")]
    listed = replace(context, list_measures=lambda: measures)
    assert [one.name for one in listed.measures()] == ["brightness", "halves"]
    assert context.measures() == []


LATENTS = torch.arange(10, dtype=torch.float32).reshape(2, 5)


def npy(values: Any) -> bytes:
    content = io.BytesIO()
    np.save(content, values)
    return content.getvalue()


def held_in(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    if not isinstance(content, bytes):
        content = (content if isinstance(content, str) else json.dumps(content)).encode()
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("file", "content", "name"),
    [
        ("a.json", LATENTS.tolist(), ""),
        ("a.json", b"\xef\xbb\xbf" + json.dumps(LATENTS.tolist()).encode(), ""),
        ("a.json", {"z": LATENTS.tolist(), "made by": "me"}, ""),
        ("a.json", {"seed": 5, "latents": LATENTS.tolist()}, ""),
        ("a.json", {"ones": LATENTS.tolist(), "twos": [[0]]}, "ones"),
        ("a.json", {"latents": {"ones": LATENTS.tolist(), "twos": [[0]]}}, "latents.ones"),
        ("a.json", {"v1.0": {"the ones": LATENTS.tolist()}}, "v1.0"),
        ("a.json", {"a.b": LATENTS.tolist(), "a": 5}, "a.b"),
        ("A.JSON", LATENTS.int().tolist(), ""),
        ("a.npy", npy(LATENTS.double().numpy()), ""),
        ("a.npy", npy(LATENTS.numpy().astype(">i2")), ""),
        ("a.npy", npy(np.asfortranarray(LATENTS.half().numpy())), ""),
        ("a.safetensors", save({"z": LATENTS.double(), "w": torch.zeros(1)}), ""),
        ("a.safetensors", save({"only": LATENTS.bfloat16()}), ""),
        ("a.safetensors", save({"z.ones": LATENTS.long(), "z.twos": LATENTS[:1]}), "z.ones"),
    ],
)
def test_every_way_of_keeping_latents_reads(
    tmp_path: Path, file: str, content: Any, name: str
) -> None:
    read = read_latents(held_in(tmp_path, file, content), name, (5,))
    assert read.dtype == torch.float32
    assert torch.equal(read, LATENTS)


@pytest.mark.parametrize("given", [(10,), (1, 10), (1, 10, 1, 1), (10, 1, 1)])
def test_flat_and_single_latents_get_the_generators_shape(
    tmp_path: Path, given: tuple[int, ...]
) -> None:
    path = held_in(tmp_path, "a.npy", npy(LATENTS.reshape(given).numpy()))
    assert torch.equal(read_latents(path, "", (10, 1, 1)), LATENTS.reshape(1, 10, 1, 1))


def test_flat_latents_keep_their_order(tmp_path: Path) -> None:
    path = held_in(tmp_path, "a.json", LATENTS.tolist())
    assert torch.equal(read_latents(path, "", (5, 1, 1)), LATENTS.reshape(2, 5, 1, 1))


DEEP = "[" * 100_000
HUGE = io.BytesIO()
np.lib.format.write_array_header_1_0(
    HUGE, {"descr": "<f4", "fortran_order": False, "shape": (10**15, 5)}
)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("a.json", "", r"a\.json is damaged, or no \.json file"),
        ("a.json", "[[1, 2", r"is damaged, or no \.json file"),
        ("a.json", DEEP, r"is damaged, or no \.json file"),
        ("a.json", b'["\xe9"]', r"is damaged, or no \.json file"),
        ("a.json", "null", "is no list of latents, all numbers and of one length"),
        ("a.json", '"text"', "is no list of latents"),
        ("a.json", [["1", "2", "3", "4", "5"]], "is no list of latents"),
        ("a.json", [[True] * 5], "is no list of latents"),
        ("a.json", [[1, 2, 3, 4, None]], "is no list of latents"),
        ("a.json", [[1, 2, 3, 4, 5], [1, 2]], "is no list of latents"),
        ("a.json", [{"z": 1}], "is no list of latents"),
        ("a.json", f"[[{'9' * 400}, 1, 2, 3, 4]]", "is no list of latents"),
        ("a.json", [], r"a\.json holds no latents"),
        ("a.json", [[]], "holds no latents"),
        ("a.json", {}, "holds nothing in it, where latents should be"),
        ("a.json", {"z": {}}, "holds nothing under 'z', where latents should be"),
        ("a.json", "[[NaN, 1, 2, 3, 4]]", "holds numbers that are NaN, infinite or beyond float32"),
        ("a.json", "[[1e400, 1, 2, 3, 4]]", "holds numbers that are NaN, infinite"),
        ("a.json", "[[1e300, 1, 2, 3, 4]]", "beyond float32"),
        ("a.json", "5", r"holds latents \(\), and this generator takes \(n, 5\)"),
        ("a.json", [[1, 2, 3]], r"holds latents \(1, 3\), and this generator takes \(n, 5\)"),
        ("a.json", list(range(10)), r"holds latents \(10,\), and this generator takes \(n, 5\)"),
        ("a.json", {"a": 1, "b": 2}, r"holds several things: a, b; write @.*a\.json:NAME"),
        ("a.json", {"z": {"a": 1, "b": 2}}, r"several things: a, b; write @.*a\.json:z\.NAME"),
        ("a.json", dict.fromkeys("abcdefghijk", 1), "several things: a, b, c, d, e, f, g, h, ...;"),
        ("a.npy", b"", r"a\.npy is damaged, or no \.npy file"),
        ("a.npy", npy(LATENTS.numpy())[:-5], r"is damaged, or no \.npy file"),
        ("a.npy", npy(LATENTS.numpy())[:40], r"is damaged, or no \.npy file"),
        ("a.npy", npy(np.array([1, "a"], dtype=object)), "Object arrays cannot be loaded"),
        ("a.npy", pickle.dumps([1]), r"is damaged, or no \.npy file"),
        ("a.npy", HUGE.getvalue(), r"is damaged, or no \.npy file"),
        ("a.npy", npy(LATENTS.numpy().astype(complex)), "is no list of latents, all numbers"),
        ("a.npy", npy(LATENTS.numpy().astype("U3")), "is no list of latents, all numbers"),
        ("a.npy", npy(np.float32(5)), r"holds latents \(\), and this generator takes"),
        ("a.npy", npy(np.full((1, 5), 1e300)), "beyond float32"),
        ("a.safetensors", b"", r"is damaged, or no \.safetensors file"),
        ("a.safetensors", save({"z": LATENTS})[:-3], r"is damaged, or no \.safetensors file"),
        ("a.safetensors", save({"z": LATENTS.bool()}), "is no list of latents, all numbers"),
        ("a.safetensors", save({"z": LATENTS.double() * 1e300}), "beyond float32"),
        ("a.safetensors", save({}), "holds nothing in it"),
        ("a.txt", "[[1]]", r"is no file of latents: they are \.json, \.npy or \.safetensors"),
    ],
)
def test_a_file_that_holds_no_such_latents_is_named_with_what_is_wrong(
    tmp_path: Path, file: str, content: Any, message: str
) -> None:
    path = held_in(tmp_path, file, content)
    with pytest.raises(ParameterError, match=message) as refused:
        read_latents(path, "", (5,))
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("one", r"has no 'one'; nearest in it: ones"),
        ("ones.a", "has no 'ones.a': under 'ones' are numbers, not names"),
        ("many.tens", "has no 'many.tens'; nearest under 'many': twos"),
        ("empty.a", "has no 'empty.a'; nearest under 'empty': nothing"),
        ("flat", r"'flat' in .* is no list of latents"),
    ],
)
def test_a_name_that_is_not_there_is_refused_with_the_nearest(
    tmp_path: Path, name: str, message: str
) -> None:
    held = {"ones": LATENTS.tolist(), "many": {"twos": [[0]]}, "empty": {}, "flat": "text"}
    with pytest.raises(ParameterError, match=message):
        read_latents(held_in(tmp_path, "a.json", held), name, (5,))


def test_a_name_in_a_file_that_has_none_is_refused(tmp_path: Path) -> None:
    path = held_in(tmp_path, "a.npy", npy(LATENTS.numpy()))
    with pytest.raises(ParameterError, match="has no 'z': in it are numbers, not names"):
        read_latents(path, "z", (5,))


@pytest.mark.parametrize("ending", ["json", "npy", "safetensors"])
def test_a_folder_or_nothing_where_a_file_should_be_is_one_sentence(
    tmp_path: Path, ending: str
) -> None:
    (tmp_path / f"folder.{ending}").mkdir()
    for name in ("folder", "nowhere"):
        with pytest.raises(ParameterError, match=f"cannot read the latents in .*{name}.{ending}: "):
            read_latents(tmp_path / f"{name}.{ending}", "", (5,))


def test_latents_of_a_file_have_no_seed_and_can_be_skipped(
    context: Context, tmp_path: Path
) -> None:
    path = tmp_path / "my latents.safetensors"
    save_file({"z": LATENTS}, path)
    whole = context.latents(f"@{path}")
    assert (whole.seed, whole.indices) == (None, None)
    assert torch.equal(whole.z, LATENTS)
    assert torch.equal(context.latents(f"@{path}:z", 1, skip=1).z, LATENTS[1:])
    with pytest.raises(
        ParameterError, match=r"safetensors' stands for 2 samples, and 3 are needed"
    ):
        context.latents(f"@{path}", 3)


def test_latents_of_a_file_give_the_images_that_the_seed_gives(
    context: Context, tmp_path: Path
) -> None:
    latents = context.latents("4-6")
    path = held_in(tmp_path, "a.json", {"kept": latents.z.tolist()})
    again = context.probe.images(context.latents(f"@{path}:kept"))
    assert torch.equal(again, context.probe.images(latents))
