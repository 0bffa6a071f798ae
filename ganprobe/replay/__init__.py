"""Replay: run only what lies downstream of a site; everything upstream answers from memory.

One forward is traced, operation by operation, with the site taken to be edited. Every call of a
layer that the edit cannot reach, and without which nothing else is missed, keeps what it returned
in a base forward; in a replay it returns that, for as many variants as are in the batch. The
module's own code runs and nothing is rewritten: only the calls themselves are answered.

`ReplayPlan` says which calls those are and why, and prints. A replay that could be wrong is
refused with `NotReplayableError`. What the trace cannot see (a module that hands values on beside
torch, samples of a batch that influence each other) shows only in numbers: compare with plain
forwards before you trust it, as `Probe.sweep` does.

Costs: a trace some forwards, up to 25 of a small network's; a base forward the memory of what is
answered; a replay what is computed, and about 8 µs for each call that is answered.
"""

from __future__ import annotations

from ganprobe.replay.memory import Memory
from ganprobe.replay.plan import ReplayPlan
from ganprobe.replay.replay import Replay

__all__ = ["Memory", "Replay", "ReplayPlan"]
