"""One function per job kind: what the job process runs."""

from importlib import import_module

from pydantic import JsonValue

from core.artifacts import StagePaths
from core.jobs.spec import JobSpec, Kind
from core.recorder import Recorder


def run_stage(spec: JobSpec, paths: StagePaths, recorder: Recorder) -> dict[str, JsonValue]:
    """Run the stage of a spec and return the result of its job.

    Each stage is imported when it is needed: ingest must not pay for torch.
    """
    stage = import_module(f"core.stages.{Kind(spec.kind).value}")
    result: dict[str, JsonValue] = stage.run(spec, paths, recorder)
    return result
