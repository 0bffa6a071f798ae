"""Segmenters that go by pixels, against drawn images and against numpy and scipy."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import XKCD_COLORS, to_rgb
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ganprobe import (
    AreaMeasure,
    Context,
    ParameterError,
    Probe,
    Segmenter,
    UnknownNameError,
    find_measure,
    find_segmenter,
    load,
)
from ganprobe_segmenters.colours import _SHADES
from ganprobe_segmenters.components import Components
from ganprobe_segmenters.edges import Edges
from ganprobe_segmenters.luminance import Luminance
from ganprobe_segmenters.position import Position

ALL = (
    "luminance",
    "luminance:7",
    "colours",
    "colours:red,00ff00,skyblue",
    "edges",
    "edges:20",
    "components",
    "components:50",
    "position",
    "position:2x5",
)
ONE_EACH = [name for name in ALL if not name.startswith("edges")]


def random_images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def blobs(n_images: int, height: int, width: int, seed: int) -> Tensor:
    """Grey images (n, 1, height, width) of smooth random shapes."""
    noise = np.random.default_rng(seed).random((n_images, height, width))
    smooth = ndimage.gaussian_filter(noise, (0, 1, 1))
    spread = np.ptp(smooth, axis=(1, 2), keepdims=True) + 1e-9
    scaled = (smooth - smooth.min((1, 2), keepdims=True)) / spread
    return torch.from_numpy(scaled).float()[:, None]


def shown(segmenter: Segmenter, images: Tensor) -> list[list[list[str]]]:
    """For each image and row, the names of the classes; each pixel is in exactly one."""
    masks = segmenter(images)
    assert (masks.sum(1) == 1).all()
    places = masks.int().argmax(1).tolist()
    return [[[segmenter.classes[one] for one in row] for row in image] for image in places]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "shape",
    [(3, 1, 28, 28), (2, 3, 17, 23), (1, 3, 1, 9), (2, 1, 6, 1), (1, 1, 1, 1), (0, 3, 5, 4)],
)
def test_any_size_number_and_both_kinds_of_images_are_segmented(
    name: str, shape: tuple[int, ...]
) -> None:
    segmenter = find_segmenter(name)
    masks = segmenter(random_images(*shape))
    assert masks.shape == (shape[0], len(segmenter.classes), *shape[2:])
    assert masks.dtype == torch.bool


@pytest.mark.parametrize("name", ALL)
def test_an_image_is_segmented_alike_alone_in_a_batch_and_turned_to_channels_last(
    name: str,
) -> None:
    images = random_images(5, 3, 19, 21)
    segmenter = find_segmenter(name)
    masks = segmenter(images)
    assert torch.equal(masks, torch.cat([segmenter(image[None]) for image in images]))
    assert torch.equal(masks, segmenter(images.to(memory_format=torch.channels_last)))


@pytest.mark.parametrize("name", ONE_EACH)
def test_every_pixel_is_in_one_class(name: str) -> None:
    segmenter = find_segmenter(name)
    for images in (random_images(4, 3, 16, 11), blobs(4, 16, 11, seed=1)):
        assert (segmenter(images).sum(1) == 1).all()
        assert AreaMeasure(segmenter)(images).sum(1).tolist() == pytest.approx([1.0] * 4)


@pytest.mark.parametrize("name", ALL)
def test_a_segmenter_takes_half_precision(name: str) -> None:
    images = (random_images(2, 3, 9, 9) * 16).round() / 16  # a half holds them exactly
    segmenter = find_segmenter(name)
    assert torch.equal(segmenter(images.half()), segmenter(images))


@pytest.mark.parametrize("name", ["luminance", "luminance:4", "colours", "edges", "components"])
def test_a_grey_image_is_segmented_as_it_is_in_three_equal_channels(name: str) -> None:
    grey = (blobs(3, 20, 18, seed=2) * 32).round() / 32 + 1 / 128  # off the borders of bands
    segmenter = find_segmenter(name)
    assert torch.equal(segmenter(grey), segmenter(grey.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize("n_bands", [2, 3, 4, 5, 7, 50])
def test_bands_of_luminance_are_those_of_a_histogram(n_bands: int) -> None:
    images = random_images(3, 3, 13, 17, seed=n_bands)
    light = images.double().numpy().transpose(0, 2, 3, 1) @ [0.299, 0.587, 0.114]
    expected, _ = np.histogram(light, n_bands, range=(0, 1))
    masks = find_segmenter(f"luminance:{n_bands}")(images)
    assert masks.sum((0, 2, 3)).tolist() == expected.tolist()
    assert (light[masks[:, 0].numpy()] < 1 / n_bands).all()


def test_black_white_and_what_lies_on_a_border_have_their_bands() -> None:
    tones = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0, torch.nan]).view(1, 1, 1, 6)
    masks = Luminance(4)(tones)[0, :, 0].int().T.tolist()
    assert masks == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0] * 4]
    assert Luminance(4).classes == ("0-25 %", "25-50 %", "50-75 %", "75-100 %")
    assert Luminance(4).class_colours == ("#000000", "#555555", "#aaaaaa", "#ffffff")
    assert Luminance().classes == ("very dark", "dark", "medium", "bright", "very bright")
    white = torch.ones(1, 3, 1, 1)
    assert shown(Luminance(), white) == [[["very bright"]]]


def test_bands_have_names_of_their_own() -> None:
    for n_bands in range(2, 51):
        assert len(set(Luminance(n_bands).classes)) == n_bands


def lab_of(colour: tuple[float, float, float]) -> NDArray[np.float64]:
    """L*, a*, b* by the text of the standards, one colour at a time, in float64."""
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in colour]
    red, green, blue = linear
    x = (0.4124564 * red + 0.3575761 * green + 0.1804375 * blue) / 0.95047
    y = 0.2126729 * red + 0.7151522 * green + 0.0721750 * blue
    z = (0.0193339 * red + 0.1191920 * green + 0.9503041 * blue) / 1.08883
    bent = [one ** (1 / 3) if one > 216 / 24389 else (24389 / 27 * one + 16) / 116
            for one in (x, y, z)]  # fmt: skip
    return np.array([116 * bent[1] - 16, 500 * (bent[0] - bent[1]), 200 * (bent[1] - bent[2])])


def test_lab_is_that_of_the_standards() -> None:
    from ganprobe_segmenters.lab import lab

    colours = random_images(200, 3, seed=4).double()
    colours[0], colours[1], colours[2] = 0.0, 1.0, torch.tensor([0.02, 0.0, 1.0])
    expected = np.stack([lab_of(tuple(one)) for one in colours.tolist()])
    assert np.abs(lab(colours).numpy() - expected).max() < 0.01
    green = torch.tensor([[0.0, 1.0, 0.0]])  # as tables have it
    assert lab(green)[0].tolist() == pytest.approx([87.73, -86.18, 83.18], abs=0.02)


def test_the_shades_are_those_of_the_survey() -> None:
    for name, shades in _SHADES.items():
        words = (name, f"light {name}", f"dark {name}")
        told = [XKCD_COLORS[f"xkcd:{word}"] for word in words if f"xkcd:{word}" in XKCD_COLORS]
        assert list(shades) == told


def test_a_pixel_has_the_nearest_colour() -> None:
    images = random_images(2, 3, 9, 11, seed=5)
    names = [name for name, shades in _SHADES.items() for _ in shades]
    prototypes = np.stack([lab_of(to_rgb(one)) for own in _SHADES.values() for one in own])
    seen = np.stack(
        [lab_of(tuple(one)) for one in images.permute(0, 2, 3, 1).reshape(-1, 3).tolist()]
    )
    distances = np.linalg.norm(seen[:, None] - prototypes, axis=2)
    expected = [names[place] for place in distances.argmin(1)]
    found = shown(find_segmenter("colours"), images)
    assert [name for image in found for row in image for name in row] == expected
    assert len(set(expected)) > 6


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        ("#000000", "black"), ("#808080", "grey"), ("#ffffff", "white"), ("#ff0000", "red"),
        ("#ffa500", "orange"), ("#ffff00", "yellow"), ("#008000", "green"), ("#0000ff", "blue"),
        ("#800080", "purple"), ("#ffc0cb", "pink"), ("#8b4513", "brown"), ("#87ceeb", "blue"),
        ("#006400", "green"), ("#00008b", "blue"), ("#90ee90", "green"), ("#8b0000", "red"),
    ],
)  # fmt: skip
def test_colours_are_called_what_css_calls_them(colour: str, name: str) -> None:
    image = torch.tensor(to_rgb(colour)).view(1, 3, 1, 1)
    assert shown(find_segmenter("colours"), image) == [[[name]]]


def test_a_palette_is_taken_by_name_and_by_number() -> None:
    segmenter = find_segmenter("colours:red, #00FF00,0000ff,888")
    assert segmenter.classes == ("red", "#00FF00", "0000ff", "888")
    assert segmenter.class_colours == ("#ff0000", "#00ff00", "#0000ff", "#888888")
    image = torch.tensor([[0.9, 0.2, 0.1], [0.1, 0.8, 0.2], [0.2, 0.1, 0.9], [0.4, 0.4, 0.4]])
    assert shown(segmenter, image.T.view(1, 3, 1, 4)) == [[["red", "#00FF00", "0000ff", "888"]]]


def test_images_without_a_colour_are_refused() -> None:
    with pytest.raises(ParameterError, match="'colours' takes images of 1 or 3 channels, got 4"):
        find_segmenter("colours")(torch.zeros(1, 4, 2, 2))


@given(seed=st.integers(0, 10**6), height=st.integers(1, 9), width=st.integers(1, 9))
def test_edges_are_where_scipys_sobel_is_steep(seed: int, height: int, width: int) -> None:
    images = random_images(2, 1, height, width, seed=seed).double()
    light = images[:, 0].numpy()
    across = np.stack([ndimage.sobel(one, axis=1, mode="nearest") for one in light]) / 8
    down = np.stack([ndimage.sobel(one, axis=0, mode="nearest") for one in light]) / 8
    steepness, angle = np.hypot(across, down), np.degrees(np.arctan2(np.abs(down), np.abs(across)))
    is_clear = (np.abs(steepness - 0.2) > 1e-5) & (np.abs(angle - 22.5) > 1e-3)
    is_clear &= np.abs(angle - 67.5) > 1e-3
    is_edge = steepness > 0.2
    expected = [~is_edge, is_edge, is_edge & (angle > 67.5), is_edge & (angle < 22.5)]
    expected.append(is_edge & ~expected[2] & ~expected[3])
    found = Edges(20.0)(images.float()).numpy()
    for place, masks in enumerate(expected):
        assert (found[:, place] == masks)[is_clear].all(), Edges.classes[place]


def classes_at(segmenter: Segmenter, image: Tensor, row: int, column: int) -> set[str]:
    masks = segmenter(image)[0, :, row, column]
    return {name for name, is_in in zip(segmenter.classes, masks.tolist(), strict=True) if is_in}


def test_edges_have_the_direction_that_they_run_in() -> None:
    square = torch.zeros(1, 1, 12, 12)
    square[..., 3:9, 3:9] = 1.0
    edges = Edges()
    assert classes_at(edges, square, 3, 6) == {"edge", "horizontal"}
    assert classes_at(edges, square, 6, 8) == {"edge", "vertical"}
    assert classes_at(edges, square, 2, 2) == {"edge", "diagonal"}  # its corner
    assert classes_at(edges, square, 0, 0) == classes_at(edges, square, 6, 6) == {"flat"}
    step = torch.zeros(1, 1, 6, 6)
    step[..., 3:] = 1.0
    assert classes_at(Edges(49.0), step, 2, 2) == {"edge", "vertical"}
    assert classes_at(Edges(51.0), step, 2, 2) == {"flat"}


def test_an_edge_of_colour_alone_is_an_edge() -> None:
    image = torch.full((1, 3, 5, 6), 0.5)
    image[:, 0, :, 3:] += 0.4 * 0.587  # red up, green down: the luminance stays
    image[:, 1, :, 3:] -= 0.4 * 0.299
    assert classes_at(Edges(), image, 2, 3) == {"edge", "vertical"}
    assert classes_at(Edges(), image[:, 2:], 2, 3) == {"flat"}


def test_pieces_and_holes_of_a_drawn_image() -> None:
    drawn = """
        .........#
        .####.....
        .#..#..##.
        .#..#..##.
        .####.....
        .....#....
        ##....#..."""
    rows = drawn.split()
    image = torch.tensor([[float(sign == "#") for sign in row] for row in rows])[None, None]
    expected = """
        .........o
        .LLLL.....
        .LhhL..oo.
        .LhhL..oo.
        .LLLL.....
        .....L....
        oo....L..."""
    signs = {".": "background", "L": "largest", "o": "other", "h": "hole"}
    wanted = [[signs[sign] for sign in row] for row in expected.split()]
    assert shown(Components(), image) == [wanted]
    assert shown(Components(), 1 - image) == [wanted]  # what is the background, the border tells


