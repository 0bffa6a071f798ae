"""An analysis runs, and the next one finds everything as it was."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import matplotlib
import pytest
import torch

from ganprobe import Analysis, Context, Params, PluginError, Probe, Result
from ganprobe.analysis import run_analysis
from ganprobe.plugins import discovery as discovering

Act = Callable[[Context], object]


def analysis_that(does: Act) -> type[Analysis[Params]]:
    class Given(Analysis[Params]):
        """Does what it was given."""

        name, summary = "given", "Does what it was given."
        Params = Params

        def run(self, context: Context, params: Any) -> Result:
            does(context)
            return Result(findings=["It was done."])

    return Given


@pytest.fixture
def context(network_probe: Probe) -> Context:
    return Context(network_probe, 0, lambda name: pytest.fail(name))


def keep(*_: object) -> None:
    """A hook that is never removed."""


def fail_of_it(context: Context) -> None:
    leave_a_hook(context)
    raise ValueError("too dark")


def leave_a_hook(context: Context) -> None:
    context.generator.module.get_submodule("2").register_forward_hook(keep)


def draw_in_the_dark(context: Context) -> None:
    matplotlib.rcParams["figure.facecolor"] = "black"


HELD: list[AbstractContextManager[object]] = []


def hold_a_session(context: Context) -> None:
    HELD.append(context.probe.intervening(record=["2"]))
    HELD[-1].__enter__()


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (leave_a_hook, r"a forward hook was left on layer '2' \(keep, .*test_analysis\.py:\d+\)"),
        (hold_a_session, "a forward hook was left on the module .*; a forward hook .* layer '2'"),
        (
            lambda context: context.generator.module.train(),
            r"the module \(and 7 more\) was left in train mode",
        ),
        (
            lambda context: context.generator.module.get_parameter("0.weight").data.zero_(),
            r"the values of '0\.weight' were changed, which cannot be undone",
        ),
        (lambda context: os.chdir("/"), "the working folder was changed"),
        (lambda context: torch.set_grad_enabled(False), "torch's gradient mode was changed"),
        (draw_in_the_dark, "matplotlib's style was changed"),
    ],
)
def test_what_an_analysis_leaves_is_taken_away_and_it_fails(
    act: Act, told: str, context: Context
) -> None:
    folder, module = Path.cwd(), context.generator.module
    with pytest.raises(
        PluginError, match=rf"^analysis 'given' did not leave everything as it was: {told}"
    ):
        run_analysis(analysis_that(act), context, Params())
    assert Path.cwd() == folder
    assert torch.is_grad_enabled()
    assert matplotlib.rcParams["figure.facecolor"] != "black"
    assert not any(layer.training or layer._forward_hooks for layer in module.modules())
    for session in HELD:
        session.__exit__(None, None, None)
    HELD.clear()
    done = run_analysis(analysis_that(lambda context: None), context, Params())
    assert done.findings == ["It was done."]


def test_of_many_changes_three_kinds_are_told(context: Context) -> None:
    def change(context: Context) -> None:
        module = context.generator.module.train().requires_grad_(False)
        for layer in module.children():
            layer.register_forward_hook(keep)
        torch.set_default_dtype(torch.float64)
        os.chdir("/")

    with pytest.raises(PluginError) as raised:
        run_analysis(analysis_that(change), context, Params())
    for told in (
        r"a forward hook was left on layer '0' \(and 6 more\) \(keep, .*\); ",
        r"the module \(and 7 more\) was left in train mode; ",
        r"requires_grad of '0\.weight' \(and 7 more\) was changed; ",
        r"; and 2 more \(what can be was put back",
    ):
        assert re.search(told, str(raised.value)), str(raised.value)


def test_what_it_left_is_taken_away_also_where_it_raises(context: Context) -> None:
    raised = r"analysis 'given' raised ValueError: too dark \(.*test_analysis\.py:\d+\)"
    with pytest.raises(PluginError, match=raised):
        run_analysis(analysis_that(fail_of_it), context, Params())
    assert not context.generator.module.get_submodule("2")._forward_hooks


def test_an_analysis_that_ends_the_process_only_fails(context: Context) -> None:
    with pytest.raises(PluginError, match=r"analysis 'given' raised SystemExit: 3 \(.*:\d+\)"):
        run_analysis(analysis_that(lambda context: sys.exit(3)), context, Params())


def test_an_interruption_goes_through_and_leaves_nothing(context: Context) -> None:
    def interrupt(context: Context) -> None:
        leave_a_hook(context)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_analysis(analysis_that(interrupt), context, Params())
    assert not context.generator.module.get_submodule("2")._forward_hooks


def test_an_interruption_stays_one_where_a_library_makes_an_error_of_it(context: Context) -> None:
    def import_something(_: Context) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as interrupt:  # as a library of C++ does that is being imported
            raise ImportError("initialization failed") from interrupt

    with pytest.raises(KeyboardInterrupt):
        run_analysis(analysis_that(import_something), context, Params())


def test_probing_and_measuring_leave_nothing(context: Context) -> None:
    def probe(context: Context) -> None:
        latents = context.generator.sample(2)
        context.probe.run(latents, record=["2"])
        with context.probe.intervening(record=["0"]):
            context.generator.forward(latents)
        list(context.activations(["2"], 3))

    assert run_analysis(analysis_that(probe), context, Params()).findings


BAD = """
from ganprobe import Analysis, Params, Result, hookimpl

class Bad(Analysis[Params]):
    name, summary, Params = "bad", "Fails.", Params

    def run(self, context, params):
        {line}
        return Result(findings=["nothing"])

@hookimpl
def register_analyses():
    return [Bad]
"""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1 / 0", r"analysis 'bad' raised ZeroDivisionError: division by zero \(.*bad\.py:8\)"),
        (
            "context.generator.module.register_forward_hook(print)",
            "analysis 'bad' did not leave everything as it was: a forward hook was left on the mod",
        ),
        ("return 5", "analysis 'bad' returned a int; it must return a Result"),
    ],
)
def test_a_failed_analysis_has_exit_status_1_and_writes_nothing(
    line: str,
    said: str,
    ganprobe_command: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "stranger_bad.py").write_text(BAD.format(line=line))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "stranger_bad", raising=False)
    points = [*discovering._entry_points(), EntryPoint("bad", "stranger_bad", "ganprobe")]
    monkeypatch.setattr(discovering, "_entry_points", lambda: points)
    monkeypatch.setattr(discovering, "_installed", lambda: discovering.discover(points))
    finished = ganprobe_command("run", "bad", "digits", "--output", tmp_path / "out" / "bad")
    assert finished.status == 1
    assert re.search(said, finished.err), finished.err
    assert not (tmp_path / "out").exists()
    assert ganprobe_command("layers", "digits").status == 0


def test_without_output_the_result_goes_to_a_folder_of_its_name(
    ganprobe_command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    finished = ganprobe_command("run", "maps", "digits", "--site", "conv3", "--source", "5")
    assert finished.status == 0, finished.err
    record = json.loads((tmp_path / "out" / "maps-digits" / "result.json").read_text())
    assert record["analysis"] == "maps"
    assert "out/maps-digits/result.json" in finished.out
    again = ganprobe_command("run", "maps", "digits", "--site", "conv3", "--source", "5")
    assert (again.status, "out/maps-digits is not empty; give --force" in again.err) == (2, True)
