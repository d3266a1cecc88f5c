"""The file of TOKENS_FILE: named tokens, and limits of the site, of tokens and of users.

Each `[[token]]` has the SHA-256 of a token, never the token. A token is 256 random bits, so its hash can be tried
against no list and no search; a slow hash, which passwords need, would add CPU to every request and no safety.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, get_args

import msgspec

from sidecar.config import types
from sidecar.config.providers import ProviderSettings
from sidecar.config.toml_file import Mistakes, read_document, short_name, text, whole
from sidecar.core.errors import plain
from sidecar.core.nearest import nearest
from sidecar.core.ports import Traffic
from sidecar.core.quotas import Quota, Way
from sidecar.core.reach import Names, Reach, reach_of

MOST_TOKENS: Final = 256
"""Tokens of one file: every request is compared with each of them."""
TABLE: Final = "token"
WAYS: Final[tuple[Way, ...]] = get_args(Way)
EVERYDAY: Final[frozenset[Way]] = frozenset({"ai", "openai", "jobs"})
"""Routes of a token that names none; /status is for operators."""
_HASH: Final = re.compile("sha256:([0-9a-f]{64})")
_REQUIRED: Final = ("name", "hash")


class NamedToken(msgspec.Struct, frozen=True, kw_only=True):
    """One token of the file."""

    name: str
    digest: bytes
    """SHA-256 of the token."""
    routes: frozenset[Way] = EVERYDAY
    providers: Names | None = None
    """Names of the only providers that may have the texts of the token's callers; None for all of their class."""
    background: bool = False
    """Class of the users: True for those who wait behind interactive callers."""
    quota: Quota = Quota()
    """Limits of all users of the token together."""
    user: Quota | None = None
    """Limits of each user of the token; None for those of the file's `[user]`."""

    def __repr__(self) -> str:
        return f"<NamedToken {self.name}>"

    @property
    def reach(self) -> Reach:
        """Providers that may have the texts of `/ai` and `/v1`, or those of jobs where the token has no other route."""
        if not self.routes & {"ai", "openai"}:
            return reach_of("jobs", self.providers)
        return reach_of("background" if self.background else "interactive", self.providers)


