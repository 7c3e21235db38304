"""Writes schemas/golden/ids.json: test vectors for derived ids, made with Python's own SHA-256 so that they do not
depend on Andon's code. Run: python3 schemas/scripts/golden-ids.py"""

import hashlib
import json
import pathlib
import uuid


def uuid8(kind, *parts):
    text = "\x1f".join([kind, *[str(part) for part in parts]])
    digest = bytearray(hashlib.sha256(text.encode("utf-8")).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(digest)))


def samples_digest(ranges):
    texts = sorted("\x1f".join(str(part) for part in each) for each in ranges)
    return hashlib.sha256("\x1e".join(texts).encode("utf-8")).hexdigest()


ranges = [["press-1-vib", 1, 100, 107], ["press-1-plc", 3, 5, 9]]
samples = samples_digest(ranges)
vector = uuid8("vector", "features/press-vibration", "press-1", 1795420800000000, 2, samples)
vectors = [
    ("plain", []),
    ("block", ["press-1-vib", 1, 100, 107]),
    ("vector", ["features/press-vibration", "press-1", 1795420800000000, 2, samples]),
    ("prediction", [vector, "0" * 64]),
    ("finding", ["press-1", "f" * 64, vector, "opened"]),
    ("episode", ["press-1", "f" * 64, vector]),
    ("incident", ["press-line", vector]),
    ("step", ["8f1c5a52-0000-8000-8000-000000000001", "pause"]),
    ("attempt", ["8f1c5a52-0000-8000-8000-000000000001", "pause", 1]),
    ("umlaut", ["Förderband-ß", "ключ", "鋼", "\U0001f6d1"]),
    ("negative", [-1, 0, 9007199254740991]),
    ("empty", ["", ""]),
]
document = {
    "rule": "UUIDv8 = first 16 bytes of SHA-256(kind U+001F part U+001F ...), UTF-8, integers decimal, version 8, RFC 9562 variant",
    "parts": {"vector": "feature set, asset, window end (microseconds UTC), revision, digest of the samples"},
    "samples": {"ranges": ranges, "digest": samples},
    "ids": [{"kind": kind, "parts": parts, "id": uuid8(kind, *parts)} for kind, parts in vectors],
}
path = pathlib.Path(__file__).parent.parent / "golden" / "ids.json"
path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
