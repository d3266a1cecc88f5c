"""The official SDK and plain curl, unchanged, against the real command: what works with OpenAI works here."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from sidecar.demo.options import Options
from sidecar.demo.provider import Demo
from sidecar.demo.server import serve
from tests.support.server_process import Served, served

TOKEN = "sidecar-token"
QUESTION: Any = [{"role": "user", "content": "What is a fraction? Explain the upper and the lower number."}]


@pytest.fixture
async def demo() -> AsyncIterator[Demo]:
    async with serve(Options(), keep=10) as running:
        yield running


@pytest.fixture
async def server(demo: Demo) -> AsyncIterator[Served]:
    env = {"OPENAI_API_KEY": "sk-provider", "OPENAI_BASE_URL": f"{demo.url}/v1", "SIDECAR_TOKEN": TOKEN}
    async with served(**env, OPENAI_MODEL="demo") as running:
        yield running


def base(server: Served) -> str:
    return f"http://{server.host}:{server.port}/v1"


def client(server: Served, token: str = TOKEN) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key=token, base_url=base(server))


async def requests(server: Served) -> int:
    """What the server answered or refused so far, by /status."""
    return sum((await server.get("/status")).json["answers"].values())


async def test_the_synchronous_client_is_answered(server: Served, demo: Demo) -> None:
    """Whole and streamed."""

    def ask() -> tuple[str, str, list[str]]:
        with openai.OpenAI(api_key=TOKEN, base_url=base(server)) as sdk:
            models = [model.id for model in sdk.models.list()]
            whole = sdk.chat.completions.create(model="gpt-4o", messages=QUESTION, user="anna", temperature=0.3)
            with sdk.chat.completions.create(model="gpt-4o", messages=QUESTION, stream=True) as stream:
                parts = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
            assert whole.usage is not None
            assert whole.usage.total_tokens > 0
            return whole.choices[0].message.content or "", parts, models

    whole, parts, models = await asyncio.to_thread(ask)
    assert whole == parts
    assert "fraction" in whole
    assert models == ["demo"]
    first = demo.received[0]
    assert first.headers["Authorization"] == "Bearer sk-provider"
    assert first.json() == {"model": "demo", "messages": QUESTION, "max_tokens": 4096, "temperature": 0.3}


async def test_the_asynchronous_client_is_answered(server: Served) -> None:
    """Whole, streamed with its usage, and one model by its name."""
    async with client(server) as sdk:
        whole = await sdk.chat.completions.create(model="x", messages=QUESTION)
        assert whole.choices[0].finish_reason == "stop"
        usage = None
        async with await sdk.chat.completions.create(
            model="x", messages=QUESTION, stream=True, stream_options={"include_usage": True}
        ) as stream:
            async for chunk in stream:
                usage = chunk.usage or usage
        assert usage is not None
        assert whole.usage is not None
        assert usage.total_tokens == whole.usage.total_tokens
        assert (await sdk.models.retrieve("demo")).id == "demo"


async def test_the_helper_for_streams_collects_the_same(server: Served) -> None:
    """`chat.completions.stream` builds the whole answer from our events."""
    async with client(server) as sdk:
        async with sdk.chat.completions.stream(model="x", messages=QUESTION) as stream:
            final = await stream.get_final_completion()
        assert "fraction" in (final.choices[0].message.content or "")


async def test_azures_client_is_answered(server: Served) -> None:
    """Its own address, its own header."""
    async with openai.AsyncAzureOpenAI(
        api_key=TOKEN, api_version="2024-10-21", azure_endpoint=f"http://{server.host}:{server.port}"
    ) as sdk:
        answer = await sdk.chat.completions.create(model="deployment", messages=QUESTION)
    assert "fraction" in (answer.choices[0].message.content or "")


def told(words: str) -> Any:
    return [{"role": "user", "content": f"Hello there. [demo {words}]"}]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("status=500", openai.InternalServerError),
        ("status=400", openai.InternalServerError),
        ("quota=true", openai.RateLimitError),
        ("api_key=another", openai.InternalServerError),
        ("garbage=nocontent", openai.InternalServerError),
        ("garbage=html", openai.InternalServerError),
        ("cut=body", openai.InternalServerError),
    ],
)
async def test_a_failure_is_the_sdks_own_error_and_not_tried_again(
    server: Served, words: str, error: type[openai.APIStatusError]
) -> None:
    """Retries are this side's business: the SDK makes one request of its usual three."""
    async with client(server) as sdk:
        with pytest.raises(error) as caught:
            await sdk.chat.completions.create(model="x", messages=told(words))
    assert isinstance(caught.value.body, dict)
    assert isinstance(caught.value.body["message"], str)
    assert await requests(server) == 1