class TokensFile(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the file; without the file, nothing is limited."""

    site: Quota = Quota()
    """Limits of all callers together."""
    user: Quota = Quota()
    """Limits of each user, unless the user's token has its own."""
    time_zone: str = "UTC"
    """Zone in which a day begins and ends."""
    tokens: tuple[NamedToken, ...] = ()

    def without_providers(self) -> "TokensFile":
        """Return the file for a process whose only provider is the demo."""
        tokens = tuple(msgspec.structs.replace(token, providers=None) for token in self.tokens)
        return msgspec.structs.replace(self, tokens=tokens)

    @property
    def daily(self) -> bool:
        """Return whether any limit is one of the day."""
        users = [token.user for token in self.tokens if token.user is not None]
        quotas = (self.site, self.user, *users, *(token.quota for token in self.tokens))
        return any(quota.tokens_per_day for quota in quotas)


def read_tokens(path: str, faults: list[str], providers: Sequence[ProviderSettings] | None = None) -> TokensFile:
    """Return the content of the file; mistakes go to `faults`, and the content is then blank.

    `providers` are those of PROVIDERS_FILE, which tokens may name; None to leave names unchecked.
    """
    if (document := read_document("TOKENS_FILE", path, faults)) is None:
        return TokensFile()
    reader = _Reader(Mistakes(document, TABLE), providers)
    found = reader.file(document.found)
    faults += reader.mistakes.sorted()
    return TokensFile() if reader.mistakes else found


def hash_of(token: str) -> str:
    """Return the text of the field `hash` for a token."""
    from hashlib import sha256  # noqa: PLC0415 - late: a one-shot process makes no token

    return f"sha256:{sha256(token.encode()).hexdigest()}"


class _Reader:
    """Checks of one file's tables."""

    def __init__(self, mistakes: Mistakes, providers: Sequence[ProviderSettings] | None) -> None:
        self.mistakes = mistakes
        self._providers = None if providers is None else {one.name: one for one in providers}

    def file(self, found: Mapping[str, Any]) -> TokensFile:
        """Return the content; it is of use only without mistakes."""
        self.mistakes.unknown(None, found.keys(), ("site", "user", "time_zone", TABLE))
        tables = found.get(TABLE, [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self.mistakes.add(self.mistakes.lines.of(None, TABLE), f"{TABLE}: must be written as [[{TABLE}]]")
            tables = []
        if len(tables) > MOST_TOKENS:
            self.mistakes.add(0, f"must have at most {MOST_TOKENS} [[{TABLE}]] tables")
            tables = []
        for field in _REQUIRED:
            self.mistakes.unique(tables, field, hidden=field == "hash")
        zone = self._value(None, "time_zone", _zone, found.get("time_zone", "UTC"))
        return TokensFile(
            site=self._quota(None, "site", found.get("site", {})),
            user=self._quota(None, "user", found.get("user", {})),
            time_zone=zone or "UTC",
            tokens=tuple(token for index, table in enumerate(tables) if (token := self._token(index, table))),
        )

    def _token(self, index: int, table: dict[str, Any]) -> NamedToken | None:
        before, lines = len(self.mistakes), self.mistakes.lines
        self.mistakes.unknown(index, table.keys(), (*_FIELDS, *_LIMITS, "user"))
        for name in _REQUIRED:
            if name not in table:
                self.mistakes.add(lines.of(index), f"{name}: required in every [[{TABLE}]]")
        values = {name: self._value(index, name, kind, table[name]) for name, kind in _FIELDS.items() if name in table}
        limits = {name: self._value(index, name, kind, table[name]) for name, kind in _LIMITS.items() if name in table}
        user = self._quota(index, "user", table["user"]) if "user" in table else None
        if len(self.mistakes) > before:
            return None
        token = NamedToken(
            name=values["name"],
            digest=values["hash"],
            routes=values.get("routes", EVERYDAY),
            providers=values.get("providers"),
            background=values.get("traffic") == "background",
            quota=Quota(**limits),
            user=user,
        )
        self._check_providers(index, token)
        return token

    def _check_providers(self, index: int, token: NamedToken) -> None:
        """Record names that no provider has, and classes of the token's routes that none of its providers has."""
        if token.providers is None or self._providers is None:
            return
        line, known = self.mistakes.lines.of(index, "providers"), self._providers
        if not known:
            self.mistakes.add(line, "providers: needs PROVIDERS_FILE, where the providers have names")
            return
        unknown = [name for name in token.providers if name not in known]
        for name in unknown:
            close = nearest(name, known, far=True)
            hint = f"did you mean {close}?" if close else f"it has {', '.join(known)}"
            self.mistakes.add(line, f"providers: PROVIDERS_FILE has no provider {name}; {hint}")
        if unknown:
            return
        for name in _needed(token):
            if not any(name in known[one].classes for one in token.providers):
                remedy = ", or leave jobs out of routes" if name == "jobs" else ""
                self.mistakes.add(line, f"providers: none of these has the class {name}; name one that has{remedy}")

    def _quota(self, index: int | None, name: str, table: object) -> Quota:
        if not isinstance(table, dict):
            self.mistakes.add(self.mistakes.lines.of(index, name), f"{name}: must be a table of limits")
            return Quota()
        prefix = f"{name}."
        self.mistakes.unknown(index, table.keys(), _LIMITS, prefix)
        known = {field: kind for field, kind in _LIMITS.items() if field in table}
        limits = {field: self._value(index, prefix + field, kind, table[field]) for field, kind in known.items()}
        return Quota(**{field: limit or 0 for field, limit in limits.items()})

    def _value(self, index: int | None, name: str, kind: Callable[[object], Any], value: object) -> Any:
        try:
            return kind(value)
        except ValueError as exc:
            # A hash that is none may be the token itself.
            encoded = msgspec.json.encode(value, enc_hook=str).decode()
            shown = "(not shown)" if name == "hash" else plain(encoded, 100)
            self.mistakes.add(self.mistakes.lines.of(index, name), f"{name}={shown}: must be {exc}")
            return None


def _digest(value: str) -> bytes:
    if found := _HASH.fullmatch(value):
        return bytes.fromhex(found[1])
    raise ValueError("sha256: and 64 hexadecimal digits, as `openai-moodle-sidecar token new NAME` prints them")


def _routes(value: object) -> frozenset[Way]:
    if isinstance(value, list) and value and all(name in WAYS for name in value):
        return frozenset(value)
    raise ValueError(f"a list of one or more of {', '.join(WAYS)}")


def _names(value: object) -> Names:
    if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        return tuple(sorted({short_name(name) for name in value}))
    raise ValueError("a list of one or more names of providers")


def _needed(token: NamedToken) -> list[Traffic]:
    """Return the classes of the texts that the token's routes take."""
    needed: list[Traffic] = []
    if token.routes & {"ai", "openai"}:
        needed.append("background" if token.background else "interactive")
    return [*needed, "jobs"] if "jobs" in token.routes else needed


def _zone(value: object) -> str:
    """Parse the name of a time zone that this machine knows."""
    if value == "UTC":
        return "UTC"
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - late: only this field needs it

    try:
        return ZoneInfo(value if isinstance(value, str) else "").key
    except (OSError, ValueError, KeyError):  # its own error is a KeyError
        raise ValueError("a time zone that this machine knows, such as Europe/Berlin") from None


_FIELDS: Final[Mapping[str, Callable[[object], Any]]] = {
    "name": text(short_name),
    "hash": text(_digest),
    "routes": _routes,
    "providers": _names,
    "traffic": text(types.choice("interactive", "background")),
}
_LIMITS: Final[Mapping[str, Callable[[object], int]]] = {
    "requests_per_minute": whole(1, 100_000),
    "at_once": whole(1, 100_000),
    "tokens_per_day": whole(1, 10**12),
}
