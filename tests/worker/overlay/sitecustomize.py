"""On PYTHONPATH of job processes under test: `local_model` counts instead of training.

The process, its launcher, the store and the files are the real ones; only the stage is replaced,
by one that starts in a tenth of a second and fails on demand. With FOGLAB_TEST_PROBE, `detect` is
replaced too, by one that does what a decoder must not.

Under libfaketime, `time.sleep` sleeps by `select`: version 0.9.10 refuses the system call that it
makes where the monotonic clock is left alone.
"""

import os
import select
import sys
import time
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path

STAGES = {"core.stages.local_model": "counting.py"}
if "FOGLAB_TEST_PROBE" in os.environ:
    STAGES["core.stages.detect"] = "probing.py"


class Replaced(MetaPathFinder):
    """Found before the real stages, and only when they are asked for."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name not in STAGES:
            return None
        return spec_from_file_location(name, Path(__file__).with_name(STAGES[name]))


sys.meta_path.insert(0, Replaced())

if "FAKETIME_TIMESTAMP_FILE" in os.environ:
    time.sleep = lambda seconds: select.select([], [], [], seconds) and None
