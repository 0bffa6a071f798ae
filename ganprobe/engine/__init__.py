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
from ganprobe.engine.dry_run import DRY_RUN_SAMPLES, dry_run, layer_names, tensors_held
from ganprobe.engine.gate import Gate, is_block_open
from ganprobe.engine.hooks import Hooks
from ganprobe.engine.leftovers import ModuleState
from ganprobe.engine.noise import kept_noise, noise_from
from ganprobe.engine.operations import EveryOperation, balanced_modes, is_draw, tensors_of
from ganprobe.engine.plan import Editing, Plan, PortPlan, Step, make_plan
from ganprobe.engine.port_run import StopForward
from ganprobe.engine.registration import (
    Registration,
    Wanted,
    has_hooks,
    has_hooks_on_output,
    without_hooks,
)
from ganprobe.engine.sample_noise import Draw, find_draws, same_noise
from ganprobe.engine.session import Session

__all__ = [
    "DRY_RUN_SAMPLES",
    "Draw",
    "Editing",
    "EveryOperation",
    "Gate",
    "Hooks",
    "ModuleState",
    "Plan",
    "PortPlan",
    "Registration",
    "Session",
    "Step",
    "StopForward",
    "Wanted",
    "balanced_modes",
    "dry_run",
    "eager",
    "find_draws",
    "has_hooks",
    "has_hooks_on_output",
    "is_block_open",
    "is_draw",
    "kept_noise",
    "layer_names",
    "make_plan",
    "noise_from",
    "same_noise",
    "tensors_held",
    "tensors_of",
    "without_hooks",
]
