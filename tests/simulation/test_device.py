"""What waits at the same time goes through the model as one batch."""

from collections.abc import Sequence
from pathlib import Path

import torch

from core.jobs.simulation import Reset, Step
from core.simulation.engine import Answer, Engine, Reply
from tests.simulation.makers import MODEL, Lab
from worker.simulator.device import Device
from worker.simulator.settings import SimulatorSettings


class Counted(Engine):
    """The engine, and the sizes of its batches."""

    batches: list[int]

    def step_all(self, asked: Sequence[tuple[str, Step]]) -> list[Answer]:
        self.batches.append(len(asked))
        return super().step_all(asked)


def test_steps_that_wait_share_a_batch_and_keep_their_order(lab: Lab, tmp_path: Path) -> None:
    engine = Counted(lab.artifacts, torch.device("cpu"))
    engine.batches = []
    device = Device(SimulatorSettings(home=tmp_path, simulator_threads=1), lambda: engine)
    asked = Reset(model=MODEL)
    sessions = [engine.reset("me", asked).header["session_id"] for _ in range(6)]
    waiting = [device.ask("me", Step(session_id=s, action=(0.1, 0.0))) for s in sessions]
    waiting += [device.ask("me", Step(session_id=sessions[0], action=(0.1, 0.0)))]
    reset = device.ask("me", Reset(session_id=sessions[1], seed=1))
    after = device.ask("me", Step(session_id=sessions[1], action=(0.1, 0.0)))
    device.start()
    answers = [w.result(120) for w in [*waiting, reset, after]]
    device.stop()
    device.join()
    assert all(isinstance(a, Reply) for a in answers)
    assert [a.header["t"] for a in answers if isinstance(a, Reply)] == [1] * 6 + [2, 0, 1]
    assert engine.batches == [7, 1]


def test_a_mistake_of_the_engine_ends_its_batch_and_not_the_thread(
    lab: Lab, tmp_path: Path
) -> None:
    engine = Engine(lab.artifacts, torch.device("cpu"))
    device = Device(SimulatorSettings(home=tmp_path, simulator_threads=1), lambda: engine)
    device.start()
    broken = device.ask("me", lambda *_: 1 // 0)
    assert isinstance(broken.exception(120), ZeroDivisionError)
    whole = device.ask("me", lambda e, owner: e.info(owner)).result(120)
    assert isinstance(whole, Reply)
    device.stop()
    device.join()
