"""The engine: a plan of what happens at which site, and the hooks that carry it out.

`make_plan` resolves, checks and orders everything once, without touching the module. `Hooks`
puts one forward hook (or pre-hook) on each layer that the plan uses and on no other, and takes
every one away again, whatever happens in between; a `Session` leaves them on while your own code
calls the module. `dry_run` makes the layer table that plans are resolved against.

Costs, beside a bare hook: 0.5 to 1.3 µs per hooked call (benchmarks/hook_overhead.py).

This is the only package that touches forward hooks.
"""

from __future__ import annotations

from ganprobe.engine.compiled import eager
from ganprobe.engine.dry_run import DRY_RUN_SAMPLES, dry_run
from ganprobe.engine.hooks import Hooks
from ganprobe.engine.noise import same_noise
from ganprobe.engine.plan import Plan, make_plan
from ganprobe.engine.port_run import StopForward
from ganprobe.engine.registration import without_hooks
from ganprobe.engine.session import Session

__all__ = [
    "DRY_RUN_SAMPLES",
    "Hooks",
    "Plan",
    "Session",
    "StopForward",
    "dry_run",
    "eager",
    "make_plan",
    "same_noise",
    "without_hooks",
]
