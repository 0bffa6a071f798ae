"""The figure of a context map: what it draws is what was found."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from ganprobe import ContextMap, ParameterError, Probe, context_map, draw_context_map
from ganprobe.testing import Planted, planted_generator


@cache
def planted() -> Planted:
    return planted_generator(seed=2)


@cache
def found() -> ContextMap:
    latents = planted().generator.sample(3, seed=4)
    units = planted().truth.units["window"]
    return context_map(
        Probe(planted().generator), latents, "early", units, 2.0, planted().segmenter, "window"
    )


def images(n: int = 3) -> np.ndarray:
    return np.random.default_rng(0).random((n, 3, 32, 32)).astype(np.float32)


def words_of(figure: Figure) -> list[str]:
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    return [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)]


def test_bars_are_what_insertion_changes_where_each_class_was_in_the_classes_colours() -> None:
    colours = planted().segmenter.class_colours
    figure = draw_context_map(found(), images(), made="by hand", class_colours=colours)
    bars = [axes for axes in figure.axes if "change of the area" in axes.get_xlabel()]
    expected = [100 * one.mean for one in (*found().by_class, found().anywhere)]
    widths = [bar.get_width() for bar in bars[0].patches if isinstance(bar, Rectangle)]
    assert widths == pytest.approx(expected)
    words = words_of(figure)
    for one in found().by_class:
        assert f"{one.there} ({one.n_cells:,})" in words
    assert f"anywhere ({3 * 64})" in words
    assert "by hand" in words


def test_the_mean_map_and_the_map_of_each_image_are_drawn_and_the_place_is_framed() -> None:
    plain, marked = (draw_context_map(found(), images(2), made="", mark=mark) for mark in (None, 9))
    drawn = [np.asarray(axes.images[-1].get_array()) for axes in plain.axes if axes.images]
    maps = [one for one in drawn if one.shape == (8, 8, 4)]
    assert len(maps) == 1 + 2
    for figure, n_frames in ((plain, 0), (marked, 1)):
        assert sum(len(axes.patches) for axes in figure.axes if axes.images) == n_frames
    is_changed = found().change[0] != 0
    assert ((maps[1][..., 3] > 0) == is_changed).all()


def test_no_image_and_more_images_than_samples_are_refused() -> None:
    for n in (0, 4):
        with pytest.raises(ParameterError, match="context map of 3 samples"):
            draw_context_map(found(), images(n), made="")
