"""One call to the demo provider: its body, its key, and the options that it overrides. No I/O."""

from collections.abc import Mapping
from typing import Any

import msgspec

from sidecar.demo import answers, errors
from sidecar.demo import options as behaviour
from sidecar.demo.options import Options

_DEPLOYMENTS = "/deployments/"


class RefusedError(Exception):
    """End of a call by this refusal."""

    def __init__(self, refusal: errors.Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class _Part(msgspec.Struct):
    type: str
    text: str = ""


class Message(msgspec.Struct):
    """One message of the conversation; only its text parts count."""

    role: str
    content: str | list[_Part] | None = None

    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content or ())


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = False


class Body(msgspec.Struct):
    """Fields that the demo reads of a chat completion's body; other fields are accepted and ignored."""

    messages: list[Message]
    model: str = ""
    stream: bool | None = False
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    user: str | None = None


_decoder = msgspec.json.Decoder(Body)


class Call(msgspec.Struct):
    """A call whose body and options are valid."""

    body: Body
    options: Options
    overrides: dict[str, object]
    """Option changes that came with this request alone."""
    model: str
    limit: int | None
    """Most tokens of the answer."""
    system: str
    text: str
    """The last message without its directives."""
    earlier: str
    """Messages of user and assistant before the last one."""
    prompt_tokens: int


def check_key(headers: Mapping[str, str], options: Options) -> None:
    """Compare the caller's key with `api_key`, if that option is set.

    Raises:
        RefusedError: no key, or another one.

    """
    if options.api_key is None:
        return
    scheme, _, bearer = headers.get("Authorization", "").partition(" ")
    given = bearer.strip() if scheme.lower() == "bearer" else headers.get("api-key", "")
    if given != options.api_key:
        raise RefusedError(errors.bad_key(given))


def parse_call(raw: bytes, path: str, header: str | None, options: Options) -> Call:
    """Read a call's body and the option changes in its header and text.

    Raises:
        RefusedError: the body is no chat completion's, or a demo option is wrong.

    """
    try:
        body = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        message = f"We could not parse the JSON body of your request: {exc}"
        raise RefusedError(errors.invalid(message)) from exc
    system, earlier, text = _conversation(body)
    try:
        overrides: dict[str, object] = behaviour.from_header(header) if header else {}
        text, more = behaviour.from_text(text)
        overrides |= more
        if overrides:
            options = behaviour.changed(options, overrides)
    except behaviour.BadOptionError as exc:
        raise RefusedError(errors.invalid(str(exc), code="unknown_demo_option")) from exc
    call = Call(
        body=body,
        options=options,
        overrides=overrides,
        model=body.model or _deployment(path),
        limit=body.max_completion_tokens if body.max_completion_tokens is not None else body.max_tokens,
        system=system,
        text=text,
        earlier=earlier,
        prompt_tokens=sum(4 + answers.tokens(message.text()) for message in body.messages),
    )
    _check(call)
    return call


def _conversation(body: Body) -> tuple[str, str, str]:
    system: list[str] = []
    before: list[str] = []
    text = ""
    for message in body.messages:
        if message.role in ("system", "developer"):
            system.append(message.text())
        elif message.role in ("user", "assistant"):
            before.append(text)
            text = message.text()
    return "\n".join(system), "\n\n".join(filter(None, before)), text


def _deployment(path: str) -> str:
    _, found, rest = path.partition(_DEPLOYMENTS)
    return rest.partition("/")[0] if found else ""


def _check(call: Call) -> None:
    body, options = call.body, call.options
    refusal: Any = None
    if not call.model:
        refusal = errors.invalid("You must provide a model parameter.", param="model")
    elif options.models and call.model not in [name.strip() for name in options.models.split(",")]:
        refusal = errors.no_model(call.model)
    elif not body.messages:
        message = "Invalid 'messages': empty array. Expected at least one message."
        refusal = errors.invalid(message, code="empty_array", param="messages")
    elif body.max_tokens is not None and body.max_completion_tokens is not None:
        message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        refusal = errors.invalid(message, code="invalid_parameter_combination", param="max_tokens")
    elif body.max_tokens is not None and options.no_max_tokens:
        refusal = errors.unsupported_max_tokens()
    elif call.limit is not None and call.limit < 1:
        name = "max_tokens" if body.max_completion_tokens is None else "max_completion_tokens"
        message = f"Invalid '{name}': expected a value of at least 1."
        refusal = errors.invalid(message, code="integer_below_min_value", param=name)
    if refusal is not None:
        raise RefusedError(refusal)
