"""Bytes to a request and a reply to bytes, whatever comes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.contract import Reply, answered, encode_reply, failed, parse_request, sendable
from sidecar.core.errors import InvalidJSON, InvalidRequest, SidecarError, UnknownAction


def body(**fields: object) -> bytes:
    return json.dumps({"action": "chat", "content": "Hello"} | fields).encode()


def test_a_request_is_read() -> None:
    """All four fields, and unknown ones ignored."""
    request = parse_request(body(context="about", user_id="u7", more=[1, {"a": None}]))
    assert (request.action, request.content, request.context, request.user_id) == ("chat", "Hello", "about", "u7")


@pytest.mark.parametrize(
    ("given", "read"), [(7, "7"), ("7", "7"), (None, ""), ("", ""), (10**30, str(10**30)), (1.5, "1.5")]
)
def test_a_user_is_a_string_a_number_or_nothing(given: object, read: str) -> None:
    """The deployed plugin sends any of them."""
    assert parse_request(body(user_id=given)).user_id == read


@pytest.mark.parametrize("context", ["", None, " \n"])
def test_a_context_may_be_missing(context: object) -> None:
    """An empty string, null and nothing mean the same."""
    assert parse_request(body(context=context)).context == ""
    assert parse_request(body()).context == ""


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"hello",
        b"[1]",
        b'"text"',
        b"null",
        b'{"action": "chat", "content": "x"',
        b'{"action": "chat", "content": "x"} more',
        b'{"action": 1, "content": broken}',
        b'{"action": "chat", "content": "\xff\xfe"}',
        b'{"action": "chat", "content": "\xed\xa0\x80"}',
        b'{"action": "chat", "content": "\\ud800"}',
        '{"action": "chat", "content": "x"}'.encode("utf-16"),
        b"[" * 100_000,
        b'{"content":' * 100_000,
        b'{"other":' + b"[" * 100_000,
        b'{"action": "chat", "content": NaN}',
        b"\x00" * 100,
    ],
    ids=range(17),
)
def test_what_is_no_json_object_in_utf8_says_so(junk: bytes) -> None:
    """Not JSON, not an object, not UTF-8, nested without end: one code for all of them."""
    with pytest.raises(InvalidJSON):
        parse_request(junk)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"content": None}, "content"),
        ({"content": "  \t\n"}, "content"),
        ({"content": 5}, "content"),
        ({"content": ["x"]}, "content"),
        ({"action": None}, "action"),
        ({"action": 7}, "action"),
        ({"context": {"a": 1}}, "context"),
        ({"user_id": True}, "user_id"),
        ({"user_id": ["u"]}, "user_id"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, object], named: str) -> None:
    """The sentence says which field, so that a person can act on it."""
    with pytest.raises(InvalidRequest, match=f"field {named} ") as raised:
        parse_request(body(**fields))
    assert raised.value.code == "invalid_request"


def test_a_missing_field_is_named() -> None:
    """Absent keys are named too."""
    with pytest.raises(InvalidRequest, match="field content is missing"):
        parse_request(b'{"action": "chat"}')
    with pytest.raises(InvalidRequest, match="field action is missing"):
        parse_request(b"{}")


def test_an_unknown_action_has_its_own_code() -> None:
    """Callers can tell a misspelt action from a wrong field."""
    with pytest.raises(UnknownAction) as raised:
        parse_request(body(action="translate"))
    assert raised.value.code == "unknown_action"


def test_a_byte_order_mark_is_no_fault() -> None:
    """Files written on Windows begin with one."""
    assert parse_request(b"\xef\xbb\xbf" + body()).content == "Hello"


@given(st.binary(max_size=200) | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_bytes_raise_anything_else(junk: bytes) -> None:
    """Whatever is sent, the failure is one of ours."""
    try:
        parse_request(junk)
    except SidecarError as exc:
        assert exc.code in {"invalid_json", "invalid_request", "unknown_action"}


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["action", "content", "context", "user_id", "x"]), inner)
        ),
    )
)
def test_no_json_raises_anything_else(value: object) -> None:
    """The same for every JSON value."""
    try:
        parse_request(json.dumps(value).encode())
    except SidecarError as exc:
        assert exc.code in {"invalid_json", "invalid_request", "unknown_action"}


@given(
    st.text(st.characters(), max_size=50)
    | st.lists(st.sampled_from(["\ud83d", "\ude00", "\x00", "a", "<"])).map("".join)
)
def test_every_reply_can_be_decoded_by_php(text: str) -> None:
    """Valid UTF-8, no lone surrogates, no NUL; a pair of surrogates becomes its character."""
    line = encode_reply(answered(text))
    data = json.loads(line.decode())["data"]
    assert "\x00" not in data
    data.encode()
    assert b"\n" not in line


def test_surrogates_and_nul_are_mended() -> None:
    """Pairs are joined, lone ones replaced, NUL dropped, all else untouched."""
    assert sendable("a\ud83d\ude00b\ud800c\x00d") == "a\U0001f600b\ufffdcd"
    assert sendable("plain < text") == "plain < text"


def test_the_two_shapes() -> None:
    """The replies are exactly those of the contract."""
    assert json.loads(encode_reply(answered("x"))) == {"success": True, "data": "x", "error": None}
    assert json.loads(encode_reply(answered(""))) == {"success": True, "data": "", "error": None}
    assert json.loads(encode_reply(failed(UnknownAction()))) == {
        "success": False,
        "data": None,
        "error": str(UnknownAction()),
        "code": "unknown_action",
    }
    assert isinstance(answered("x"), Reply)


def every_error() -> list[type[SidecarError]]:
    found, todo = [], [SidecarError]
    while todo:
        kind = todo.pop()
        found.append(kind)
        todo += kind.__subclasses__()
    return found


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_speaks_to_people(kind: type[SidecarError]) -> None:
    """Each has a sentence of its own that fits the widget."""
    sentence = str(kind())
    assert sentence.endswith(".")
    assert len(sentence) <= 300
    assert not set(sentence) & set("<>&")


@given(st.text())
def test_no_sentence_carries_markup(text: str) -> None:
    """Whatever a sentence is made from, it is safe where it is inserted as HTML."""
    sentence = str(SidecarError(f"The provider said: {text * 20}"))
    assert len(sentence) <= 300
    assert not set(sentence) & set("<>&\x00\n\r")
    sentence.encode()


def test_a_users_name_is_bounded() -> None:
    """It is remembered, so it cannot be megabytes."""
    assert parse_request(body(user_id="u" * 255)).user_id == "u" * 255
    with pytest.raises(InvalidRequest, match="user_id is longer"):
        parse_request(body(user_id="u" * 256))


@pytest.mark.parametrize("letter", ["a", "ä", "日", "🙂"])
def test_a_character_that_cannot_be_sent_is_found_in_long_texts(letter: str) -> None:
    """At the borders of the steps in which a text is searched, and in every width of a text."""
    for place in (0, 2**20 - 1, 2**20, 2**20 + 5):
        text = letter * place + "\x00" + letter * 5
        assert sendable(text) == letter * (place + 5)
