"""What an upload holds, in words and small pictures, before anything is stored."""

import json
from contextlib import closing
from pathlib import Path

from pydantic import JsonValue

from core.artifacts import StagePaths
from core.data.readers import Detection, detect, open_logs
from core.data.readers.archive import printable
from core.data.readers.base import LogError
from core.data.shaping import Shaping
from core.data.survey import survey
from core.data.thumbnails import thumbnails
from core.jobs.spec import DetectSpec
from core.recorder import Recorder
from core.stages.ingest import find_upload

DETECTION_FILE = "detection.json"
_CAMERAS = 4
_LARGE_BAG_BYTES = 1 << 30
"""A bag is read to its end whenever it is opened: above this, only the chosen camera is shown."""


def run(spec: DetectSpec, paths: StagePaths, recorder: Recorder) -> dict[str, JsonValue]:
    """Write `detection.json` to `paths.out`; `LogError` if the upload cannot be opened at all."""
    data, upload = find_upload(paths, spec.upload)
    label = printable(upload.filename)
    recorder.progress(0, 2, "what is in it")
    found = detect(data, label, format=spec.format, mapping=spec.mapping)
    recorder.raise_if_cancelled()
    recorder.progress(1, 2, "pictures")
    fps, pictures = _looked(data, label, spec, found)
    told = json.loads(found.model_dump_json())  # a range that is not a number becomes null
    content = {"upload": spec.upload, **told, "fps": found.fps or fps, "thumbnails": pictures}
    (paths.out / DETECTION_FILE).write_text(json.dumps(content))
    recorder.progress(2, 2, "done")
    return {
        "detection": {
            "format": found.format,
            "layout": found.layout,
            "episodes": found.episodes,
            "problem": found.problem,
        }
    }


def _looked(
    data: Path, label: str, spec: DetectSpec, found: Detection
) -> tuple[float | None, dict[str, list[str]]]:
    """Frames per second by the time stamps, and a few pictures of cameras as they would be
    stored."""
    fps: float | None = None
    chosen = found.fields.get("image")
    cameras = [c.key for c in found.cameras if c.key != chosen][: _CAMERAS - 1]
    if found.format == "bag" and data.stat().st_size > _LARGE_BAG_BYTES:
        cameras = []
    shaping = Shaping(spec.crop, spec.flip, spec.color_order, spec.fit)
    shown: dict[str, list[str]] = {}
    for camera in (*([chosen] if chosen else []), *cameras):
        mapping = {**spec.mapping, "image": camera}
        if "action" not in found.fields and found.columns:
            mapping["action"] = found.columns[0].key  # any will do for a look at pictures
        try:
            with closing(open_logs(data, label=label, format=spec.format, mapping=mapping)) as logs:
                shown[camera] = thumbnails(logs, shaping)
                fps = fps or survey(logs).fps
        except LogError:
            continue  # `problem` says what is missing
    return fps, shown
