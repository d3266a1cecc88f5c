"""What real providers and gateways send when they refuse for good: whose matter it is, and what people hear."""

import json
from typing import Final

import pytest

from sidecar.core.errors import ModelUnknown, RateLimited, UpstreamAuth, UpstreamError
from sidecar.core.ports import Call
from sidecar.provider.answers.reader import read
from sidecar.provider.http_answer import Answer
from tests.support.refusals import GEMINI, QUESTION, error, refused, row


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        row("openai", 429, error(GEMINI, type="insufficient_quota", code="insufficient_quota"), {"retry-after": "1"}),
        row("openai-without-codes", 429, error(GEMINI), {}),
        row("openai-behind-full-buckets", 429, error(GEMINI), {"x-ratelimit-reset-requests": "6m0s"}),
        row("deepseek-402", 402, error("Insufficient Balance", type="unknown_error"), {}),
        row("openrouter-402", 402, error("Insufficient credits. Add more using the page", code=402), {}),
        row("openrouter-affords-nothing", 402, error("You requested 4, but can only afford 0."), {}),
        row("huggingface-402", 402, {"error": "You have exceeded your monthly included credits"}, {}),
        row("anthropic-400", 400, error("Your credit balance is too low to access the API."), {}),
        row(
            "xai-403",
            403,
            {"code": "no permission", "error": "Your newly created team doesn't have any credits yet."},
            {},
        ),
        row("openrouter-403-key-limit", 403, error("Key limit exceeded (total limit).", code=403), {}),
        row("moonshot", 429, error("Your account is suspended", type="exceeded_current_quota_error"), {}),
        row("alibaba", 400, {"code": "Arrearage", "message": "Access denied"}, {}),
        row("one-api", 403, error("x", code="insufficient_user_quota"), {}),
        row(
            "cloudflare",
            429,
            {"errors": [{"code": 4006, "message": "you have used up your daily free allocation"}]},
            {},
        ),
        row("minimax-1008", 200, {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, {}),
    ],
)
def test_a_used_up_account_is_final(status: int, body: object, headers: dict[str, str]) -> None:
    """The administrator has to pay; no call is made in vain."""
    found = refused(body, status, headers)
    assert (type(found), found.scope, found.retryable, found.retry_after) == (RateLimited, "account", False, None)


