"""Pictures of every kind that people have, as images of a generator."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from numpy.typing import NDArray

from ganprobe import ParameterError, find_image_files, read_image, read_images

GREY = np.random.default_rng(0).integers(0, 256, (6, 8), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (6, 8, 3), dtype=np.uint8)
SHAPE = (1, 6, 8)


def written(path: Path, pixels: NDArray[np.generic]) -> Path:
    iio.imwrite(path, pixels)
    return path


def test_grey_of_8_bits_is_its_values_over_255(tmp_path: Path) -> None:
    image = read_image(written(tmp_path / "grey.png", GREY), SHAPE)
    assert image.values.dtype == np.float32
    assert np.array_equal(image.values[0], GREY.astype(np.float32) / 255)
    assert (image.name, image.size) == ("grey", (6, 8))
    assert not any([image.is_resized, image.is_colour, image.is_transparent])


def test_grey_of_16_bits_keeps_all_of_them(tmp_path: Path) -> None:
    deep = GREY.astype(np.uint16) * 256 + 7
    image = read_image(written(tmp_path / "deep.png", deep), SHAPE)
    assert np.allclose(image.values[0], deep / 65535, atol=1e-7)


def test_grey_of_one_bit_is_black_and_white(tmp_path: Path) -> None:
    image = read_image(written(tmp_path / "bits.png", GREY > 127), SHAPE)
    assert np.array_equal(image.values[0], (GREY > 127).astype(np.float32))


def test_colour_is_channels_first_and_grey_is_its_luminance(tmp_path: Path) -> None:
    path = written(tmp_path / "colour.png", COLOUR)
    colour, grey = read_image(path, (3, 6, 8)), read_image(path, SHAPE)
    assert np.allclose(colour.values, np.moveaxis(COLOUR, 2, 0) / 255, atol=1e-7)
    red, green, blue = np.moveaxis(COLOUR.astype(float), 2, 0) / 255
    assert np.allclose(grey.values[0], 0.299 * red + 0.587 * green + 0.114 * blue, atol=1e-6)
    assert grey.is_colour


def test_grey_pixels_in_a_colour_file_are_not_rounded(tmp_path: Path) -> None:
    path = written(tmp_path / "grey.png", np.repeat(GREY[..., None], 3, axis=2))
    image = read_image(path, SHAPE)
    assert np.array_equal(image.values[0], GREY.astype(np.float32) / 255)
    assert not image.is_colour


def test_grey_has_three_equal_channels_for_a_generator_in_colour(tmp_path: Path) -> None:
    image = read_image(written(tmp_path / "grey.png", GREY), (3, 6, 8))
    assert image.values.shape == (3, 6, 8)
    assert np.array_equal(image.values[0], image.values[2])


def test_what_is_transparent_is_white_as_paper(tmp_path: Path) -> None:
    pixels = np.zeros((6, 8, 4), np.uint8)
    pixels[:, 2:4, 3], pixels[:, 4:, 3] = 51, 255  # black ink: none, thin, full
    image = read_image(written(tmp_path / "ink.png", pixels), SHAPE)
    assert np.allclose(image.values[0, 0], [1, 1, 0.8, 0.8, 0, 0, 0, 0], atol=1e-6)
    assert image.is_transparent
    opaque = pixels.copy()
    opaque[..., 3] = 255
    assert not read_image(written(tmp_path / "opaque.png", opaque), SHAPE).is_transparent


def test_grey_with_transparency_is_read(tmp_path: Path) -> None:
    pixels = np.stack([GREY, np.full_like(GREY, 255)], axis=2)
    image = read_image(written(tmp_path / "la.png", pixels), SHAPE)
    assert np.allclose(image.values[0], GREY / 255, atol=1e-6)


def test_inverting_makes_white_of_black(tmp_path: Path) -> None:
    path = written(tmp_path / "grey.png", GREY)
    inverted = read_image(path, SHAPE, invert_colours=True)
    assert np.allclose(inverted.values, 1 - read_image(path, SHAPE).values)


def test_a_larger_picture_is_averaged_and_a_smaller_one_interpolated(tmp_path: Path) -> None:
    doubled = GREY.repeat(2, 0).repeat(2, 1)
    smaller = read_image(written(tmp_path / "large.png", doubled), (1, 3, 4))
    assert smaller.is_resized
    assert smaller.size == (12, 16)
    assert abs(smaller.values.mean() - GREY.mean() / 255) < 0.03
    flat = read_image(written(tmp_path / "flat.png", np.full((3, 4), 51, np.uint8)), SHAPE)
    assert flat.values == pytest.approx(0.2)


def test_a_picture_of_another_proportion_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "wide.png", np.zeros((6, 12), np.uint8))
    match = r"wide.png is 12 x 6 pixels \(width x height\).*images are 8 x 6; cut it"
    with pytest.raises(ParameterError, match=match):
        read_image(path, SHAPE)


def test_a_generator_with_channels_that_no_picture_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"1 or 3 channels, and .* have 4"):
        read_image(written(tmp_path / "grey.png", GREY), (4, 6, 8))


def test_a_folder_stands_for_its_pictures_by_name_and_none_is_there_twice(tmp_path: Path) -> None:
    for name in ("b.png", "a.PNG", "c.jpg"):
        written(tmp_path / name, GREY)
    (tmp_path / "notes.txt").write_text("none")
    found = find_image_files([tmp_path / "b.png", tmp_path])
    assert [path.name for path in found] == ["b.png", "a.PNG", "c.jpg"]
    assert [image.name for image in read_images([tmp_path], SHAPE)] == ["a", "b", "c"]


@pytest.mark.parametrize("content", [b"", b"no picture at all", b"\x89PNG\r\n\x1a\n" + b"0" * 40])
def test_a_file_that_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "my.png").write_bytes(content)
    with pytest.raises(ParameterError, match=r"cannot read the image .*my\.png: .*; give a PNG"):
        read_image(tmp_path / "my.png", SHAPE)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("how", ["cut", "garbled"])
def test_a_damaged_picture_is_refused(tmp_path: Path, share: float, how: str) -> None:
    path = written(
        tmp_path / "my.png", np.random.default_rng(2).integers(0, 255, (60, 80), np.uint8)
    )
    whole = path.read_bytes()
    place = int(len(whole) * share)
    damaged = whole[:place] if how == "cut" else whole[:place] + b"\xff" * 9 + whole[place + 9 :]
    path.write_bytes(damaged)
    with pytest.raises(ParameterError, match=r"cannot read the image .*my\.png"):
        read_image(path, SHAPE)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"there is no image .*no\.png; give a PNG file"):
        find_image_files([tmp_path / "no.png"])
    with pytest.raises(ParameterError, match="holds no PNG or JPEG file"):
        find_image_files([tmp_path])
