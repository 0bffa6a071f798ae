"""Recordings in processes of their own, to be killed, stopped, and short of room.

Importing torch takes seconds, so that one process imports everything and then forks another for
each recording: a fork takes milliseconds, and ends as any Python process does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

__all__ = ["Conditions", "Ended", "Running", "WarmProcess"]


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a recording meets with.

    Args:
        file_limit: bytes that a file may have (``ulimit -f``).
        claims_space: whether the disk can give space before it is written to.
        stops_before: the process stops itself when it is about to commit, at the first time 1.
        commits_eagerly: commit each batch, not only where a block is full or a second has gone.
        exits_at_once: without what Python and libraries do at the end, which takes a second.
    """

    file_limit: int | None = None
    claims_space: bool = True
    stops_before: int | None = None
    commits_eagerly: bool = False
    exits_at_once: bool = False


@dataclass(frozen=True)
class Ended:
    """How a process came to its end.

    Args:
        status: its exit status; of a signal minus its number.
    """

    status: int
    out: str
    err: str


class Running:
    """A command that was started."""

    def __init__(self, warm: WarmProcess, pid: int, printed: tuple[Path, Path]) -> None:
        self._warm, self.pid, self._printed = warm, pid, printed

    def kill(self) -> None:
        """End it at once, wherever it is; nothing where it has ended."""
        os.kill(self.pid, signal.SIGKILL)  # it is not forgotten before `end` was called

    def go_on(self) -> None:
        """After it stopped itself."""
        os.kill(self.pid, signal.SIGCONT)

    def wait_for_stop(self) -> None:
        """Wait until it has stopped itself."""
        status = self._warm.ask({"wait": self.pid})
        assert os.WIFSTOPPED(status), f"it ended: {self._ended(status)}"

    def end(self) -> Ended:
        """Wait for its end."""
        ended = self._ended(self._warm.ask({"wait": self.pid}))
        self._warm.running.discard(self.pid)
        return ended

    def _ended(self, status: int) -> Ended:
        out, err = (path.read_text() for path in self._printed)
        return Ended(os.waitstatus_to_exitcode(status), out, err)


class WarmProcess:
    """A process that has imported everything and forks others.

    Args:
        folder: for what they print.
    """

    def __init__(self, folder: Path) -> None:
        import ganprobe

        self._folder, self._n_started = folder, 0
        self.running: set[int] = set()
        package = str(Path(ganprobe.__file__).parents[1])
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": package}
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for pid in self.running:
            os.kill(pid, signal.SIGKILL)
        with self._process:
            _pipe(self._process.stdin).close()

    def ask(self, question: dict[str, Any]) -> int:
        """Have it do something; it answers with a number."""
        stdin, stdout = _pipe(self._process.stdin), _pipe(self._process.stdout)
        stdin.write(json.dumps(question) + "\n")
        stdin.flush()
        return int(stdout.readline())

    def start(self, *arguments: object, conditions: Conditions | None = None) -> Running:
        """Start ``ganprobe`` with these arguments."""
        self._n_started += 1
        out, err = (self._folder / f"{self._n_started}.{name}" for name in ("out", "err"))
        question = {
            "arguments": [str(argument) for argument in arguments],
            "conditions": asdict(conditions or Conditions()),
            "printed": [str(out), str(err)],
        }
        pid = self.ask(question)
        self.running.add(pid)
        return Running(self, pid, (out, err))

    def run(self, *arguments: object, conditions: Conditions | None = None) -> Ended:
        """Start it and wait for its end."""
        return self.start(*arguments, conditions=conditions).end()

    def run_killed(
        self, *arguments: object, after: float, conditions: Conditions | None = None
    ) -> Ended:
        """Start it and kill it after so many seconds."""
        running = self.start(*arguments, conditions=conditions)
        time.sleep(after)
        running.kill()
        return running.end()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def _serve() -> None:
    """In the warm process: answer until nobody asks any more."""
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        question = json.loads(line)
        if "wait" in question:
            _, answer = os.waitpid(question["wait"], os.WUNTRACED)
        else:
            answer = os.fork()
            if not answer:
                answers.close()
                _become(question["arguments"], question["conditions"], question["printed"])
        answers.write(f"{answer}\n")
        answers.flush()


def _become(arguments: Sequence[str], conditions: dict[str, Any], printed: tuple[str, str]) -> None:
    """In a fork: be the command."""
    from ganprobe.cli import main

    for descriptor, path in zip((1, 2), printed, strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = ["ganprobe", *arguments]
    met = Conditions(**conditions)
    _meet(met)
    try:
        main(arguments)
    except SystemExit as ended:
        if met.exits_at_once:
            sys.stdout.flush()
            os._exit(int(ended.code or 0))
        raise


def _meet(conditions: Conditions) -> None:
    import resource

    from ganprobe.store import target, writer

    if conditions.file_limit is not None:
        limits = (conditions.file_limit, conditions.file_limit)
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    if not conditions.claims_space:
        del os.posix_fallocate
    if conditions.commits_eagerly:
        writer._SECONDS_UNCOMMITTED = 0.0
    if conditions.stops_before is not None:
        commit, n_left = target.Target.commit, conditions.stops_before

        def stopping(self: target.Target, n: int) -> None:
            nonlocal n_left
            n_left -= 1
            if not n_left:
                signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)  # at once
            commit(self, n)

        target.Target.commit = stopping  # type: ignore[method-assign]


def _warm_up() -> None:
    """Import what a recording imports; no thread is left running, so that forks are safe."""
    import tempfile
    from contextlib import redirect_stdout, suppress

    import torch

    from ganprobe.cli import main

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(sys.stderr):
        for compression in ("none", "zstd"):
            output = str(Path(folder, f"{compression}.h5"))
            asked = ["record", "digits", "--site", "conv3", "--samples", "1", "--images"]
            with suppress(SystemExit):
                main([*asked, "--output", output, "--compression", compression])


if __name__ == "__main__":
    _warm_up()
    _serve()
