from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
from matplotlib.figure import Figure as Drawing

from ganprobe import (
    Array,
    Figure,
    GanprobeError,
    OutputExistsError,
    PluginError,
    Result,
    Table,
    UnitSet,
)
from ganprobe.provenance import Provenance
from ganprobe.result_files import result_folder


def example(value: float = 1.0) -> Result:
    return Result(
        findings=["It is so."],
        arrays={
            "effect": Array(np.full((2, 3), value), ("dim", "step"), "percent", "how much"),
            "other": Array(np.arange(3), ("step",)),
        },
        coordinates={"dim": [4, 7], "step": ["low", "middle", "high"]},
        tables={"ranking": Table(("rank", "dim"), ((1, 4), (2, 7)))},
        figures={"bars": Figure(Drawing(), "Some bars.")},
    )


def provenance() -> Provenance:
    return Provenance({"name": "tiny"}, 3, "cpu", "float32", {"steps": 9}, "ganprobe run x tiny")


def save(path: Path, result: Result, *, overwrite: bool = False) -> list[Path]:
    with result_folder(path, overwrite=overwrite) as folder:
        return folder.save(result, analysis="x", provenance=provenance())


def test_a_saved_result_opens_with_names_and_says_how_it_was_made(tmp_path: Path) -> None:
    files = save(tmp_path / "deep" / "out", example())
    names = {file.relative_to(tmp_path / "deep" / "out").as_posix() for file in files}
    assert names == {"result.json", "result.h5", "figures/bars.png"}
    assert all(file.stat().st_size for file in files)
    with xarray.open_dataset(tmp_path / "deep/out/result.h5", engine="h5netcdf") as opened:
        effect = opened["effect"]
        assert effect.dims == ("dim", "step")
        assert effect.sel(dim=7, step="high").item() == 1.0
        assert effect.attrs == {"units": "percent", "description": "how much"}
    record = json.loads((tmp_path / "deep/out/result.json").read_text())
    assert record["findings"] == ["It is so."]
    assert record["tables"]["ranking"]["rows"] == [[1, 4], [2, 7]]
    assert record["figures"]["bars"] == {"file": "figures/bars.png", "caption": "Some bars."}
    assert record["arrays"]["effect"]["shape"] == [2, 3]
    assert record["provenance"] == json.loads(json.dumps(provenance().to_json())) | {
        "created": record["provenance"]["created"]
    }


def test_a_folder_with_anything_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    save(tmp_path / "out", example())
    with pytest.raises(OutputExistsError, match="out is not empty; give --force"):
        save(tmp_path / "out", example())
    (tmp_path / "file").touch()
    with pytest.raises(OutputExistsError, match="file is a file or a broken link; --output is a"):
        save(tmp_path / "file", example(), overwrite=True)


def test_the_folder_one_stands_in_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    save(Path(), example())
    names = {path.name for path in (tmp_path / "here").iterdir()}
    assert names == {"result.json", "result.h5", "figures"}
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_replacing_keeps_other_files_and_drops_old_figures(tmp_path: Path) -> None:
    save(tmp_path / "out", example())
    (tmp_path / "out" / "notes.txt").write_text("mine")
    changed = Result(findings=["Not so."], figures={"dots": Figure(Drawing(), "Some dots.")})
    save(tmp_path / "out", changed, overwrite=True)
    names = {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.*")}
    assert names == {
        "out/notes.txt",
        "out/result.json",
        "out/result.h5",
        "out/figures/dots.png",
    }


def test_replacing_keeps_a_figure_that_is_somebody_elses(tmp_path: Path) -> None:
    save(tmp_path / "out", example())
    (tmp_path / "out" / "figures" / "mine.png").write_bytes(b"mine")
    save(tmp_path / "out", example(), overwrite=True)
    assert (tmp_path / "out" / "figures" / "mine.png").read_bytes() == b"mine"


def test_a_folder_in_the_way_is_refused_before_the_old_result_is_touched(tmp_path: Path) -> None:
    save(tmp_path / "out", example(1.0))
    (tmp_path / "out" / "result.h5").unlink()
    (tmp_path / "out" / "result.h5").mkdir()
    with pytest.raises(OutputExistsError, match=r"result\.h5 is a folder where a file must go"):
        save(tmp_path / "out", example(2.0), overwrite=True)
    assert (tmp_path / "out" / "result.json").exists()


def test_a_broken_link_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputExistsError, match="a broken link"):
        save(tmp_path / "link", example())


