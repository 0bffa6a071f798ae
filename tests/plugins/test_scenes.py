"""The painted places, the generator that learned them, and what judges it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import ganprobe
from ganprobe import AreaMeasure, Probe
from ganprobe_zoo.measures import SceneRealness
from ganprobe_zoo.painter import SIZE, paint
from ganprobe_zoo.scene_classes import CLASS_COLOURS, CLASSES
from ganprobe_zoo.scene_networks import ScenesDiscriminator
from ganprobe_zoo.segmenters import Scenes
from ganprobe_zoo.training.scenes import held_out_ious
from ganprobe_zoo.weights_folder import WEIGHTS

PLACE = {name: place for place, name in enumerate(CLASSES)}
HELD_OUT_SEED = 77


def classes_of(images: Tensor) -> Tensor:
    """(n, 64, 64) the class that the segmenter sees at each pixel."""
    return torch.cat([Scenes()(part).int().argmax(dim=1) for part in images.split(100)])


def generated(n: int, *, seed: int) -> Tensor:
    """Images of `scenes` in [0, 1]."""
    scenes = ganprobe.load("scenes")
    return scenes.to_unit_range(Probe(scenes).images(scenes.sample(n, seed=seed)))


def above(classes: Tensor, name: str) -> Tensor:
    """The classes of the pixels right above those of a class, but for the class itself."""
    is_class = classes[:, 1:] == PLACE[name]
    upper = classes[:, :-1][is_class]
    return upper[upper != PLACE[name]]


def below(classes: Tensor, name: str) -> Tensor:
    """The classes of the pixels right below those of a class, but for the class itself."""
    return above(classes.flip(1), name)


def share(classes: Tensor, *names: str) -> float:
    """How many of these pixels are of some of these classes."""
    return sum(float((classes == PLACE[name]).double().mean()) for name in names)


def test_a_painting_depends_on_its_seed_and_number_alone() -> None:
    whole = paint(7, seed=3)
    again = paint(3, seed=3, start=2)
    assert torch.equal(whole.images[2:5], again.images)
    assert torch.equal(whole.classes[2:5], again.classes)
    assert not torch.equal(paint(7, seed=4).images, whole.images)


def test_more_paintings_than_are_made_at_once_keep_their_order() -> None:
    painting = paint(260, seed=1)
    assert torch.equal(painting.images[255:], paint(5, seed=1, start=255).images)


def test_no_paintings_are_an_empty_batch() -> None:
    painting = paint(0, seed=0)
    assert painting.images.shape == (0, 3, SIZE, SIZE)
    assert painting.masks().shape == (0, len(CLASSES), SIZE, SIZE)


def test_each_pixel_of_a_painting_is_in_exactly_one_class() -> None:
    painting = paint(20, seed=5)
    assert (painting.masks().sum(dim=1) == 1).all()
    assert painting.images.min() >= 0
    assert painting.images.max() <= 1
    assert len(CLASS_COLOURS) == len(CLASSES)


def test_every_place_has_a_building_with_a_door_and_a_path() -> None:
    masks = paint(200, seed=6).masks().flatten(2).any(dim=2)  # (200, classes)
    for name in ("sky", "ground", "path", "roof", "door", "window"):
        assert masks[:, PLACE[name]].all()
    assert (masks[:, PLACE["house"]] ^ masks[:, PLACE["church"]]).all()
    assert (masks[:, PLACE["sun"]] ^ masks[:, PLACE["cloud"]]).all()
    assert 0.8 < masks[:, PLACE["tree"]].float().mean() < 1


def test_painted_doors_stand_in_walls_and_trees_on_the_ground() -> None:
    classes = paint(300, seed=7).classes
    assert share(above(classes, "door"), "house", "church", "tree") == 1  # a tree may hide a part
    assert share(above(classes, "door"), "house", "church") > 0.99
    assert share(below(classes, "door"), "path", "ground", "tree") == 1
    assert share(below(classes, "tree"), "sky", "sun", "cloud", "roof") < 0.3  # below crowns
    feet = torch.stack([_lowest(one, "tree") for one in classes if (one == PLACE["tree"]).any()])
    assert set(feet.tolist()) <= {PLACE["ground"], PLACE["path"]}


def _lowest(classes: Tensor, name: str) -> Tensor:
    """The class below the lowest pixel of a class."""
    row, column = (classes == PLACE[name]).nonzero()[-1].tolist()
    return classes[row + 1, column]


def test_edges_are_smooth_and_the_class_is_what_covers_most() -> None:
    """The sun's outline: pixels that it covers by more than a half are its own, and yellow."""
    painting = paint(60, seed=8)
    is_sun = painting.classes == PLACE["sun"]
    red, green, blue = painting.images.unbind(dim=1)
    assert ((red - blue)[is_sun] > 0.15).float().mean() > 0.99
    assert painting.images[is_sun.nonzero()[:, 0].unique()].unique().numel() > 1000
    assert (green[is_sun] > 0.5).all()


