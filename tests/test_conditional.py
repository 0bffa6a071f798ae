"""Class-conditional generators, calls of all kinds, truncation: against plain calls by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ganprobe import (
    Ablate,
    ActivationStore,
    Call,
    Classes,
    Context,
    Generator,
    Latents,
    LatentSet,
    LatentSpace,
    ParameterError,
    Probe,
    Space,
    StoreError,
    Swap,
    UnknownNameError,
)


class Conditional(nn.Module):
    """Draws latents in the manner of a class; counts how it was called."""

    def __init__(self, n_classes: int = 5) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(n_classes, 6)
        self.early = nn.Linear(14, 32)
        self.act = nn.ReLU()
        self.late = nn.Linear(32, 48)
        self.eval()

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        joined = torch.cat([z, self.embedding(label)], dim=1)
        images: Tensor = self.late(self.act(self.early(joined))).tanh().view(-1, 3, 4, 4)
        return images


class Awkward(nn.Module):
    """Takes a list of latents, a one-hot class and a truncation by name; returns BGR, last."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Conditional()
        self.seen: list[Any] = []
        self.eval()

    def forward(
        self, styles: list[Tensor], *, one_hot: Tensor, psi: float, mode: str
    ) -> dict[str, Tensor]:
        self.seen.append((one_hot.dtype, psi, mode))
        images = self.network(styles[0] * psi, one_hot.argmax(1))
        return {"images": images.flip(1).movedim(1, -1), "more": one_hot}


def conditional(chosen: int | None = None) -> Generator:
    classes = Classes(5, ("cat", "dog", "owl", "fox", "bee"), chosen)
    return Generator.from_module(Conditional(), latent=8, classes=classes)


def awkward() -> Generator:
    call = Call((["$z"],), {"one_hot": "$one-hot", "psi": "$truncation", "mode": "const"})
    return Generator.from_module(
        Awkward(),
        latent=8,
        classes=5,
        call=call,
        output="images",
        channel_order="bgr",
        channels_last=True,
    )


@torch.no_grad()
def plain(z: Tensor, labels: list[int]) -> Tensor:
    images: Tensor = Conditional()(z, torch.tensor(labels))
    return images


def test_all_classes_come_in_turn_by_the_number_of_the_sample() -> None:
    generator = conditional()
    latents = generator.sample(7, start=3)
    assert latents.labels is not None
    assert latents.labels.tolist() == [3, 4, 0, 1, 2, 3, 4]
    assert torch.equal(Probe(generator).images(latents), plain(latents.z, [3, 4, 0, 1, 2, 3, 4]))


@pytest.mark.parametrize("chosen", [2, "owl", "2"])
def test_a_chosen_class_is_that_of_every_sample(chosen: int | str) -> None:
    generator = conditional().with_class(chosen)
    latents = generator.sample(4, seed=1)
    assert torch.equal(Probe(generator).images(latents), plain(latents.z, [2] * 4))
    assert torch.equal(Probe(generator).images(latents.z), plain(latents.z, [2] * 4))
    assert generator.to_json()["classes"]["chosen"] == 2
    assert generator.with_class(None).sample(2).labels.tolist() == [0, 1]  # type: ignore[union-attr]


def test_labels_that_are_given_count_more_than_the_choice() -> None:
    generator = conditional(chosen=1)
    z = generator.sample(3).z
    latents = Latents(z, labels=torch.tensor([4, 0, 4]))
    assert torch.equal(Probe(generator).images(latents), plain(z, [4, 0, 4]))
    taken = latents.take([2, 1, 1])
    assert torch.equal(Probe(generator).images(taken), plain(z[[2, 1, 1]], [4, 0, 0]))


def test_latents_of_no_class_are_refused_where_none_was_chosen() -> None:
    generator = conditional()
    with pytest.raises(ParameterError, match=r"has 5 classes, and these .* --class 3"):
        Probe(generator).images(torch.zeros(2, 8))


@pytest.mark.parametrize(
    ("label", "message"), [(5, "classes 0-4, got label 5"), (-1, "got label -1")]
)
def test_a_label_that_is_no_class_is_refused(label: int, message: str) -> None:
    latents = Latents(torch.zeros(2, 8), labels=torch.tensor([0, label]))
    with pytest.raises(ParameterError, match=message):
        Probe(conditional()).images(latents)


