"""The validation report: what was found in the logs, where, and what to do about it."""

from collections import Counter
from typing import Literal

from pydantic import BaseModel, ConfigDict

from core.data.episode import EpisodeError
from core.data.readers.base import EpisodeRef

REPORT_FILE = "report.json"
_MOST_FINDINGS = 5000
_SHOWN = 3


class Finding(BaseModel):
    """One line of the report. An error is why an episode was left out."""

    model_config = ConfigDict(frozen=True)

    severity: Literal["error", "warning"]
    code: str
    file: str
    episode: int | None
    """Counted over the whole upload, from 0; None for the upload as a whole."""
    frame: int | None
    message: str
    fix: str

    def __str__(self) -> str:
        place = self.file if self.episode is None else f"{self.file}, episode {self.episode}"
        return f"{place}: {self.message}; {self.fix}"


class Summary(BaseModel):
    """Counts over the whole upload; `codes` counts the findings of each code."""

    episodes_found: int
    episodes_kept: int
    episodes_dropped: int
    frames: int
    errors: int
    warnings: int
    codes: dict[str, int]
    format: str


class Report(BaseModel):
    """`report.json`."""

    summary: Summary
    findings: list[Finding]


class Findings:
    """Collects findings in the order in which they are met."""

    def __init__(self) -> None:
        self.kept: list[Finding] = []
        self.codes: Counter[str] = Counter()
        self.severities: Counter[str] = Counter()

    def add(self, finding: Finding) -> None:
        """Count it; past thousands, findings are counted only."""
        self.codes[finding.code] += 1
        self.severities[finding.severity] += 1
        if len(self.kept) < _MOST_FINDINGS:
            self.kept.append(finding)

    def first_errors(self) -> str:
        """The first errors in words."""
        errors = [str(f) for f in self.kept if f.severity == "error"]
        rest = self.severities["error"] - len(errors[:_SHOWN])
        return " | ".join(errors[:_SHOWN]) + (f" | and {rest} more" if rest > 0 else "")


def from_error(error: EpisodeError, episode: EpisodeRef) -> Finding:
    """The finding that says why an episode was left out."""
    return Finding(
        severity="error",
        code=error.code,
        file=episode.file,
        episode=episode.number,
        frame=error.frame,
        message=f"{error.field}: {error.message}",
        fix=error.fix,
    )