def test_the_segmenter_sees_what_was_painted() -> None:
    painting = paint(100, seed=HELD_OUT_SEED)
    found, true = classes_of(painting.images), painting.classes.long()
    ious = []
    for place in range(len(CLASSES)):
        both = ((found == place) & (true == place)).sum()
        ious.append(float(both / ((found == place) | (true == place)).sum()))
    assert sum(ious) / len(ious) > 0.95
    assert min(ious) > 0.9


def test_the_iou_of_training_is_that_of_the_definition() -> None:
    from ganprobe_zoo.scenes import load_segmenter

    ious = held_out_ious(load_segmenter(torch.device("cpu")), n=50)
    assert ious.shape == (len(CLASSES),)
    assert ious.mean() > 0.95


@pytest.mark.parametrize("n", [250, pytest.param(4000, marks=pytest.mark.slow)])
def test_scenes_have_the_classes_of_paintings_as_often(n: int) -> None:
    painted = paint(n, seed=HELD_OUT_SEED).classes.long().flatten()
    drawn = classes_of(generated(n, seed=9)).flatten()
    counts = [torch.bincount(one, minlength=len(CLASSES)).double() for one in (drawn, painted)]
    ratio = counts[0] / counts[1]
    assert ratio.min() > 0.8
    assert ratio.max() < 1.2


def test_generated_doors_stand_in_walls_and_trees_hardly_ever_hang_in_the_air() -> None:
    classes = classes_of(generated(150, seed=10))
    assert share(above(classes, "door"), "house", "church", "window", "roof") > 0.95
    assert share(above(classes, "door"), "sky", "cloud", "sun") < 0.02
    assert share(below(classes, "door"), "sky", "cloud", "sun") < 0.01


def test_scenes_do_not_repeat() -> None:
    images = generated(100, seed=11).flatten(1)
    distances = torch.cdist(images, images) + 1e3 * torch.eye(100)
    assert distances.min() > 1.0


def test_realness_of_an_image_does_not_depend_on_the_batch() -> None:
    images = generated(9, seed=12)
    together = SceneRealness()(images)
    alone = torch.cat([SceneRealness()(image[None]) for image in images])
    assert torch.allclose(together, alone, atol=1e-4)


def test_the_discriminator_prefers_places_to_two_places_on_top_of_each_other() -> None:
    images = generated(100, seed=13)
    overlaid = (images[:50] + images[50:]) / 2
    assert SceneRealness()(images).mean() > SceneRealness()(overlaid).mean() + 0.3


def test_the_spread_of_a_batch_is_how_much_its_groups_differ() -> None:
    discriminator = ScenesDiscriminator()
    maps = torch.randn(8, 5, 4, 4, dtype=torch.float64).float()
    spread = discriminator.spread(maps)
    groups = maps.double().reshape(4, 2, 80)
    expected = (groups.var(dim=0, correction=0) + 1e-8).sqrt().mean(dim=1)
    assert spread.shape == (8, 1, 4, 4)
    assert spread[:, 0, 0, 0].tolist() == pytest.approx(expected.repeat(4).tolist(), rel=1e-5)
    assert discriminator.spread(maps[:3]).abs().max() < 1e-3


def test_areas_of_scenes_are_a_measure_that_is_listed() -> None:
    images = generated(4, seed=14)
    areas = AreaMeasure(Scenes())(images)
    assert areas.shape == (4, len(CLASSES))
    assert areas.sum(dim=1).tolist() == pytest.approx([1.0] * 4)
    assert torch.allclose(areas, Scenes()(images).float().mean(dim=(2, 3)))


def test_all_weights_fit_their_budget() -> None:
    assert sum(file.stat().st_size for file in WEIGHTS.iterdir()) <= 20_000_000