def test_faults_of_classes_and_calls_are_told() -> None:
    with pytest.raises(UnknownNameError, match="no class 'dgo'; nearest: dog"):
        conditional().with_class("dgo")
    with pytest.raises(ParameterError, match="no class 9: there are 5, numbered 0-4"):
        conditional().with_class(9)
    with pytest.raises(ParameterError, match="is not class-conditional"):
        Generator.from_module(nn.Linear(8, 9).eval(), latent=8).with_class(0)
    with pytest.raises(ParameterError, match="say how many classes"):
        Generator.from_module(Conditional(), latent=8, call=Call(("$z", "$label")))
    with pytest.raises(ParameterError, match="its call passes none"):
        Generator.from_module(Conditional(), latent=8, classes=5, call=Call(("$z",)))
    with pytest.raises(ParameterError, match="no place '\\$lable'; nearest: \\$label"):
        Call(("$z", "$lable"))
    with pytest.raises(ParameterError, match="passes the latents"):
        Call(("$label",))
    with pytest.raises(ParameterError, match="3 classes have 2 names"):
        Classes(3, ("a", "b"))
    with pytest.raises(ParameterError, match=r"2 latents have \(2,\) labels, got \(3,\)"):
        Latents(torch.zeros(2, 8), labels=torch.zeros(3, dtype=torch.int64))


def test_a_module_is_called_as_it_wants_to_be() -> None:
    generator = awkward().with_class(3)
    latents = generator.sample(4, seed=2)
    assert torch.equal(Probe(generator).images(latents), plain(latents.z, [3] * 4))
    cut = generator.with_truncation(0.5)
    assert cut.latent_space == generator.latent_space
    assert torch.equal(Probe(cut).images(latents), plain(latents.z * 0.5, [3] * 4))
    module: Any = cut.module
    assert module.seen[-1] == (torch.float32, 0.5, "const")
    precise = Probe(cut, dtype=torch.float64)
    precise.images(latents)
    copied: Any = precise.generator.module
    assert copied.seen[-1][0] == torch.float64


def test_truncation_cuts_a_prior_that_no_module_takes_it_for() -> None:
    generator = Generator.from_module(nn.Linear(8, 9).eval(), latent=8, image_shape=(1, 3, 3))
    cut = generator.with_truncation(0.7)
    assert cut.latent_space == LatentSpace((8,), "truncated", 0.7)
    assert float(cut.sample(500).z.abs().max()) <= 0.7
    with pytest.raises(ParameterError, match="above 0 and finite, got -1"):
        generator.with_truncation(-1)
    styled = Generator.from_module(nn.Sequential(nn.Linear(8, 9)).eval(), latent=8, w_site="0")
    with pytest.raises(ParameterError, match="a mapping network and its call takes no truncation"):
        styled.with_truncation(0.7)


def test_edits_and_records_are_those_of_the_class() -> None:
    probe = Probe(conditional(), dtype=torch.float64)
    latents = probe.generator.sample(6, seed=3)
    module = probe.generator.module
    labels = [0, 1, 2, 3, 4, 0]
    with torch.no_grad():
        joined = torch.cat([latents.z.double(), module.embedding(torch.tensor(labels))], 1)  # type: ignore[operator]
        early = module.early(joined)  # type: ignore[operator]
        edited = early.clone()
        edited[:, [1, 7]] = 0.0
        images = module.late(edited.relu()).tanh().view(-1, 3, 4, 4)  # type: ignore[operator]
    run = probe.run(latents, Ablate("early#1,7"), record=["early"])
    assert torch.allclose(run["early"], edited, rtol=1e-12)
    assert torch.allclose(run.images, images, rtol=1e-12)


@pytest.mark.parametrize("method", ["auto", "replay", "batched", "single", "additive"])
def test_a_sweep_gives_what_a_run_gives_for_each_class(method: Any) -> None:
    probe = Probe(conditional(), dtype=torch.float64)
    latents, others = probe.generator.sample(3, seed=3), probe.generator.sample(3, seed=4, start=1)
    edits = [Swap("early", donor=others, units=[unit]) for unit in range(32)]
    sweep = probe.sweep(latents, edits, method=method)
    expected = torch.stack([probe.run(latents, edit).images for edit in edits])
    assert torch.allclose(torch.stack(list(sweep)), expected, rtol=1e-9, atol=1e-12)
    bare = [Swap("early", donor=Latents(others.z, labels=others.labels), units=[0])]
    assert torch.allclose(probe.run(latents, bare).images, expected[0], rtol=1e-12)


