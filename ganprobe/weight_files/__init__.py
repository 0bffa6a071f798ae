"""Reading weights safely: formats told by content, nothing executed without trust.

Importing it imports no torch. `file_kind` says what a file is; `read_weights` gives its tensors;
`fit_weights` puts them into a module, or leaves it as it was and says what does not fit;
`read_module` and `read_nvidia` give whole modules, which execute code and need `Trust`.
"""

from ganprobe.weight_files.code_folders import code_on_path
from ganprobe.weight_files.fitting import Fitted, fit_weights
from ganprobe.weight_files.kinds import DAMAGED_ZIP, FileKind, file_kind
from ganprobe.weight_files.nvidia import is_nvidia, read_nvidia
from ganprobe.weight_files.reading import read_module, read_weights
from ganprobe.weight_files.trust import Trust, sha256_of
from ganprobe.weight_files.weights import WeightFormat, Weights

__all__ = [
    "DAMAGED_ZIP",
    "FileKind",
    "Fitted",
    "Trust",
    "WeightFormat",
    "Weights",
    "code_on_path",
    "file_kind",
    "fit_weights",
    "is_nvidia",
    "read_module",
    "read_nvidia",
    "read_weights",
    "sha256_of",
]
