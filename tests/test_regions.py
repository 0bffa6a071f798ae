from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imsave

from ganprobe import Ablate, ParameterError, Probe, read_region
from ganprobe.generators import Generator
from subjects import random_network


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("left", [[1, 1, 0, 0]] * 2),
        (" right ", [[0, 0, 1, 1]] * 2),
        ("top", [[1] * 4, [0] * 4]),
        ("bottom", [[0] * 4, [1] * 4]),
        ("centre", [[0, 0.5, 0.5, 0]] * 2),
        ("0,0,0.375,1", [[1, 0.5, 0, 0]] * 2),
        ("0.25,0.5,1,1", [[0] * 4, [0, 1, 1, 1]]),
    ],
)
def test_a_box_covers_shares_of_cells(written: str, expected: list[list[float]]) -> None:
    assert np.allclose(read_region(written, (2, 4)), expected)


def test_halves_make_a_whole_at_any_resolution() -> None:
    for size in (1, 3, 7, 8):
        whole = read_region("left", (size, size)) + read_region("right", (size, size))
        assert np.allclose(whole, 1.0)


def test_a_mask_is_as_white_as_its_picture(tmp_path: Path) -> None:
    grey = np.array([[0, 128], [255, 64]], np.uint8)
    imsave(tmp_path / "mask.png", np.repeat(grey[:, :, None], 3, axis=2))
    read = read_region(f"@{tmp_path / 'mask.png'}", (9, 9))
    assert np.allclose(read, grey / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("written", "match"),
    [
        ("middle", "'middle' is no region; write left, right, top, bottom, centre, a box"),
        ("0,0,1", "is no region"),
        ("0.5,0,0.5,1", "LEFT below RIGHT and TOP below BOTTOM"),
        ("-1,0,1,1", "in shares of the image from 0 to 1"),
        ("0,0,nan,1", "in shares of the image"),
        ("@nothing.png", "cannot read the mask nothing.png of --region: No such file"),
    ],
)
def test_what_is_no_region_is_refused(written: str, match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        read_region(written, (4, 4))


def test_a_black_mask_and_a_damaged_one_are_refused(tmp_path: Path) -> None:
    imsave(tmp_path / "black.png", np.zeros((3, 3, 3)))
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    with pytest.raises(ParameterError, match="covers nothing: it is black everywhere"):
        read_region(f"@{tmp_path / 'black.png'}", (4, 4))
    with pytest.raises(ParameterError, match="cannot read the mask"):
        read_region(f"@{tmp_path / 'damaged.png'}", (4, 4))


def test_an_intervention_takes_it() -> None:
    probe = Probe(Generator.from_module(random_network(0), latent=5))
    z = probe.generator.sample(2)
    region = read_region("left", (2, 2))
    run = probe.run(z, Ablate("1", region=region), record=["1"])
    assert not run["1"][..., 0].any()
    assert run["1"][..., 1].any()
