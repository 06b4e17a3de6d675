// How a model's format writes a call's arguments, and so what of a tool's schema its grammar keeps: found by making the
// parser of a tool that has all kinds of arguments, and looking at what it is made of.
#include "internal.h"

#include "chat-peg-parser.h"

#include <set>

namespace {

using builder = common_chat_peg_builder;

// Each argument has to be there, and each has a type.
const char * const PROBE = R"({"type":"object","required":["s","n","o"],"properties":{"s":{"type":"string"},"n":{"type":"integer"},)"
                           R"("o":{"type":"object","required":["t"],"properties":{"t":{"type":"string"}}}}})";

struct findings {
    bool has_arguments = false; // arguments as a whole
    bool has_schema = false;    // follow one schema
    bool is_apart = false;      // one by one
    bool is_nested = false;     // and theirs too
    bool is_loose = false;      // any number of them, or of any kind
};

struct place {
    int  arguments = 0; // arguments that it is in
    bool repeats = false;
    bool in_whole = false;
};

void look(const common_peg_arena & arena, common_peg_parser_id id, place at, findings & found, std::set<common_peg_parser_id> & open);

void look_at_tag(const common_peg_arena & arena, const common_peg_tag_parser & tag, place at, findings & found, std::set<common_peg_parser_id> & open) {
    if (tag.tag == builder::TOOL) {
        at.repeats = false; // several calls are no repeated arguments
    } else if (tag.tag == builder::TOOL_ARGS) {
        found.has_arguments = at.in_whole = true;
        at.repeats = false;
    } else if (tag.tag == builder::TOOL_ARG) {
        found.is_apart = true;
        found.is_nested = found.is_nested || at.arguments > 0;
        found.is_loose = found.is_loose || (at.arguments == 0 && at.repeats);
        ++at.arguments;
    } else if (tag.tag == builder::TOOL_ARG_VALUE) {
        const auto * child = &arena.get(tag.child);
        found.is_loose = found.is_loose || !std::holds_alternative<common_peg_schema_parser>(*child);
    }
    look(arena, tag.child, at, found, open);
}

void look(const common_peg_arena & arena, common_peg_parser_id id, place at, findings & found, std::set<common_peg_parser_id> & open) {
    // A rule may refer to itself.
    if (!open.insert(id).second) {
        return;
    }
    std::visit([&](const auto & p) {
        using T = std::decay_t<decltype(p)>;
        if constexpr (std::is_same_v<T, common_peg_sequence_parser> || std::is_same_v<T, common_peg_choice_parser>) {
            for (const auto child : p.children) {
                look(arena, child, at, found, open);
            }
        } else if constexpr (std::is_same_v<T, common_peg_repetition_parser>) {
            place inside = at;
            inside.repeats = at.repeats || p.min_count == 0;
            look(arena, p.child, inside, found, open);
        } else if constexpr (std::is_same_v<T, common_peg_tag_parser>) {
            look_at_tag(arena, p, at, found, open);
        } else if constexpr (std::is_same_v<T, common_peg_schema_parser>) {
            found.has_schema = found.has_schema || (at.in_whole && at.arguments == 0);
        } else if constexpr (std::is_same_v<T, common_peg_ref_parser>) {
            look(arena, arena.get_rule(p.name), at, found, open);
        } else if constexpr (std::is_same_v<T, common_peg_rule_parser> || std::is_same_v<T, common_peg_atomic_parser> ||
                             std::is_same_v<T, common_peg_gbnf_parser> || std::is_same_v<T, common_peg_ac_parser>) {
            look(arena, p.child, at, found, open);
        }
    }, arena.get(id));
    open.erase(id);
}

} // namespace

std::string argument_format(const common_chat_templates * templates) {
    common_chat_templates_inputs inputs;
    inputs.use_jinja = true;
    common_chat_msg message;
    message.role = "user";
    message.content = "Hello.";
    inputs.messages = {message};
    inputs.tools = {{"probe", "A tool.", PROBE}};
    if (!knows_tools(templates)) {
        return "json"; // as plain-tools.cpp has it
    }
    inputs.tool_choice = COMMON_CHAT_TOOL_CHOICE_REQUIRED;
    inputs.reasoning_format = COMMON_REASONING_FORMAT_AUTO;
    try {
        const common_chat_params chat = common_chat_templates_apply(templates, inputs);
        if (chat.grammar.empty() || chat.parser.empty()) {
            return "none";
        }
        common_peg_arena arena;
        arena.load(chat.parser);
        findings found;
        std::set<common_peg_parser_id> open;
        look(arena, arena.root(), {}, found, open);
        if (!found.is_apart) {
            return found.has_schema ? "json" : found.has_arguments ? "loose" : "none";
        }
        return found.is_loose ? "loose" : found.is_nested ? "nested" : "text";
    } catch (const std::exception &) {
        return "none";
    }
}
