"""What a class declares, and what cannot be declared."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType, Optional

import pytest
from pydantic import BaseModel, BeforeValidator, PositiveInt

from ganprobe import Field, Params, PluginError, Sites, Units, UnitSet
from ganprobe.params import check_params, declared
from ganprobe.plugins import discover, plugins

if TYPE_CHECKING:
    from pathlib import PurePath

Count = NewType("Count", int)
Even = Annotated[int, Field(ge=0, multiple_of=2)]


class Shade(Enum):
    DARK = "dark"
    LIGHT = "light"


class Usual(Params):
    count: Count = Count(3)
    even: Even | None = None
    evens: tuple[Even, ...] = (2, 4)
    positive: PositiveInt = 1
    below: float = Field(default=0.5, lt=1)
    big: int = Field(default=100, le=10**6)
    old: Optional[int] = None  # noqa: UP045
    is_on: bool | None = None
    shade: Shade = Shade.LIGHT
    shades: tuple[Shade, ...] = (Shade.DARK,)
    size: tuple[int, float] = (1, 0.5)
    limit: Literal["auto"] | int = "auto"
    sites: Sites = Field(default=("conv?", "b"), validate_default=True)
    kept: Units = UnitSet((3, 4, 5), "conv2")
    class_: str = "x"
    read: Annotated[str, BeforeValidator(str)] = "y"
    maybe: Literal["a", "b", None] = None


@pytest.mark.parametrize(
    ("name", "expected", "metavar", "default"),
    [
        ("count", "a whole number", "NUMBER", "3"),
        ("even", "a whole number of 0 or more that is a multiple of 2", "NUMBER", ""),
        ("positive", "a whole number of 1 or more", "NUMBER", "1"),
        ("below", "a number below 1", "NUMBER", "0.5"),
        ("big", "a whole number at most 1000000", "NUMBER", "100"),
        ("old", "a whole number", "NUMBER", ""),
        ("is_on", "yes or no (--is-on or --no-is-on)", "yes|no", ""),
        ("shade", "dark or light", "dark|light", "light"),
        ("shades", "one or more, each dark or light", "dark|light", "dark"),
        ("size", "2 values, written NUMBER,NUMBER", "NUMBER,NUMBER", "1,0.5"),
        ("limit", "auto or a whole number", "auto|NUMBER", "auto"),
        (
            "sites",
            "one or more, each sites, as conv2, conv? or block.**:in",
            "SITE",
            "conv?, b",
        ),
        ("kept", "units, as 3,7,10-20 or @set.json", "3,7|@FILE", "conv2#3-5"),
        ("class_", "text", "TEXT", "x"),
        ("read", "text", "TEXT", "y"),
        ("maybe", "a or b", "a|b", ""),
    ],
)
def test_each_parameter_says_what_it_takes(
    name: str, expected: str, metavar: str, default: str
) -> None:
    one = declared(Usual)[name]
    assert (one.expected, one.metavar, one.written_default()) == (expected, metavar, default)


def test_a_default_is_written_as_one_would_type_it() -> None:
    class Switches(Params):
        is_fast: bool = True
        is_slow: bool = False

    written = [one.written_default() for one in declared(Switches).values()]
    assert written == ["--is-fast", "--no-is-slow"]


def test_the_usual_types_pass_the_check() -> None:
    check_params(Usual)


def test_all_first_party_parameters_pass_the_check() -> None:
    analyses = [analysis for plugin in plugins() for analysis in plugin.analyses]
    assert len(analyses) >= 13
    for analysis in analyses:
        check_params(analysis.Params, analysis.name)


class Inner(BaseModel):
    x: int = 1


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        (dict[str, int], r"of type dict\[str, int\] cannot be a flag; use int, float, bool, str"),
        (Inner, "of type Inner cannot be a flag; use "),
        (Decimal, "of type Decimal cannot be a flag; use "),
        (bytes, "of type bytes cannot be a flag; use "),
        (complex, "of type complex cannot be a flag; use "),
        (Any, "of type Any cannot be a flag; use "),
        (object, "of type object cannot be a flag; use "),
        (set[str], r"of type set\[str\] cannot be a flag; use .*tuple\[T, \.\.\.\]"),
        (tuple, "of type tuple cannot be a flag; use "),
        (list, "of type list cannot be a flag; use "),
        (list[list[int]], r"of type list\[list\[int\]\] cannot be a flag; use "),
        (
            tuple[Sites, ...],
            r"of type tuple\[.*ParameterType\('sites'\)\], \.\.\.\] cannot be a flag; use ",
        ),
        (Callable[[], int], "of type .*Callable.* cannot be a flag; use "),
        (int | str, "of type int | str cannot be a flag, as all that is written there is text"),
        (type(None), "of type NoneType cannot be a flag"),
    ],
)
def test_a_type_that_cannot_be_a_flag_is_refused_with_those_that_can(
    annotation: Any, reason: str
) -> None:
    params = type("Odd", (Params,), {"__annotations__": {"odd": annotation}})
    with pytest.raises(PluginError, match=rf"^analysis mine: parameter 'odd' {reason}"):
        check_params(params, "mine")


def test_a_name_that_cannot_be_a_flag_is_refused() -> None:
    class Twice(Params):
        is_on: bool = True
        no_is_on: int = 1

    class Renamed(Params):
        low: int = Field(default=1, alias="min")

    with pytest.raises(PluginError, match="the parameters 'is_on' and 'no_is_on' are both --no-is"):
        check_params(Twice)
    with pytest.raises(PluginError, match="parameter 'low' has an alias; its flag is made of its"):
        check_params(Renamed)
    with pytest.warns(UserWarning, match="shadows"):
        shadowing = type("Shadowing", (Params,), {"__annotations__": {"copy": int}})
    with pytest.raises(PluginError, match="a parameter cannot be called 'copy': Params needs it"):
        check_params(shadowing)


def test_a_default_that_does_not_fit_is_refused_before_a_user_meets_it() -> None:
    class Odd(Params):
        needed: int
        steps: int = Field(default=1, ge=2)

    with pytest.raises(PluginError, match="mine: the default 1 of parameter 'steps' does not fit"):
        check_params(Odd, "mine")


def test_a_type_that_is_imported_for_types_only_is_told() -> None:
    class Late(Params):
        where: PurePath | None = None

    with pytest.raises(PluginError, match=r"Late names a type .*PurePath.*outside of TYPE_CHECK"):
        check_params(Late)


@pytest.mark.parametrize("given", [None, dict, Inner, Usual()])
def test_what_is_no_params_class_is_refused(given: object) -> None:
    with pytest.raises(PluginError, match=r"mine: Params is to be a subclass of ganprobe\.Params"):
        check_params(given, "mine")


def test_a_plugin_whose_parameters_cannot_be_flags_is_left_out_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd_parameters.py").write_text(
        "from ganprobe import Analysis, Params, Result, hookimpl\n"
        "class OddParams(Params):\n"
        "    weights: dict[str, float] = {}\n"
        "class Odd(Analysis[OddParams]):\n"
        "    name, summary, Params = 'odd', 'Odd.', OddParams\n"
        "    def run(self, context, params): return Result()\n"
        "@hookimpl\n"
        "def register_analyses(): return [Odd]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (record,) = discover([EntryPoint("odd", "odd_parameters", "ganprobe")])
    assert record.state == "failed"
    assert "analysis odd: parameter 'weights' of type dict[str, float] cannot" in record.reason
