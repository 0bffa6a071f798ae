"""The activation store: activations of many samples in one HDF5 file.

Layout, format version 1::

    /                       attributes: format, format_version, n_samples, provenance (JSON)
    /sites/<name>/          one group for each site; attributes: site (JSON), source_dtype
        activation          (sample, unit, y, x), (sample, unit) or (sample, token, unit)
        sample, unit, y, x  dimension scales: sample index, unit number, row, column
    /latents/
        z                   (sample, latent, ...), float32 or the generator's dtype
    /images/                where images were kept
        image               (sample, channel, y, x), in the generator's image range

<name> is the site as it is written, with ``%`` and ``/`` percent-encoded. Every axis has a
dimension scale, so that named dimensions come out of
``xarray.open_dataset(path, engine="h5netcdf", group="sites/conv2")``.

Activations keep their dtype; bfloat16, which HDF5 lacks, is kept as float32, which holds every
value of it. Writing runs beside the generator on one thread with at most three batches in
flight, uncompressed, in chunks of 128 KiB to 1 MiB: (16 samples, 16 units, whole maps) first,
then more units, then more samples.
"""

from __future__ import annotations

from ganprobe.store.layout import RecordingSpec
from ganprobe.store.reader import ActivationStore
from ganprobe.store.writer import write_store

__all__ = ["ActivationStore", "RecordingSpec", "write_store"]
