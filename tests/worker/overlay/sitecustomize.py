"""On PYTHONPATH of job processes under test: `local_model` counts instead of training.

The process, its launcher, the store and the files are the real ones; only the stage is replaced,
by one that starts in a tenth of a second and fails on demand.
"""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path

STAGE = "core.stages.local_model"


class Counting(MetaPathFinder):
    """Found before the real stage, and only when it is asked for."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        here = Path(__file__).with_name("counting.py")
        return spec_from_file_location(STAGE, here) if name == STAGE else None


sys.meta_path.insert(0, Counting())
