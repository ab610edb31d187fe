"""Ids of everything the service names: a prefix and random hex digits."""

import secrets

from core.jobs.spec import PREFIXES, Kind


def new_id(prefix: str) -> str:
    """`<prefix>_<16 hex digits>`."""
    return f"{prefix}_{secrets.token_hex(8)}"


def new_output_id(kind: Kind) -> str:
    """Id for the artifact that a job of this kind will make."""
    return new_id(PREFIXES[kind])


def new_upload_id() -> str:
    """`up_<32 hex digits>`."""
    return f"up_{secrets.token_hex(16)}"
