"""Everything about the simulator that its environment decides."""

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.jobs.simulation import Limits


class SimulatorSettings(BaseSettings):
    """Read from `FOGLAB_…` variables."""

    model_config = SettingsConfigDict(env_prefix="FOGLAB_", frozen=True, env_ignore_empty=True)

    home: Path = Field(Path(".foglab"), description="Root of everything stored as files")
    simulator_device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    simulator_threads: int = Field(
        min(2, os.cpu_count() or 1), ge=1, description="CPU threads of a large batch"
    )
    simulator_sessions: int = Field(256, ge=1, description="Sessions at once")
    simulator_sessions_per_token: int = Field(64, ge=1, description="Sessions of one token at once")
    simulator_idle_seconds: float = Field(
        300.0, gt=0, description="A session that nobody used for so long expires"
    )
    simulator_models: int = Field(4, ge=1, description="Models and policies kept in memory")
    simulator_gather_ms: float = Field(
        3.0, ge=0, description="Longest wait for other sessions' steps to share a batch"
    )

    @property
    def limits(self) -> Limits:
        """What the engine reads."""
        return Limits(
            sessions=self.simulator_sessions,
            sessions_per_owner=self.simulator_sessions_per_token,
            idle_seconds=self.simulator_idle_seconds,
            models=self.simulator_models,
        )
