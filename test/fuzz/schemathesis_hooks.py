# What Schemathesis sends, made fit for a server with small models: short answers, mostly a model that is there, and ids
# that often name something. A value that breaks the schema stays as it is.

import json
import os
import urllib.request
import zlib

import schemathesis

TOKENS_MAX = 8
LIMITS = {"max_tokens", "max_output_tokens", "max_completion_tokens", "n_predict", "num_predict"}
# Anthropic's must be there: where it is missing it is meant to be missing. Elsewhere the default is the whole context.
DEFAULT_LIMITS = {
    "/v1/chat/completions": "max_tokens",
    "/v1/completions": "max_tokens",
    "/v1/responses": "max_output_tokens",
    "/infill": "n_predict",
}
MODELS = {"rerank": "ranker", "infill": "filler"}
# Of the built-in model.
VOCABULARY = 1024
# What is only read serves this many cases; what is deleted, cancelled or added to, one.
USES_MAX = 50


@schemathesis.hook
def filter_case(ctx, case):
    """Not a header that nobody knows as a violation: RFC 9110 5.1 wants such headers to be ignored."""
    data = case.meta.phase.data if case.meta else None
    location = getattr(data, "parameter_location", None)
    scenario = getattr(data, "scenario", None)
    return not (scenario == "object_unexpected_properties" and location is not None and location.value == "header")


@schemathesis.hook
def before_call(ctx, case, kwargs):
    name_something(case)
    # The query belongs to Anthropic's dialect, which this header chooses: without it nobody looks at the query.
    if case.operation.label == "GET /v1/models" and case.query:
        case.headers["anthropic-version"] = "2023-06-01"
    body = case.body
    if not isinstance(body, dict):
        return
    path = case.operation.path
    for fields in (body, body.get("options")):
        if isinstance(fields, dict):
            shorten(fields)
    if path in DEFAULT_LIMITS:
        body.setdefault(DEFAULT_LIMITS[path], TOKENS_MAX)
    if path.startswith("/api/") and ("chat" in path or "generate" in path):
        options = body.setdefault("options", {})
        if isinstance(options, dict):
            options.setdefault("num_predict", TOKENS_MAX)
    if is_valid_guess(case):
        complete(body, path)
    if isinstance(body.get("model"), str) and len(body["model"]) % 8 != 7:
        body["model"] = next((name for part, name in MODELS.items() if part in path), "demo")


def shorten(fields):
    for name in LIMITS & fields.keys():
        value = fields[name]
        if isinstance(value, int) and not isinstance(value, bool) and (value > TOKENS_MAX or value == -1):
            fields[name] = TOKENS_MAX


def is_guess(case):
    """Sequences have ids of their own, and what coverage asks is to stay as it is."""
    return case.meta is not None and case.meta.phase.name.value == "fuzzing"


def is_valid_guess(case):
    return is_guess(case) and case.meta.generation.mode.value == "positive"


def complete(body, path):
    """What no schema asks for, and what nearly every request would be refused for. One in five stays as it is."""
    if zlib.crc32((path + json.dumps(body, sort_keys=True)).encode()) % 5 == 4:
        return
    if "rerank" in path or path in ("/infill", "/api/show", "/api/delete"):
        body["model"] = "any"
    if "prompt" not in body and path == "/v1/completions" or body.get("prompt") in ("", [], [""]):
        body["prompt"] = "One, two"
    if path.startswith("/v1/responses") and body.get("input") is None:
        body["input"] = "Hello!"
    for message in body.get("messages") or []:
        if isinstance(message, dict) and message.get("content") is None and not message.get("tool_calls"):
            message["content"] = "Hello!"
    for item in body.get("items") or []:
        if isinstance(item, dict) and item.get("type", "message") == "message":
            for field, value in (("role", "user"), ("content", "Hello!")):
                if item.get(field) is None:
                    item[field] = value
    for field in ("tokens", "content"):
        if isinstance(body.get(field), list):
            body[field] = [of_vocabulary(item) for item in body[field]]


def of_vocabulary(item):
    return item % VOCABULARY if isinstance(item, int) and not isinstance(item, bool) else item


def name_something(case):
    """A made-up id names nothing."""
    parameters = case.path_parameters
    if not parameters or not is_guess(case):
        return
    if zlib.crc32(repr(parameters).encode("utf-8", "surrogatepass")) % 4 == 3:
        return
    for name, make in MAKERS.items():
        if name in parameters:
            kept = KEPT.get(name)
            if kept is None or kept["uses"] >= (USES_MAX if case.method == "GET" else 1):
                kept = KEPT[name] = {"uses": 0, "ids": make()}
            kept["uses"] += 1
            for part in parameters.keys() & kept["ids"].keys():
                parameters[part] = kept["ids"][part]
            return


def ask(path, body=None, headers=None):
    request = urllib.request.Request(os.environ["FUZZED_URL"] + path, headers=headers or {})
    if body is not None:
        request.data = json.dumps(body).encode()
    with urllib.request.urlopen(request, timeout=30) as response:
        return response.headers, response.read()


def make_response():
    body = {"model": "demo", "input": "Hello!", "max_output_tokens": TOKENS_MAX, "background": True}
    return {"response_id": json.loads(ask("/v1/responses", body)[1])["id"]}


def make_conversation():
    items = [{"type": "message", "role": "user", "content": text} for text in ("one", "two")]
    conversation = json.loads(ask("/v1/conversations", {"items": items})[1])["id"]
    listed = json.loads(ask(f"/v1/conversations/{conversation}/items")[1])["data"]
    return {"conversation_id": conversation, "item_id": listed[0]["id"]}


def make_stream():
    messages = [{"role": "user", "content": "Hello!"}]
    body = {"model": "demo", "messages": messages, "max_tokens": TOKENS_MAX, "stream": True}
    headers, _ = ask("/v1/chat/completions", body, {"X-MLO-Resume": "600"})
    return {"stream_id": headers["X-MLO-Stream"]}


MAKERS = {
    "response_id": make_response,
    "conversation_id": make_conversation,
    "stream_id": make_stream,
    "model": lambda: {"model": "demo"},
    "file": lambda: {"file": "swagger-ui.css"},
}
KEPT = {}


@schemathesis.deserializer("application/x-ndjson")
def read_lines(ctx, response):
    """The lines of a stream have one schema: the last one, which has most fields, stands for all."""
    return json.loads(response.content.decode().strip().split("\n")[-1])


@schemathesis.check
def refusal_names_its_field(ctx, response, case):
    """A request that fits the schema may be refused for what no schema says, if the answer names the field."""
    if response.status_code != 400:
        return
    body = response.json()
    error = body["error"] if isinstance(body["error"], dict) else body
    # What is too long, and what is no JSON, has no field.
    if error["code"] == "invalid_request" and error.get("param") is None and "body" not in str(body["error"]):
        raise AssertionError("the refusal names no field")
