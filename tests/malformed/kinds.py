"""All kinds of malformed uploads, and the uploads of one seed."""

from collections.abc import Iterator

import numpy as np

from tests.malformed import any_file, archives, arrays, meaning, moving, tables
from tests.malformed.seeds import Case, Kind

KINDS: dict[str, Kind] = {
    **any_file.KINDS,
    **archives.KINDS,
    **arrays.KINDS,
    **tables.KINDS,
    **moving.KINDS,
    **meaning.KINDS,
}


def cases(count: int, seed: int = 0) -> Iterator[tuple[str, int, Case]]:
    """Kind, number and upload: `count` of each kind at most, the kinds by turns."""
    for n in range(count):
        for kind, make in KINDS.items():
            yield kind, n, make(np.random.default_rng([seed, n, *kind.encode()]), n)
