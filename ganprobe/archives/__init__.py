"""Archives of a module whose Python code is gone, made into modules whose layers can be hooked.

`load_torchscript` and `load_export` give modules of Python: every layer under the name that it had,
with its parameters and buffers, in eval mode, and computing with the archive's own operations.
`check_archive` holds what was loaded against the archive's own forward, once latents are known.
"""

from ganprobe.archives.check import check_archive, input_shapes
from ganprobe.archives.exported import load_export
from ganprobe.archives.torchscript import load_torchscript

__all__ = ["check_archive", "input_shapes", "load_export", "load_torchscript"]
