"""`foglab delete`: a dataset, a model, a result or an upload, after a question."""

from typing import Annotated

import typer

from foglab.client import ServiceClient
from foglab.lineage import products
from foglab.terminal import emit, err, place


def delete(
    context: typer.Context,
    identifier: Annotated[
        str, typer.Argument(metavar="ID", help="Of a dataset, model, result or upload")
    ],
    with_products: Annotated[
        bool, typer.Option("--with-products", help="Delete all that was made of it, too")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")] = False,
) -> None:
    """Delete what nothing needs any more; the files go with the next clearing up (`foglab gc`)."""
    with place(context).client() as client:
        if identifier.startswith("up_"):
            _delete_upload(client, identifier, yes)
            emit(context, {"deleted": [identifier]}, f"{identifier} is deleted")
            return
        if not yes:
            nodes = client.lineage_of(identifier)
            going = [n for n in nodes if n.id == identifier]
            going += products(nodes, identifier) if with_products else []
            for node in going:
                err.print(f"{node.id}  {node.kind}  {node.name}", highlight=False, markup=False)
            typer.confirm("Delete for good?", abort=True, err=True)
        gone = client.delete(identifier, with_products=with_products)
    emit(context, {"deleted": gone}, *(f"{i} is deleted" for i in gone))


def _delete_upload(client: ServiceClient, identifier: str, yes: bool) -> None:
    if not yes:
        upload = client.get_upload(identifier)
        told = f"{upload.id}  {upload.filename}  {upload.size / 1e6:.1f} MB; its datasets stay"
        err.print(told, highlight=False, markup=False)
        typer.confirm("Delete for good?", abort=True, err=True)
    client.delete_upload(identifier)
