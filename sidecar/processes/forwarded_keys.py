"""Keys of the parent: those of raw completions come from the serving processes, which have the calls."""

from sidecar.core.ports import Call
from sidecar.core.reach import Names
from sidecar.engine.answer_cache import Key
from sidecar.engine.keys import Keys
from sidecar.processes.remote_provider import HeldCall


class ForwardedKeys(Keys):
    """Keys under one model and its limits."""

    def of_call(self, call: Call, names: Names | None = None) -> Key[bytes]:
        return Key(call.key) if isinstance(call, HeldCall) else super().of_call(call, names)