async def test_what_the_caller_did_wrong_is_the_sdks_own_error(server: Served) -> None:
    """401, 404, 400."""
    async with client(server, "wrong") as sdk:
        with pytest.raises(openai.AuthenticationError):
            await sdk.models.list()
    async with client(server) as sdk:
        with pytest.raises(openai.NotFoundError, match="demo"):
            await sdk.models.retrieve("gpt-4o")
        with pytest.raises(openai.NotFoundError):
            await sdk.embeddings.create(model="x", input="y")
        with pytest.raises(openai.BadRequestError, match="messages"):
            await sdk.chat.completions.create(model="x", messages=[])


async def test_a_stream_that_is_cut_raises_in_the_client(server: Served, demo: Demo) -> None:
    """What came can be used; then the SDK says that it is not all."""
    async with client(server) as sdk:
        stream = await sdk.chat.completions.create(model="x", messages=told("stream_cut=true"), stream=True)
        got: list[Any] = []

        async def collect() -> None:
            async for chunk in stream:
                got.append(chunk)  # noqa: PERF401 - the rest of it raises

        with pytest.raises(openai.APIError, match="cut"):
            await collect()
        await stream.close()
    assert got


async def test_a_client_that_closes_its_stream_frees_the_provider(server: Served, demo: Demo) -> None:
    """In the middle of it."""
    async with client(server) as sdk:
        stream = await sdk.chat.completions.create(model="x", messages=told("stream_chunk_delay=30"), stream=True)
        await anext(aiter(stream))
        await stream.close()
    await demo.until(lambda stats: stats.cancelled == 1)


async def curl(*words: str) -> tuple[int, bytes]:
    process = await asyncio.create_subprocess_exec("curl", "-sS", "-m", "30", *words, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    return process.returncode or 0, said


async def test_curl_is_answered(server: Served) -> None:
    """As in every example on the web; -N shows the events as they come."""
    url = f"{base(server)}/chat/completions"
    asked = ("-H", "Content-Type: application/json", "-H", f"Authorization: Bearer {TOKEN}", url)
    code, said = await curl("-f", "-d", json.dumps({"model": "gpt-4o", "messages": QUESTION}), *asked)
    assert (code, json.loads(said)["object"]) == (0, "chat.completion")
    code, said = await curl("-f", "-N", "-d", json.dumps({"messages": QUESTION, "stream": True}), *asked)
    assert code == 0
    lines = [line for line in said.split(b"\n\n") if line]
    assert lines[-1] == b"data: [DONE]"
    assert all(json.loads(line.removeprefix(b"data: "))["object"] == "chat.completion.chunk" for line in lines[:-1])
    code, said = await curl("-u", f"moodle:{TOKEN}", f"{base(server)}/models")
    assert json.loads(said)["data"][0]["id"] == "demo"


async def test_a_class_that_summarizes_one_page_is_one_call(server: Served, demo: Demo) -> None:
    """300 bodies that differ in `user` alone, through the SDK, with the address that says they may share."""
    demo.behave(latency=0.5)
    async with client(server) as sdk:
        answers = await asyncio.gather(
            *(
                sdk.chat.completions.create(
                    model="x", messages=QUESTION, user=f"hash-{number}", extra_query={"action": "summarize"}
                )
                for number in range(300)
            )
        )
        assert len({answer.id for answer in answers}) == 1
        assert (len(answers), demo.stats.received) == (300, 1)
        demo.behave(latency=0)
        await sdk.chat.completions.create(
            model="x", messages=QUESTION, user="hash-7", extra_query={"action": "summarize"}
        )
        assert demo.stats.received == 2


async def test_a_stop_lets_a_stream_end(server: Served, demo: Demo) -> None:
    """SIGTERM in the middle: the client has all of it, and the process ends well."""
    async with client(server) as sdk:
        stream = await sdk.chat.completions.create(model="x", messages=told("stream_chunk_delay=0.1"), stream=True)
        chunks = aiter(stream)
        await anext(chunks)
        server.process.terminate()
        rest = [chunk async for chunk in chunks]
        assert rest[-1].choices[0].finish_reason == "stop"
        await stream.close()
    assert await server.ended() == 0
