"""P11: a request that is sent again and again makes one job, however many arrive at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.jobs.errors import IdempotencyConflict
from core.jobs.store import Store
from tests.faults.conftest import Record, rounds
from tests.jobs.makers import ingest


def test_same_key_makes_one_job_of_many_submissions(
    database_url: str, open_store: Callable[..., Store], record: Record
) -> None:
    """Two stores, as two API processes have; all submissions of a key at once."""
    stores = [open_store(database_url), open_store(database_url)]
    spec = ingest(stores[0])
    keys, together = rounds(5, 100), rounds(10, 50)

    def submit(n: int) -> str:
        key = f"key-{n // together}"
        one = stores[n % 2].submit(spec, key, idem_key=key, body_hash="a", submitter="me")
        return f"{key} {one.id}"

    with ThreadPoolExecutor(together) as pool:
        answers = list(pool.map(submit, range(keys * together)))
    assert len(set(answers)) == keys
    assert len(stores[0].job_ids()) == keys
    for n in range(keys):
        with pytest.raises(IdempotencyConflict):
            stores[0].submit(spec, "x", idem_key=f"key-{n}", body_hash="b", submitter="me")
    assert len(stores[0].job_ids()) == keys
    kind = stores[0].database.engine.dialect.name
    what = f"{together} submissions of a key at once, {kind}"
    record("P11", what=what, tried=keys, held=keys)
