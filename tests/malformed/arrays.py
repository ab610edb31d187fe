"""HDF5, zarr and npz files that point elsewhere, promise too much or would run code."""

import json
import os
import pickle
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.data.makers import log, npz_bytes
from tests.malformed.seeds import FRAMES, Case, Kind, entries, npz_case, npz_of, packed, seed

_TARGETS = ("/etc/passwd", "../up_00000000000000000000000000000000/data", "/proc/self/environ")
_IMAGE = "data/demo_0/obs/agentview_image"


class Bomb:
    """What writes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch /tmp/foglab-canary canary",)


def hdf5_external_link(rng: np.random.Generator, n: int) -> Case:
    def change(file: h5py.File) -> None:
        path = (_IMAGE, "data/demo_0/actions", "data/demo_0", "data")[n % 4]
        del file[path]
        target = _TARGETS[n % 3]
        file[path] = h5py.ExternalLink(target, "/data") if n % 5 else h5py.SoftLink("/data/none")

    return _hdf5(change)


def hdf5_external_storage(rng: np.random.Generator, n: int) -> Case:
    def change(file: h5py.File) -> None:
        path = (_IMAGE, "data/demo_0/actions")[n % 2]
        shape, dtype = file[path].shape, file[path].dtype
        del file[path]
        target = (_TARGETS[n % 3], 0, h5py.h5f.UNLIMITED)
        file.create_dataset(path, shape, dtype, external=[target])

    return _hdf5(change)


def hdf5_virtual(rng: np.random.Generator, n: int) -> Case:
    def change(file: h5py.File) -> None:
        path = (_IMAGE, "data/demo_0/actions")[n % 2]
        shape, dtype = file[path].shape, file[path].dtype
        del file[path]
        layout = h5py.VirtualLayout(shape, dtype)
        layout[...] = h5py.VirtualSource(_TARGETS[n % 3], "data", shape, dtype)
        file.create_virtual_dataset(path, layout)

    return _hdf5(change)


def hdf5_cycles(rng: np.random.Generator, n: int) -> Case:
    """Groups that lie in themselves, and soft links that run in circles, in place of an episode."""

    def change(file: h5py.File) -> None:
        demo = file["data/demo_0"]
        for name in list(demo):
            if n % 3 or name != "actions":
                del demo[name]
        demo["obs"] = file["data"]
        demo["loop"] = demo
        demo["a"], demo["b"] = h5py.SoftLink("b"), h5py.SoftLink("a")
        for i in range(n):
            demo[f"again_{i}"] = file["/"]

    return _hdf5(change)


def hdf5_huge_shape(rng: np.random.Generator, n: int) -> Case:
    rows = 2 ** (60 - 2 * n % 30)

    def change(file: h5py.File) -> None:
        for path in (_IMAGE, "data/demo_0/actions")[: 1 + n % 2]:
            rest, dtype = file[path].shape[1:], file[path].dtype
            del file[path]
            height = 2 ** (n % 24) if n % 3 else 4
            options = {"chunks": (height, *rest), "compression": "gzip"} if n % 4 else {}
            try:
                file.create_dataset(path, (rows, *rest), dtype, **options)
            except (ValueError, OSError, RuntimeError):  # this library refuses some
                file.create_dataset(path, (2**40, *rest), dtype, chunks=(4, *rest))

    return _hdf5(change)


def hdf5_filters(rng: np.random.Generator, n: int) -> Case:
    """The same filter again and again, and filters that few know."""

    def change(file: h5py.File) -> None:
        values = file[_IMAGE][...]
        del file[_IMAGE]
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((4, *values.shape[1:]))
        if n % 3 == 0:
            for _ in range(2 + n):
                plan.set_deflate(9)
        elif n % 3 == 1:
            plan.set_filter(305 + n, h5py.h5z.FLAG_OPTIONAL, (1, 2, 3))
            plan.set_deflate(1)
        else:
            plan.set_scaleoffset(h5py.h5z.SO_INT, 0)
            plan.set_fletcher32()
        space = h5py.h5s.create_simple(values.shape)
        name = _IMAGE.encode()
        made = h5py.h5d.create(file.id, name, h5py.h5t.NATIVE_UINT8, space, plan)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, values)

    return _hdf5(change)


def hdf5_structure(rng: np.random.Generator, n: int) -> Case:
    """Heaps, trees and tables of symbols with wrong numbers, as those of CVE-2025-2926 and others."""
    data = bytearray(seed("hdf5"))
    marks = [b"HEAP", b"TREE", b"SNOD", b"\x89HDF", b"GCOL", b"FRHP", b"OHDR"]
    places = [at for mark in marks for at in _all(data, mark)]
    for at in rng.choice(places, size=min(len(places), 1 + n % 4), replace=False):
        start = int(at) + 4 + int(rng.integers(40))
        value = (b"\xff" * 8, b"\0" * 8, rng.bytes(8), struct.pack("<Q", 1 << 40))[n % 4]
        data[start : start + 8] = value
    return Case("logs.hdf5", bytes(data))


def hdf5_messages(rng: np.random.Generator, n: int) -> Case:
    """Random bytes in the first kilobytes, where shapes, types and filters are told."""
    data = seed("hdf5")
    changed = bytearray(data)
    for at in rng.integers(96, min(len(data), 16_000), 1 + n * 2):
        changed[at] = rng.integers(256)
    return Case("logs.hdf5", bytes(changed))


def zarr_codec(rng: np.random.Generator, n: int) -> Case:
    """pickle and others that run code, as compressor, first or second filter."""
    codec: dict[str, Any] = {
        "id": ("pickle", "json2", "msgpack2", "categorize", "vlen-utf8")[n % 5]
    }
    if n % 5 == 3:
        codec |= {"labels": ["a"], "dtype": "<U1", "astype": "u1"}
    first = {"id": "shuffle", "elementsize": 1}

    def change(meta: dict[str, Any]) -> None:
        if n % 3 == 0:
            meta["compressor"] = codec
        else:
            meta["filters"] = [codec] if n % 3 == 1 else [first, codec]

    return _zarr(("img", "action", "../meta/episode_ends")[n % 3], change, pickle.dumps(Bomb()))


def zarr_sizes(rng: np.random.Generator, n: int) -> Case:
    """Chunks, shapes and types without end."""

    def change(meta: dict[str, Any]) -> None:
        rows = 2 ** (20 + 2 * (n % 20))
        match n % 5:
            case 0:
                meta["chunks"][0] = rows
            case 1:
                meta["shape"][0] = rows
            case 2:
                meta["dtype"] = ("|V1000000000", "<U1000000000", "|O", "[('a', '<i4')]")[n // 5 % 4]
            case 3:
                meta["chunks"] = [0, -1, 1]
            case _:
                meta["shape"], meta["chunks"] = [rows] * 6, [1] * 6

    return _zarr(("img", "action", "../meta/episode_ends")[n % 3], change)


def object_arrays(rng: np.random.Generator, n: int) -> Case:
    """Pickles in npz files; unpickled, they would write a file."""
    key = ("image", "action", "state", "reward", "done")[n % 5]
    bombs = np.array([Bomb()] * FRAMES, dtype=object)
    if n % 2:
        return npz_case(**{key: bombs})
    return Case("ep.npz", npz_bytes(log(0, FRAMES, **{key: bombs})))


def npy_header(rng: np.random.Generator, n: int) -> Case:
    """Headers of an array that promise, nest or run on."""
    shape = ("(10**15,)", "(1000000000000, 2)", "(-1, 2)", "(" * 10_000, "(2**62, 4)")[n % 5]
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    if n % 7 == 6:
        text = text.ljust(10_000_000)
    descr = ("<f4", "|O", "|V2000000000", "<m8[s]", "{'a': 1}")[n // 5 % 5]
    raw = text.replace("<f4", descr).encode() + b"\n"
    length = struct.pack("<L", len(raw) if n % 3 else 0xFFFFFFFF)
    array = b"\x93NUMPY\2\0" + length + raw + bytes(80)
    files = entries(npz_bytes(log(0, FRAMES)))
    files["action.npy"] = array
    return npz_of(packed(files, zipfile.ZIP_DEFLATED))


def _hdf5(change: Callable[[h5py.File], None]) -> Case:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "logs.hdf5"
        path.write_bytes(seed("hdf5"))
        with h5py.File(path, "r+") as file:
            change(file)
        return Case("logs.hdf5", path.read_bytes())


def _zarr(array: str, change: Callable[[dict[str, Any]], None], chunk: bytes = b"") -> Case:
    files = entries(seed("zarr"))
    name = f"data/{array}/.zarray".replace("data/../", "")
    meta = json.loads(files[name])
    change(meta)
    files[name] = json.dumps(meta).encode()
    if chunk:
        files = {
            k: chunk if k.startswith(name.removesuffix(".zarray")) and k[-1].isdigit() else v
            for k, v in files.items()
        }
    return Case("logs.zarr.zip", packed(files))


def _all(data: bytearray, mark: bytes) -> list[int]:
    found, at = [], data.find(mark)
    while at >= 0:
        found.append(at)
        at = data.find(mark, at + 1)
    return found


KINDS: dict[str, Kind] = {
    f.__name__: f
    for f in (
        *(hdf5_external_link, hdf5_external_storage, hdf5_virtual, hdf5_cycles, hdf5_huge_shape),
        *(hdf5_filters, hdf5_structure, hdf5_messages),
        *(zarr_codec, zarr_sizes, object_arrays, npy_header),
    )
}
