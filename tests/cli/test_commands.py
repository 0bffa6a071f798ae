"""The command line as a person uses it: what it prints, where, and with what status."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganprobe import ActivationStore, __version__

Command = Callable[..., Any]


def test_version(ganprobe_command: Command) -> None:
    finished = ganprobe_command("--version")
    assert (finished.status, finished.out.strip()) == (0, f"ganprobe {__version__}")


@pytest.mark.parametrize(
    "command",
    [(), ("generators",), ("layers",), ("record",), ("run",), ("run", "traversal"), ("plugins",)],
    ids=" ".join,
)
def test_every_help_teaches_by_example(ganprobe_command: Command, command: tuple[str]) -> None:
    finished = ganprobe_command(*command, "--help")
    example = " ".join(("  ganprobe", *command)).rstrip()
    assert finished.status == 0
    assert example in finished.out
    assert finished.err == ""


def test_generators_are_listed(ganprobe_command: Command) -> None:
    listed = json.loads(ganprobe_command("generators", "--json").out)
    assert [one["name"] for one in listed] == ["digits", "scenes"]
    table = ganprobe_command("generators").out
    for one in listed:
        assert one["plugin"] == "zoo"
        assert one["summary"] in table
    assert "ganprobe generators --help says what else can be given" in table
    assert "hf:owner/name" in ganprobe_command("generators", "--help").out


def test_plugins_are_listed_with_what_they_offer(ganprobe_command: Command) -> None:
    listed = {
        plugin["name"]: plugin for plugin in json.loads(ganprobe_command("plugins", "--json").out)
    }
    assert listed["traversal"]["analyses"] == ["traversal"]
    assert listed["zoo"]["measures"] == ["digit", "digit-realness", "digit-shape", "scene-realness"]
    assert listed["zoo"]["segmenters"] == ["scenes"]
    table = ganprobe_command("plugins").out
    assert "generators: digits, scenes; measures: digit, digit-realness" in table


def test_layers_can_be_chosen_by_patterns(ganprobe_command: Command) -> None:
    listed = json.loads(ganprobe_command("layers", "digits", "conv?", "conv2:in", "--json").out)
    sites = [site["site"] for layer in listed for site in layer["sites"]]
    assert sites == ["conv2", "conv2:in", "conv3", "conv4"]
    wrong = ganprobe_command("layers", "digits", "block*")
    assert (wrong.status, "no layer 'block*'" in wrong.err) == (2, True)


def test_a_pattern_records_every_site_that_it_matches(
    ganprobe_command: Command, tmp_path: Path
) -> None:
    path = tmp_path / "blocks.h5"
    done = ganprobe_command(
        "record", "digits", "--site", "conv?#0", "--samples", 3, "--output", path
    )
    assert done.status == 0
    with ActivationStore(path) as store:
        assert sorted(map(str, store.sites)) == ["conv2#0", "conv3#0", "conv4#0"]


def test_layers_tell_what_a_replay_computes(ganprobe_command: Command) -> None:
    finished = ganprobe_command("layers", "digits", "conv2", "--replay")
    assert finished.status == 0
    assert "replay from conv2: computes 20% of" in finished.out
    assert "fc1         from memory  before the edit" in finished.out
    for arguments in (["--replay"], ["conv2", "--replay", "--json"]):
        wrong = ganprobe_command("layers", "digits", *arguments)
        assert (wrong.status, wrong.out) == (2, "")
        assert "--replay goes with a SITE and without --json" in wrong.err


def test_layers_show_the_classic_feature_maps(ganprobe_command: Command) -> None:
    layers = {
        layer["layer"]: layer
        for layer in json.loads(ganprobe_command("layers", "digits", "--json").out)
    }
    shapes = {
        name: layers[name]["sites"][0]["shape"] for name in ("fc1", "conv2", "conv3", "conv4")
    }
    assert shapes == {
        "fc1": [256, 7, 7],
        "conv2": [128, 7, 7],
        "conv3": [64, 14, 14],
        "conv4": [1, 28, 28],
    }
    table = ganprobe_command("layers", "digits").out
    assert "conv2 " in table
    assert "conv2:in" not in table
    assert "conv2:in" in ganprobe_command("layers", "digits", "--inputs").out


def test_record_writes_what_it_says(ganprobe_command: Command, tmp_path: Path) -> None:
    path = tmp_path / "new" / "digits.h5"
    finished = ganprobe_command(
        "record", "digits", "--site", "conv2#0-3", "--site", "conv3", "--samples", 5,
        "--seed", 7, "--output", path, "--images",
    )  # fmt: skip
    assert finished.status == 0, finished.err
    assert "recorded 5 samples of digits (seed 7) at conv2#0-3, conv3" in finished.out
    with ActivationStore(path) as store:
        assert store.activations("conv2#0-3").shape == (5, 4, 7, 7)
        assert store.images().shape == (5, 1, 28, 28)
        assert store.provenance["seed"] == 7


def test_run_traversal_names_the_files_to_look_at(
    ganprobe_command: Command, tmp_path: Path
) -> None:
    finished = ganprobe_command(
        "run", "traversal", "digits", "--dims", "1,3", "--bases", 2, "--steps", 3,
        "--measure", "digit", "--output", tmp_path / "out",
    )  # fmt: skip
    assert finished.status == 0, finished.err
    named = [Path(line.strip()) for line in finished.out.split("Look at:")[1].split()]
    assert {path.relative_to(tmp_path / "out").as_posix() for path in named} == {
        "result.json",
        "result.h5",
        "figures/ranking.png",
        "figures/all-dimensions.png",
        "figures/measures.png",
        "figures/dimension-001.png",
        "figures/dimension-003.png",
    }
    assert all(path.stat().st_size > 0 for path in named)
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    assert record["analysis"] == "traversal"
    assert record["provenance"]["parameters"]["dims"] == "1,3"
    assert record["provenance"]["parameters"]["steps"] == 3
    assert record["findings"][0] in finished.out


RECORD = ("record", "digits", "--site", "conv2", "--samples", "4")
TRAVERSE = ("run", "traversal", "digits", "--dims", "0", "--bases", "1", "--steps", "2")

WRONG = {
    "no such command": (("layer",), "no command 'layer'; nearest: layers"),
    "no such generator": (("layers", "digit"), "no generator 'digit'; nearest: digits"),
    "no such site": (
        ("record", "digits", "--site", "conv9", "--samples", "4"),
        "no layer 'conv9' in generator 'digits'; nearest: conv",
    ),
    "no such unit": (
        ("record", "digits", "--site", "conv2#128", "--samples", "4"),
        "no unit 128 at conv2: it has 128, numbered 0-127",
    ),
    "no site": (("record", "digits", "--samples", "4"), "Missing option '--site'"),
    "no samples": (
        ("record", "digits", "--site", "conv2", "--samples", "0"),
        "number of samples is at least 1, got 0",
    ),
    "no such analysis": (
        ("run", "transversal", "digits"),
        "no analysis 'transversal'; nearest: traversal",
    ),
    "no such dimension": (
        ("run", "traversal", "digits", "--dims", "0,999"),
        "no latent dimension 999: there are 10, numbered 0-9",
    ),
    "no such measure": ((*TRAVERSE, "--measure", "digits"), "no measure 'digits'; nearest: digit"),
    "no number": ((*TRAVERSE[:-1], "many"), "a whole number from 2 to 10000, got 'many'"),
    "too few steps": ((*TRAVERSE[:-1], "1"), "--steps: expected a whole number from 2 to 10000"),
    "range that runs down": ((*TRAVERSE, "--low", "4"), "--low must be below --high, got 4 and 3"),
    "endless range": ((*TRAVERSE, "--high", "inf"), "--high: expected a number, got 'inf'"),
    "too many samples": (
        ("record", "digits", "--site", "conv2", "--samples", "99999999999999999999"),
        "is not in the range",
    ),
    "negative seed": ((*RECORD, "--seed", "-1"), "a seed is a whole number from 0"),
    "no such option": (("layers", "digits", "--input"), "No such option"),
    "no such device": ((*RECORD, "--device", "gpu"), "no device 'gpu' here; there is: cpu"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_usage_is_one_sentence_and_status_2(
    ganprobe_command: Command, tmp_path: Path, case: str
) -> None:
    arguments, sentence = WRONG[case]
    writes = arguments[0] in ("record", "run")
    output = ("--output", str(tmp_path / "out")) if writes else ()
    finished = ganprobe_command(*arguments, *output)
    assert finished.status == 2, finished.err
    assert sentence in finished.err
    assert finished.err.startswith("ganprobe: ")
    assert len(finished.err.strip().splitlines()) == 1
    assert "Traceback" not in finished.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [RECORD, TRAVERSE], ids=["record", "run"])
def test_an_output_that_exists_needs_force(
    ganprobe_command: Command, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    output = tmp_path / "out"
    assert ganprobe_command(*arguments, "--output", output).status == 0
    refused = ganprobe_command(*arguments, "--output", output)
    assert refused.status == 2
    assert "give --force" in refused.err
    assert ganprobe_command(*arguments, "--output", output, "--force").status == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("arguments", [RECORD, TRAVERSE], ids=["record", "run"])
def test_a_place_that_cannot_be_written_is_status_1(
    ganprobe_command: Command, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "file").touch()
    finished = ganprobe_command(*arguments, "--output", tmp_path / "file" / "out")
    assert finished.status == 1
    assert "cannot write" in finished.err
    assert len(finished.err.strip().splitlines()) == 1


def test_an_interrupted_record_leaves_nothing(
    ganprobe_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ganprobe.store.blocks.BlockWriter.write", interrupt)
    finished = ganprobe_command(*RECORD, "--output", tmp_path / "a.h5")
    assert finished.status == 130
    assert "interrupted" in finished.err
    assert list(tmp_path.iterdir()) == []


def test_an_analysis_that_returns_something_else_is_named(
    ganprobe_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganprobe_traversal.Traversal.run", lambda *_: None)
    finished = ganprobe_command(*TRAVERSE, "--output", tmp_path / "out")
    assert finished.status == 1
    assert "returned a NoneType; it must return a Result" in finished.err
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_told_to_end_leaves_nothing(tmp_path: Path) -> None:
    many = [*(argument.replace("4", "100000") for argument in TRAVERSE), "--bases", "100000"]
    command = [sys.executable, "-m", "ganprobe", *many, "--output", str(tmp_path / "new" / "out")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not list(tmp_path.rglob("*.partial")):
            time.sleep(0.05)
        time.sleep(0.5)
        process.terminate()
        _, printed = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, printed
    assert printed.strip() == "ganprobe: ended by a signal; nothing unfinished was kept"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["--help"], ["plugins"], ["generators"], ["run", "--help"]])
def test_listing_imports_no_torch(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from ganprobe.cli import main\n"
        "try:\n"
        f"    main({arguments!r})\n"
        "except SystemExit as ended:\n"
        "    assert not ended.code, ended.code\n"
        "loaded = {'torch', 'h5py', 'matplotlib'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_help_imports_no_pydantic_either() -> None:
    program = (
        "import sys, ganprobe.cli.app\n"
        "assert not {'torch', 'numpy', 'pydantic', 'rich'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_an_analysis_that_raises_is_one_sentence_with_its_line(
    ganprobe_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganprobe_traversal.walk._BATCH_IMAGES", "not a number")
    finished = ganprobe_command(*TRAVERSE, "--output", tmp_path / "out")
    assert finished.status == 1
    assert "analysis 'traversal' raised TypeError: unsupported operand" in finished.err
    assert re.search(r"ganprobe_traversal/walk\.py:\d+\)$", finished.err.strip())
    assert list(tmp_path.iterdir()) == []