def test_folders_made_on_the_way_go_when_the_work_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with result_folder(tmp_path / "a" / "b" / "out"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_numpy_and_nan_become_plain_json(tmp_path: Path) -> None:
    rows: Any = ((np.float32(0.5), np.int64(3), float("nan"), "text", None, True),)
    save(tmp_path / "out", Result(tables={"t": Table(("a", "b", "c", "d", "e", "f"), rows)}))
    table = json.loads((tmp_path / "out" / "result.json").read_text())["tables"]["t"]
    assert table["rows"] == [[0.5, 3, None, "text", None, True]]


def test_what_cannot_be_written_is_refused_when_the_result_is_made() -> None:
    with pytest.raises(PluginError, match="'a/b' cannot name an array"):
        Result(arrays={"a/b": Array(np.zeros(2), ("x",))})
    with pytest.raises(PluginError, match="'x' names an array and a dimension"):
        Result(arrays={"x": Array(np.zeros(2), ("x",))})
    with pytest.raises(PluginError, match="a row of table 't' does not fit its columns"):
        Result(tables={"t": Table(("a",), ((1, 2),))})
    with pytest.raises(PluginError, match="a table holds <object"):
        Result(tables={"t": Table(("a",), ((object(),),))})  # type: ignore[arg-type]


def test_work_that_fails_leaves_the_old_result_and_nothing_else(tmp_path: Path) -> None:
    save(tmp_path / "out", example(1.0))
    before = (tmp_path / "out" / "result.json").read_bytes()

    def fail() -> None:
        with result_folder(tmp_path / "out", overwrite=True):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (tmp_path / "out" / "result.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GanprobeError, match=r"cannot write .*: .*choose another --output"):
        save(tmp_path / "file" / "out", example())


def test_arrays_that_do_not_fit_their_dimensions_are_refused() -> None:
    with pytest.raises(PluginError, match=r"'a' has shape \(2, 3\) but dims \('x',\)"):
        Result(arrays={"a": Array(np.zeros((2, 3)), ("x",))})
    with pytest.raises(PluginError, match="'x' is 3 long in array 'b', 2 before"):
        Result(arrays={"a": Array(np.zeros(2), ("x",)), "b": Array(np.zeros(3), ("x",))})


def with_sets(**sets: UnitSet) -> Result:
    return Result(findings=["Found."], unit_sets=sets)


def test_unit_sets_are_files_of_their_own_that_the_result_lists(tmp_path: Path) -> None:
    best = UnitSet((7, 3, 4, 5), "conv2", {"name": "tiny"}, {"effect": float("nan")})
    files = save(tmp_path / "out", Result(unit_sets={"greedy 20": best, "a.b": UnitSet((1,))}))
    held = tmp_path / "out" / "units"
    assert {held / "greedy 20.json", held / "a.b.json"} < set(files)
    assert {file.name for file in held.iterdir()} == {"greedy 20.json", "a.b.json"}
    assert UnitSet.read(held / "greedy 20.json") == best
    assert json.loads((tmp_path / "out" / "result.json").read_text())["unit_sets"] == {
        "greedy 20": {"file": "units/greedy 20.json", "units": "conv2#7,3-5"},
        "a.b": {"file": "units/a.b.json", "units": "1"},
    }


def test_a_result_without_unit_sets_has_no_folder_for_them(tmp_path: Path) -> None:
    save(tmp_path / "out", example())
    assert not (tmp_path / "out" / "units").exists()
    assert json.loads((tmp_path / "out" / "result.json").read_text())["unit_sets"] == {}


def test_replacing_drops_old_unit_sets_and_keeps_somebody_elses(tmp_path: Path) -> None:
    held = tmp_path / "out" / "units"
    save(tmp_path / "out", with_sets(old=UnitSet((1,)), both=UnitSet((2,))))
    UnitSet((9,)).write(held / "mine.json")
    save(tmp_path / "out", with_sets(both=UnitSet((3,))), overwrite=True)
    assert {file.name for file in held.iterdir()} == {"both.json", "mine.json"}
    assert UnitSet.read(held / "both.json").units == (3,)
    assert UnitSet.read(held / "mine.json").units == (9,)


def test_a_result_of_before_there_were_unit_sets_can_be_replaced(tmp_path: Path) -> None:
    save(tmp_path / "out", example())
    path = tmp_path / "out" / "result.json"
    record = json.loads(path.read_text())
    del record["unit_sets"]
    path.write_text(json.dumps(record))
    save(tmp_path / "out", with_sets(new=UnitSet((3,))), overwrite=True)
    assert UnitSet.read(tmp_path / "out" / "units" / "new.json").units == (3,)
    assert not (tmp_path / "out" / "figures" / "bars.png").exists()


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".hidden", "a\nb", "50%"])
def test_a_unit_set_is_named_as_a_file_can_be(name: str) -> None:
    with pytest.raises(PluginError, match="cannot name an array, a dimension or a file"):
        Result(unit_sets={name: UnitSet((1,))})


def test_something_else_at_the_place_of_a_unit_set_leaves_the_old_result(tmp_path: Path) -> None:
    save(tmp_path / "out", example())
    before = (tmp_path / "out" / "result.json").read_bytes()
    (tmp_path / "out" / "units" / "new.json").mkdir(parents=True)
    with pytest.raises(OutputExistsError, match=r"new\.json is a folder where a file must go"):
        save(tmp_path / "out", with_sets(new=UnitSet((1,))), overwrite=True)
    (tmp_path / "out" / "units" / "new.json").rmdir()
    (tmp_path / "out" / "units").rmdir()
    (tmp_path / "out" / "units").touch()
    with pytest.raises(GanprobeError, match=r"cannot write .*out: File exists; choose another"):
        save(tmp_path / "out", with_sets(new=UnitSet((1,))), overwrite=True)
    assert (tmp_path / "out" / "result.json").read_bytes() == before


def test_a_name_too_long_for_a_file_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(GanprobeError, match=r"cannot write .*: File name too long"):
        save(tmp_path / "out", with_sets(**{"a" * 250: UnitSet((1,))}))
    assert list(tmp_path.iterdir()) == []
