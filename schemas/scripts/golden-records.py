"""Writes schemas/golden/<schema>.json: one record per schema with every optional part present, and its Avro bytes in hex,
made by a small encoder of its own (Avro 1.12, binary encoding) so that they do not depend on Andon's code.
Run: python3 schemas/scripts/golden-records.py"""

import json
import pathlib
import struct

root = pathlib.Path(__file__).parent.parent


def long(value):
    zigzag = value * 2 if value >= 0 else -value * 2 - 1
    out = bytearray()
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)


def blob(data):
    return long(len(data)) + data


def encode(schema, value, names):
    if isinstance(schema, list):
        index = next(i for i, branch in enumerate(schema) if (branch == "null") == (value is None))
        return long(index) + encode(schema[index], value, names)
    if isinstance(schema, str) and schema in names:
        schema = names[schema]
    kind = schema if isinstance(schema, str) else schema["type"]
    if kind == "record":
        names[schema["name"]] = schema
        return b"".join(encode(field["type"], value[field["name"]], names) for field in schema["fields"])
    if kind == "array":
        items = b"".join(encode(schema["items"], item, names) for item in value)
        return (long(len(value)) + items if value else b"") + long(0)
    return {
        "null": lambda: b"",
        "boolean": lambda: bytes([value]),
        "int": lambda: long(value),
        "long": lambda: long(value),
        "double": lambda: struct.pack("<d", value),
        "bytes": lambda: blob(bytes.fromhex(value)),
        "string": lambda: blob(value.encode("utf-8")),
    }[kind]()


def sample(schema, name, names, depth=0):
    """A value for every field, different from field to field; bytes as hex."""
    if isinstance(schema, list):
        return sample(next(branch for branch in schema if branch != "null"), name, names, depth)
    if isinstance(schema, str) and schema in names:
        schema = names[schema]
    kind = schema if isinstance(schema, str) else schema["type"]
    number = sum(name.encode("utf-8"))
    if kind == "record":
        names[schema["name"]] = schema
        return {field["name"]: sample(field["type"], field["name"], names, depth + 1) for field in schema["fields"]}
    if kind == "array":
        return [sample(schema["items"], f"{name}{i}", names, depth + 1) for i in range(2)]
    if kind == "long" and not isinstance(schema, str):
        return 1795420800000000 + number
    return {
        "boolean": True,
        "int": -number,
        "long": 4294967296 + number,
        "double": number / 7,
        "bytes": struct.pack("<ff", number, -number / 3).hex(),
        "string": f"{name}-ä鋼",
    }[kind]


def first_defaults(name):
    """Defaults as they were first released: a default may change, the record that a released consumer compares may not."""
    defaults = {}
    for path in sorted((root / "released").glob(f"v*/avro/{name}"), key=lambda path: int(path.parent.parent.name[1:])):
        for field in json.loads(path.read_text(encoding="utf-8"))["fields"]:
            if "default" in field:
                defaults.setdefault(field["name"], field["default"])
    return defaults


for path in sorted((root / "avro").glob("*.avsc")):
    schema = json.loads(path.read_text(encoding="utf-8"))
    value = sample(schema, path.stem, {})
    released = first_defaults(path.name)
    empty = {
        field["name"]: released.get(field["name"], field["default"]) if "default" in field else sample(field["type"], field["name"], {})
        for field in schema["fields"]
    }
    cases = [
        {"case": case, "value": each, "hex": encode(schema, each, {}).hex()} for case, each in (("full", value), ("sparse", empty))
    ]
    target = root / "golden" / f"{path.stem}.json"
    target.write_text(json.dumps(cases, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
