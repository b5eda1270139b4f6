"""The JSON Schema of the settings file, for editors and pipelines."""

import json
from typing import Any

import msgspec

from detectors.registry import DETECTORS, documentation
from streams.settings.root import Settings

_REFERENCE = {"type": "string", "pattern": r"\$\{[A-Za-z_]"}
_ABOUT = ("title", "description", "default", "examples")


def schema() -> dict[str, Any]:
    """Return the schema. Where a plain value must be a number, a word or of a pattern, `${NAME}` may stand too."""
    found = Settings.model_json_schema()
    found["properties"]["detectors"] |= _detectors()
    found = _with_references(found)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found, "title": "Brakeline settings"}


def text() -> str:
    """Return the schema as the file that editors read."""
    return json.dumps(schema(), indent=2) + "\n"


def _detectors() -> dict[str, Any]:
    """Describe each detector's own parameters, of which the settings' model knows nothing."""
    kinds = {}
    for name, kind in DETECTORS.items():
        whole = msgspec.json.schema(kind)
        own = whole["$defs"][whole["$ref"].rpartition("/")[2]]
        properties = {"enabled": {"type": "boolean", "default": True}, **own["properties"]}
        about = documentation(kind).partition("\n")[0]
        kinds[name] = {"type": "object", "description": about, "properties": properties, "additionalProperties": False}
    return {"properties": kinds, "additionalProperties": False}


def _with_references(node: Any) -> Any:
    if isinstance(node, list):
        return [_with_references(each) for each in node]
    if not isinstance(node, dict):
        return node
    node = {name: _with_references(each) for name, each in node.items()}
    if not _is_narrow(node):
        return node
    about = {name: node.pop(name) for name in _ABOUT if name in node}
    return {**about, "anyOf": [node, _REFERENCE]}


def _is_narrow(node: dict[str, Any]) -> bool:
    """Tell whether a schema is of a plain value that a reference would not fit."""
    kind = node.get("type")
    return kind in {"integer", "number", "boolean"} or (kind == "string" and bool({"enum", "pattern"} & node.keys()))
