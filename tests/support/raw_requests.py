"""Raw bytes for the server's socket, made from a seed: described requests, and what mutations make of them."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from tests.support.described_replies import description, resolved

JSON: Final = "Content-Type: application/json"
_FILLED: Final = {"job_id": "0" * 32, "id": "demo", "deployment": "demo"}
_HEADERS: Final = (
    *("Content-Length: -1", "Content-Length: 99999999999999999999", "Content-Length: 0", "Content-Length: 5, 5"),
    *("Content-Length: 3000000000", "Content-Length: +5", "Content-Length: 0x5", "Content-Length: \xb2"),
    *("Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: \x0bchunked"),
    *("Transfer-Encoding: identity", "Content-Encoding: gzip", "Content-Encoding: br", "Expect: 100-continue"),
    *("Expect: nonsense", "Upgrade: h2c", "Upgrade: websocket\r\nConnection: Upgrade", "Connection: close"),
    *("Connection: keep-alive, TE", "Host: attacker.example", "Host:", "Host: [::1", "X-Request-ID: \r\n folded"),
    *("X-Request-ID: " + "x" * 9000, "X-Request-Timeout: 0.001", "X-Request-Timeout: 1e9", "X-Request-Timeout: -1"),
    *(
        "Authorization: Basic ====",
        "Authorization: Bearer \xff",
        "api-key: \x01",
        "Range: bytes=0-1",
        " : ",
        ":",
        "\x00",
    ),
    *("traceparent: 00-" + "0" * 32 + "-" + "0" * 16 + "-01", "tracestate: " + "a=b," * 200, "Cache-Control: no-cache"),
    *("Content-Type: application/json; charset=utf-16", "Content-Type: text/plain", "Content-Type: ,;=", "Trailer: x"),
)
_VERSIONS: Final = (
    "HTTP/0.9",
    "HTTP/1.0",
    "HTTP/1.2",
    "HTTP/2.0",
    "HTTP/9.9",
    "HTTP/1.",
    "HTTP/",
    "ICE/1.0",
    "",
    "\x00",
)
_METHODS: Final = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PRI", "PATCH", "brew", "", "\xff")
_PATHS: Final = (
    *(
        "*",
        "//",
        "/%00",
        "/%ff%fe",
        "/..",
        "/ai/",
        "/ai?" + "a" * 5000,
        "/" + "x" * 9000,
        "http://",
        "host:80",
        "?",
        "#",
    ),
    *("/jobs/%2e%2e", "/v1/models/" + "%41" * 300, "/v1/../ai", "/ai?deadline=nan&deadline=", "/ai;x", "/\xff", "\\"),
)
_VALUES: Final = (
    *("null", "true", "0", "-0", "1e999", "-1e-999", "1" * 400, "NaN", '""', '"\\ud800"', '"\\u0000"', '"\xff"'),
    *("[]", "{}", "[" * 3000, '{"a":' * 3000, '"' + "x" * 70_000 + '"', '"\u202e"', "\x00", "'", "[[],", '{"":{}}'),
)
_CHUNKS: Final = (
    *(
        b"5\r\nhello\r\n0\r\n\r\n",
        b"5;ext=1\r\nhello\r\n0\r\nTrailer: x\r\n\r\n",
        b"ffffffffffffffff\r\nx",
        b"-1\r\n\r\n",
    ),
    *(
        b"5\r\nhel",
        b"0\r\n\r\n",
        b"x\r\n",
        b"\r\n\r\n",
        b"5\nhello\n0\n\n",
        b"00000000000000000000005\r\nhello\r\n0\r\n\r\n",
    ),
)


class Case(NamedTuple):
    """One connection: what is sent on it, piece by piece, before its sending side is closed."""

    number: int
    pieces: tuple[bytes, ...]

    @property
    def sent(self) -> bytes:
        return b"".join(self.pieces)


def _request(method: str, path: str, headers: tuple[str, ...], body: bytes, version: str = "HTTP/1.1") -> bytes:
    lines = (f"{method} {path} {version}", "Host: 127.0.0.1", *headers, "", "")
    return "\r\n".join(lines).encode("latin-1", "replace") + body


class Described(NamedTuple):
    """One operation, with the example of its body; the description grows with the routes."""

    method: str
    path: str
    body: bytes

    @property
    def headers(self) -> tuple[str, ...]:
        return (JSON, f"Content-Length: {len(self.body)}") if self.body else ()

    @property
    def request(self) -> bytes:
        return _request(self.method, self.path, self.headers, self.body)


def operations() -> list[Described]:
    """Return every described operation, with its path filled in."""
    found = []
    for path, methods in description()["paths"].items():
        for name, value in _FILLED.items():
            path = path.replace(f"{{{name}}}", value)  # noqa: PLW2901 - filled in step by step
        assert "{" not in path, f"{path}: say in _FILLED what fills it"
        for method, operation in methods.items():
            found.append(Described(method.upper(), path, _example(operation)))
    return found


def _example(operation: Any) -> bytes:
    if "requestBody" not in operation:
        return b""
    content = resolved(operation["requestBody"])["content"]["application/json"]
    return json.dumps(content["example"]).encode()


class Mutations:
    """Cases from one seed: the same seed makes the same cases."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._operations = operations()
        self._ways: tuple[Callable[[random.Random, Described], bytes], ...] = (
            *(self._bytes, self._bytes, self._cut, self._splice, self._header, self._header, self._line),
            *(self._value, self._value, self._chunked, self._pipelined, self._noise),
        )

    def cases(self, count: int) -> Iterator[Case]:
        """Return so many cases."""
        for number in range(count):
            yield self.case(number)

    def case(self, number: int) -> Case:
        """Return the case of this number alone, to see a failure again."""
        dice = random.Random(f"{self._seed}/{number}")
        raw = dice.choice(self._ways)(dice, dice.choice(self._operations))
        if dice.random() < 0.2 and len(raw) > 1:
            at = dice.randrange(1, len(raw))
            return Case(number, (raw[:at], raw[at:]))
        return Case(number, (raw,))

    def _bytes(self, dice: random.Random, of: Described) -> bytes:
        raw = bytearray(of.request)
        for _ in range(dice.choice((1, 1, 2, 8))):
            at = dice.randrange(len(raw))
            match dice.randrange(4):
                case 0:
                    raw[at] = dice.randrange(256)
                case 1:
                    raw[at:at] = dice.randbytes(dice.choice((1, 1, 9)))
                case 2:
                    del raw[at : at + dice.choice((1, 1, 9))]
                case _:
                    raw[at:at] = raw[at : at + 20]
            raw = raw or bytearray(b"\n")
        return bytes(raw)

    def _cut(self, dice: random.Random, of: Described) -> bytes:
        return of.request[: dice.randrange(len(of.request))]

    def _splice(self, dice: random.Random, of: Described) -> bytes:
        other = dice.choice(self._operations).request
        return of.request[: dice.randrange(len(of.request))] + other[dice.randrange(len(other)) :]

    def _header(self, dice: random.Random, of: Described) -> bytes:
        headers = [*of.headers, *dice.choices(_HEADERS, k=dice.choice((1, 1, 2, 5)))]
        dice.shuffle(headers)
        return _request(of.method, of.path, tuple(headers), of.body)

    def _line(self, dice: random.Random, of: Described) -> bytes:
        method = dice.choice(_METHODS) if dice.random() < 0.5 else of.method
        path = dice.choice(_PATHS) if dice.random() < 0.5 else of.path
        version = dice.choice(_VERSIONS) if dice.random() < 0.5 else "HTTP/1.1"
        return _request(method, path, of.headers, of.body, version)

    def _value(self, dice: random.Random, of: Described) -> bytes:
        fields = json.loads(of.body or b"{}")
        texts = {name: json.dumps(value) for name, value in fields.items()}
        for name in dice.sample([*texts, "stream", "user", "max_tokens", "more"], k=dice.choice((1, 1, 3))):
            texts[name] = dice.choice(_VALUES)
        body = ("{" + ",".join(f'"{name}":{text}' for name, text in texts.items()) + "}").encode("utf-8", "replace")
        return _request(of.method, of.path, (JSON, f"Content-Length: {len(body)}"), body)

    def _chunked(self, dice: random.Random, of: Described) -> bytes:
        whole = b"%x\r\n%s\r\n0\r\n\r\n" % (len(of.body), of.body) if of.body else b"0\r\n\r\n"
        body = dice.choice((*_CHUNKS, whole, whole[:-3]))
        return _request(of.method, of.path, (JSON, "Transfer-Encoding: chunked"), body)

    def _pipelined(self, dice: random.Random, of: Described) -> bytes:
        return b"".join(each.request for each in (of, *dice.choices(self._operations, k=2)))

    def _noise(self, dice: random.Random, of: Described) -> bytes:
        start = dice.choice(
            (b"", b"\x16\x03\x01\x02\x00\x01\x00", b"\r\n" * 9, of.request, b"PRI * HTTP/2.0\r\n\r\nSM")
        )
        return start + dice.randbytes(dice.choice((1, 20, 3000)))
