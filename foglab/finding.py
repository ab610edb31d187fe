"""What one check of `foglab doctor` says."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One check: whether it is well, and if not, what to do."""

    what: str
    well: bool
    told: str
