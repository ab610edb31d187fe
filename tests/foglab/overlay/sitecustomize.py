"""On PYTHONPATH of the processes under test: training stages that take a second each.

Service, store, queue, uploads and ingest are the real ones; only what needs minutes of CPU is
replaced. `FOGLAB_TEST_STAGE_SECONDS` says how long a stage takes.
"""

import json
import os
import sys
import time
from types import ModuleType

KINDS = ("global_model", "local_model", "policy", "evaluate", "rollout")
RESULTS = {
    "policy": {"imagined_frames": 4096},
    "evaluate": {
        "psnr_1": 31.25,
        "psnr_5": 27.0,
        "psnr_10": 24.5,
        "static_psnr_1": 25.0,
        "static_psnr_5": 19.0,
        "static_psnr_10": 15.5,
        "gradient_cosine": 0.625,
        "gradient_cosine_3": 0.5,
        "imagined_return": 12.5,
        "real_return": 11.0,
        "real_success": 0.5,
        "random_success": 0.0,
    },
}


def stage(kind):
    def run(spec, paths, recorder):
        steps = max(1, int(10 * float(os.environ.get("FOGLAB_TEST_STAGE_SECONDS", "0.5"))))
        for step in range(1, steps + 1):
            time.sleep(0.1)
            recorder.raise_if_cancelled()
            recorder.scalars(step, {f"{kind}/loss": 1 / step})
            recorder.progress(step, steps, "pretending")
        (paths.out / "config.json").write_text(json.dumps({"kind": kind}))
        if kind == "rollout":
            (paths.out / "rollout.json").write_text('{"fps": 10, "horizon": 1, "items": []}')
        return RESULTS.get(kind, {"loss": 0.1})

    module = ModuleType(f"core.stages.{kind}")
    module.run = run
    return module


sys.modules.update({f"core.stages.{kind}": stage(kind) for kind in KINDS})
