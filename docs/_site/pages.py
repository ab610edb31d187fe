"""Reference pages, made from the code that they describe."""

from collections.abc import Iterator, Mapping
from typing import Any

import typer.main
from typer.cli import get_docs_for_click

from api.main import OPEN_PATHS, create_app
from core.jobs.spec import SPECS
from foglab.cli import app
from foglab.client import ServiceClient

METHODS = ("get", "post", "put", "patch", "delete", "head")
PYTHON = """\
# Python

`pip install` of this project gives the module `foglab`; the client needs no torch.

```python
from foglab.client import ServiceClient

with ServiceClient("http://127.0.0.1:8000", "fog_…") as client:
    job = client.submit("global_model", {"dataset": "ds_…"}, preset="demo")
    client.wait(job.id)
```

::: foglab.client.ServiceClient
    options:
      inherited_members: true
      members: CALLS
      show_bases: false

::: foglab.transport.ServiceError

## What it returns

::: core.jobs.replies
    options:
      show_root_heading: false
      show_root_toc_entry: false
      heading_level: 3

## Exported policies

::: core.policy.runners.open_export

::: core.policy.runners.Runner

::: core.policy.step.PolicyStep
"""


def python() -> str:
    """The SDK; mkdocstrings fills it in, each part of the client in the order of its source."""
    calls = [n for part in ServiceClient.__mro__ for n in vars(part) if not n.startswith("_")]
    return PYTHON.replace("CALLS", f"[{', '.join(calls)}]")


def cli() -> str:
    """Every command with its options."""
    command = typer.main.get_command(app)
    with command.make_context("foglab", [], resilient_parsing=True) as context:
        text = get_docs_for_click(obj=command, ctx=context, name="foglab", title="Command line")
    return text.replace("[default: ", "[default: ")


def specs() -> str:
    """The fields of every job kind, as `POST /jobs` and the dashboard's forms take them."""
    lines = [
        "# Job specs",
        "",
        "What `spec` of `POST /jobs` may hold; unknown fields are refused.",
        "",
    ]
    for kind, model in SPECS.items():
        schema = model.model_json_schema()
        lines += [f"## {kind.value}", "", _text(schema.get("description", "")), ""]
        lines += [*_fields(schema, schema.get("$defs", {}), skip=("kind",)), ""]
    return "\n".join(lines)


def rest() -> str:
    """Every route of the OpenAPI document, by tag."""
    document = create_app().openapi()
    schemas = document["components"]["schemas"]
    lines = [
        "# REST API",
        "",
        "A bearer token is needed by every route "
        f"but {', '.join(f'`{p}`' for p in sorted(OPEN_PATHS))}. The running service shows the same "
        "at `/docs`, and `/openapi.json` is the contract.",
        "",
    ]
    by_tag: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                tag = (item[method].get("tags") or ["operations"])[0]
                by_tag.setdefault(tag, []).append((method, path, item[method]))
    for tag in sorted(by_tag):
        lines += [f"## {tag.capitalize()}", ""]
        for method, path, operation in by_tag[tag]:
            lines += [*_route(method, path, operation, schemas), ""]
    return "\n".join(lines)


def _route(
    method: str, path: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]
) -> Iterator[str]:
    yield f"### {method.upper()} `{path}`"
    yield ""
    yield _text(operation.get("description") or operation.get("summary", ""), cell=False)
    yield ""
    parameters = operation.get("parameters", ())
    if parameters:
        yield "| parameter | in | type | what |"
        yield "|---|---|---|---|"
        for p in parameters:
            needed = " (needed)" if p.get("required") and p["in"] != "path" else ""
            told = _text(p.get("description", ""))
            yield f"| `{p['name']}` | {p['in']} | {_type(p['schema'])}{needed} | {told} |"
        yield ""
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body and "$ref" in body["schema"]:
        schema = schemas[body["schema"]["$ref"].rpartition("/")[2]]
        yield "Body:"
        yield ""
        yield from _fields(schema, schemas)
        yield ""
    answers = []
    for status, answer in operation.get("responses", {}).items():
        content = answer.get("content", {}).get("application/json", {}).get("schema", {})
        if status.startswith("2"):
            answers.append(f"{status} {_type(content)}".strip())
    if answers:
        yield f"Answers: {', '.join(answers)}."


def _fields(
    schema: Mapping[str, Any], schemas: Mapping[str, Any], skip: tuple[str, ...] = ()
) -> Iterator[str]:
    yield "| field | type | default | what |"
    yield "|---|---|---|---|"
    needed = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        if name in skip:
            continue
        default = (
            "needed" if name in needed else f"`{field['default']!r}`" if "default" in field else ""
        )
        yield f"| `{name}` | {_type(field)} | {_text(default)} | {_text(field.get('description', ''))} |"


def _type(schema: Mapping[str, Any]) -> str:
    """A JSON schema in few words."""
    if "anyOf" in schema:
        return " or ".join(
            dict.fromkeys(_type(s) for s in schema["anyOf"] if s.get("type") != "null")
        )
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema:
        return ", ".join(f"`{v}`" for v in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = str(schema.get("type", ""))
    if kind == "array":
        return f"list of {_type(schema.get('items', {})) or 'values'}"
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is not None or high is not None:
        kind += f", {low if low is not None else '…'} to {high if high is not None else '…'}"
    return kind


def _text(text: str, *, cell: bool = True) -> str:
    return " ".join(text.split()).replace("|", "\\|") if cell else text
