"""The page that tells how the API is called: every endpoint, with a command that can be pasted.

Rendered here from the OpenAPI document; it needs no script and nothing from elsewhere.
"""

from __future__ import annotations

import json
import shlex
from functools import cache
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

_METHODS = ("get", "post", "put", "patch", "delete")


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("tidegauge.server"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def docs_page(document: dict[str, Any], address: str) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    document : dict
        The OpenAPI document.
    address : str
        The server's, for the commands.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                shown = endpoint(document, path, method, address)
                groups.setdefault(shown["group"], []).append(shown)
    about = {tag["name"]: tag.get("description", "") for tag in document.get("tags", [])}
    order = sorted(groups, key=lambda name: list(about).index(name) if name in about else 99)
    return (
        _templates()
        .get_template("docs.html")
        .render(
            info=document["info"],
            groups=[(name, about.get(name, ""), groups[name]) for name in order],
        )
    )


def endpoint(document: dict[str, Any], path: str, method: str, address: str) -> dict[str, Any]:
    """Return what the page shows of one endpoint."""
    operation = document["paths"][path][method]
    parameters = operation.get("parameters", [])
    body = operation.get("requestBody", {}).get("content", {})
    return {
        "id": operation["operationId"],
        "group": operation.get("tags", ["other"])[0],
        "method": method.upper(),
        "path": path,
        "summary": operation.get("summary", ""),
        "description": operation.get("description", ""),
        "parameters": [_parameter(document, parameter) for parameter in parameters],
        "bodies": list(body),
        "answers": [
            (status, answer.get("description", ""))
            for status, answer in operation.get("responses", {}).items()
        ],
        "command": command(document, path, method, address),
    }


def command(document: dict[str, Any], path: str, method: str, address: str) -> str:
    """Return a ``curl`` command for an endpoint, made of the examples in its description."""
    operation = document["paths"][path][method]
    query = []
    for parameter in operation.get("parameters", []):
        value = _example(document, parameter)
        if value is None:
            continue
        if parameter["in"] == "path":
            path = path.replace("{" + parameter["name"] + "}", quote(str(value)))
        elif parameter["in"] == "query":
            query.append(f"{parameter['name']}={quote(str(value), safe=':,')}")
    url = address + path + ("?" + "&".join(query) if query else "")
    parts = ["curl", *([] if method == "get" else ["-X", method.upper()]), shlex.quote(url)]
    lines = [" ".join(parts)]
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        example = content.get("example")
        if example is not None:
            text = example if isinstance(example, str) else json.dumps(example)
            lines.append(f"-H {shlex.quote(f'Content-Type: {media_type}')}")
            lines.append(f"--data-binary {shlex.quote(text)}")
            break
    return " \\\n  ".join(lines)


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def _example(document: dict[str, Any], parameter: dict[str, Any]) -> Any:
    if "example" in parameter:
        return parameter["example"]
    schema = _resolved(document, parameter.get("schema", {}))
    examples = schema.get("examples") or list((parameter.get("examples") or {}).values())
    if not examples:
        return None
    first = examples[0]
    return first.get("value") if isinstance(first, dict) else first


def _parameter(document: dict[str, Any], parameter: dict[str, Any]) -> dict[str, Any]:
    schema = _resolved(document, parameter.get("schema", {}))
    kinds = [part for part in schema.get("anyOf", [schema]) if part.get("type") != "null"]
    kind = kinds[0] if kinds else {}
    words = kind.get("enum")
    return {
        "name": parameter["name"],
        "where": parameter["in"],
        "required": parameter.get("required", False),
        "kind": " | ".join(words) if words else kind.get("format", kind.get("type", "text")),
        "default": schema.get("default"),
        "description": parameter.get("description", schema.get("description", "")),
    }