def test_a_way_out_over_a_corner_is_none() -> None:
    image = torch.zeros(1, 1, 5, 5)
    for row, column in ((1, 2), (2, 1), (2, 3), (3, 2)):
        image[..., row, column] = 1.0
    areas = Components()(image).sum((0, 2, 3)).tolist()
    assert dict(zip(Components.classes, areas, strict=True)) == {
        "background": 20, "largest": 4, "other": 0, "hole": 1
    }  # fmt: skip


def test_of_equal_pieces_the_first_is_the_largest() -> None:
    image = torch.zeros(2, 1, 5, 7)
    image[0, 0, 3, 1] = image[0, 0, 1, 5] = 1.0
    image[1, 0, 1, 1:3] = image[1, 0, 3, 1:4] = 1.0
    largest = Components()(image)[:, 1]
    assert torch.nonzero(largest[0]).tolist() == [[1, 5]]
    assert torch.nonzero(largest[1]).tolist() == [[3, 1], [3, 2], [3, 3]]


def flooded(mask: NDArray[np.bool_], start: tuple[int, int], *, corners: bool) -> set[Any]:
    """The places that can be reached from one, over places of the same kind."""
    steps = [(down, across) for down in (-1, 0, 1) for across in (-1, 0, 1)
             if (down, across) != (0, 0) and (corners or 0 in (down, across))]  # fmt: skip
    found, new = {start}, [start]
    while new:
        row, column = new.pop()
        for down, across in steps:
            place = (row + down, column + across)
            inside = 0 <= place[0] < mask.shape[0] and 0 <= place[1] < mask.shape[1]
            if inside and place not in found and mask[place] == mask[start]:
                found.add(place)
                new.append(place)
    return found


