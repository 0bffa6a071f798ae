"""Drawing: what a grid shows is all there, nothing runs into its neighbour or out of the page."""

from __future__ import annotations

import io
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from ganprobe import ImageCell, ParameterError, draw_image_grid
from ganprobe.drawing import plain_axes, sign

GREY = np.linspace(0, 1, 64).reshape(1, 8, 8)
COLOUR = np.stack([GREY[0], GREY[0].T, 1 - GREY[0]])


def cell(below: str = "", **how: Any) -> ImageCell:
    return ImageCell(how.pop("image", GREY), below, **how)


def written(figure: Figure) -> list[tuple[str, Bbox]]:
    """Every text that is to be seen, and its place in pixels."""
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    return [(one.get_text(), one.get_window_extent()) for one in texts_of(figure)]


def texts_of(figure: Figure) -> list[Text]:
    found = [one for one in figure.findobj(Text) if isinstance(one, Text)]
    return [text for text in found if text.get_text().strip()]


def check_page(figure: Figure, words: list[tuple[str, Bbox]]) -> None:
    """All words are on the page, and none lies over another or over an image."""
    page = figure.bbox
    for text, box in words:
        assert page.x0 <= box.x0 < box.x1 <= page.x1, f"{text!r} is clipped at a side"
        assert page.y0 <= box.y0 < box.y1 <= page.y1, f"{text!r} is clipped above or below"
    images = [("an image", axes.get_window_extent()) for axes in figure.axes]
    for (one, first), (other, second) in combinations(words + images, 2):
        assert not first.padded(-0.5).overlaps(second.padded(-0.5)), f"{one!r} lies over {other!r}"


def pixels(axes: Axes) -> Any:
    """(y, x, 3) of the drawn image's colours, before they are enlarged."""
    (image,) = axes.images
    values = image.get_array()
    assert values is not None
    return np.asarray(image.to_rgba(values, norm=True))[..., :3]


def test_grey_and_colour_images_show_their_values() -> None:
    rows = [[cell(), cell(image=GREY[0]), cell(image=COLOUR)]]
    alone, flat, colour = draw_image_grid(rows, title="t", made="m").axes
    assert np.allclose(pixels(alone), np.repeat(GREY[0][..., None], 3, 2), atol=1 / 255)
    assert np.array_equal(pixels(alone), pixels(flat))
    assert np.allclose(pixels(colour), np.moveaxis(COLOUR, 0, 2), atol=1 / 255)


def test_values_beyond_the_range_are_drawn_as_its_ends() -> None:
    for image in (GREY * 3 - 1, COLOUR * 3 - 1):
        figure = draw_image_grid([[cell(image=image)]], title="t", made="m")
        expected = np.broadcast_to(image.clip(0, 1), (3, 8, 8))
        assert np.allclose(pixels(figure.axes[0]), np.moveaxis(expected, 0, 2), atol=1 / 255)


def test_differences_run_from_blue_over_white_to_red() -> None:
    values = np.array([[[-1.0, 0.0, 1.0]]])
    (axes,) = draw_image_grid([[cell(image=values, is_difference=True)]], title="t", made="m").axes
    (darker, same, brighter) = pixels(axes)[0]
    assert darker[2] > 2 * darker[0]
    assert same.min() > 0.95
    assert brighter[0] > 2 * brighter[2]
    colour = np.stack([values[0], values[0], -2 * values[0]])
    (mean,) = draw_image_grid([[cell(image=colour, is_difference=True)]], title="t", made="m").axes
    assert np.allclose(pixels(mean), same, atol=1 / 255)


def test_a_frame_and_bold_words_mark_one_cell() -> None:
    figure = draw_image_grid(
        [[cell("usual"), cell("marked", frame="#d1495b", is_strong=True)]], title="t", made="m"
    )
    usual, marked = figure.axes
    assert to_rgb(marked.spines["left"].get_edgecolor()) == to_rgb("#d1495b")
    assert to_rgb(usual.spines["left"].get_edgecolor()) == to_rgb("0.75")
    assert marked.xaxis.label.get_fontweight() == "bold"
    assert usual.xaxis.label.get_fontweight() == "normal"


