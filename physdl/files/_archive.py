"""Arrays from a numpy archive that is not trusted: no pickle, no memory before a check."""

import io
import math
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physdl.errors import FormatError

__all__ = ["Archive", "opened"]


@dataclass(frozen=True)
class Archive:
    """A zip of ``.npy`` entries that are stored as they are, so none is larger than the file."""

    zip: zipfile.ZipFile
    entries: dict[str, zipfile.ZipInfo]

    def array(self, name: str) -> NDArray[Any]:
        """The array of one entry, checked against its size before memory is taken for it."""
        info = self.entries.get(f"{name}.npy")
        if info is None:
            raise FormatError(f"the entry {name!r} is missing: write it with write_npz.")
        try:
            raw = self.zip.read(info)
            stream = io.BytesIO(raw)
            version = np.lib.format.read_magic(stream)
            header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, fortran, dtype = header(stream)
        except Exception as error:  # zipfile and numpy raise a dozen kinds on damaged bytes
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise FormatError(
                f"the entry {name!r} is damaged ({reason}): fetch it again."
            ) from error
        if dtype.kind not in "fiU":
            raise FormatError(
                f"the entry {name!r} has the type {dtype}: only numbers are read, never pickled "
                f"objects."
            )
        size, needed = len(raw) - stream.tell(), math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or size != needed:
            raise FormatError(
                f"the entry {name!r} declares the shape {shape} of {needed} bytes, but holds "
                f"{size}: fetch it again."
            )
        array: NDArray[Any] = np.ndarray(
            shape, dtype, buffer=raw, offset=stream.tell(), order="F" if fortran else "C"
        )
        return array.astype(dtype.newbyteorder("="), order="C")


def opened(data: bytes) -> Archive:
    """The archive in ``data``; ``FormatError`` where it is none."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except Exception as error:  # damaged directories raise more than BadZipFile
        raise FormatError(f"it is no complete zip archive ({error}): fetch it again.") from error
    infos = archive.infolist()
    entries = {info.filename: info for info in infos}
    packed = [info.filename for info in infos if info.compress_type != zipfile.ZIP_STORED]
    if packed:
        raise FormatError(f"the entry {packed[0]!r} is compressed: store it uncompressed.")
    if len(entries) != len(infos) or sum(info.file_size for info in infos) > len(data):
        raise FormatError("entries repeat or overlap: write it with write_npz.")
    return Archive(archive, entries)
