# What Schemathesis sends, made fit for a server with small models: short answers, and mostly a model that is there.
# A value that breaks the schema stays as it is.

import json

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


@schemathesis.hook
def before_call(ctx, case, kwargs):
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
    if isinstance(body.get("model"), str) and len(body["model"]) % 8 != 7:
        body["model"] = next((name for part, name in MODELS.items() if part in path), "demo")


def shorten(fields):
    for name in LIMITS & fields.keys():
        value = fields[name]
        if isinstance(value, int) and not isinstance(value, bool) and (value > TOKENS_MAX or value == -1):
            fields[name] = TOKENS_MAX


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
