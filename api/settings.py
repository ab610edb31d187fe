"""Everything about the API that its environment decides."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.jobs.environment import Environment


class Settings(BaseSettings):
    """Read from `FOGLAB_…` variables; nothing is read when a module is imported."""

    model_config = SettingsConfigDict(env_prefix="FOGLAB_", frozen=True, env_ignore_empty=True)

    home: Path = Field(Path(".foglab"), description="Root of everything stored as files")
    database_url: str = Field("", description="Default: SQLite under home")
    database_password_file: Path | None = Field(None, description="Goes into database_url")
    cors_origins: tuple[str, ...] = Field((), description="Origins of dashboards, as JSON list")
    max_body_bytes: int = Field(1 << 20, description="Largest JSON body")
    max_upload_bytes: int = Field(64 << 30, description="Largest upload")
    upload_quota_bytes: int | None = Field(
        None, ge=0, description="Bytes of uploads of a project that has no quota of its own"
    )
    upload_days: float = Field(1.0, description="Days that an unfinished upload is kept")
    body_seconds: float = Field(
        30.0, gt=0, description="A request whose body rests for so long is given up"
    )
    failed_logins_per_minute: int = Field(
        10, ge=0, description="Wrong tokens that one address may send before it gets 429"
    )
    requests_per_second: float = Field(
        2000.0, gt=0, description="Of one token, on average; more get 429"
    )
    signed_url_seconds: int = Field(3600, description="How long a signed video address works")
    event_seconds: float = Field(0.25, description="How often an event stream looks for news")
    webhook_private: bool = Field(
        False, description="Let webhooks reach addresses of this machine and its network"
    )
    webhook_seconds: float = Field(1.0, gt=0, description="How often due deliveries are looked for")
    compat_model: str = Field(
        "", description="Global model that Gym-style clients at the server's root play; none: off"
    )
    compat_max_steps: int = Field(200, ge=1, description="Steps of an episode of such clients")

    @property
    def environment(self) -> Environment:
        """The same installation as the worker sees it."""
        return Environment.read(
            {
                "FOGLAB_HOME": str(self.home),
                "FOGLAB_DATABASE_URL": self.database_url,
                "FOGLAB_DATABASE_PASSWORD_FILE": str(self.database_password_file or ""),
            }
        )
