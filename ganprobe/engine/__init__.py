"""The engine: a plan of what happens at which site, and the hooks that carry it out.

`make_plan` resolves, checks and orders everything once, without touching the module. `Hooks`
puts one forward hook (or pre-hook) on each layer that the plan uses and on no other, and takes
every one away again, whatever happens in between. `dry_run` makes the layer table that plans are
resolved against.

This is the only package that touches forward hooks.
"""

from __future__ import annotations

from ganprobe.engine.dry_run import DRY_RUN_SAMPLES, dry_run
from ganprobe.engine.hooks import Hooks, Recording
from ganprobe.engine.plan import Plan, make_plan

__all__ = ["DRY_RUN_SAMPLES", "Hooks", "Plan", "Recording", "dry_run", "make_plan"]
