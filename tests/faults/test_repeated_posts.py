"""P11: a request that is sent again and again makes one job, however many arrive at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from core.jobs.store import Store
from tests.faults.conftest import Record, rounds
from tests.faults.lab import Api
from tests.faults.rig import Rig, ended
from tests.jobs.makers import ingest


@pytest.mark.slow
def test_same_key_makes_one_job_of_many_requests(
    tmp_path: Path, database_url: str, open_store: Callable[..., Store], record: Record
) -> None:
    """Sent at once to two APIs of one database, half of the requests of a key to each."""
    store = open_store(database_url)
    spec = ingest(store).model_dump(mode="json", exclude={"kind"})
    keys, together = rounds(5, 100), rounds(10, 50)
    with ended(Rig(tmp_path / "home", database_url, store)) as rig:
        apis = [Api(rig), Api(rig)]
        apis[1].client.headers["Authorization"] = apis[0].client.headers["Authorization"]

        def post(n: int, name: str = "logs") -> httpx.Response:
            return apis[n % 2].client.post(
                "/api/v1/jobs",
                json={"kind": "ingest", "spec": {**spec, "name": name}},
                headers={"Idempotency-Key": f"key-{n // together}"},
            )

        with ThreadPoolExecutor(together) as pool:
            answers = list(pool.map(post, range(keys * together)))
        assert {a.status_code for a in answers} == {202}
        made = {(n // together, a.json()["id"]) for n, a in enumerate(answers)}
        assert len(made) == keys
        assert len(store.job_ids()) == keys
        others = [post(n * together, "another body") for n in range(keys)]
        assert {a.status_code for a in others} <= {409, 422}
        assert len(store.job_ids()) == keys
        for api in apis:
            api.client.close()
    kind = store.database.engine.dialect.name
    what = f"{together} requests with one key at once, {kind}"
    record("P11", what=what, tried=keys, held=keys)