@pytest.mark.parametrize(
    ("seed", "height", "width"), [(0, 12, 12), (1, 9, 14), (2, 7, 1), (3, 1, 8)]
)
def test_pieces_are_those_of_a_flood(seed: int, height: int, width: int) -> None:
    images = blobs(4, height, width, seed)
    names = shown(Components(30.0), images)
    for image, found in zip(images[:, 0].numpy(), names, strict=True):
        frame = np.ones(image.shape, bool)
        frame[1:-1, 1:-1] = False
        median = np.sort(image[frame])[frame.sum() // 2]
        mask = np.abs(image - median) > np.float32(0.3)
        border = {place for place in np.ndindex(*image.shape) if frame[place]}
        places = list(np.ndindex(*image.shape))
        pieces = {frozenset(flooded(mask, place, corners=True)) for place in places if mask[place]}
        sizes = sorted(map(len, pieces), reverse=True)
        for place in places:
            reached = flooded(mask, place, corners=bool(mask[place]))
            name = found[place[0]][place[1]]
            if mask[place]:
                assert name in ("largest", "other")
                assert name == "other" or len(reached) == sizes[0]
            else:
                assert name == ("background" if reached & border else "hole")
        counted = Counter(name for row in found for name in row)
        assert counted["largest"] == (sizes[0] if sizes else 0)
        assert counted["other"] == sum(sizes[1:])


def test_an_object_of_another_colour_is_a_piece() -> None:
    image = torch.full((1, 3, 6, 6), 0.5)
    image[:, 2, 2:4, 2:4] = 0.9
    assert Components()(image)[0, 1].sum() == 4
    assert Components(45.0)(image)[0, 1].sum() == 0


def test_most_digits_are_one_piece() -> None:
    digits = load("digits")
    images = digits.to_unit_range(Probe(digits).images(digits.sample(100, seed=0)))
    areas = AreaMeasure(Components())(images)
    assert ((areas[:, 1] > 0.05) & (areas[:, 1] < 0.4)).float().mean() > 0.9
    assert (areas[:, 2] == 0).float().mean() > 0.75
    zeros = find_measure("digit")(images).argmax(1) == 0
    assert (areas[zeros, 3] > 0).float().mean() > 0.8


def test_cells_have_the_words_for_their_place() -> None:
    assert Position().classes == (
        "top-left", "top", "top-right", "left", "centre", "right",
        "bottom-left", "bottom", "bottom-right",
    )  # fmt: skip
    assert Position((2, 2)).classes == ("top-left", "top-right", "bottom-left", "bottom-right")
    assert Position((3, 1)).classes == ("top", "centre", "bottom")
    assert Position((2, 3)).classes[:3] == ("top-left", "top", "top-right")
    assert find_segmenter("position:2x4").classes[4] == "row 2 column 1"
    assert shown(Position((2, 2)), torch.zeros(1, 3, 2, 3)) == [
        [["top-left", "top-right", "top-right"], ["bottom-left", "bottom-right", "bottom-right"]]
    ]


@given(
    rows=st.integers(1, 16),
    columns=st.integers(2, 16),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
)
def test_a_pixel_is_in_the_cell_of_its_centre(
    rows: int, columns: int, height: int, width: int
) -> None:
    masks = Position((rows, columns))(torch.zeros(2, 1, height, width))
    row = [int(np.floor(rows * (2 * y + 1) / (2 * height))) for y in range(height)]
    column = [int(np.floor(columns * (2 * x + 1) / (2 * width))) for x in range(width)]
    expected = np.add.outer(np.array(row) * columns, np.array(column))
    assert (masks.sum(1) == 1).all()
    assert (masks.int().argmax(1).numpy() == expected).all()


def save(path: Path, pixels: Any) -> str:
    matplotlib.image.imsave(path, np.asarray(pixels, np.uint8))
    return f"painted:{path}"


RED, GREEN, ODD = (255, 0, 0), (0, 128, 0), (18, 52, 86)


def test_the_colours_of_a_picture_are_classes(tmp_path: Path) -> None:
    segmenter = find_segmenter(save(tmp_path / "mask.png", [[RED, RED, GREEN], [RED, ODD, ODD]]))
    assert set(segmenter.classes) == {"red", "green", "#123456"}
    colours = dict(zip(segmenter.classes, segmenter.class_colours or (), strict=True))
    assert colours == {"red": "#ff0000", "green": "#008000", "#123456": "#123456"}
    expected = [["red", "red", "green"], ["red", "#123456", "#123456"]]
    assert shown(segmenter, random_images(2, 1, 2, 3)) == [expected, expected]
    assert segmenter(torch.zeros(0, 3, 4, 6)).shape == (0, 3, 4, 6)
    larger = [[name for name in row for _ in range(3)] for row in expected for _ in range(3)]
    assert shown(segmenter, random_images(1, 3, 6, 9)) == [larger]


def test_a_large_picture_is_taken_at_the_centres_of_pixels(tmp_path: Path) -> None:
    places = np.random.default_rng(0).integers(0, 5, (21, 35))
    palette = np.array([RED, GREEN, ODD, (0, 0, 0), (255, 255, 255)])
    segmenter = find_segmenter(save(tmp_path / "mask.png", palette[places]))
    masks = segmenter(torch.zeros(1, 1, 6, 10))[0]
    names = ["red", "green", "#123456", "black", "white"]
    for y in range(6):
        for x in range(10):
            name = names[places[int((y + 0.5) * 21 / 6), int((x + 0.5) * 3.5)]]
            assert masks[segmenter.place_of(name), y, x]


def test_what_is_transparent_is_in_no_class(tmp_path: Path) -> None:
    pixels = np.array([[(*RED, 255), (*GREEN, 0)], [(*GREEN, 255), (*RED, 100)]])
    segmenter = find_segmenter(save(tmp_path / "mask.png", pixels))
    assert segmenter(torch.zeros(1, 1, 2, 2)).sum(1).tolist() == [[[1, 0], [1, 0]]]
    clear = save(tmp_path / "clear.png", np.zeros((2, 2, 4)))
    with pytest.raises(ParameterError, match=r"clear.png is transparent everywhere; paint areas"):
        find_segmenter(clear)


def test_pictures_that_are_no_mask_are_refused(tmp_path: Path) -> None:
    photo = save(tmp_path / "photo.png", np.random.default_rng(0).integers(0, 256, (40, 40, 3)))
    with pytest.raises(ParameterError, match=r"photo.png has 1,\d\d\d colours, .* at most 64, one"):
        find_segmenter(photo)
    with pytest.raises(ParameterError, match=r"cannot read the image .*none.png: No such file"):
        find_segmenter(f"painted:{tmp_path / 'none.png'}")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ParameterError, match=r"cannot read the image .*text.png"):
        find_segmenter(f"painted:{tmp_path / 'text.png'}")
    square = find_segmenter(save(tmp_path / "mask.png", [[RED, GREEN], [RED, GREEN]]))
    told = r"mask.png of segmenter 'painted' is 2 x 2 pixels .* images are 6 x 4; cut it to that"
    with pytest.raises(ParameterError, match=told):
        square(torch.zeros(1, 1, 4, 6))


