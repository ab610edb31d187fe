import pytest
import torch

from core.jobs.simulation import Limits
from core.simulation.engine import Engine
from tests.simulation.makers import Lab, make_lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return make_lab(tmp_path_factory.mktemp("lab"))


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def engine(lab: Lab, clock: Clock) -> Engine:
    limits = Limits(sessions=40, sessions_per_owner=20, idle_seconds=60, recorded_steps=12)
    return Engine(lab.artifacts, torch.device("cpu"), limits, clock)
