"""Discovery against plugins good and bad, written to disk as strangers write them."""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from typing import Any

import pytest
import torch

from ganprobe import Analysis, PluginError, UnknownNameError, hookspecs, load
from ganprobe.analysis import run_analysis
from ganprobe.catalogue import find_analysis, find_measure, working_measures
from ganprobe.plugins import PluginRecord, discover, plugins
from ganprobe.plugins import discovery as discovering

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

HOOKIMPL = "from ganprobe import hookimpl\n\n"

BAD = {
    "broken_import": ("import no_such_module", r"ModuleNotFoundError: .*broken_import\.py:1\)"),
    "syntax": ("def :", r"SyntaxError: invalid syntax \(.*syntax\.py:1\)"),
    "misspelt": (
        HOOKIMPL + "@hookimpl\ndef register_analysis():\n    return []",
        r"no hook 'register_analysis' \(.*misspelt\.py:3\); nearest: register_analyses; hooks are:",
    ),
    "unmarked": (
        HOOKIMPL + "def register_analyses():\n    return []",
        r"register_analyses is not marked with @ganprobe\.hookimpl \(.*unmarked\.py:3\)",
    ),
    "without_hooks": ("x = 1", "it marks no function with hookimpl; hooks are: register_gen"),
    "arguments": (
        HOOKIMPL + "@hookimpl\ndef register_analyses(wrong):\n    return []",
        r"register_analyses takes no arguments, got wrong \(.*arguments\.py:3\)",
    ),
    "wrapping": (
        HOOKIMPL + "@hookimpl(wrapper=True)\ndef register_analyses():\n    return (yield)",
        r"hook register_analyses is a wrapper, which no hook can be \(.*wrapping\.py:3\)",
    ),
    "awaiting": (
        HOOKIMPL + "@hookimpl\nasync def register_analyses():\n    return []",
        r"hook register_analyses is async, which no hook can be \(.*awaiting\.py:3\)",
    ),
    "forgetful": (
        HOOKIMPL + "@hookimpl\ndef register_measures():\n    []",
        r"register_measures gave None; it must give a list \(.*forgetful\.py:3\)",
    ),
    "raising": (
        HOOKIMPL + "@hookimpl\ndef register_measures():\n    return 1 / 0",
        r"ZeroDivisionError: .*raising\.py:5\)",
    ),
    "endless": (
        HOOKIMPL + "@hookimpl\ndef register_measures():\n    return register_measures()",
        r"RecursionError: .*endless\.py:5\)",
    ),
    "panicking": (
        "class Panic(BaseException): ...\n\nraise Panic('everything is lost')",
        r"Panic: everything is lost \(.*panicking\.py:3\)",
    ),
    "speechless": (
        "class Odd(ImportError):\n    def __str__(self):\n        return 1 / 0\n\nraise Odd",
        r"Odd: which cannot say what it is \(.*speechless\.py:5\)",
    ),
    "other_things": (
        HOOKIMPL + "@hookimpl\ndef register_measures():\n    return ['x']",
        r"register_measures gave 'x', which is no Measure \(.*other_things\.py:3\)",
    ),
    "exiting": ("import sys\nsys.exit(3)", r"SystemExit: 3 \(.*exiting\.py:2\)"),
    "without_params": (
        GOOD.replace(", Params\n", "\n")
        .replace("summary, Params", "summary")
        .replace("greeting", "x"),
        r"analysis Greeting needs a class Params, got None \(.*without_params\.py:4\)",
    ),
    "without_summary": (
        GOOD.replace('name, summary, Params = "greeting", "Says hello.",', "name, Params = 'x',"),
        r"Greeting needs an attribute 'summary', a str \(.*without_summary\.py:4\)",
    ),
    "without_run": (
        GOOD.replace("def run(self", "def walk(self").replace("greeting", "x"),
        r"analysis Greeting does not define run \(.*without_run\.py:4\)",
    ),
    "spaced": (
        GOOD.replace('"greeting"', '"good morning"'),
        "analysis 'good morning' is no word of letters, digits, - and _",
    ),
    "reserved": (
        GOOD.replace("greeting", "x")
        .replace("class Greeting", "class Own(Params):\n    seed: int = 1\n\nclass Greeting")
        .replace('", Params\n', '", Own\n'),
        "has a parameter 'seed', which is ours",
    ),
    "misshapen": (
        "from ganprobe import Measure, hookimpl\n\nclass M(Measure):\n"
        "    name, summary, columns, image_shape = 'm', 'M.', ('a',), (28, 28)\n"
        "    def measure(self, images): ...\n\n"
        "@hookimpl\ndef register_measures():\n    return [M()]",
        r"measure 'm' takes images of image_shape \(28, 28\); it is \(channels, height, width\)",
    ),
    "unmade": (
        "from ganprobe import GeneratorLoader, hookimpl\n@hookimpl\ndef register_generators():\n"
        "    return [GeneratorLoader('mine', 'A generator.', None)]",
        "generator 'mine' needs a function make, got None",
    ),
    "taken": (
        GOOD,
        r"the analysis name 'greeting' is taken by plugin 'good' \(unknown\); give yours another",
    ),
    "older": (
        "from ganprobe import Analysis, Parameters",
        r"ganprobe 0\.1\.0 has no 'Parameters'; nearest: .*Params.*; the plugin does not say which"
        r" it needs \(.*older\.py:1\)",
    ),
    "much_older": (
        "import ganprobe as gp\n\nclass Old(gp.Analyser): ...",
        r"ganprobe 0\.1\.0 has no 'Analyser'; nearest: Analysis.* \(.*much_older\.py:3\)",
    ),
    "prying": (
        "from ganprobe.results import Finding",
        r"ganprobe\.results has no 'Finding', and only names of ganprobe itself are public",
    ),
    "replacing": (
        "import ganprobe.analysis\nganprobe.analysis.run_analysis = print\n" + GOOD,
        r"it replaced ganprobe\.analysis\.run_analysis, which was put back",
    ),
    "replacing_methods": (
        "import ganprobe\nganprobe.Analysis.run = print\n" + GOOD,
        r"it replaced ganprobe\.analysis\.Analysis\.run, which was put back",
    ),
    "impatient": (
        "import ganprobe\nganprobe.find_measure('digit')",
        r"'impatient' asks for what plugins offer while it is imported.*impatient\.py:2\)",
    ),
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
    assert run_analysis.__name__ == "run_analysis"
    assert getattr(Analysis.run, "__isabstractmethod__", False)


def test_an_interruption_at_import_goes_through(entry_point: Callable[..., EntryPoint]) -> None:
    with pytest.raises(KeyboardInterrupt):
        discover([entry_point("stopped", "raise KeyboardInterrupt")])


def test_a_module_that_is_gone_is_told_with_what_should_bring_it() -> None:
    (record,) = discover([EntryPoint("gone", "stranger_that_is_gone", "ganprobe")])
    assert record.reason == "its module 'stranger_that_is_gone' is not there; install unknown again"


@pytest.mark.parametrize("value", ["", ":", "no module:", "a b.c"])
def test_an_entry_point_that_names_nothing_is_told(value: str) -> None:
    (record,) = discover([EntryPoint("odd", value, "ganprobe")])
    assert record.state == "failed"
    assert record.reason


def test_one_module_under_two_names_is_one_plugin(entry_point: Callable[..., EntryPoint]) -> None:
    once = entry_point("one", GOOD)
    records = discover([once, EntryPoint("two", once.value, "ganprobe")])
    assert [record.state for record in records] == ["loaded", "failed"]
    assert records[1].reason == "stranger_one is the plugin 'one' already; name it once"


def test_an_object_of_a_module_can_be_a_plugin(entry_point: Callable[..., EntryPoint]) -> None:
    source = GOOD.replace(
        "@hookimpl\ndef register_analyses():\n    return [Greeting]",
        "class Mine:\n    @hookimpl(specname='register_analyses')\n    def of_mine(self, n=1):\n"
        "        return (Greeting,) * n\n\nmine = Mine()",
    )
    point = entry_point("objects", source)
    records = discover([EntryPoint("objects", f"{point.value}:mine", "ganprobe")])
    assert offered(records) == ["greeting"], records


def test_what_a_plugin_would_offer_is_known_also_where_it_failed(
    entry_point: Callable[..., EntryPoint],
) -> None:
    source = GOOD.replace("return [Greeting]", "return [Greeting, Greeting]")
    (record,) = discover([entry_point("twice", source)])
    assert record.claimed == (("analysis", "greeting"),) * 2
    assert "the analysis name 'greeting' is taken by plugin 'twice'" in record.reason
    assert record.analyses == ()


LOUD = (
    "import os, sys, warnings, torch\nprint('hello')\nos.chdir('/')\nsys.path.insert(0, '/mine')\n"
    "torch.set_default_dtype(torch.float64)\nwarnings.simplefilter('ignore')\n"
)


def test_a_plugin_changes_nothing_for_others_while_it_is_imported(
    entry_point: Callable[..., EntryPoint], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, path, filters = Path.cwd(), list(sys.path), list(warnings.filters)
    (record,) = discover([entry_point("loud", LOUD + GOOD)])
    assert record.state == "loaded", record.reason
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "hello\n")
    assert (Path.cwd(), torch.get_default_dtype()) == (folder, torch.float32)
    assert (sys.path[: len(path)], sys.path[-1]) == (path, "/mine")
    sys.path.pop()
    assert list(warnings.filters) == filters
    assert record.notes == (
        "the working folder was changed, and put back",
        "torch's default dtype was changed, and put back",
        "sys.path was changed; /mine comes last in it",
    )


WARNING = """
import warnings
from ganprobe import hookimpl

warnings.warn("brightness is luminance now", DeprecationWarning)

@hookimpl
def register_measures():
    warnings.warn("measures will be columns", FutureWarning)
    warnings.warn("the moon is full")
    return []
"""


def test_deprecations_are_kept_with_their_lines_and_nothing_is_warned_of(
    entry_point: Callable[..., EntryPoint], recwarn: pytest.WarningsRecorder
) -> None:
    (record,) = discover([entry_point("warning", WARNING)])
    assert record.state == "loaded", record.reason
    told = [(one.message, one.where.rpartition(":")[2]) for one in record.deprecations]
    assert told == [("brightness is luminance now", "5"), ("measures will be columns", "9")]
    assert [note.partition(" (")[0] for note in record.notes] == ["UserWarning: the moon is full"]
    assert not recwarn.list


def test_a_hook_by_its_older_name_works_and_is_deprecated(
    entry_point: Callable[..., EntryPoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed = {"register_analysers": hookspecs.Renamed("register_analyses", "0.3")}
    monkeypatch.setattr(hookspecs, "RENAMED", renamed)
    source = GOOD.replace("register_analyses", "register_analysers")
    records = discover([entry_point("grown", source)])
    assert offered(records) == ["greeting"]
    (deprecation,) = records[0].deprecations
    assert re.fullmatch(
        r"hook 'register_analysers' is called 'register_analyses' now; gone in ganprobe 0\.3"
        r" \(.*stranger_grown\.py:10\)",
        str(deprecation),
    )


@pytest.mark.parametrize(
    ("requirement", "state"),
    [
        ("ganprobe>=0.1", "loaded"),
        ("Ganprobe", "loaded"),
        ("numpy>=999", "loaded"),
        ("ganprobe>=999; python_version < '3'", "loaded"),
        ("what is this?", "loaded"),
        ("ganprobe>=999", "failed"),
        ("ganprobe<0.1", "failed"),
    ],
)
def test_a_plugin_for_another_ganprobe_is_not_imported(
    requirement: str,
    state: str,
    entry_point: Callable[..., EntryPoint],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry_point("dated", GOOD if state == "loaded" else "raise AssertionError('was imported')")
    folder = tmp_path / "dated-2.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Name: dated\nVersion: 2.0\nRequires-Dist: {requirement}\n")
    (folder / "entry_points.txt").write_text("[ganprobe]\ndated = stranger_dated\n")
    points = [
        point
        for one in distributions(name="dated", path=[str(tmp_path)])
        for point in one.entry_points
    ]
    (record,) = discover(points)
    assert (record.state, record.distribution) == (state, "dated 2.0")
    if state == "failed":
        assert record.reason == (
            f"dated 2.0 needs {requirement}, and this is ganprobe 0.1.0; install that one, or a"
            f" version of dated made for this one (pip install '{requirement}')"
        )


def test_how_long_an_import_took_is_known(entry_point: Callable[..., EntryPoint]) -> None:
    (record,) = discover([entry_point("slow", "import time\ntime.sleep(0.05)\n" + GOOD)])
    assert 0.05 <= record.seconds < 5


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


def test_a_name_of_ours_is_not_taken_by_a_plugin_that_comes_before_it(
    installed: Callable[..., None],
) -> None:
    installed(aaa=GOOD.replace("greeting", "veto"))
    states = {record.name: record for record in plugins()}
    assert states["veto"].state == "loaded"
    assert find_analysis("veto").__module__.startswith("ganprobe_veto")
    taken = "the analysis name 'veto' is taken by plugin 'veto' (ganprobe 0.1.0)"
    assert states["aaa"].reason.startswith(taken)
    assert [*states] == sorted(states)


def test_two_plugins_of_one_name_are_both_told(entry_point: Callable[..., EntryPoint]) -> None:
    first = entry_point("one", GOOD)
    second = entry_point("two", GOOD.replace("greeting", "other"))
    third = entry_point("three", GOOD.replace("greeting", "another"))
    points = [first, *(EntryPoint("one", point.value, "ganprobe") for point in (second, third))]
    records = discover(points)
    assert sorted(record.state for record in records) == ["failed", "failed", "loaded"]
    assert {record.reason for record in records if record.state == "failed"} == {
        "the plugin name 'one' is taken by plugin 'one' (unknown); give yours another name"
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
        "networks": "loaded",
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


@pytest.fixture
def installed(
    entry_point: Callable[..., EntryPoint], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., None]]:
    """Make plugins as if they were installed beside those that are: ``installed(bad=SOURCE)``."""
    found = discovering._entry_points()

    def install(**sources: str) -> None:
        points = [*found, *(entry_point(name, source) for name, source in sources.items())]
        monkeypatch.setattr(discovering, "_entry_points", lambda: points)
        discovering._installed.cache_clear()

    yield install
    discovering._installed.cache_clear()


def test_all_else_works_beside_bad_plugins(
    installed: Callable[..., None], ganprobe_command: Callable[..., Any]
) -> None:
    installed(**{fault: source for fault, (source, _) in BAD.items()}, good=GOOD)
    finished = ganprobe_command("plugins", "--json")
    assert finished.status == 0, finished.err
    listed = {one["name"]: one for one in json.loads(finished.out)}
    assert {name for name, one in listed.items() if one["state"] == "failed"} == set(BAD)
    assert load("digits").name == "digits"
    assert "greeting" in ganprobe_command("run", "--help").out
    finished = ganprobe_command("plugins")
    assert finished.status == 0
    assert finished.out.splitlines()[0] == "arguments failed, from unknown:"


def test_failed_plugins_come_first_with_the_line_and_what_to_do(
    installed: Callable[..., None], ganprobe_command: Callable[..., Any]
) -> None:
    installed(raising=BAD["raising"][0], good=WARNING)
    lines = ganprobe_command("plugins").out.splitlines()
    assert lines[0] == "raising failed, from unknown:"
    assert re.fullmatch(r"  ZeroDivisionError: division by zero \(.*raising\.py:5\)", lines[1])
    assert lines[2].startswith("All else works.")
    assert lines[2].endswith("switch it off: GANPROBE_DISABLE_PLUGINS=raising")
    assert any(re.match(r"good: deprecated: brightness is .*good\.py:5\)", line) for line in lines)


@pytest.mark.parametrize("command", [["generators"], ["run", "--help"], ["check", "no.h5"]])
def test_strict_means_that_every_command_fails_of_a_failed_plugin(
    command: list[str],
    installed: Callable[..., None],
    ganprobe_command: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed(raising=BAD["raising"][0])
    monkeypatch.setenv("GANPROBE_STRICT_PLUGINS", "1")
    finished = ganprobe_command(*command)
    assert finished.status == 1
    assert re.match(
        r"ganprobe: plugin 'raising' failed: ZeroDivisionError: .*raising\.py:5\)"
        r" \(GANPROBE_STRICT_PLUGINS is set",
        finished.err,
    )
    listed = ganprobe_command("plugins", "--json")
    assert (listed.status, json.loads(listed.out)[0]["state"]) == (1, "loaded")
    with pytest.raises(PluginError, match="plugin 'raising' failed"):
        load("digits")
    monkeypatch.setenv("GANPROBE_STRICT_PLUGINS", "0")
    assert ganprobe_command("generators").status == 0


def test_a_name_to_switch_off_that_no_plugin_has_is_told(
    ganprobe_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANPROBE_DISABLE_PLUGINS", "travesal, all")
    finished = ganprobe_command("check", "no.h5")
    told = "ganprobe: GANPROBE_DISABLE_PLUGINS names 'travesal', which is no plugin; nearest: trav"
    assert finished.err.startswith(told)
    assert "names 'all'" not in finished.err


def test_a_name_that_a_failed_plugin_would_offer_is_told_so(
    installed: Callable[..., None], ganprobe_command: Callable[..., Any]
) -> None:
    twice = GOOD.replace("return [Greeting]", "return [Greeting, Greeting]")
    installed(broken=BAD["raising"][0].replace("1 / 0", "1 / 0  # broken"), twice=twice)
    for name, plugin in (("broken", "broken"), ("greeting", "twice")):
        finished = ganprobe_command("run", name, "digits")
        assert finished.status == 2
        said = rf"no analysis '{name}'; .*\(plugin '{plugin}' \(unknown\) failed: .*\)"
        assert re.search(said, finished.err), finished.err
    assert "not loaded, and why: ganprobe plugins: broken, twice" in (
        ganprobe_command("run", "nothing-like-it", "digits").err
    )


def test_a_name_of_a_plugin_that_is_switched_off_is_told_so(
    installed: Callable[..., None],
    ganprobe_command: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GANPROBE_DISABLE_PLUGINS", "traversal")
    installed()
    finished = ganprobe_command("run", "traversal", "digits")
    assert finished.status == 2
    assert "plugin 'traversal' (ganprobe 0.1.0) is switched off by GANPROBE_DIS" in finished.err


MEASURE = """
from ganprobe import Measure, hookimpl

class Odd(Measure):
    name, summary, columns = "odd", "Fails.", ("a",)

    def measure(self, images):
        return images / "two"

@hookimpl
def register_measures():
    return [Odd()]
"""


def test_a_measure_that_raises_is_left_out_where_all_are_asked_and_named_where_it_is(
    installed: Callable[..., None], ganprobe_command: Callable[..., Any], tmp_path: Path
) -> None:
    installed(odd=MEASURE)
    said: list[str] = []
    names = [measure.name for measure in working_measures((1, 28, 28), said.append)]
    assert "digit" in names
    assert "odd" not in names
    raised = r"measure 'odd' raised TypeError on images \(2, 1, 28, 28\): .*stranger_odd\.py:8\)"
    assert re.fullmatch(rf"measure 'odd' is left out: {raised}", said[0])
    with pytest.raises(PluginError, match=raised):
        find_measure("odd")(torch.zeros(2, 1, 28, 28))