@pytest.mark.parametrize("image", [GREY, np.zeros((3, 16, 8)), np.zeros((1, 8, 24))])
def test_images_keep_their_proportions_and_their_size(image: Any) -> None:
    figure = draw_image_grid([[cell(image=image)] * 2] * 2, title="t", made="m", cell=0.7)
    written(figure)
    for axes in figure.axes:
        box = axes.get_window_extent()
        assert box.width == pytest.approx(0.7 * figure.dpi)
        assert box.height / box.width == pytest.approx(image.shape[1] / image.shape[2])


LONG = "what happens to the image when these units are taken from another one"
GRIDS: dict[str, tuple[list[list[ImageCell | None]], dict[str, Any]]] = {
    "a single cell": ([[cell()]], {}),
    "a single cell with much to say": (
        [[cell("a caption that is wider than its image")]],
        {"title": LONG.upper(), "note": LONG * 2, "made": f"made {LONG * 2}"},
    ),
    "thirty columns": (
        [[cell(f"p = 0.{column:02}") for column in range(30)]],
        {"column_labels": [f"unit {column}" for column in range(30)], "row_labels": ["a"]},
    ),
    "captions of two lines": (
        [[cell("digit-realness 0.123\nin bold", is_strong=True)] * 4, [cell("one line")] * 4],
        {"row_labels": ["before", "after the\nedit of all units"]},
    ),
    "wide words": (
        [[cell("W" * 30), cell("W" * 30, is_strong=True)], [cell(), cell("low")]],
        {"column_labels": [LONG, "short"], "row_labels": [LONG, "b"]},
    ),
    "labels of many lines": (
        [[cell("below")] * 2] * 3,
        {
            "row_labels": ["\n".join("abcdefghij")] * 3,
            "column_labels": ["two\nlines", "three\n\n3"],
        },
    ),
    "a title and a note of several lines": (
        [[cell()] * 5],
        {"title": "one\ntwo", "note": "three\nfour\nfive", "column_labels": list("abcde")},
    ),
    "empty places and short rows": (
        [[None, cell("x"), None], [cell("y")], []],
        {"column_labels": ["over nothing", "b", "c"], "row_labels": ["a", "b", "c"]},
    ),
    "small cells": ([[cell("p = 0.93")] * 6] * 2, {"cell": 0.3, "column_labels": list("abcdef")}),
    "dollars": (
        [[cell("$5 or $6")] * 2],
        {
            "title": "$x$ and $\\y$",
            "note": "$_$",
            "row_labels": ["$^$"],
            "column_labels": ["$_$"] * 2,
        },
    ),
}


@pytest.mark.parametrize("name", GRIDS)
def test_words_stay_on_the_page_and_apart(name: str) -> None:
    rows, words = GRIDS[name]
    asked = {"title": "What units 3,7 do", "made": "digits, seed 0, n = 5"} | words
    figure = draw_image_grid(rows, **asked)
    words_shown = written(figure)
    check_page(figure, words_shown)
    shown = [text for text, _ in words_shown]
    captions = [one.below for row in rows for one in row if one is not None and one.below]
    expected = [asked["title"], *captions, *words.get("row_labels", ())]
    expected += [*words.get("column_labels", ()), *([words["note"]] if "note" in words else [])]
    assert sorted(shown) == sorted([*expected, asked["made"]])


def test_dollars_in_words_are_written_as_they_stand() -> None:
    figure = draw_image_grid([[cell("$5$")]], title=r"$\nothing$", made="m", note="a_$b$")
    with_dollars = [text for text in texts_of(figure) if "$" in text.get_text()]
    assert len(with_dollars) == 3
    assert not any(text.get_parse_math() for text in with_dollars)
    content = io.BytesIO()
    figure.savefig(content)
    assert content.getvalue().startswith(b"\x89PNG")


@pytest.mark.parametrize("rows", [[], [[]], [[None, None], []]])
def test_a_grid_without_an_image_is_refused(rows: Any) -> None:
    with pytest.raises(ParameterError, match="a grid without an image cannot be drawn; give it"):
        draw_image_grid(rows, title="t", made="m")


def test_a_figure_of_ones_own_is_signed_within_the_page() -> None:
    for layout in (None, "constrained"):
        figure = Figure(figsize=(4, 3), layout=layout)
        plain_axes(figure.add_subplot())
        sign(figure, "digits, $5, seed 0")
        assert not figure.axes[0].spines["top"].get_visible()
        (box,) = [box for text, box in written(figure) if "seed 0" in text]
        assert 0 <= box.y0 < box.y1 < 0.1 * figure.bbox.height
        assert box.x1 <= figure.bbox.width
