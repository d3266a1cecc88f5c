"""Regular expressions that are compiled at their first use: a one-shot process uses few of those it imports."""

import re
from typing import Any, AnyStr, cast

_METHODS = ("finditer", "findall", "fullmatch", "match", "search", "split", "sub", "subn")


class _LatePattern:
    """Pattern that becomes the compiled one, method by method, when the first method is called."""

    def __init__(self, pattern: Any, flags: int) -> None:
        self._uncompiled = pattern, flags

    def __getattr__(self, name: str) -> Any:
        compiled = re.compile(*self._uncompiled)
        for method in _METHODS:
            setattr(self, method, getattr(compiled, method))
        return getattr(compiled, name)


def late_pattern(pattern: AnyStr, flags: int = 0) -> "re.Pattern[AnyStr]":
    """Return what `re.compile` returns, for all uses of its methods; a mistake in it shows at the first use."""
    return cast("re.Pattern[AnyStr]", _LatePattern(pattern, flags))
