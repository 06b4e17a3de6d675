// Tools for chat templates that know none: the system's text describes them, a call is JSON between two tags, and grammar and
// parser are made for that. Calls and results of the conversation are told in the same way.
#include "internal.h"

#include "chat-peg-parser.h"
#include "json-schema-to-grammar.h"

#include <map>

namespace {

const char * const CALL_START = "<tool_call>";
const char * const CALL_END = "</tool_call>";

std::string describe(const common_chat_templates_inputs & inputs) {
    std::string text = "You can call these tools, each described by a line of JSON:\n";
    for (const auto & tool : inputs.tools) {
        common_json line = common_json::object();
        line["name"] = tool.name;
        line["description"] = tool.description;
        line["parameters"] = common_json::parse(tool.parameters.empty() ? R"({"type":"object"})" : tool.parameters);
        text += line.dump_safe() + "\n";
    }
    text += inputs.tool_choice == COMMON_CHAT_TOOL_CHOICE_REQUIRED ? "Answer with a call, written like this:\n" : "To call one, write:\n";
    return text + CALL_START + R"({"name": "the tool's name", "arguments": {"a parameter": "its value"}})" + CALL_END;
}

// `names`: of the calls so far, by their ids.
void tell(common_chat_msg & message, std::map<std::string, std::string> & names) {
    std::string text = message.render_content();
    if (message.role == "tool") {
        const auto named = names.find(message.tool_call_id);
        const std::string name = named == names.end() ? message.tool_name : named->second;
        message.role = "user";
        text = "Result of " + (name.empty() ? "the tool" : name) + ":\n" + text;
    }
    for (const auto & call : message.tool_calls) {
        names[call.id] = call.name;
        const std::string name = common_json(call.name).dump();
        const std::string arguments = call.arguments.empty() ? "{}" : call.arguments;
        text += (text.empty() ? "" : "\n") + (CALL_START + ("{\"name\": " + name)) + ", \"arguments\": " + arguments + "}" + CALL_END;
    }
    message.tool_calls.clear();
    message.tool_call_id.clear();
    message.tool_name.clear();
    message.content_parts.clear();
    message.content = text;
}

} // namespace

bool knows_tools(const common_chat_templates * templates) {
    auto can = common_chat_templates_get_caps(templates);
    return can["supports_tools"] || can["supports_tool_calls"];
}

void tell_plainly(common_chat_templates_inputs & inputs) {
    std::map<std::string, std::string> names;
    for (auto & message : inputs.messages) {
        if (message.role == "tool" || !message.tool_calls.empty()) {
            tell(message, names);
        }
    }
    if (inputs.tools.empty() || inputs.tool_choice == COMMON_CHAT_TOOL_CHOICE_NONE) {
        return;
    }
    if (inputs.messages.empty() || inputs.messages.front().role != "system") {
        common_chat_msg system;
        system.role = "system";
        inputs.messages.insert(inputs.messages.begin(), system);
    }
    common_chat_msg & first = inputs.messages.front();
    const std::string said = first.render_content();
    first.content_parts.clear();
    first.content = said + (said.empty() ? "" : "\n\n") + describe(inputs);
}

void parse_plain_calls(common_chat_params & chat, const common_chat_templates_inputs & inputs) {
    const bool is_required = inputs.tool_choice == COMMON_CHAT_TOOL_CHOICE_REQUIRED;
    const common_json tools = common_chat_tools_to_json_oaicompat(inputs.tools);
    const auto parser = build_chat_peg_parser([&](common_chat_peg_builder & p) {
        auto thoughts = p.eps();
        if (!chat.thinking_start_tag.empty() && !chat.thinking_end_tags.empty()) {
            const std::string & end = chat.thinking_end_tags.front();
            thoughts = p.optional(p.optspace(chat.thinking_start_tag) + p.reasoning(p.until(end)) + p.optspace(end));
        }
        auto call = p.standard_json_tools(CALL_START, CALL_END, tools, false, true);
        auto calls = p.trigger_rule("tool-calls", inputs.parallel_tool_calls ? call + p.zero_or_more(p.space() + call) : call);
        auto rest = p.optional(p.content(p.until(CALL_START))) + (is_required ? calls : p.optional(calls)) + p.space() + p.end();
        return p.prefix(chat.generation_prompt, chat.thinking_start_tag) + thoughts + rest;
    });
    chat.parser = parser.save();
    chat.grammar_lazy = !is_required;
    common_peg_without_tag calls_only(inputs.calls_only ? common_chat_peg_builder::CONTENT : "");
    chat.grammar = build_grammar([&](const common_grammar_builder & builder) { parser.build_grammar(builder, chat.grammar_lazy); });
    chat.grammar_triggers.clear();
    if (chat.grammar_lazy) {
        chat.grammar_triggers.push_back({COMMON_GRAMMAR_TRIGGER_TYPE_WORD, CALL_START});
    }
}
