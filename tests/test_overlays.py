"""Overlays: a marked image shows the area, and nothing else of it changes."""

from __future__ import annotations

import numpy as np
import pytest

from ganprobe import ParameterError, mark_area

RED = (1.0, 0.0, 0.0)


def pattern(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.2, 0.8, shape).astype(np.float32)


def is_red(marked: np.ndarray) -> np.ndarray:
    is_equal = marked == np.array(RED, np.float32)[:, None, None]
    return np.asarray(is_equal.all(axis=0))


def test_pixels_outside_the_area_stay_what_they_were() -> None:
    image, area = pattern((3, 32, 32)), np.zeros((32, 32), bool)
    area[4:20, 9:30] = True
    marked = mark_area(image, area, "red", tint=0.3)
    assert marked.shape == (3, 256, 256)
    outside = ~area.repeat(8, 0).repeat(8, 1)
    assert (marked[:, outside] == image.repeat(8, 1).repeat(8, 2)[:, outside]).all()
    middle = marked[:, 8 * 10 + 4, 8 * 15 + 4]
    assert middle == pytest.approx(0.7 * image[:, 10, 15] + 0.3 * np.array(RED), abs=1e-6)


def test_the_line_is_the_border_of_the_area_and_is_closed_at_the_images_border() -> None:
    area = np.zeros((64, 64), bool)
    area[0:10, 20:40] = True
    line = is_red(mark_area(pattern((64, 64)), area, "red"))
    rows, columns = np.flatnonzero(line.any(1)), np.flatnonzero(line.any(0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (0, 39, 80, 159)
    assert line[:4, 80:160].all()
    assert line[:40, 80:84].all()
    assert not line[4:36, 84:156].any()


def test_a_second_area_can_be_marked_on_a_marked_image() -> None:
    image, areas = pattern((1, 16, 16)), np.zeros((2, 16, 16), bool)
    areas[0, :8], areas[1, 8:] = True, True
    twice = mark_area(mark_area(image, areas[0], "red", line=False), areas[1], "red", tint=1.0)
    assert is_red(twice)[128:].all()
    assert not is_red(twice)[:128].any()


def test_nothing_is_drawn_where_the_area_is_empty_or_a_line_is_not_wanted() -> None:
    image = pattern((3, 300, 300))
    plain = mark_area(image, np.zeros((300, 300), bool), "red", tint=1.0)
    assert plain.shape == image.shape
    assert (plain == image).all()
    assert (mark_area(image, np.ones((300, 300), bool), "red", line=False) == image).all()


@pytest.mark.parametrize("shape", [(5, 7), (16, 8), (3, 16, 16)])
def test_an_area_that_does_not_fit_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ParameterError, match="cannot be marked on an image"):
        mark_area(pattern((16, 16)), np.ones(shape, bool), "red")
