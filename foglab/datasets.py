"""`foglab dataset …`: what is done with one dataset."""

from pathlib import Path
from typing import Annotated

import typer

from foglab.show import follow
from foglab.terminal import emit, err, place

dataset = typer.Typer(no_args_is_help=True, help="Work with one dataset.")


@dataset.callback()
def _dataset() -> None:
    """Keeps `export` a word of its own while it is the only command."""


@dataset.command("export")
def export(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="Id of a dataset, or of imagined rollouts")],
    target: Annotated[Path | None, typer.Option("-o", "--output", help="Zip to write")] = None,
    pictures: Annotated[str, typer.Option(help="h264, av1, or png: without loss")] = "h264",
) -> None:
    """Write it as a LeRobot v3.0 dataset, which other tools open."""
    target = target or Path(f"{source}.zip")
    with place(context).client(patience=60) as client:
        job = client.export(source, pictures=pictures)
        (job,) = follow(err, lambda: [client.job(job.id)])
        if job.status != "succeeded" or job.output_id is None:
            raise ValueError(f"{job.name}: {job.status}. {job.error or ''}".strip())
        path = client.download_export(job.output_id, target)
    episodes = (job.result or {}).get("episodes")
    size = f"{path.stat().st_size / 1e6:.1f} MB"
    told = f"{path}  LeRobot v3.0, {episodes} episodes, {size}"
    emit(context, {"path": str(path), "id": job.output_id, **(job.result or {})}, told)
