"""A stage that counts instead of training. The seed of its spec says how it behaves."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

from core.artifacts import StagePaths
from core.disk import make_room
from core.recorder import Cancelled, Recorder

COUNTS, RAISES, KILLS_ITSELF, HANGS, HAS_CHILD, DIES_ONCE, BREAKS, EXITS, SAVES = range(9)
HOLDS_THE_LOCK = SAVES + 1
STEP_SECONDS = 0.01


def run(spec: Any, paths: StagePaths, recorder: Recorder) -> dict[str, int]:
    saved = paths.checkpoints / "step.json"
    start = json.loads(saved.read_text()) if saved.exists() else 0
    recorder.rewind(start)
    with (paths.checkpoints.parent / "starts").open("a") as starts:
        starts.write(f"{start} {os.getpid()}\n")
    misbehave(spec.seed)
    for step in range(start + 1, spec.steps + 1):
        time.sleep(STEP_SECONDS)
        recorder.scalars(step, {"local/loss": 1 / step})
        recorder.progress(step, spec.steps, "counting")
        stop: Cancelled | None = None
        try:
            recorder.raise_if_cancelled()
        except Cancelled as asked:
            stop = asked
        if spec.seed == SAVES and step == 12:
            make_room(paths.checkpoints, 20 << 20)  # as a checkpoint of 20 MB would
        if step % spec.save_every == 0 or stop:
            temporary = saved.with_suffix(".tmp")
            temporary.write_text(str(step))
            temporary.replace(saved)
        if stop:
            raise stop
        if spec.seed == DIES_ONCE and start == 0 and step == 2 * spec.save_every:
            os.kill(os.getpid(), signal.SIGKILL)
    (paths.out / "config.json").write_text(json.dumps({"steps": spec.steps}))
    (paths.out / "model.safetensors").write_bytes(b"weights %d" % spec.steps)
    return {"steps": spec.steps}


def misbehave(how: int) -> None:
    if how == RAISES:
        raise ValueError("episode 3: action has 5 columns, 2 expected; fix the log")
    if how == BREAKS:
        raise RuntimeError(f"cannot open {os.environ['FOGLAB_HOME']}/secret/place")
    if how == KILLS_ITSELF:
        os.kill(os.getpid(), signal.SIGKILL)
    if how == EXITS:
        sys.stderr.write("the driver is too old\n")
        os._exit(7)
    if how == HAS_CHILD:
        subprocess.Popen(["sleep", "60"])
    while how == HOLDS_THE_LOCK:
        ctypes.PyDLL(None).sleep(60)  # no other thread of this process runs Python meanwhile
    while how == HANGS:
        time.sleep(60)
