"""Discovery against plugins good and bad, written to disk as strangers write them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from ganprobe import UnknownNameError, load
from ganprobe.catalogue import find_analysis, find_measure
from ganprobe.plugins import PluginRecord, discover, plugins

GOOD = """
from ganprobe import Analysis, GeneratorLoader, Params, Result, hookimpl

class Greeting(Analysis[Params]):
    name, summary, Params = "greeting", "Says hello.", Params

    def run(self, context, params):
        return Result(findings=["hello"])

@hookimpl
def register_analyses():
    return [Greeting]
"""

BAD = {
    "broken_import": ("import no_such_module", r"ModuleNotFoundError: .*broken_import\.py:1\)"),
    "misspelt": (
        "from ganprobe import hookimpl\n@hookimpl\ndef register_analysis():\n    return []",
        "no hook 'register_analysis' \\(line 2\\); hooks are: register_analyses",
    ),
    "arguments": (
        "from ganprobe import hookimpl\n@hookimpl\ndef register_analyses(wrong):\n    return []",
        "wrong",
    ),
    "raising": (
        "from ganprobe import hookimpl\n@hookimpl\ndef register_measures():\n    return 1 / 0",
        r"ZeroDivisionError: .*raising\.py:4\)",
    ),
    "other_things": (
        "from ganprobe import hookimpl\n@hookimpl\ndef register_measures():\n    return ['x']",
        "register_measures gave 'x', which is no Measure",
    ),
    "exiting": ("import sys\nsys.exit(3)", r"SystemExit: 3 \(.*exiting\.py:2\)"),
    "without_params": (
        GOOD.replace(", Params\n", "\n")
        .replace("summary, Params", "summary")
        .replace("greeting", "x"),
        "analysis Greeting needs a class Params, got None",
    ),
    "without_summary": (
        GOOD.replace('name, summary, Params = "greeting", "Says hello.",', "name, Params = 'x',"),
        "Greeting needs an attribute 'summary', a str",
    ),
    "without_run": (
        GOOD.replace("def run(self", "def walk(self").replace("greeting", "x"),
        "analysis Greeting does not define run",
    ),
    "reserved": (
        GOOD.replace("greeting", "x")
        .replace("class Greeting", "class Own(Params):\n    seed: int = 1\n\nclass Greeting")
        .replace('", Params\n', '", Own\n'),
        "has a parameter 'seed', which is ours",
    ),
    "taken": (GOOD, "the analysis name 'greeting' is taken by plugin 'good'"),
}


@pytest.fixture
def entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., EntryPoint]:
    monkeypatch.syspath_prepend(tmp_path)

    def make(name: str, source: str) -> EntryPoint:
        module = f"stranger_{name}"
        (tmp_path / f"{module}.py").write_text(source)
        monkeypatch.delitem(sys.modules, module, raising=False)
        return EntryPoint(name, module, "ganprobe")

    return make


def offered(records: tuple[PluginRecord, ...]) -> list[str]:
    return [analysis.name for record in records for analysis in record.analyses]


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_plugin_harms_only_itself_and_says_why(
    fault: str, entry_point: Callable[..., EntryPoint]
) -> None:
    source, reason = BAD[fault]
    records = discover([entry_point(fault, source), entry_point("good", GOOD)])
    by_name = {record.name: record for record in records}
    assert by_name["good"].state == "loaded"
    assert by_name[fault].state == "failed"
    assert offered(records) == ["greeting"]
    assert re.search(reason, by_name[fault].reason), by_name[fault].reason


def test_plugins_load_in_the_order_of_their_names(entry_point: Callable[..., EntryPoint]) -> None:
    sources = {name: GOOD.replace("greeting", name) for name in ("beta", "alpha", "gamma")}
    points = [entry_point(name, source) for name, source in sources.items()]
    assert (
        offered(discover(points))
        == offered(discover(points[::-1]))
        == [
            "alpha",
            "beta",
            "gamma",
        ]
    )


def test_two_plugins_of_one_name_are_both_told(entry_point: Callable[..., EntryPoint]) -> None:
    first = entry_point("one", GOOD)
    second = entry_point("two", GOOD.replace("greeting", "other"))
    third = entry_point("three", GOOD.replace("greeting", "another"))
    points = [first, *(EntryPoint("one", point.value, "ganprobe") for point in (second, third))]
    records = discover(points)
    assert sorted(record.state for record in records) == ["failed", "failed", "loaded"]
    assert {record.reason for record in records if record.state == "failed"} == {
        "the plugin name 'one' is taken"
    }


@pytest.mark.parametrize("value", ["good", "other, good", "all"])
def test_a_plugin_can_be_switched_off(
    value: str, entry_point: Callable[..., EntryPoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANPROBE_DISABLE_PLUGINS", value)
    (record,) = discover([entry_point("good", GOOD)])
    assert (record.state, record.analyses) == ("disabled", ())


def test_the_first_party_plugins_are_found() -> None:
    assert {plugin.name: plugin.state for plugin in plugins()} == {
        "ablation": "loaded",
        "appearance": "loaded",
        "arithmetic": "loaded",
        "directions": "loaded",
        "dissection": "loaded",
        "inversion": "loaded",
        "maps": "loaded",
        "quality": "loaded",
        "segmenters": "loaded",
        "sensitivity": "loaded",
        "swap": "loaded",
        "traversal": "loaded",
        "units": "loaded",
        "veto": "loaded",
        "zoo": "loaded",
    }


def test_unknown_names_name_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"no generator 'digit'; nearest: digits \(list"):
        load("digit")
    with pytest.raises(UnknownNameError, match="no analysis 'transversal'; nearest: traversal"):
        find_analysis("transversal")
    with pytest.raises(UnknownNameError, match="no measure 'digits'; nearest: digit, digit-shape"):
        find_measure("digits")
