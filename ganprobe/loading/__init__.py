"""Loading: anybody's generator, from what a user writes for it.

`parse_spec` reads it, `load_spec` loads it, `read_description` reads the ``ganprobe.toml`` of a
model folder. What cannot be known is asked for; what can is found out and told in the generator's
notes. Code that nobody asked for by name runs only where it is trusted.
"""

from ganprobe.loading.described_networks import DescribedNetwork, load_described_network
from ganprobe.loading.description import DESCRIPTION_FILE, Description, read_description
from ganprobe.loading.factories import read_argument
from ganprobe.loading.options import LoadOptions
from ganprobe.loading.sources import load_spec
from ganprobe.loading.specs import parse_spec, what_else

__all__ = [
    "DESCRIPTION_FILE",
    "DescribedNetwork",
    "Description",
    "LoadOptions",
    "load_described_network",
    "load_spec",
    "parse_spec",
    "read_argument",
    "read_description",
    "what_else",
]
