"""Damage that any file can have."""

import hashlib

import numpy as np

from tests.data.makers import log, npz_bytes
from tests.malformed.seeds import EPISODES, FRAMES, Case, Kind, flipped, packed, seeds, turn

_SUFFIXES = (".zip", ".npz", ".hdf5", ".mcap", ".bag", ".db3", ".mp4", ".zarr.zip", "")
HOSTILE = (
    "../../../../canary",
    "/etc/cron.d/canary",
    "..\\..\\canary",
    "C:\\canary",
    "a\0b",
    "\u202egnp.sgol",
    "n" * 4096,
    "line\r\nSet-Cookie: a=b",
    "\x1b[2Jlogs",
    "con",
    "~/canary",
    "$(touch canary)",
    "%2e%2e%2fcanary",
    ".",
    "/",
)


def empty(rng: np.random.Generator, n: int) -> Case:
    return Case("logs" + _SUFFIXES[n % len(_SUFFIXES)], b"")


def one_byte(rng: np.random.Generator, n: int) -> Case:
    return Case("logs" + _SUFFIXES[n % len(_SUFFIXES)], rng.bytes(1))


def cut(rng: np.random.Generator, n: int) -> Case:
    name, data = turn(n)
    share = (0.01, 0.25, 0.5, 0.99)[n // len(seeds()) % 4]
    return Case(name, data[: max(1, int(share * len(data)))])


def bit_flips(rng: np.random.Generator, n: int) -> Case:
    name, data = turn(n)
    return Case(name, flipped(data, rng, 0, len(data), 1 + int(rng.integers(64))))


def noise(rng: np.random.Generator, n: int) -> Case:
    """Random bytes behind the first bytes of a format."""
    name, data = turn(n)
    return Case(name, data[: 8 << n % 6] + rng.bytes(5000))


def wrong_extension(rng: np.random.Generator, n: int) -> Case:
    return Case(turn(n + 1 + n // len(seeds()))[0], turn(n)[1])


def polyglot(rng: np.random.Generator, n: int) -> Case:
    name, data = turn(n)
    before = (
        b"\xff\xd8\xff\xe0" + b"\0" * 508,
        b"%PDF-1.7\n",
        b"#!/bin/sh\ntouch canary\n",
        b"GIF89a",
    )
    if n % 5 == 4:
        return Case(name, data + b"<?php system('touch canary'); ?>")
    return Case(name, before[n % 5] + data)


def wrong_checksum(rng: np.random.Generator, n: int) -> Case:
    """Another checksum, more bytes than announced, or fewer."""
    name, data = turn(n)
    right = hashlib.sha256(data).hexdigest()
    if n % 3 == 0:
        return Case(name, data, sha256=hashlib.sha256(rng.bytes(8)).hexdigest())
    size = len(data) - 1 if n % 3 == 1 else len(data) + int(rng.integers(1, 10**9))
    return Case(name, data, size=size, sha256=right)


def hostile_names(rng: np.random.Generator, n: int) -> Case:
    """Of the upload, and of the files in it."""
    name = HOSTILE[n % len(HOSTILE)]
    files = {
        f"{name}{i}.npz".replace("\0", "_"): npz_bytes(log(i, FRAMES)) for i in range(EPISODES)
    }
    return Case(name, packed(files) if n % 2 else turn(0)[1])


KINDS: dict[str, Kind] = {
    f.__name__: f
    for f in (
        *(empty, one_byte, cut, bit_flips, noise, wrong_extension),
        *(polyglot, wrong_checksum, hostile_names),
    )
}
