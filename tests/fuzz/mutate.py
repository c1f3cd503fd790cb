"""Odd bytes made of sound ones: by flips and cuts, and, where they are JSON or YAML, by odd values."""

import json
import random
from typing import Any

import yaml

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3.7, -0.0, 1e308, float("nan"), float("inf"), 2**31, 2**63, 10**30,
    -(2**63) - 1, "", " ", "0", "1", "²", "①", "NaN", "null", "\x00", "a\nb", "\ud800", "\u202e", "e\u0301",
    "é", "../../x", "/", ".", "the", "scene", "and", "one", "{graph}", "<script>", "x" * 5000, [], {}, [None],
    [[]], {"": 0}, {"x": {"x": 1}}, [0, 0, 0, 0], [1, 2, 3], "train", "images/../../etc/passwd",
)  # fmt: skip
_CHUNKS = (
    b"", b"\0", b"\xff" * 8, b"\xef\xbb\xbf", b"\r\n", b"{", b"[", b'"', b"\\", b"&a ", b"*a", b"- ", b"? ",
    b"!!python/name:os.x ", b"2026-13-41", b"1e999", b"9" * 5000, b"\\ud800",
)  # fmt: skip
_LONGEST = 1 << 20


def mutated(seed: bytes, rng: random.Random) -> bytes:
    """One odd input made of a sound one."""
    if rng.random() < 0.6 and (changed := _with_odd_values(seed, rng)) is not None:
        seed = changed
        if rng.random() < 0.8:
            return seed
    data = bytearray(seed)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        _change(data, rng)
    return bytes(data[:_LONGEST])


def _change(data: bytearray, rng: random.Random) -> None:
    at, length = rng.randint(0, len(data)), rng.choice((1, 1, 2, 4, 8, 100, 1000))
    kind = rng.randrange(7)
    if kind == 0 and at < len(data):
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        data[at : at + length] = rng.randbytes(min(length, 16))
    elif kind == 2:
        del data[at : at + length]
    elif kind == 3:
        data[at:at] = data[at : at + length]
    elif kind == 4:
        data[at:at] = rng.choice(_CHUNKS)
    elif kind == 5:
        other = rng.randint(0, len(data))
        data[at : at + length] = data[other : other + length]
    else:
        del data[at:]


def _with_odd_values(seed: bytes, rng: random.Random) -> bytes | None:
    """The JSON or YAML of the seed with some values, keys or entries changed; None if it is neither."""
    head = seed[:2] if seed[2:3] in (b"{", b"[") else seed[:1] if seed[1:2] in (b"{", b"[") else b""
    is_json = seed[len(head) :][:1] in (b"{", b"[")
    try:
        value = json.loads(seed[len(head) :]) if is_json else yaml.safe_load(seed)
    except (ValueError, yaml.YAMLError):
        return None
    if not isinstance(value, dict | list):
        return None
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        value = _odd(value, rng)
    try:
        if not is_json:
            return yaml.safe_dump(value, sort_keys=False, allow_unicode=True).encode("utf-8", "surrogatepass")
        text = json.dumps(value, ensure_ascii=rng.random() < 0.7)
        return head + text.encode("utf-8", "surrogatepass")
    except (ValueError, yaml.YAMLError):
        return None


def _odd(value: Any, rng: random.Random) -> Any:
    """The value with one place in it changed."""
    parent, key = None, None
    node = value
    while isinstance(node, dict | list) and node and (parent is None or rng.random() < 0.8):
        parent, key = node, rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
        node = node[key]
    if parent is None:
        return rng.choice(ODD)
    kind = rng.randrange(6)
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent, dict):
        parent[rng.choice(("", "x", "id", "names", " ", str(key).upper()))] = parent.pop(key)
    elif kind == 1 or (kind == 2 and isinstance(parent, list)):
        parent.insert(key, json.loads(json.dumps(parent[key])))
    elif kind == 3:
        for _ in range(rng.choice((1, 3, 200))):
            parent[key] = [parent[key]] if rng.random() < 0.5 else {"a": parent[key]}
    else:
        parent[key] = rng.choice(ODD)
    return value
