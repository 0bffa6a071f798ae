"""Fixtures: a small generator, and the command line in process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings

from ganprobe import Generator, Probe
from ganprobe.cli import main
from subjects import TinyNetwork, random_network


@pytest.fixture
def network() -> TinyNetwork:
    return random_network(0)


@pytest.fixture
def tiny(network: TinyNetwork) -> Generator:
    return Generator.from_module(network, latent=5, name="tiny")


# A busy machine is no fault of the code: examples are not timed.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@dataclass(frozen=True)
class Finished:
    """A command that has come to its end."""

    status: int
    out: str
    err: str


@pytest.fixture
def ganprobe_command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Finished]:
    """Run the command line in this process: ``ganprobe_command("layers", "digits")``."""

    def run(*arguments: object) -> Finished:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Finished(int(ended.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture
def network_probe(tiny: Generator) -> Probe:
    return Probe(tiny)