def test_an_image_belongs_to_what_a_measure_finds_it_to_be() -> None:
    digits = load("digits")
    images = digits.to_unit_range(Probe(digits).images(digits.sample(20, seed=0)))
    segmenter = find_segmenter("class:digit")
    assert segmenter.name == "class:digit"
    assert segmenter.classes == tuple("0123456789")
    assert (segmenter.fits((1, 28, 28)), segmenter.fits((3, 28, 28))) == (True, False)
    largest = find_measure("digit")(images).argmax(1)
    masks = segmenter(images)
    for image, place in enumerate(largest.tolist()):
        assert masks[image].flatten(1).float().mean(1).tolist() == [
            float(other == place) for other in range(10)
        ]
    assert segmenter(images[:0]).shape == (0, 10, 28, 28)


def test_an_image_can_belong_to_its_largest_area() -> None:
    segmenter = find_segmenter("class:area:luminance:3")
    tones = torch.tensor([0.1, 0.5, 0.9]).view(3, 1, 1, 1).expand(-1, 1, 4, 4)
    assert [one[0][0] for one in shown(segmenter, tones)] == ["dark", "medium", "bright"]


def test_an_image_without_a_finding_is_in_no_class() -> None:
    segmenter = find_segmenter("class:appearance")
    image = torch.full((1, 1, 3, 3), torch.nan)
    assert not segmenter(image).any()


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        (
            "luminance:x",
            ParameterError,
            "'luminance' has 2 to 50 bands, got 'x'; write luminance:5",
        ),
        ("luminance:1", ParameterError, "has 2 to 50 bands, got '1'"),
        ("luminance:51", ParameterError, "has 2 to 50 bands, got '51'"),
        ("luminance:-3", ParameterError, "has 2 to 50 bands, got '-3'"),
        ("luminance:²", ParameterError, "has 2 to 50 bands, got '²'"),
        ("colours:red", ParameterError, "needs two colours or more, got 'red'; write colours:red,"),
        ("colours:red,,", ParameterError, "'' is no colour for segmenter 'colours'; write names"),
        ("colours:red,#ff0000", ParameterError, r"is given 'red' \(#ff0000\) twice; name each"),
        ("colours:red,0.5", ParameterError, "'0.5' is no colour"),
        ("colours:red,none", ParameterError, "'none' is no colour"),
        ("colours:red,rouge", ParameterError, "'rouge' is no colour"),
        ("edges:0", ParameterError, "the threshold of segmenter 'edges' is a number of per cent"),
        ("edges:nan", ParameterError, "above 0 and below 100, got 'nan'; write edges:20, or edges"),
        ("edges:steep", ParameterError, "got 'steep'; write edges:20"),
        ("components:100", ParameterError, "of segmenter 'components' is .* got '100'; write comp"),
        ("position:3", ParameterError, "'position' has 1 to 16 rows and columns, .* got '3'"),
        ("position:1x1", ParameterError, "and two cells or more, got '1x1'; write position:2x4"),
        ("position:0x4", ParameterError, "got '0x4'"),
        ("position:2x17", ParameterError, "got '2x17'"),
        ("position:2x2x2", ParameterError, "got '2x2x2'"),
        ("painted", ParameterError, "'painted' needs something behind its colon; write painted:FI"),
        ("class", ParameterError, "'class' needs something behind its colon; write class:MEASURE"),
        ("class:digits", UnknownNameError, "no measure 'digits'; nearest: digit"),
        ("class:digit-realness", ParameterError, "'digit-realness' has one column, so that it can"),
    ],
)
def test_what_cannot_stand_behind_a_colon_is_told_with_the_way_out(
    name: str, kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind, match=told):
        find_segmenter(name)


