// Splits the text of an answer into content, reasoning and tool calls, by the parser that llama.cpp derives from the
// model's template, and hands the pieces over as JSON. What is parsed when is answer-stream.cpp's business.
#include "answer-stream.h"

#include <random>
#include <set>

namespace {

std::string new_call_id() {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    static std::random_device device;
    std::string id = "call_";
    for (int i = 0; i < 24; ++i) {
        id += letters[device() % (sizeof(letters) - 1)];
    }
    return id;
}

common_chat_parser_params parser_params(const mlo_prompt & prompt) {
    common_chat_parser_params params(prompt.chat);
    params.reasoning_format = COMMON_REASONING_FORMAT_AUTO;
    params.parse_tool_calls = prompt.has_tools;
    if (!prompt.chat.parser.empty()) {
        params.parser.load(prompt.chat.parser);
    }
    return params;
}

} // namespace

struct mlo_parser : mlo::counted<mlo::KIND_PARSER> {
    mlo::answer_stream stream;
    std::set<size_t>   announced;
    common_json        pieces = common_json::array(); // of this push

    explicit mlo_parser(const mlo_prompt & prompt)
        : stream(
              parser_params(prompt), [this](mlo::leaf_kind leaf, size_t call, const std::string & text) { add(leaf, call, text); },
              prompt.begun_reasoning, prompt.begun_content) {}

    void add(mlo::leaf_kind leaf, size_t call, const std::string & text) {
        if (leaf == mlo::leaf_kind::ARGUMENTS) {
            add_call(call, text);
        } else {
            pieces.push_back({{leaf == mlo::leaf_kind::CONTENT ? "text" : "reasoning", text}});
        }
    }

    // A call is announced (id and name) once its arguments begin: until then its name may still grow.
    void add_call(size_t index, const std::string & arguments) {
        common_json json = common_json::object();
        json["index"] = (int64_t) index;
        if (announced.insert(index).second) {
            const auto & call = stream.known.tool_calls[index];
            json["id"] = call.id.empty() ? new_call_id() : call.id;
            json["name"] = call.name;
        }
        json["arguments"] = arguments;
        pieces.push_back({{"toolCall", json}});
    }

    void announce_rest() {
        for (size_t i = 0; i < stream.known.tool_calls.size(); ++i) {
            if (announced.count(i) == 0) {
                add_call(i, stream.known.tool_calls[i].arguments);
            }
        }
    }
};

mlo_parser * mlo_parser_new(mlo_prompt * prompt) {
    return mlo::guard<mlo_parser *>(nullptr, [&](auto &) {
        return std::make_unique<mlo_parser>(*prompt).release();
    });
}

void mlo_parser_free(mlo_parser * parser) {
    delete parser;
}

char * mlo_parser_push(mlo_parser * parser, const char * text, int32_t final) {
    return mlo::guard<char *>(nullptr, [&](auto &) {
        parser->pieces = common_json::array();
        parser->stream.push(text, final != 0);
        if (final) {
            parser->announce_rest();
        }
        return mlo::own_text(parser->pieces.dump_safe());
    });
}

int64_t mlo_parser_parsed_bytes(mlo_parser * parser) {
    return parser->stream.parsed_bytes;
}

int32_t mlo_parser_mismatches(mlo_parser * parser) {
    return parser->stream.mismatches;
}
