"""Reader of a response whose body is whole: a completion, in whichever wrapping it came, or the failure it is."""

from typing import Final

from sidecar.core.ports import Call, Completion
from sidecar.provider.answers.whole import completion_of, object_of, refusal
from sidecar.provider.http_answer import Answer

_EVENTS: Final = (b"data:", b"event:", b"id:", b"retry:", b":")


def read(answer: Answer, call: Call, secrets: tuple[str, ...]) -> Completion:
    """Return the completion in a provider's answer.

    Raises the `UpstreamFailure` of any other answer; `secrets` never occur in the failure's sentence.
    """
    if answer.status != 200:
        raise refusal(answer, call, secrets)
    if answer.body[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(_EVENTS):
        from sidecar.provider.answers.stream import assembled  # noqa: PLC0415 - the one-shot seldom meets events

        return completion_of(assembled(answer, call, secrets), len(answer.body))
    return completion_of(object_of(answer, call, secrets), len(answer.body))
