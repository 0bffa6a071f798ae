"""Anybody's generator on the command line: what is written, what is printed, and where."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from ganprobe import ActivationStore, load
from ganprobe.cli.loading import LOADER_FLAGS
from ganprobe.plugins import RESERVED_FLAGS
from ganprobe.weight_files import sha256_of
from model_code import CODE, made, model_folder, write_code

Command = Callable[..., Any]

WHOLE = """

def whole(count: int = 3, names: bool = True):
    import ganprobe as gp
    spoken = tuple(f"kind {n}" for n in range(count)) if names else ()
    return gp.Generator.from_module(
        Conditional(count).eval(), latent=6, classes=gp.Classes(count, spoken), name="kinds")


def narrow():
    import ganprobe as gp
    return gp.Generator.from_module(
        Dcgan().eval(), latent=(6, 1, 1), image_range=(-0.01, 0.01), w_site="body.0",
        w_plus_site="body.1", name="narrow")
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    file = write_code(tmp_path / "theirs")
    file.write_text(CODE + WHOLE)
    return file


def test_layers_of_a_factory_with_weights(
    ganprobe_command: Command, code: Path, tmp_path: Path
) -> None:
    save_file(made(code, "Dcgan", width=5).state_dict(), tmp_path / "w.safetensors")
    done = ganprobe_command(
        "layers", f"{code}:Dcgan", "--weights", tmp_path / "w.safetensors", "--set", "width=5"
    )
    assert done.status == 0
    assert "Dcgan: normal latents 6 x 1 x 1 -> images 3 x 8 x 8 in [-1, 1]" in done.out
    assert "body.0" in done.out
    assert "the latents' shape was found out: 6x1x1" in done.err
    assert "the image range was found out: -1 to 1" in done.err
    assert all(line.startswith("ganprobe: ") for line in done.err.splitlines())


def test_json_is_not_disturbed_by_what_is_told(ganprobe_command: Command, code: Path) -> None:
    done = ganprobe_command("layers", f"{code}:Dcgan", "body.0", "--json")
    assert [layer["layer"] for layer in json.loads(done.out)] == ["body.0"]
    assert "ran; SHA-256" in done.err


def test_every_loader_flag_reaches_the_generator(ganprobe_command: Command, code: Path) -> None:
    done = ganprobe_command(
        "layers", f"{code}:Vae", "--forward", "decode", "--latent", "3", "--image-range", "0,1",
        "--image-shape", "1x7x7", "--unit-axis", "model.*=-1", "--truncation", "0.5",
    )  # fmt: skip
    assert done.status == 0, done.err
    assert "truncated (±0.5) latents 3 -> images 1 x 7 x 7 in [0, 1]" in done.out
    assert "truncation: 0.5" in done.out
    assert "found out" not in done.err
    part = ganprobe_command("layers", f"{code}:trainer", "--part", "models.g_ema", "--set", "nz=4")
    assert "normal latents 4 x 1 x 1" in part.out


def test_a_model_folder_is_refused_and_then_trusted(
    ganprobe_command: Command, tmp_path: Path
) -> None:
    model_folder(tmp_path / "model")
    digest = sha256_of(tmp_path / "model" / "network.py")
    refused = ganprobe_command("layers", tmp_path / "model")
    assert (refused.status, refused.out) == (2, "")
    assert digest in refused.err
    assert len(refused.err.splitlines()) == 1
    trusted = ganprobe_command("layers", tmp_path / "model", "--trust")
    assert trusted.status == 0
    assert f"SHA-256 {digest}" in trusted.err.splitlines()[0]
    assert "model: normal latents 6 x 1 x 1" in trusted.out


