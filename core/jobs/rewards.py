"""Where a reward comes from, as asked for: by its kind and, for ranking, by goal frames."""

import re
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

RewardKind = Literal["logged", "success", "ranking"]


class GoalFrame(BaseModel):
    """A frame that shows what the policy is to bring about; `"12:-1"` is read as one, too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    episode: int = Field(ge=0, description="Number of the episode in the dataset, from 0")
    frame: int = Field(-1, description="Frame in it; -1 is the last one")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        found = re.fullmatch(r"\s*(\d+)\s*(?::\s*(-?\d+)\s*)?", value)
        if found is None:
            raise ValueError(f"{value!r} is not episode:frame, for example 12:-1")
        return {"episode": found[1], "frame": found[2] or -1}

    def __str__(self) -> str:
        return f"{self.episode}:{self.frame}"


class RewardChoice(BaseModel):
    """Where the reward comes from."""

    reward: RewardKind = Field(
        "logged",
        description="logged: regress logged rewards; success: classify logged success labels; "
        "ranking: no labels, later frames on the way to a goal frame rank higher",
    )
    goals: tuple[GoalFrame, ...] = Field(
        (),
        max_length=64,
        validate_default=True,
        description="Frames that show the goal, for ranking, as episode:frame (-1 is the last). "
        "Take several that differ in all that does not matter",
    )

    @field_validator("goals")
    @classmethod
    def _fits_the_reward(
        cls, goals: tuple[GoalFrame, ...], info: ValidationInfo
    ) -> tuple[GoalFrame, ...]:
        kind = info.data.get("reward")
        if kind == "ranking" and not goals:
            raise ValueError(
                "the ranking reward needs goal frames: look through the dataset's episodes for "
                "some that end as they should and name their frames as episode:frame, "
                "for example 12:-1 for the last frame of episode 12"
            )
        if kind in ("logged", "success") and goals:
            raise ValueError(f"goal frames are for the ranking reward, not for {kind!r}")
        return goals
