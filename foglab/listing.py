"""`foglab datasets`, `models`, `jobs` and so on: one table says what can be listed and shown."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from core.jobs.replies import Reply
from foglab.client import ServiceClient
from foglab.show import jobs_table
from foglab.terminal import emit, place, plain, table


@dataclass(frozen=True)
class Resource:
    """Something that the service lists."""

    name: str
    help: str
    columns: tuple[str, ...]
    list: Callable[..., Sequence[Any]]
    one: Callable[[ServiceClient, str], Reply | dict[str, Any]] | None = None
    filters: tuple[tuple[str, str], ...] = ()
    """Options that narrow the list, with their help."""
    shown: Callable[[Sequence[Any]], RenderableType] | None = None
    """Draws the list, if a plain table will not do."""


def _whole_dataset(client: ServiceClient, dataset_id: str) -> dict[str, Any]:
    dataset: dict[str, Any] = plain(client.dataset(dataset_id))
    return {**dataset, "report": client.dataset_report(dataset_id)}


RESOURCES = (
    Resource(
        "uploads",
        "Finished uploads, newest first; or one.",
        ("id", "filename", "size", "created_at"),
        ServiceClient.uploads,
        ServiceClient.get_upload,
    ),
    Resource(
        "datasets",
        "Datasets, newest first; or one with its report.",
        ("id", "name", "episodes", "frames", "created_at"),
        ServiceClient.datasets,
        _whole_dataset,
    ),
    Resource(
        "models",
        "Models and policies, newest first; or one with config, spec and result.",
        ("id", "kind", "name", "created_at"),
        ServiceClient.models,
        ServiceClient.model,
        (("kind", "global_model, local_model or policy"),),
    ),
    Resource(
        "jobs",
        "Jobs, newest first; or one with its spec and result.",
        (),
        ServiceClient.jobs,
        ServiceClient.job,
        (
            ("status", "queued, running, succeeded, failed or cancelled"),
            ("kind", "ingest, global_model, …"),
            ("pipeline", "Id of a pipeline"),
        ),
        jobs_table,
    ),
    Resource(
        "rollouts",
        "Imagined rollouts, newest first; or one with the errors of its items.",
        ("id", "name", "horizon", "fps", "created_at"),
        ServiceClient.rollouts,
        ServiceClient.rollout,
    ),
    Resource(
        "evaluations",
        "Evaluations, newest first; or one with all its figures.",
        ("id", "name", "result.psnr_10", "result.real_success", "created_at"),
        ServiceClient.evaluations,
        ServiceClient.evaluation,
    ),
    Resource(
        "exports",
        "Exports, newest first; or one with its parity report.",
        ("id", "kind", "name", "source", "created_at"),
        ServiceClient.exports,
        ServiceClient.get_export,
    ),
)


def register(app: typer.Typer) -> None:
    """A command for each resource."""
    for resource in RESOURCES:
        app.command(resource.name, help=resource.help)(_command(resource))


def _command(resource: Resource) -> Callable[..., None]:
    def command(context: typer.Context, limit: int, **given: str | None) -> None:
        identifier = given.pop("identifier", None)
        with place(context).client() as client:
            if identifier is not None and resource.one is not None:
                emit(context, resource.one(client, identifier))
                return
            found = resource.list(client, limit=limit, **given)
        emit(context, found, (resource.shown or _columns(resource))(found))

    options: dict[str, tuple[Any, Any]] = {"context": (typer.Context, inspect.Parameter.empty)}
    if resource.one is not None:
        options["identifier"] = (
            Annotated[str | None, typer.Argument(metavar="ID", help="Show one of them")],
            None,
        )
    for name, told in resource.filters:
        options[name] = (Annotated[str | None, typer.Option(help=told)], None)
    options["limit"] = (Annotated[int, typer.Option(min=1, help="Most rows")], 50)
    # Typer reads options off a signature; this one is made of the table.
    keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, keyword, default=default, annotation=annotation)
            for name, (annotation, default) in options.items()
        ]
    )
    command.__annotations__ = {name: annotation for name, (annotation, _) in options.items()}
    return command


def _columns(resource: Resource) -> Callable[[Sequence[Any]], RenderableType]:
    return lambda rows: table(rows, *resource.columns)
