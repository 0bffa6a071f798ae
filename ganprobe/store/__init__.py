"""The activation store: activations of many samples in one HDF5 file.

Layout, format version 2::

    /                       attributes: format, format_version, n_samples (when complete),
                            provenance (JSON); description (JSON: everything below and where it
                            is) and description_digest, which are all that ganprobe itself reads
    /sites/<name>/          one group for each site; attributes: site (JSON), source_dtype
        activation          (sample, unit, y, x), (sample, unit), (sample, token, unit), ...
        sample, unit, y, x  dimension scales: sample index, unit number, row, column
    /latents/
        z                   (sample, latent, ...), in the generator's dtype
        seed                (sample), where the latents were drawn from one
    /images/                where images were kept
        image               (sample, channel, y, x), in the generator's image range
    /checksums/<group>/     for each of these datasets
        <dataset>_records   (block, place, word): see `ganprobe.store.records`
    /progress/
        committed           two places of (generation, committed samples, digest)

<name> is the site as it is written; what is special in it is percent-encoded, so that any name of
a layer works. Every axis has a dimension scale, so that named dimensions come out of
``xarray.open_dataset(path, engine="h5netcdf", group="sites/conv2")`` and `open_datatree`; HDF5
1.10 reads it (``h5dump``). Rows from the count of committed samples on have no meaning yet.

Values keep their dtype unless another is asked for; bfloat16, which HDF5 lacks, is a float of 16
bits that HDF5 converts to float32 for other readers. Chunks are of 128 KiB to 1 MiB: (16 samples,
16 units, whole maps) first, then more units, then more samples (`layout.chunk_shape`). One row of
chunks is a block. Without compression blocks lie one after the other; with zstd or lz4 (HDF5's
filters 32015 and 32004, for which other readers need ``import hdf5plugin``) chunks are appended
as they come.

The file is made in memory by HDF5, complete but for the values, and written from there on
without it: values, then the index of compressed chunks, then records, then the count. So it
opens at any moment, a full disk is an ordinary error, and after a kill all samples that count are
whole. (A kill in the few microseconds in which the index of compressed chunks is written may
leave a page of it that HDF5 refuses; ganprobe does not need it, and going on with the recording
mends it.) Writing takes about as long as writing the bytes; memory is three batches. What is read
is compared with its checksums, and a flipped byte anywhere is found.

Shards are stores of their own, with a run of the samples each; the file that joins them has
virtual datasets, and in its description the shards' names.

What is where::

    layout, extents, header, contents        names, shapes, chunks; the header; what a file says
    records, counting, identity              checksums; the count; what makes two recordings one
    disk, appending, chunk_index, lookup3    bytes at places; the index that HDF5 reads
    packing, compression, blocks             batches on their way into the file
    target, writer                           the file that is written, and the pipeline to it
    reading, selection, piece, prefetch      blocks on their way out
    reader, dataset, checking                ActivationStore, for torch, against its checksums
    shards, merging                          several files as one
"""

from __future__ import annotations

from ganprobe.store.dataset import ActivationDataset
from ganprobe.store.identity import differences
from ganprobe.store.layout import Compression, RecordingSpec, Share
from ganprobe.store.merging import merge_stores
from ganprobe.store.reader import ActivationStore
from ganprobe.store.shards import shard_path, write_shares

__all__ = [
    "ActivationDataset",
    "ActivationStore",
    "Compression",
    "RecordingSpec",
    "Share",
    "differences",
    "merge_stores",
    "shard_path",
    "write_shares",
]
