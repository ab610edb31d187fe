"""Columns of a parquet file, read in order and batch by batch."""

from collections.abc import Iterator
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.data.episode import EpisodeError
from core.data.pictures import kind_of, size_of
from core.data.readers.base import Rows
from core.data.readers.files import damaged
from core.data.readers.packed import PackedPictures

_ERRORS = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError, MemoryError)
_BATCH_ROWS = 16_384
_BATCH_PICTURES = 16
_MOST_GROUP_BYTES = 8 << 30
_THRIFT_BYTES = 64 << 20


class Parquet:
    """An open file. Closes the stream it was given."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.name = name
        self._stream = file
        try:
            self._file = pq.ParquetFile(
                file,
                thrift_string_size_limit=_THRIFT_BYTES,
                thrift_container_size_limit=_THRIFT_BYTES,
            )
            metadata = self._file.metadata
            groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        except _ERRORS as error:
            file.close()
            cut = "magic bytes" in str(error) or "footer" in str(error)
            raise EpisodeError(
                "truncated" if cut else "unreadable",
                name,
                f"is not a whole parquet file ({str(error)[:200]})",
                fix="close the file in the recorder (in LeRobot: finalize()), and upload it again",
            ) from error
        if any(g.total_byte_size > _MOST_GROUP_BYTES for g in groups):
            raise damaged(name, "a row group takes more than 8 GiB")
        self.starts = [0, *np.cumsum([g.num_rows for g in groups]).tolist()]
        """First row of each row group, and the number of rows."""
        self._opened: dict[str, Rows] = {}
        """Kept, because each continues where it stopped: episodes are read in order."""
        self.columns: dict[str, pa.DataType] = {f.name: f.type for f in self._file.schema_arrow}

    def close(self) -> None:
        self._file.close()
        self._stream.close()

    def numbers(self, key: str, shape: tuple[int, ...]) -> Rows:
        """The values of a column, `shape` per row: () for one number."""
        if key not in self._opened:
            self._opened[key] = _NumberRows(self, key, shape)
        return self._opened[key]

    def pictures(self, key: str) -> Rows:
        """The pictures of a column of `struct{bytes, path}`."""
        packed = _PictureBytes(self, key)
        first = packed.read(0, 1)[0] if packed.shape[0] else b""
        try:
            return PackedPictures(
                packed, f"{self.name}:{key}", kind_of(first) or "", size_of(first)
            )
        except ValueError as error:
            raise damaged(f"{self.name}:{key}, row 0", error) from error

    def table(self, keys: list[str]) -> dict[str, list[object]]:
        """Whole columns of a small file, as Python values."""
        found = [k for k in keys if k in self.columns]
        try:
            return {k: self._file.read([k]).column(k).to_pylist() for k in found}
        except _ERRORS as error:
            raise damaged(self.name, error) from error

    def batches(self, key: str, part: str, first_group: int, rows: int) -> Iterator[pa.Array]:
        """A column from a row group on; `part` names the one that is read of a struct."""
        leaf = f"{key}.{part}" if part else key
        groups = list(range(first_group, len(self.starts) - 1))
        try:
            for batch in self._file.iter_batches(
                batch_size=rows, row_groups=groups, columns=[leaf], use_threads=False
            ):
                batch.validate(full=True)
                yield batch.column(key)
        except _ERRORS as error:
            raise damaged(f"{self.name}:{key}", error) from error


class _Cursor:
    """Rows of a column, cheapest in order: holds one batch."""

    def __init__(self, parquet: Parquet, key: str, part: str, batch_rows: int) -> None:
        self._parquet = parquet
        self._key = key
        self._part = part
        self._batch_rows = batch_rows
        self._batches: Iterator[pa.Array] = iter(())
        self._batch: pa.Array | None = None
        self._start = 0

    def slices(self, start: int, stop: int) -> Iterator[pa.Array]:
        """Arrays that hold rows start..stop together."""
        if self._batch is None or start < self._start:
            self._restart(start)
        while start < stop:
            end = self._start + (0 if self._batch is None else len(self._batch))
            if self._batch is None or start >= end:
                self._start = end
                self._batch = next(self._batches, None)
                if self._batch is None:
                    raise damaged(f"{self._parquet.name}:{self._key}", "it ends early")
                continue
            taken = min(stop, end) - start
            yield self._batch.slice(start - self._start, taken)
            start += taken

    def _restart(self, row: int) -> None:
        group = max(0, int(np.searchsorted(self._parquet.starts, row, "right")) - 1)
        group = min(group, max(0, len(self._parquet.starts) - 2))
        self._batches = self._parquet.batches(self._key, self._part, group, self._batch_rows)
        self._batch = None
        self._start = self._parquet.starts[group]


class _NumberRows:
    def __init__(self, parquet: Parquet, key: str, shape: tuple[int, ...]) -> None:
        self._place = f"{parquet.name}:{key}"
        kind = parquet.columns.get(key)
        if kind is None:
            raise EpisodeError(
                "missing_key", key, f"is no column of {parquet.name}", fix="map another key"
            )
        while pa.types.is_list(kind) or pa.types.is_large_list(kind) or _is_fixed(kind):
            kind = kind.value_type
        if not (
            pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
        ):
            raise EpisodeError(
                "object_array", self._place, f"holds {kind} values", fix="store plain numbers"
            )
        self.shape = (parquet.starts[-1], *shape)
        self.dtype = np.dtype(kind.to_pandas_dtype())
        self._cursor = _Cursor(parquet, key, "", _BATCH_ROWS)

    def read(self, start: int, stop: int) -> np.ndarray:
        parts = [self._flat(a) for a in self._cursor.slices(start, stop)]
        return np.concatenate(parts) if parts else np.empty((0, *self.shape[1:]), self.dtype)

    def _flat(self, array: pa.Array) -> np.ndarray:
        rows = len(array)
        for _ in self.shape[1:]:
            if not hasattr(array, "flatten"):
                break
            array = array.flatten()
        values = array.to_numpy(zero_copy_only=False)
        wanted = (rows, *self.shape[1:])
        if array.null_count or values.size != np.prod(wanted, dtype=int):
            what = "empty cells" if array.null_count else f"{values.size} values"
            raise EpisodeError(
                "wrong_shape",
                self._place,
                f"has {what} in {rows} rows of shape {self.shape[1:]}",
                fix="write the same number of values in every row",
            )
        return np.asarray(values.reshape(wanted))


class _PictureBytes:
    dtype = np.dtype(object)

    def __init__(self, parquet: Parquet, key: str) -> None:
        self.shape = (parquet.starts[-1],)
        self._place = f"{parquet.name}:{key}"
        kind = parquet.columns.get(key)
        if kind is None or not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
            raise EpisodeError(
                "missing_key",
                self._place,
                "holds no pictures as struct{bytes, path}",
                fix="map another camera",
            )
        self._cursor = _Cursor(parquet, key, "bytes", _BATCH_PICTURES)

    def read(self, start: int, stop: int) -> np.ndarray:
        found: list[bytes] = []
        for array in self._cursor.slices(start, stop):
            for value in array.field("bytes"):
                if not value.is_valid:
                    raise damaged(
                        f"{self._place}, row {start + len(found)}", "the picture is not in the file"
                    )
                found.append(value.as_py())
        return np.array(found, dtype=object)


def _is_fixed(kind: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_list(kind))
