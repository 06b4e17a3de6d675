// Splits the text of an answer into content, reasoning and tool calls, by the parser that llama.cpp derives from
// the model's template. It reads the whole text anew at each push: callers push as seldom as they can.
#include "internal.h"

#include <random>
#include <set>

struct mlo_parser : mlo::counted<mlo::KIND_PARSER> {
    common_chat_parser_params params;
    std::string               text;
    common_chat_msg           message;
    std::vector<std::string>  call_ids;
    std::set<size_t>          announced;
};

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

common_json call_json(size_t index, const common_chat_tool_call & call, bool first) {
    common_json json = common_json::object();
    json["index"] = (int64_t) index;
    if (first) {
        json["id"] = call.id;
        json["name"] = call.name;
    }
    return json;
}

// A call is announced (id and name) once its arguments begin: until then its name may still grow.
void add_call(mlo_parser & parser, const common_chat_msg_diff & diff, common_json & out) {
    const size_t index = diff.tool_call_index;
    const bool first = parser.announced.count(index) == 0;
    if (diff.tool_call_delta.arguments.empty()) {
        return;
    }
    common_json json = call_json(index, parser.message.tool_calls[index], first);
    // What came before the announcement goes out with it.
    json["arguments"] = first ? parser.message.tool_calls[index].arguments : diff.tool_call_delta.arguments;
    parser.announced.insert(index);
    out.push_back({{"toolCall", json}});
}

void announce_rest(mlo_parser & parser, common_json & out) {
    for (size_t i = 0; i < parser.message.tool_calls.size(); ++i) {
        if (parser.announced.insert(i).second) {
            common_json json = call_json(i, parser.message.tool_calls[i], true);
            json["arguments"] = parser.message.tool_calls[i].arguments;
            out.push_back({{"toolCall", json}});
        }
    }
}

} // namespace

mlo_parser * mlo_parser_new(mlo_prompt * prompt) {
    return mlo::guard<mlo_parser *>(nullptr, [&](auto &) {
        auto parser = std::make_unique<mlo_parser>();
        parser->params = common_chat_parser_params(prompt->chat);
        parser->params.reasoning_format = COMMON_REASONING_FORMAT_AUTO;
        parser->params.parse_tool_calls = prompt->has_tools;
        if (!prompt->chat.parser.empty()) {
            parser->params.parser.load(prompt->chat.parser);
        }
        return parser.release();
    });
}

void mlo_parser_free(mlo_parser * parser) {
    delete parser;
}

char * mlo_parser_push(mlo_parser * parser, const char * text, int32_t final) {
    return mlo::guard<char *>(nullptr, [&](auto &) {
        parser->text += text;
        common_chat_msg next = common_chat_parse(parser->text, !final, parser->params);
        common_json out = common_json::array();
        if (!next.empty()) {
            next.set_tool_call_ids(parser->call_ids, new_call_id);
            const auto diffs = common_chat_msg_diff::compute_diffs(parser->message, next);
            parser->message = next;
            for (const auto & diff : diffs) {
                if (!diff.reasoning_content_delta.empty()) {
                    out.push_back({{"reasoning", diff.reasoning_content_delta}});
                }
                if (!diff.content_delta.empty()) {
                    out.push_back({{"text", diff.content_delta}});
                }
                if (diff.tool_call_index != std::string::npos) {
                    add_call(*parser, diff, out);
                }
            }
        }
        if (final) {
            announce_rest(*parser, out);
        }
        return mlo::own_text(out.dump_safe());
    });
}
