"""`foglab delete`: a dataset, a model or a result, after a question."""

from typing import Annotated

import typer

from foglab.lineage import products
from foglab.terminal import emit, err, place


def delete(
    context: typer.Context,
    identifier: Annotated[str, typer.Argument(metavar="ID", help="Of a dataset, model or result")],
    with_products: Annotated[
        bool, typer.Option("--with-products", help="Delete all that was made of it, too")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")] = False,
) -> None:
    """Delete what nothing needs any more; the files go with the next clearing up (`foglab gc`)."""
    with place(context).client() as client:
        if not yes:
            nodes = client.lineage_of(identifier)
            going = [n for n in nodes if n.id == identifier]
            going += products(nodes, identifier) if with_products else []
            for node in going:
                err.print(f"{node.id}  {node.kind}  {node.name}", highlight=False, markup=False)
            typer.confirm("Delete for good?", abort=True, err=True)
        gone = client.delete(identifier, with_products=with_products)
    emit(context, {"deleted": gone}, *(f"{i} is deleted" for i in gone))
