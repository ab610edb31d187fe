"""The service of `tests/api`, and an environment in which a whole installation is quick."""

import os
from pathlib import Path

import pytest

from tests.api.conftest import (  # noqa: F401
    Service,
    backend,
    client,
    database_url,
    http,
    service,
    settings,
)

OVERLAY = Path(__file__).parent / "overlay"


@pytest.fixture
def quick_environ(tmp_path: Path) -> dict[str, str]:
    """For child processes: a home of their own, stages of a second, short leases."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("FOGLAB_")}
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join([str(OVERLAY), str(Path(__file__).parents[2])]),
        "FOGLAB_HOME": str(tmp_path / "home"),
        "FOGLAB_BEAT_SECONDS": "0.3",
        "FOGLAB_STOP_SECONDS": "1",
        "FOGLAB_LEASE_SECONDS": "3",
        "FOGLAB_BACK_OFF_SECONDS": "[0.1]",
        "FOGLAB_POLL_SECONDS": "0.5",
        "OMP_NUM_THREADS": "1",
    }
