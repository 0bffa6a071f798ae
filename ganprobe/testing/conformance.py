"""Conformance: what every kind of plugin has in common that is tested."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any, ClassVar, Never

from ganprobe.errors import nearest_names
from ganprobe.hookspecs import hookimpl
from ganprobe.plugins import discover

__all__ = [
    "ConformanceTests",
    "check",
    "check_nothing",
    "check_sentence",
    "fail",
    "refusal_of_plugin",
    "skip",
]

_MODULE = "_ganprobe_conformance"


class ConformanceTests:
    """What the classes of tests have in common.

    Attributes:
        excused: tests that do not hold for this plugin, each with the reason why, which is shown
            where it is skipped: ``{"test_it_takes_grey_images": "it is about colours"}``.
    """

    excused: ClassVar[Mapping[str, str]] = {}

    def setup_method(self, method: Any) -> None:
        """Skip a test that is excused. pytest calls this before each."""
        known = [name for name in dir(self) if name.startswith("test_")]
        for name, reason in self.excused.items():
            if name not in known:
                fail(f"excused names no test {name!r}; nearest: {', '.join(nearest(name, known))}")
            if not reason.strip():
                fail(f"excused gives no reason for {name}; say why it does not hold")
        if method.__name__ in self.excused:
            skip(self.excused[method.__name__])


def nearest(name: str, known: list[str]) -> list[str]:
    """The tests most like this name."""
    return nearest_names(name, known, n=2)


def fail(sentence: str) -> Never:
    """Let a test fail, with a sentence that tells the author what to do."""
    __tracebackhide__ = True
    raise AssertionError(" ".join(sentence.split()))


def check(is_so: bool, sentence: str) -> None:
    """Let a test fail with this sentence where something is not so."""
    __tracebackhide__ = True
    if not is_so:
        fail(sentence)


def check_nothing(found: list[str], sentence: str) -> None:
    """Let a test fail where anything was found, which is told behind the sentence."""
    __tracebackhide__ = True
    if found:
        fail(f"{sentence}: {'; '.join(found)}")


def check_sentence(text: object, what: str) -> None:
    """Let a test fail where this is no line of words."""
    check(
        isinstance(text, str) and bool(text.strip()) and "\n" not in text,
        f"{what} is one line that says something, got {text!r}",
    )


def skip(reason: str) -> Never:
    """Skip a test."""
    __tracebackhide__ = True
    import pytest

    pytest.skip(reason)


def refusal_of_plugin(hook: str, offer: object) -> str | None:
    """Why a plugin that gives this from this hook would not load; None: it would."""

    def give() -> list[Any]:
        return [offer]

    give.__name__, give.__module__ = hook, _MODULE
    module = ModuleType(_MODULE)
    setattr(module, hook, hookimpl(give))
    with _importable(module):
        (record,) = discover([EntryPoint("conformance", _MODULE, "ganprobe")])
    return record.reason if record.state == "failed" else None


@contextmanager
def _importable(module: ModuleType) -> Any:
    sys.modules[module.__name__] = module
    try:
        yield
    finally:
        del sys.modules[module.__name__]
