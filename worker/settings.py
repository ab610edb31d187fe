"""Everything about a worker that its environment decides."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.jobs.environment import Environment
from core.jobs.reaper import LEASE_SECONDS
from core.jobs.transitions import BACK_OFF_SECONDS


class WorkerSettings(BaseSettings):
    """Read from `FOGLAB_…` variables."""

    model_config = SettingsConfigDict(env_prefix="FOGLAB_", frozen=True, env_ignore_empty=True)

    beat_seconds: float = Field(2.0, gt=0, description="Between two heartbeats of a running job")
    lease_seconds: float = Field(
        LEASE_SECONDS, gt=0, description="Silence after which a job is given to another worker"
    )
    stop_seconds: float = Field(
        15.0, gt=0, description="Time for a stopping job to save a checkpoint before it is killed"
    )
    stall_seconds: float = Field(
        900.0,
        gt=0,
        description="A job that reports nothing and computes nothing for so long is stopped, and "
        "tried again",
    )
    poll_seconds: float = Field(5.0, gt=0, description="How often an idle worker asks the database")
    hint_seconds: float = Field(1.0, gt=0, description="How often hints for ready jobs are sent")
    present_seconds: float = Field(
        10.0, gt=0, description="How often a worker says that it is there, and what its GPUs do"
    )
    back_off_seconds: tuple[float, ...] = Field(
        BACK_OFF_SECONDS, description="Pauses before the second, third … attempt, as JSON list"
    )
    job_threads: int | None = Field(
        None, ge=1, description="CPU threads of one job; None: as many as there are cores"
    )
    disk_seconds: float = Field(
        15.0, gt=0, description="How often a job that waits for room on the disk looks again"
    )
    sweep_seconds: float = Field(3600.0, gt=0, description="How often leftovers are cleared away")
    checkpoint_days: float = Field(
        14.0, gt=0, description="Days that a failed or cancelled job keeps its checkpoints"
    )
    alive_file: Path | None = Field(
        None, description="Touched while the loops run and the database answers, for health checks"
    )
    environment: Environment = Field(default_factory=Environment.read)

    @property
    def home(self) -> Path:
        return self.environment.home

    @property
    def give_up_seconds(self) -> float:
        """Without a heartbeat for this long an attempt stops, so that it has ended before the
        lease has: two attempts of one job never write at once."""
        return self.lease_seconds - self.stop_seconds - 2 * self.beat_seconds

    @model_validator(mode="after")
    def _lease_leaves_room(self) -> Self:
        if self.give_up_seconds < 2 * self.beat_seconds:
            raise ValueError("lease_seconds must exceed stop_seconds and four heartbeats")
        return self
