"""`meta.json` beside episodes: what the logs say about themselves."""

import json
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from core.data.dataset import ActionKind
from core.data.episode import EpisodeError
from core.data.readers.archive import printable
from core.data.readers.base import LogError, LogMeta
from core.data.readers.files import Files, in_words

NAME = "meta.json"
_MOST_BYTES = 1 << 20


class _Meta(BaseModel):
    """Other keys are the user's own."""

    fps: Annotated[float, Field(gt=0, le=1000)] | None = None
    action_kind: ActionKind | None = None
    task: Annotated[str, Field(max_length=200)] | None = None
    units: dict[str, str] = {}


def read_meta(files: Files) -> LogMeta:
    """Of the first `meta.json` there is; `LogError` if it is not valid."""
    name = next((n for n in files.names if PurePosixPath(n).name == NAME), None)
    if name is None:
        return LogMeta()
    try:
        meta = _Meta.model_validate(json.loads(files.read(name, _MOST_BYTES)))
    except (EpisodeError, ValidationError, ValueError, RecursionError) as error:
        raise LogError(
            f"{printable(name)} is not valid ({in_words(error)}): it is a JSON object such as "
            '{"fps": 10, "action_kind": "delta", "task": "push_disc"}'
        ) from error
    return LogMeta(meta.fps, meta.action_kind, meta.task, meta.units)
