"""`foglab webhook …`: addresses that are told of ended jobs."""

from typing import Annotated

import typer

from foglab.terminal import emit, place, table

webhook = typer.Typer(no_args_is_help=True, help="Addresses that are told of ended jobs.")
IdArgument = Annotated[str, typer.Argument(metavar="ID")]


@webhook.command()
def add(context: typer.Context, url: Annotated[str, typer.Argument(help="Public address")]) -> None:
    """Tell an address of every job that ends from now on. The secret is shown once."""
    with place(context).client() as client:
        made = client.add_webhook(url)
    emit(context, made, f"{made.id}  secret {made.secret}")


@webhook.command("list")
def show(context: typer.Context) -> None:
    """All of the project's, without their secrets."""
    with place(context).client() as client:
        found = client.webhooks()
    emit(context, found, table(found, "id", "url", "created_at"))


@webhook.command()
def remove(context: typer.Context, webhook_id: IdArgument) -> None:
    """Tell it nothing more, and forget what it was told."""
    with place(context).client() as client:
        client.remove_webhook(webhook_id)
    emit(context, {"removed": webhook_id}, f"{webhook_id} is removed")


@webhook.command("log")
def log(
    context: typer.Context,
    webhook_id: IdArgument,
    limit: Annotated[int, typer.Option(min=1, help="Most rows")] = 50,
) -> None:
    """What it was told, and what it is still to be told."""
    with place(context).client() as client:
        found = client.deliveries(webhook_id, limit)
    shown = ("id", "event", "job_id", "state", "attempt", "error", "next_try_at", "created_at")
    emit(context, found, table(found, *shown))


@webhook.command()
def test(context: typer.Context, webhook_id: IdArgument) -> None:
    """Tell it something that is about no job; `log` says how it went."""
    with place(context).client() as client:
        told = client.test_webhook(webhook_id)
    emit(context, told, f"{told.id}  {told.event}  {told.state}")


@webhook.command()
def resend(
    context: typer.Context,
    webhook_id: IdArgument,
    delivery_id: Annotated[str, typer.Argument(metavar="DELIVERY", help="From `log`")],
) -> None:
    """Tell it once more, under the same id."""
    with place(context).client() as client:
        told = client.resend(webhook_id, delivery_id)
    emit(context, told, f"{told.id}  {told.event}  {told.state}")