def test_a_segmenter_is_called_as_it_was_written() -> None:
    for name in (*ALL, "class:digit", "edges:12.5", "class:area:position:1x2"):
        assert find_segmenter(name).name == name


@pytest.mark.parametrize("name", ["painted", "class", "torchvision"])
def test_a_segmenter_that_lacks_its_argument_says_so(name: str) -> None:
    from ganprobe_segmenters import register_segmenters

    (bare,) = (one for one in register_segmenters() if one.name == name)
    with pytest.raises(ParameterError, match=f"segmenter '{name}' needs a .*; write {name}:"):
        bare(torch.zeros(1, 1, 4, 4))


def test_digits_are_chosen_by_their_holes() -> None:
    digits = Context(Probe(load("digits")), 0, find_measure, find_segmenter=find_segmenter)
    latents = digits.latents("digit=8 & area:components.hole>0.02", 4)
    images = digits.generator.to_unit_range(digits.probe.images(latents))
    assert (Components()(images)[:, 3].float().mean((1, 2)) > 0.02).all()
    assert (find_measure("digit")(images).argmax(1) == 8).all()


def test_an_area_is_ablated_from_the_command_line(
    ganprobe_command: Callable[..., Any], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    finished = ganprobe_command(
        "run", "ablation", "digits", "--site", "conv3", "--measure", "area:components=largest",
        "--samples", "area:components.largest>0.05", "--n-samples", 8, "--n-ranked", 8,
        "--top", 2, "--n-draws", 2, "--n-shown", 1, "--units", "0-7", "--n-resamples", 100,
        "--output", output,
    )  # fmt: skip
    assert finished.status == 0, finished.err
    assert "area:components=largest" in finished.out
    written = json.loads((output / "result.json").read_text())["provenance"]["parameters"]
    assert written["measure"] == "area:components=largest"
    assert written["samples"] == "area:components.largest>0.05"


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--measure", "area:components"], "has 4 columns: background, largest, other, hole; name"),
        (["--measure", "area:components=lagest"], "no column 'lagest' in .*; nearest: largest"),
        (["--measure", "area:componets=largest"], "no segmenter 'componets'; nearest: components"),
        (["--measure", "area:edges:none=edge"], "got 'none'; write edges:20, or edges alone"),
        (["--measure", "area:painted:no.png=red"], "cannot read the image no.png: No such file"),
        (["--measure", "area:=x"], "no segmenter ''"),
        (["--measure", "area:scenes=sky"], r"takes images \(3, 64, 64\), but generator 'digits'"),
        (["--measure", "digit=1", "--samples", "area:edges=edgy"], "no column 'edgy' in measure"),
    ],
)
def test_a_wrong_area_is_one_sentence_on_the_command_line(
    ganprobe_command: Callable[..., Any], tmp_path: Path, flags: list[str], told: str
) -> None:
    command = ("run", "ablation", "digits", "--site", "conv3", "--output", tmp_path / "out")
    finished = ganprobe_command(*command, *flags)
    assert finished.status in (1, 2)
    assert "Traceback" not in finished.err
    lines = finished.err.strip().splitlines()
    assert re.search(told, lines[-1]), finished.err