AFFORD: Final = (
    "This request requires more credits, or fewer max_tokens: you requested 65536, but can only afford 2666."
)
TPM: Final = "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 40000."


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        row("openai-400", 400, error("Invalid value: 'x'."), "refused this request (400): Invalid value: 'x'."),
        row("bare-string", 400, {"error": "No such thing."}, "refused this request (400): No such thing."),
        row("json-string", 400, "No such thing.", "refused this request (400): No such thing."),
        row("proxy-text", 400, b"Bad header.", "refused this request (400): Bad header."),
        row("openai-404", 404, error("x", code="model_not_found"), "OPENAI_MODEL"),
        row(
            "fastapi-422",
            422,
            {"detail": [{"loc": ["body", "n"], "msg": "too few", "input": "secret"}]},
            "body.n: too few",
        ),
        row(
            "mistral-422",
            422,
            {"object": "error", "message": {"detail": [{"loc": ["body", "user"], "msg": "Extra inputs"}]}},
            "(422): body.user: Extra inputs",
        ),
        row("cloudflare-errors", 400, {"errors": [{"code": 7003, "message": "No route"}]}, "(400): No route"),
        row("error_message", 400, {"error_type": "bad", "error_message": "Wrong field"}, "(400): Wrong field"),
        row(
            "nest",
            400,
            {"error": "Bad Request", "message": "n must be 1", "statusCode": 400},
            "Bad Request: n must be 1",
        ),
        row("message-in-a-message", 400, {"error": {"message": {"message": "Deep."}}}, "(400): Deep."),
        row("media-415", 415, b"", "refused this request (415)."),
        row("too-large-413", 413, b"", "too long for the AI model"),
        row("groq-413-tpm", 413, error(TPM, code="rate_limit_exceeded", type="tokens"), "too long"),
        row("openai-429-tpm", 429, error(TPM, code="rate_limit_exceeded", type="tokens"), "limit on tokens a minute"),
        row("numbers-alone", 429, error("TPM: Limit 6000, Used 0, Requested 7000."), "limit on tokens a minute"),
        row(
            "llama.cpp-context",
            400,
            error("request (9 tokens) exceeds the available context size (8 tokens)"),
            "too long",
        ),
        row(
            "gemini-context",
            400,
            error("The input token count (9) exceeds the maximum number of tokens allowed (8)."),
            "too long",
        ),
        row("openrouter-402-forall#76", 402, error(AFFORD, code=402), "does not cover a request of this size (402)"),
        row(
            "openrouter-flagged",
            403,
            error("m requires moderation. Your input was flagged for 'x'", code=403),
            "does not allow this text (403)",
        ),
        row(
            "azure-filter",
            400,
            error("The response was filtered due to our content management policy", code="content_filter"),
            "does not allow this text (400)",
        ),
        row(
            "openai-policy-in-a-200",
            200,
            error("No.", code="content_policy_violation"),
            "does not allow this text: No.",
        ),
        row(
            "minimax-1026",
            200,
            {"base_resp": {"status_code": 1026, "status_msg": "input sensitive"}},
            "(400): input sensitive",
        ),
        row("cloudflare-page-litellm#5225", 403, b"<!DOCTYPE html><title>Just a moment", "web page (403)"),
        row(
            "openai-region",
            403,
            error("Country, region, or territory not supported", code="unsupported_country_region_territory"),
            "not supported",
        ),
        row("aws-gateway", 403, {"message": "Forbidden"}, "refused this request (403): Forbidden"),
        row("groq-network", 403, error("Access denied. Please check your network settings."), "network settings"),
    ],
)
def test_one_requests_fault_is_nobody_elses(status: int, body: object, words: str) -> None:
    """Final, told as what it is, and no sign about the provider."""
    found = refused(body, status)
    assert (found.scope, found.retryable) == ("request", False)
    assert words in str(found)
    assert not isinstance(found, UpstreamAuth)


MODEL: Final = "Project `proj_x` does not have access to model `gpt-4o`"


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        row("any-401", 401, b"", {}),
        row("openai-anywhere", 400, error("x", code="invalid_api_key"), {}),
        row("google-400", 400, [error("API key not valid.", details=[{"reason": "API_KEY_INVALID"}])], {}),
        row("openai-403-scopes", 403, error("You have insufficient permissions. Missing scopes: model.request"), {}),
        row("openai-403-project", 403, error(MODEL, code="model_not_found"), {}),
        row("anthropic-403", 403, error("Your API key does not have permission", type="permission_error"), {}),
        row("google-403", 403, error("Method doesn't allow unregistered callers", status="PERMISSION_DENIED"), {}),
        row("azure-403", 403, error("Principal does not have access to API/Operation.", code="PermissionDenied"), {}),
        row("azure-data-action", 403, error("The principal `x` lacks the required data action `y`"), {}),
        row("aws-header", 403, {"message": "x"}, {"x-amzn-errortype": "UnrecognizedClientException:http://x/"}),
        row("aws-body", 403, {"__type": "com.amazon.coral#AccessDeniedException", "Message": "x"}, {}),
        row("aws-words", 403, {"Message": "User: arn:x is not authorized to perform: bedrock:InvokeModel"}, {}),
        row("aws-token", 403, {"message": "The security token included in the request is invalid."}, {}),
        row("xai-403", 403, {"error": "The caller does not have permission to execute this"}, {}),
        row("cloudflare-403", 403, {"errors": [{"code": 10000, "message": "Authentication error"}]}, {}),
        row("minimax-1004", 200, {"base_resp": {"status_code": 1004, "status_msg": "login fail"}}, {}),
    ],
)
def test_only_plain_words_about_the_key_are_about_the_key(status: int, body: object, headers: dict[str, str]) -> None:
    """Then everybody is concerned, and the administrator hears which setting to check."""
    found = refused(body, status, headers)
    assert (type(found), found.scope, found.retryable) == (UpstreamAuth, "provider", False)


