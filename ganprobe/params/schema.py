"""Schemas: the parameters of a class as JSON Schema, for forms."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from ganprobe.params.declaration import Declared, declared

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["schema_of"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(params: type[BaseModel]) -> dict[str, Any]:
    """JSON Schema 2020-12 of the parameters, in their order, complete in itself."""
    drawn = params.model_json_schema(schema_generator=_Generator)
    shared = drawn.pop("$defs", {})
    parameters = declared(params)
    properties = {
        name: _property(drawn["properties"][name], shared, one) for name, one in parameters.items()
    }
    required = [name for name, one in parameters.items() if one.field.is_required()]
    return {
        "$schema": _DIALECT,
        "title": params.__name__,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


class _Generator(GenerateJsonSchema):
    """Titles are left out: a parameter's name is its title."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def encode_default(self, dft: Any) -> Any:
        return None  # `_property` knows better: pydantic does not know our types' JSON


def _property(drawn: dict[str, Any], shared: dict[str, Any], one: Declared) -> dict[str, Any]:
    entry: dict[str, Any] = _inlined(drawn, shared)
    entry.pop("default", None)
    if not one.field.is_required():
        entry |= _default(one)
    return entry


def _inlined(node: Any, shared: dict[str, Any]) -> Any:
    """A schema with what it refers to put in its place: an Enum's choices."""
    if isinstance(node, list):
        return [_inlined(part, shared) for part in node]
    if not isinstance(node, dict):
        return node
    node = dict(node)
    target = node.pop("$ref", None)
    if target is not None:
        held = shared[target.rpartition("/")[2]]
        node = {key: held[key] for key in held.keys() - {"title", "description"}} | node
    return {key: _inlined(part, shared) for key, part in node.items()}


def _default(one: Declared) -> dict[str, Any]:
    """The default as JSON holds it; nothing where it cannot."""
    default = one.field.get_default(call_default_factory=True)
    adapter = TypeAdapter(one.field.rebuild_annotation())
    try:
        plain = adapter.dump_python(adapter.validate_python(default), mode="json")
        json.dumps(plain, allow_nan=False)
    except (ValidationError, ValueError, TypeError, PydanticUserError):
        return {}
    return {"default": plain}
