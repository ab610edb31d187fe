"""Uploads, and the datasets that are made of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.jobs.replies import (
    Dataset,
    Detection,
    Episode,
    EpisodeData,
    Job,
    StoredUpload,
    Upload,
)
from foglab import tus
from foglab.calls.base import API
from foglab.calls.jobs import JobCalls


class DataCalls(JobCalls):
    """Uploads, datasets and their episodes."""

    def upload(
        self,
        path: Path | str,
        *,
        resume: str | None = None,
        created: Callable[[str], None] | None = None,
        progress: tus.Listener | None = None,
        chunk: int = tus.CHUNK,
    ) -> Upload:
        """Upload a file, or a folder as a zip; `resume` is the id of a try that was cut off.

        `created` is told the id before the first byte is sent, `progress` the bytes sent and all.
        """
        with tus.as_file(Path(path)) as file:
            upload = tus.upload_file(
                self._transport,
                file,
                resume=resume,
                created=created,
                progress=progress,
                chunk=chunk,
            )
        return self.get_upload(upload)

    def uploads(self, limit: int = 100) -> list[StoredUpload]:
        """Finished uploads that take up room, newest first."""
        return self._list(StoredUpload, f"{API}/uploads", limit=limit)

    def delete_upload(self, upload_id: str) -> None:
        """Give up an upload, or remove a finished one; datasets that were made of it stay.

        Refused while a job is about to read it.
        """
        path = f"{API}/uploads/{upload_id}"
        self._transport.request("DELETE", path, headers={"Tus-Resumable": "1.0.0"})

    def get_upload(self, upload_id: str) -> Upload:
        """State of one upload."""
        return self._get(Upload, f"{API}/uploads/{upload_id}")

    def ingest(
        self, upload_id: str, name: str, *, key: str | None = None, **options: object
    ) -> Job:
        """Make a dataset of an upload; options are the fields of `IngestSpec`."""
        body = {"upload_id": upload_id, "name": name, **options}
        return Job.model_validate(self._post(f"{API}/datasets", body, key)["job"])

    def detect(self, upload_id: str, *, key: str | None = None, **options: object) -> Job:
        """Look into an upload; options are the fields of `DetectSpec`."""
        return self.submit("detect", {"upload": upload_id, **options}, key=key)

    def detection(self, detection_id: str) -> Detection:
        """What a job of `detect` found; its `output_id` is the id."""
        return self._get(Detection, f"{API}/detections/{detection_id}")

    def derive(
        self, dataset_id: str, name: str, *, key: str | None = None, **options: object
    ) -> Job:
        """Make a new dataset of one or several; options are the fields of `DeriveSpec`."""
        spec = {"dataset": dataset_id, "name": name, **options}
        return self.submit("derive", spec, name=name, key=key)

    def datasets(self, limit: int = 100) -> list[Dataset]:
        """Newest first."""
        return self._list(Dataset, f"{API}/datasets", limit=limit)

    def dataset(self, dataset_id: str) -> Dataset:
        """One dataset with its `meta`."""
        return self._get(Dataset, f"{API}/datasets/{dataset_id}")

    def dataset_report(self, dataset_id: str) -> dict[str, Any]:
        """What validation found when the dataset was ingested."""
        return self._object("GET", f"{API}/datasets/{dataset_id}/report")

    def episodes(self, dataset_id: str, first: int = 0, limit: int | None = None) -> list[Episode]:
        """Episodes of a dataset from number `first` on, at most `limit` or all."""
        path = f"{API}/datasets/{dataset_id}/episodes"
        return self._list(Episode, path, first=first, limit=limit)

    def episode(self, dataset_id: str, n: int) -> EpisodeData:
        """Actions, state and rewards of one episode."""
        return self._get(EpisodeData, f"{API}/datasets/{dataset_id}/episodes/{n}")

    def download_episode(self, dataset_id: str, n: int, target: Path | str) -> Path:
        """Write the video of one episode to `target`."""
        return self._download(f"{API}/datasets/{dataset_id}/episodes/{n}/video", Path(target))