def test_a_store_belongs_to_the_classes_that_it_was_recorded_with(tmp_path: Path) -> None:
    in_turn = Probe(conditional())
    path = in_turn.record(11, ["early"], tmp_path / "turn.h5", seed=2, batch_size=4)
    with ActivationStore(path) as store:
        again = in_turn.run(store.latents(slice(5, 9)), record=["early"])
        assert torch.allclose(store.activations("early", slice(5, 9)), again["early"], atol=1e-6)

    def read(generator: Generator) -> list[Tensor]:
        context = Context(Probe(generator), 2, pytest.fail, activations_file=path)
        found = [run["early"] for run in context.activations(["early"], 11)]
        context.close()
        return found

    assert sum(map(len, read(conditional()))) == 11
    with pytest.raises(StoreError, match="conditions"):
        read(conditional(chosen=3))
    own = Latents(torch.zeros(2, 8), labels=torch.tensor([4, 4]))
    with pytest.raises(ParameterError, match="labels of their own"):
        in_turn.record(own, ["early"], tmp_path / "own.h5")


@pytest.mark.parametrize("file", ["kept.json", "kept.safetensors"])
def test_a_latent_set_keeps_the_classes_of_its_latents(tmp_path: Path, file: str) -> None:
    probe = Probe(conditional())
    latents = probe.generator.sample(6, seed=7)
    LatentSet.of({"z": latents.take([4, 2]), "more": latents[:1]}).write(tmp_path / file)
    context = Context(probe, 0, pytest.fail)
    read = context.latents(f"@{tmp_path / file}")
    assert read.labels is not None
    assert read.labels.tolist() == [4, 2]
    assert torch.equal(probe.images(read), plain(latents.z[[4, 2]], [4, 2]))


def test_points_of_z_keep_the_class_of_what_they_were_made_of() -> None:
    probe = Probe(conditional())
    latents = probe.generator.sample(4, seed=5)
    space = Space.of(probe, "z")
    points = space.points(latents) * 0.5
    assert torch.equal(space.images(points, latents), plain(points, [0, 1, 2, 3]))
    assert torch.equal(space.images(points, latents[3:]), plain(points, [3] * 4))
    assert torch.allclose(space.image_of(points, latents), plain(points, [0, 1, 2, 3]))
    with pytest.raises(ParameterError, match="samples of none"):
        space.images(points)


class Styled(nn.Module):
    """A mapping network, one w for each of three styles, and what draws with them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.mapping = nn.Linear(8, 6)
        self.w_plus = nn.Unflatten(1, (3, 6))
        self.draw = nn.Linear(18, 48)
        self.eval()

    def forward(self, z: Tensor) -> Tensor:
        styles = self.w_plus(self.mapping(z).repeat(1, 3))
        images: Tensor = self.draw(styles.flatten(1)).view(-1, 3, 4, 4)
        return images


def test_w_plus_is_a_space_of_one_w_for_each_style() -> None:
    generator = Generator.from_module(Styled(), latent=8, w_site="mapping", w_plus_site="w_plus")
    probe, latents = Probe(generator), generator.sample(3)
    space = Space.of(probe, "w_plus")
    assert (space.shape, space.n_axes, space.axis_name(7)) == ((3, 6), 18, "w_plus[7]")
    points = space.points(latents)
    assert torch.equal(points[:, 0], points[:, 2])
    step = space.along(torch.eye(18)[7:8])
    assert torch.equal(step[0].nonzero(), torch.tensor([[1, 1]]))
    with torch.no_grad():
        expected = generator.module.draw((points + step).flatten(1)).view(-1, 3, 4, 4)  # type: ignore[operator]
    assert torch.allclose(space.images(points + step, latents), expected)
    assert np.allclose(space.coordinates(points), points.flatten(1))
    with pytest.raises(ParameterError, match="does not say where its w_plus is"):
        Space.of(Probe(conditional()), "w_plus")
