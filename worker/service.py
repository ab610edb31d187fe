"""What a worker process does besides listening to the broker."""

import contextlib
import threading
from collections.abc import Callable, Sequence

from core.artifacts import Artifacts
from core.jobs.errors import StoreError
from core.jobs.hints import Hints
from core.jobs.leftovers import Leftovers
from core.jobs.reaper import Reaper
from core.jobs.records import ReadyJob
from core.jobs.store import Store
from core.stop_flag import StopFlag
from worker.gpus import read_gpus
from worker.launcher import Launcher
from worker.reconcile import Loop
from worker.settings import WorkerSettings

Send = Callable[[list[ReadyJob]], object]


class WorkerService:
    """Runs one job at a time, from a hint or from a look at the database, whichever comes first."""

    def __init__(self, settings: WorkerSettings, queues: Sequence[str], send: Send) -> None:
        self.stopping = StopFlag()
        self.store = Store.open(settings.environment.database_url)
        self.store.back_off_seconds = settings.back_off_seconds
        self._queues = queues
        self._launcher = Launcher(self.store, settings, self.stopping)
        self._busy = threading.Lock()
        self._hints, self._send = Hints(self.store), send
        self._alive_file = settings.alive_file
        reaper = Reaper(self.store, settings.lease_seconds)
        self._poll = Loop("poll", settings.poll_seconds, self._work_off, self.stopping)
        self._hint = Loop("hint", settings.hint_seconds, self._tell, self.stopping)
        self._reap = Loop("reap", settings.lease_seconds / 6, reaper.scan, self.stopping)
        self._present = Loop("present", settings.present_seconds, self._say, self.stopping)
        left = Leftovers(self.store, Artifacts(settings.home), settings.checkpoint_days)
        self._sweep = Loop("sweep", settings.sweep_seconds, left.sweep, self.stopping)
        self._loops = (self._poll, self._hint, self._reap, self._present, self._sweep)
        self._stop_seconds = settings.stop_seconds

    def start(self) -> None:
        for loop in self._loops:
            loop.start()

    def run(self, job_id: str) -> bool:
        """Run a job unless one is running: then its hint is dropped, and comes again."""
        if not self._busy.acquire(blocking=False):
            return False
        try:
            ended = self._launcher.run(job_id)
        finally:
            self._busy.release()
        if ended is not None:
            self._hint.kick()
            self._poll.kick()  # what waited for this job need not wait for the next look
        return ended is not None

    def hurry(self) -> None:
        """Asked to stop a second time: do not wait for the job's checkpoint."""
        self._launcher.hurried.set()

    def stop(self) -> None:
        """Stop the present job politely, then the loops."""
        self.stopping.set()
        for loop in self._loops:
            loop.kick()
        self._poll.join(self._stop_seconds + 10)
        self._present.join(10)
        with contextlib.suppress(StoreError):
            self.store.worker_left(self._launcher.owner)
        self.store.close()

    def _say(self) -> None:
        self.store.worker_seen(self._launcher.owner, self._queues, read_gpus())

    def _tell(self) -> None:
        """Hints for ready jobs. A worker without its broker is well, one without database not."""
        due = self._hints.due()
        if self._alive_file is not None:
            self._alive_file.touch()
        self._send(due)

    def _work_off(self) -> None:
        """Run ready jobs of our queues, oldest first, until there is none."""
        while not self.stopping.is_set():
            ready = [j for q in self._queues for j in self.store.ready_jobs(q, limit=8)]
            if not any(self.run(job.id) for job in ready):
                return
