from __future__ import annotations

from typing import Any

import jsonschema

from genii.config.json_schema import json_schema


def test_is_a_valid_schema_whose_examples_fit() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for example in schema["examples"]:
        jsonschema.validate(example, schema, cls=jsonschema.Draft202012Validator)


def test_every_key_has_a_description_and_every_default_and_example_fits() -> None:
    schema = json_schema()
    for name, table in schema["$defs"].items():
        for key, described in table["properties"].items():
            assert described.get("description"), f"{name}.{key}"
            values = [*described.get("examples", []), *([described["default"]] if "default" in described else [])]
            for value in values:
                fits: dict[str, Any] = {**described, "$defs": schema["$defs"]}
                assert list(jsonschema.Draft202012Validator(fits).iter_errors(value)) == [], f"{name}.{key}"


def test_refuses_unknown_keys_everywhere() -> None:
    schema = json_schema()
    assert schema["additionalProperties"] is False
    assert all(table["additionalProperties"] is False for table in schema["$defs"].values())