def test_an_area_is_a_group_of_exemplars_and_needs_a_word_between_kinds_of_pairs(
    ganprobe_command: Callable[..., Any], tmp_path: Path
) -> None:
    from ganprobe_arithmetic.groups import read_groups

    read = read_groups(["area:components.hole>0.02", "ringed: area:components.hole>0.02"])
    assert [name for name, _ in read] == ["A", "ringed"]
    assert {str(choice) for _, choice in read} == {"area:components.hole>0.02"}
    finished = ganprobe_command(
        "run", "swap", "digits", "--site", "conv2", "--source", 1, "--donor", 2, "--output",
        tmp_path / "out", "--transfer", "area:components=largest:digit=1",
    )  # fmt: skip
    assert (
        "names no donor; write source:donor, as digit=0:digit=4, or 'digit=0 into" in finished.err
    )


def test_areas_are_no_probabilities_to_a_judge_of_quality(
    ganprobe_command: Callable[..., Any], tmp_path: Path
) -> None:
    finished = ganprobe_command(
        "run", "quality", "digits", "--judge", "area:components", "--n-samples", 20,
        "--output", tmp_path / "out",
    )  # fmt: skip
    told = (
        "'area:components' has 4 columns that are no probabilities; name one, as area:components="
    )
    assert told in finished.err


@pytest.mark.parametrize("name", [name for name in ALL if not name.startswith("components")])
def test_all_work_is_done_on_the_images_device(name: str) -> None:
    """Tensors on the device `meta` can be computed with no others."""
    masks = find_segmenter(name)(torch.empty(2, 3, 6, 7, device="meta"))
    assert masks.device.type == "meta"
