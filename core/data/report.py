"""The validation report: what was found in the logs, where, and what to do about it."""

from collections import Counter

from pydantic import BaseModel, ConfigDict, computed_field

from core.data.codes import Code, Remark, Severity, page
from core.data.episode import EpisodeError
from core.data.readers.base import EpisodeRef
from core.data.statistics import Statistics

REPORT_FILE = "report.json"
_MOST_FINDINGS = 5000
_SHOWN = 3


class Finding(BaseModel):
    """One line of the report."""

    model_config = ConfigDict(frozen=True)

    severity: Severity
    code: Code
    file: str
    episode: int | None
    """Counted over the whole upload, from 0; None for the upload as a whole."""
    frame: int | None
    message: str
    fix: str

    @computed_field  # type: ignore[prop-decorator]
    @property
    def docs(self) -> str:
        """Where the code is explained, from the root of the project."""
        return page(self.code)

    def __str__(self) -> str:
        place = self.file if self.episode is None else f"{self.file}, episode {self.episode}"
        return f"{place}: {self.message}; {self.fix}"


class Summary(BaseModel):
    """Counts over the whole upload; `codes` counts the findings of each code."""

    episodes_found: int
    episodes_kept: int
    episodes_dropped: int
    episodes_trimmed: int = 0
    """Kept in part."""
    frames: int
    errors: int
    warnings: int
    codes: dict[str, int]
    format: str


class Report(BaseModel):
    """`report.json`."""

    summary: Summary
    findings: list[Finding]
    statistics: Statistics = Statistics()


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


def from_remark(remark: Remark, label: str) -> Finding:
    """The finding of a remark; `label` names the upload as a whole."""
    return Finding(
        severity=remark.severity,
        code=remark.code,
        file=label if remark.file is None else remark.file,
        episode=remark.episode,
        frame=remark.frame,
        message=remark.message,
        fix=remark.fix,
    )


def from_error(
    error: EpisodeError, episode: EpisodeRef, kept: tuple[int, int] | None = None
) -> Finding:
    """Why an episode was left out, or, with the frames kept, why it was cut."""
    rest = f" (frames {kept[0]} to {kept[1] - 1} are kept)" if kept else ""
    return Finding(
        severity="warning" if kept else "error",
        code=error.code,
        file=episode.file,
        episode=episode.number,
        frame=error.frame,
        message=f"{error.field}: {error.message}{rest}",
        fix=error.fix,
    )