def test_a_recording_says_how_its_generator_was_loaded(
    ganprobe_command: Command, code: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a.h5"
    spec = f"{code}:whole"
    done = ganprobe_command(
        "record", spec, "--set", "count=4", "--class", "kind 2", "--site", "body.0",
        "--samples", 5, "--output", path,
    )  # fmt: skip
    assert done.status == 0, done.err
    with ActivationStore(path) as store:
        generator = store.provenance["generator"]
    assert generator["source"]["spec"] == spec
    assert generator["source"]["arguments"] == {"count": 4}
    assert generator["source"]["files"] == {str(code): sha256_of(code)}
    assert generator["classes"]["chosen"] == 2


def test_an_analysis_runs_on_it(ganprobe_command: Command, code: Path, tmp_path: Path) -> None:
    done = ganprobe_command(
        "run", "units", f"{code}:Dcgan", "--site", "body.2", "--n-samples", 20, "--n-shown", 1,
        "--top", 2, "--set", "nz=5", "--output", tmp_path / "units",
    )  # fmt: skip
    assert done.status == 0, done.err
    record = json.loads((tmp_path / "units" / "result.json").read_text())
    source = record["provenance"]["generator"]["source"]
    assert (source["spec"], source["arguments"]) == (f"{code}:Dcgan", {"nz": 5})


WRONG = {
    "an unknown name": (["digitz"], "no generator 'digitz'; nearest: digits (list them: ganprobe"),
    "no file": (["nowhere.safetensors"], "no file or folder nowhere.safetensors"),
    "no number": (["digits", "--latent", "many"], "a shape is written 512 or 4x8x8, got 'many'"),
    "no range": (["digits", "--image-range", "1,-1"], "a range is written -1,1, black before"),
    "half a range": (["digits", "--image-range", "1"], "a range is written -1,1, black before"),
    "no axis": (["digits", "--unit-axis", "conv2"], "a unit axis is written 'blocks.*=-1', got"),
    "no shape": (["digits", "--image-shape", "28x28"], "--image-shape is channels, height and"),
    "no value": (["digits", "--set", "width"], "an argument of a factory is written name=value"),
    "one twice": (["digits", "--set", "a=1", "--set", "a=2"], "--set gives 'a' twice"),
    "no arguments": (["digits", "--set", "a=1"], "digits takes no arguments, got 'a'"),
    "no classes": (["digits", "--class", "3"], "generator 'digits' is not class-conditional"),
    "a factory too many": (["digits", "--factory", "a:b"], "takes no --factory; leave it out"),
    "no truncation": (["digits", "--truncation", "0"], "0 is not in the range x>0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_flags_are_one_sentence(ganprobe_command: Command, name: str) -> None:
    arguments, told = WRONG[name]
    done = ganprobe_command("layers", *arguments)
    assert (done.status, done.out) == (2, "")
    assert told in done.err
    assert len(done.err.splitlines()) == 1


def test_the_help_lists_loader_flags_apart(ganprobe_command: Command) -> None:
    for command in (("layers",), ("record",), ("samples",), ("run", "units")):
        own, _, loading = ganprobe_command(*command, "--help").out.partition("What GENERATOR is:")
        assert "--weights FILE" in loading
        assert "--normalisation" in loading
        assert "--weights" not in own.partition("Options:")[2]


def test_an_analysis_cannot_take_the_name_of_a_loader_flag() -> None:
    assert LOADER_FLAGS <= RESERVED_FLAGS
    assert {"set", "unit_axis"} <= RESERVED_FLAGS


def test_samples_are_drawn_and_told(
    ganprobe_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["ganprobe", "samples", "digits"])
    path = tmp_path / "out" / "samples.png"
    done = ganprobe_command("samples", "digits", "--samples", 10, "--seed", 3, "--output", path)
    assert done.status == 0, done.err
    assert "digits: normal latents 10 -> images 1 x 28 x 28 in [-1, 1]" in done.out
    assert "in 10 samples; none outside -1 (black) to 1 (white)" in done.out
    assert done.out.endswith(f"Look at:\n  {path}\n")
    with Image.open(path) as image:
        assert image.width > 500
        assert image.info["Software"] == "ganprobe"
        assert image.info["Comment"] == "ganprobe samples digits"
    assert list(path.parent.iterdir()) == [path]


def test_samples_are_not_replaced_unasked(ganprobe_command: Command, tmp_path: Path) -> None:
    path = tmp_path / "samples.png"
    path.write_bytes(b"mine")
    refused = ganprobe_command("samples", "digits", "--samples", 2, "--output", path)
    assert (refused.status, path.read_bytes()) == (2, b"mine")
    assert "give --force to replace it" in refused.err
    done = ganprobe_command("samples", "digits", "--samples", 2, "--output", path, "--force")
    assert done.status == 0
    assert path.read_bytes() != b"mine"


def test_a_folder_that_cannot_be_written_is_a_sentence(
    ganprobe_command: Command, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    done = ganprobe_command(
        "samples", "digits", "--samples", 2, "--output", tmp_path / "file" / "a.png"
    )
    assert done.status == 1
    assert "choose another --output" in done.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--samples", "9"], "classes: 3 (kind 0, kind 1, kind 2), all in turn; choose one with"),
        (["--class", "all"], "all in turn"),
        (["--class", "1"], "chosen: kind 1"),
        (["--class", "kind 2"], "chosen: kind 2"),
        (["--set", "count=40", "--set", "names=false"], "classes: 40, all in turn"),
    ],
)
def test_classes_are_told(
    ganprobe_command: Command, code: Path, tmp_path: Path, arguments: list[str], told: str
) -> None:
    arguments = arguments if "--samples" in arguments else [*arguments, "--samples", "4"]
    done = ganprobe_command("samples", f"{code}:whole", *arguments, "--output", tmp_path / "a.png")
    assert done.status == 0, done.err
    assert told in done.out
    assert told in ganprobe_command("layers", f"{code}:whole", *without_samples(arguments)).out


def without_samples(arguments: list[str]) -> list[str]:
    place = arguments.index("--samples")
    return arguments[:place] + arguments[place + 2 :]


def test_each_class_has_a_row_of_its_samples(code: Path) -> None:
    from ganprobe.cli.samples import _by_class, _Drawn

    generator = load(f"{code}:whole")
    labels = [sample % 3 for sample in range(8)]
    drawn = _Drawn(np.zeros((8, 3, 8, 8), np.float32), labels, 0.0, 1.0, 0.0)
    sheet = _by_class(generator, drawn)
    assert sheet is not None
    assert [list(row) for row in sheet.rows] == [[0, 3, 6], [1, 4, 7], [2, 5]]
    assert sheet.row_labels == ["kind 0", "kind 1", "kind 2"]
    assert _by_class(generator.with_class(1), drawn) is None


def test_what_lies_outside_the_range_and_where_w_is_are_told(
    ganprobe_command: Command, code: Path, tmp_path: Path
) -> None:
    done = ganprobe_command(
        "samples", f"{code}:narrow", "--samples", 2, "--output", tmp_path / "a.png"
    )
    assert "% of them outside -0.01 (black) to 0.01 (white)" in done.out
    assert "intermediate latents: w at body.0, w_plus at body.1" in done.out


def test_large_images_are_drawn_smaller(tmp_path: Path, ganprobe_command: Command) -> None:
    (tmp_path / "large.py").write_text(
        "import torch\n"
        "class Large(torch.nn.Module):\n"
        "    def forward(self, z):\n"
        "        return z.tanh().view(-1, 1, 1, 1).expand(-1, 4, 700, 500)\n"
    )
    done = ganprobe_command(
        "samples", f"{tmp_path}/large.py:Large", "--latent", 1, "--samples", 9, "--image-range",
        "-1,1", "--output", tmp_path / "a.png",
    )  # fmt: skip
    assert done.status == 0, done.err
    assert "images 4 x 700 x 500" in done.out


def test_loading_leaves_the_randomness_of_the_program_alone(code: Path) -> None:
    torch.manual_seed(9)
    state = torch.random.get_rng_state()
    load(f"{code}:Dcgan")
    load("digits")
    assert torch.equal(torch.random.get_rng_state(), state)


def test_all_classes_are_asked_for_again_of_a_generator_of_one(code: Path) -> None:
    code.write_text(f"{code.read_text()}\n\ndef one():\n    return whole().with_class(1)\n")
    chosen = [load(f"{code}:one", chosen_class=one).classes for one in (None, "all", "kind 2", 0)]
    assert [one and one.chosen for one in chosen] == [1, None, 2, 0]
