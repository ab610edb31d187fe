"""On a small disk: a job meets a full disk twice, at its start and at a save. Prints JSON."""

import json
import os
import sys
import threading
from pathlib import Path

from fastapi.testclient import TestClient

from api.main import create_app
from api.settings import Settings
from core.jobs.migrate import upgrade
from core.jobs.records import JobState
from core.jobs.store import Store
from tests.faults.small_disk import Filler
from tests.worker.conftest import OVERLAY, QUICK, Lab, wait_until
from tests.worker.overlay.counting import SAVES
from worker.service import WorkerService
from worker.settings import WorkerSettings


def main(home: Path) -> None:
    url = f"sqlite:///{home}/foglab.db"
    os.environ.update(QUICK, FOGLAB_HOME=str(home), FOGLAB_DATABASE_URL=url)
    os.environ["FOGLAB_DISK_SECONDS"] = "0.5"
    paths = [str(OVERLAY), str(Path(__file__).parents[2])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    upgrade(url)
    lab = Lab(Store.open(url), WorkerSettings(), threading.Event())
    filler = Filler(home)
    service = WorkerService(lab.settings, ["gpu"], lambda due: None)
    filler.leave(30 << 20)
    job = lab.submit(SAVES, steps=30)
    waiting, needs = [], []

    def waits() -> bool:
        row = lab.store.get(job.id)
        return row.state is JobState.QUEUED and row.needs_bytes is not None

    service.start()
    wait_until(waits, 60)
    waiting.append(lab.store.get(job.id).state)
    needs.append(lab.store.get(job.id).needs_bytes)
    assert not lab.folder(job).exists()
    with TestClient(create_app(Settings(home=home, database_url=url))) as client:
        token = {"Authorization": f"Bearer {lab.store.create_token('me')}"}
        asked = client.post("/api/v1/uploads", headers={**token, "Upload-Length": "9000000"})
        seen = client.get(f"/api/v1/jobs/{job.id}", headers=token).json()
        assert seen["waiting"] == f"disk full, needs {round(needs[0] / 1e6)} MB", seen
    # Room to start, and none for the checkpoint that the stage saves.
    filler.leave(70 << 20)
    wait_until(lambda: (lab.folder(job) / "starts").exists(), 60)
    wait_until(waits, 60)
    waiting.append(lab.store.get(job.id).state)
    needs.append(lab.store.get(job.id).needs_bytes)
    filler.free()
    wait_until(lambda: lab.store.get(job.id).state.final, 60)
    last = lab.store.get(job.id)
    service.stop()
    told = {
        "waiting": waiting,
        "state": last.state,
        "attempts": last.attempt,
        "needs": needs[1],
        "refused": asked.status_code,
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
