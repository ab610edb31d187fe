"""What jobs made: models, exports, rollouts and evaluations."""

from pathlib import Path

from core.jobs.replies import (
    Deleted,
    Evaluation,
    Export,
    Job,
    LineageNode,
    Model,
    Rollout,
    RolloutItem,
)
from foglab import tus
from foglab.calls.base import API
from foglab.calls.jobs import JobCalls

FAMILIES = {
    "ds": "datasets",
    **dict.fromkeys(("gm", "lm", "pi"), "models"),
    "ro": "rollouts",
    "ev": "evaluations",
    "ex": "exports",
}
"""Prefix of an id to the address of what has it."""


class ResultCalls(JobCalls):
    """Models, exports, rollouts and evaluations, and the end of them."""

    def models(self, kind: str | None = None, limit: int = 100) -> list[Model]:
        """Newest first; kind is global_model, local_model or policy."""
        return self._list(Model, f"{API}/models", kind=kind, limit=limit)

    def model(self, model_id: str) -> Model:
        """One model with config, spec, lineage and result."""
        return self._get(Model, f"{API}/models/{model_id}")

    def lineage_of(self, artifact_id: str) -> list[LineageNode]:
        """All that a dataset, model, policy or rollout was made of, and all that was made of it."""
        return self._list(LineageNode, f"{API}/lineage/{artifact_id}")

    def download_model(
        self, model_id: str, target: Path | str, progress: tus.Listener | None = None
    ) -> Path:
        """Write the model's folder as a zip to `target`; `progress` is told bytes and all or 0."""
        return self._download(f"{API}/models/{model_id}/download", Path(target), progress)

    def exports(self, limit: int = 100) -> list[Export]:
        """Newest first."""
        return self._list(Export, f"{API}/exports", limit=limit)

    def export(self, source: str, *, pictures: str = "h264", key: str | None = None) -> Job:
        """Queue the export of a dataset, or of imagined rollouts, as LeRobot v3.0."""
        spec = {"source": source, "pictures": pictures}
        return self.submit("export", spec, name=f"export of {source}", key=key)

    def export_policy(self, policy_id: str, *, key: str | None = None, **options: object) -> Job:
        """Queue the export of a policy; options are the fields of `PolicyExportSpec`."""
        spec = {"policy": policy_id, **options}
        return self.submit("policy_export", spec, name=f"export of {policy_id}", key=key)

    def get_export(self, export_id: str) -> Export:
        """One export; for a policy, `result["parity"]` tells how exact it is."""
        return self._get(Export, f"{API}/exports/{export_id}")

    def download_export(
        self, export_id: str, target: Path | str, progress: tus.Listener | None = None
    ) -> Path:
        """Write the export as a zip to `target`; `progress` is told bytes and all or 0."""
        return self._download(f"{API}/exports/{export_id}/download", Path(target), progress)

    def rollouts(self, limit: int = 100) -> list[Rollout]:
        """Newest first."""
        return self._list(Rollout, f"{API}/rollouts", limit=limit)

    def rollout(self, rollout_id: str) -> Rollout:
        """One rollout with its items; `link(item.video_url)` plays in a browser."""
        return self._get(Rollout, f"{API}/rollouts/{rollout_id}")

    def download_rollout(
        self, rollout_id: str, item: int, target: Path | str, which: str = "video"
    ) -> Path:
        """Write one video; which is `video` (both side by side), `real` or `imagined`."""
        path, params = f"{API}/rollouts/{rollout_id}/video", {"item": item, "which": which}
        return self._download(path, Path(target), params=params)

    def rollout_errors(self, rollout_id: str) -> list[RolloutItem]:
        """Per-step errors of all items."""
        return self._list(RolloutItem, f"{API}/rollouts/{rollout_id}/errors")

    def evaluations(self, *, of: str | None = None, limit: int = 100) -> list[Evaluation]:
        """Newest first; `of` names a model or dataset that was judged."""
        return self._list(Evaluation, f"{API}/evaluations", of=of, limit=limit)

    def evaluation(self, evaluation_id: str) -> Evaluation:
        """One evaluation."""
        return self._get(Evaluation, f"{API}/evaluations/{evaluation_id}")

    def delete(self, artifact_id: str, *, with_products: bool = False) -> list[str]:
        """Delete a dataset, model, policy, rollout, evaluation or export; ids of what is gone.

        Refused while something was made of it, which `with_products` deletes too, or a job reads it.
        """
        family = FAMILIES.get(artifact_id.partition("_")[0])
        if family is None:
            raise ValueError(f"{artifact_id!r} is no id of a dataset, model or result")
        params = {"with_products": with_products}
        path = f"{API}/{family}/{artifact_id}"
        gone = self._object("DELETE", path, params=params, repeat=False)
        return Deleted.model_validate(gone).ids