def test_a_model_that_a_caller_chose_and_may_not_have_is_nobody_elses_matter() -> None:
    """The configured model may well be allowed."""
    found = refused(error(MODEL), 403, call=Call(messages=[], max_tokens=1, model="gpt-4o"))
    assert (type(found), found.scope) == (UpstreamError, "request")


NO_MODEL: Final = "The model `m` does not exist or you do not have access to it."


@pytest.mark.parametrize(
    "body",
    [
        row("openai", error(NO_MODEL, type="invalid_request_error", code="model_not_found")),
        row("azure", error("The API deployment for this resource does not exist.", code="DeploymentNotFound")),
        row("vllm", {"object": "error", "message": "The model `m` does not exist.", "type": "NotFoundError"}),
        row("google", [error("models/m is not found for API version v1main", status="NOT_FOUND")]),
        row("ollama", error('model "m" not found, try pulling it first', type="api_error")),
        row("openrouter", error("No endpoints found for m.", code=404)),
    ],
)
def test_a_provider_without_its_model_is_known_as_such(body: object) -> None:
    """A fault of the request where it is the only one, with the same sentence as ever; the provider's among several."""
    found = refused(body, 404)
    assert isinstance(found, ModelUnknown)
    assert (found.scope, found.code, found.of_provider().scope) == ("request", "upstream_error", "provider")
    assert "check OPENAI_BASE_URL and OPENAI_MODEL." in str(found)


def test_another_404_is_not_about_the_model() -> None:
    """A wrong address, the caller's own choice of a model, and words that a user wrote."""
    text = "It says that the model does not exist."
    wrote = Call(messages=[{"role": "user", "content": text}], max_tokens=1)
    chose = Call(messages=[], max_tokens=1, model="gpt-4o")
    for body, call in ((b"<h1>Not Found</h1>", QUESTION), (error(NO_MODEL), chose), (error(text), wrote)):
        found = refused(body, 404, call=call)
        assert (type(found), found.scope) == (UpstreamError, "request")


@pytest.mark.parametrize(
    ("status", "message"),
    [(403, "Blocked: "), (429, "Busy with: "), (400, "Cannot read: ")],
)
def test_a_callers_text_is_no_word_of_the_provider(status: int, message: str) -> None:
    """A user who writes of keys and quotas cannot make the sidecar believe that the school's are gone."""
    text = "insufficient quota, the credit balance is too low and my API key is wrong"
    call = Call(messages=[{"role": "user", "content": text}], max_tokens=1)
    assert refused(error(message + text), status, call=call).scope == ("capacity" if status == 429 else "request")


@pytest.mark.parametrize("status", [301, 408, 409, 425, 500, 502, 504])
def test_everything_else_is_about_the_provider(status: int) -> None:
    """It may have begun to work, so nothing is tried again."""
    found = refused(error("Worker died."), status)
    assert (type(found), found.scope, found.retryable) == (UpstreamError, "provider", False)


@pytest.mark.parametrize("nothing", ["", {}, None, False, {"message": "", "type": "", "code": None}])
def test_an_empty_error_next_to_an_answer_is_none(nothing: object) -> None:
    """One-api and others send the field in every answer."""
    body = {"error": nothing, "choices": [{"message": {"content": "Blue."}}], "base_resp": {"status_code": 0}}
    assert read(Answer(200, {}, json.dumps(body).encode()), QUESTION, ()).text == "Blue."
