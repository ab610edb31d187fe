"""`foglab policy …`: a trained policy on its way out of the house."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from foglab.show import follow
from foglab.terminal import emit, err, place

policy = typer.Typer(no_args_is_help=True, help="Work with one policy.")


@policy.callback()
def _policy() -> None:
    """Keeps `export` a word of its own while it is the only command."""


@policy.command("export")
def export(
    context: typer.Context,
    policy_id: Annotated[str, typer.Argument(help="Id of a policy")],
    to: Annotated[
        list[str] | None,
        typer.Option(help="safetensors, torch or onnx; may be repeated; all if none"),
    ] = None,
    target: Annotated[Path | None, typer.Option("-o", "--output", help="Zip to write")] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Dataset whose frames check it; the policy's own if none")
    ] = None,
) -> None:
    """Write it as files that run without Foglab: its deterministic action, in float32.

    Shows how far each format's actions are from the original's on real frames.
    """
    target = target or Path(f"{policy_id}.zip")
    options: dict[str, Any] = {"formats": to} if to else {}
    if dataset is not None:
        options["dataset"] = dataset
    with place(context).client(patience=60) as client:
        job = client.export_policy(policy_id, **options)
        (job,) = follow(err, lambda: [client.job(job.id)])
        if job.status != "succeeded" or job.output_id is None:
            raise ValueError(f"{job.name}: {job.status}. {job.error or ''}".strip())
        path = client.download_export(job.output_id, target)
    told = f"{path}  {job.output_id}, {path.stat().st_size / 1e6:.1f} MB"
    result = job.result or {}
    emit(
        context,
        {"path": str(path), "id": job.output_id, **result},
        "Largest difference of an action from the original's on "
        f"{result['parity']['frames']} real frames",
        parity_table(result["parity"]),
        told,
    )


def parity_table(report: dict[str, Any]) -> Table:
    """The largest difference of an action by format and batch size."""
    table = Table(box=None, pad_edge=False)
    table.add_column("batch")
    for batch in report["batch_sizes"]:
        table.add_column(str(batch), justify="right")
    for format, found in report["formats"].items():
        table.add_row(format, *(f"{found[str(b)]['action']:.1e}" for b in report["batch_sizes"]))
    return table
