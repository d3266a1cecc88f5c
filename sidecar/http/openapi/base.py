"""Base of the interface's models, and their translation to JSON Schema."""

from collections.abc import Iterable
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema

_SPACE: Final = r"\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""White space as Python's `str.isspace` has it; `\\s` differs between languages."""
NOT_BLANK: Final = f"[^{_SPACE}]"
REF: Final = "#/components/schemas/{model}"


def stripped(longest: int) -> str:
    """Return the pattern of a text of so many characters at most, outer white space not counted."""
    return rf"^[{_SPACE}]*[\s\S]{{0,{longest}}}[{_SPACE}]*$"


class Shape(BaseModel):
    """A JSON object. Further keys may come with a later version, so a caller ignores what it does not know."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Open(Shape):
    """An object whose further keys are the provider's or the caller's."""

    model_config = ConfigDict(extra="allow")


class _Schema(GenerateJsonSchema):
    """JSON Schema without titles that repeat a name, and without defaults that say null."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        described = super().default_schema(schema)
        if described.get("default", 0) is None:
            del described["default"]
        return described


def components(models: Iterable[type[Shape]]) -> dict[str, Any]:
    """Return the schema of each model, and of every model inside, by name."""
    listed = [(model, "validation") for model in models]
    _, described = models_json_schema(listed, ref_template=REF, schema_generator=_Schema)  # type: ignore[arg-type]
    return {
        name: {key: part for key, part in schema.items() if key != "title"}
        for name, schema in described["$defs"].items()
    }


def ref(model: type[Shape]) -> dict[str, Any]:
    """Return the reference to a model's schema."""
    return {"$ref": REF.format(model=model.__name__)}
