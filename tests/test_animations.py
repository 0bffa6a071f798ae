"""Animations: what is written reads back as the frames that were given."""

from __future__ import annotations

from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest

from ganprobe import Animation, ParameterError, frames_of


def moving(n_frames: int = 5, height: int = 33, width: int = 31) -> np.ndarray:
    """A bright column that goes one place to the right in each frame."""
    frames = np.zeros((n_frames, height, width, 3), np.uint8)
    for t in range(n_frames):
        frames[t, :, 4 * t : 4 * t + 4] = 255
    return frames


def test_a_gif_reads_back_frame_by_frame_at_its_speed() -> None:
    (content,) = Animation(moving(), "x", ("gif",), frames_per_second=20).files("a").values()
    read = imageio.imread(content, extension=".gif", index=None)
    assert np.array_equal(read[..., :3], moving())
    assert imageio.immeta(content, extension=".gif")["duration"] == 50
    assert imageio.immeta(content, extension=".gif")["loop"] == 0


def test_a_film_of_odd_sides_has_all_frames_and_nearly_their_values() -> None:
    files = Animation(moving(), "x", ("mp4",)).files("a")
    assert list(files) == ["a.mp4"]
    read = imageio.imread(files["a.mp4"], plugin="pyav", extension=".mp4")
    assert read.shape == (5, 34, 32, 3)
    assert np.abs(read[:, :33, :31].astype(int) - moving()).mean() < 20


def test_each_frame_is_a_png_of_its_own() -> None:
    files = Animation(moving(3), "x", ("png", "gif")).files("walk")
    assert list(files) == ["walk/0000.png", "walk/0001.png", "walk/0002.png", "walk.gif"]
    assert np.array_equal(imageio.imread(files["walk/0001.png"]), moving()[1])


def test_images_stand_side_by_side_enlarged_by_a_whole_number() -> None:
    rng = np.random.default_rng(3)
    images = rng.random((3, 2, 1, 8, 10))
    frames = frames_of(images, n_rows=2, gap=1)
    times = 12
    assert frames.shape == (2, (8 + 1 + 8) * times, (10 + 1 + 10) * times, 3)
    second = frames[1, : 8 * times, 11 * times : 21 * times, 0]  # the second image, at time 1
    assert np.array_equal(second[::times, ::times], (255 * images[1, 1, 0]).round())
    assert (frames[:, 9 * times :, 11 * times :] == 255).all()  # the fourth place is empty


@pytest.mark.parametrize(
    ("frames", "how", "message"),
    [
        (np.zeros((2, 4, 4), np.uint8), {}, r"frames are \(t, y, x, 3\) uint8, got \(2, 4, 4\)"),
        (np.zeros((2, 4, 4, 3)), {}, "uint8, got .* float64"),
        (np.zeros((0, 4, 4, 3), np.uint8), {}, r"got \(0, 4, 4, 3\)"),
        (moving(), {"formats": ()}, "an animation has a format"),
        (moving(), {"frames_per_second": 0}, "above 0 to 50 frames a second, got .* and 0"),
    ],
)
def test_what_is_no_animation_is_refused(frames: Any, how: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        Animation(frames, "x", **how)
