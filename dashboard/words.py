"""How the dashboard says things: one word for one idea, on every page."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from core.jobs.replies import Job
from foglab.show import duration

Color = Literal["blue", "green", "red", "orange", "gray", "violet"]

PAGES = {
    "home": ("Home", "home"),
    "upload": ("Upload", "upload"),
    "datasets": ("Datasets", "database"),
    "train": ("Train", "rocket_launch"),
    "jobs": ("Jobs", "list_alt"),
    "rollouts": ("Rollouts", "movie"),
    "models": ("Models", "hub"),
    "gate": ("Good enough?", "verified"),
    "play": ("Play", "sports_esports"),
    "lineage": ("Lineage", "account_tree"),
    "admin": ("Admin", "admin_panel_settings"),
}
"""File in app_pages to its title and Material symbol, in the order of the menu."""
HIDDEN = {
    "job": ("Job", "list_alt"),
    "compare": ("Compare runs", "compare_arrows"),
    "formats": ("Formats", "menu_book"),
}
"""Pages that others lead to."""
OPEN = frozenset({"formats"})
"""Pages that tell nothing of a lab: a link opens them in a new tab, which has no token."""
KINDS = {
    "detect": "Look at an upload",
    "ingest": "Ingest",
    "derive": "Edit a dataset",
    "global_model": "Global model",
    "local_model": "Local model",
    "policy": "Policy",
    "evaluate": "Evaluation",
    "rollout": "Rollouts",
    "export": "Export",
    "policy_export": "Policy export",
}
DATA_KINDS = ("detect", "ingest", "derive", "export", "policy_export")
"""Jobs that train nothing; they have pages of their own."""
KIND_HELP = {
    "detect": "Says what an upload holds and how it would be read.",
    "ingest": "Checks uploaded logs and makes a dataset of them.",
    "derive": "Makes a dataset of others: episodes left out, merged, cut, tagged and labelled.",
    "global_model": "A diffusion model that imagines the next frame, and a model of the reward.",
    "local_model": "A small recurrent model that passes gradients on to the policy.",
    "policy": "Trains a policy inside the global model, with gradients from the local one.",
    "evaluate": "Judges models on held-out episodes and the policy in the true simulator.",
    "rollout": "Renders imagined episodes beside the real ones they start from.",
    "export": "Writes a dataset or imagined episodes as LeRobot v3.0, for other tools.",
    "policy_export": "Writes a policy as files that run without Foglab, and checks them.",
}
COLORS: Mapping[str, Color] = {
    "queued": "gray",
    "waiting": "gray",
    "running": "blue",
    "stopping": "orange",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "orange",
}


def kind(name: str) -> str:
    """A job kind as people read it."""
    return KINDS.get(name, sentence(name))


def sentence(identifier: str) -> str:
    """`learning_rate` as `Learning rate`."""
    text = identifier.replace("_", " ").strip()
    text = f"number of {text[4:]}" if text.startswith("num ") else text
    return text[:1].upper() + text[1:]


def status(job: Job) -> str:
    """The job's status, with what a user can see of a queued or cancelled one."""
    if job.cancel_requested and not job.ended:
        return "stopping"
    if job.status == "queued" and (job.waiting_for or job.waiting):
        return "waiting"
    return job.status


def share(job: Job) -> float:
    """How much of the job is done, 0 to 1."""
    if job.status == "succeeded":
        return 1.0
    if job.progress is None or job.progress.total <= 0:
        return 0.0
    return min(max(job.progress.done / job.progress.total, 0.0), 1.0)


def progress(job: Job, names: Mapping[str, str] | None = None) -> str:
    """What the job does now, or waits for; `names` gives names of jobs by id."""
    if job.status == "queued" and job.waiting_for:
        known = [(names or {}).get(i, i) for i in job.waiting_for]
        return f"waits for {', '.join(known)}"
    if job.status == "queued" and job.waiting:
        return job.waiting
    if job.ended or job.progress is None:
        return "" if job.ended or job.status == "queued" else "starting"
    parts = [f"{share(job):.0%}", job.progress.message]
    if job.progress.eta_seconds is not None:
        parts.append(f"{duration(job.progress.eta_seconds)} left")
    return " · ".join(p for p in parts if p)


def ago(when: datetime, now: datetime | None = None) -> str:
    """How long ago, roughly: `just now`, `5 min ago`, `3 h ago`, `2026-01-31`."""
    seconds = ((now or datetime.now(UTC)) - when).total_seconds()
    if seconds < 60:
        return "just now"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min ago"
    if seconds < 86_400:
        return f"{seconds // 3600:.0f} h ago"
    return f"{when:%Y-%m-%d}"


def number(value: object) -> str:
    """A figure with as many digits as help."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return str(value)


def size(num_bytes: float) -> str:
    """Bytes in the unit that fits."""
    for unit in ("B", "kB", "MB"):
        if num_bytes < 1000:
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.3g} GB"
