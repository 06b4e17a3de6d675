// The messages of a chat in other words, for templates that raise an error about them: some know one tool call in a message,
// others no tools, no system message, or no two messages of a role in a row. What was said is kept, in the same order.
#include "internal.h"

namespace {

using messages_t = std::vector<common_chat_msg>;

// Results that follow a message with calls, up to the next message of another role.
size_t count_results(const messages_t & messages, size_t from) {
    size_t count = 0;
    while (from + count < messages.size() && messages[from + count].role == "tool") {
        ++count;
    }
    return count;
}

std::string spoken_text(const common_chat_msg & message, const std::string & called) {
    std::string text = message.render_content();
    if (message.role == "tool") {
        return "Result of " + (called.empty() ? "the tool" : called) + ":\n" + text;
    }
    for (const auto & call : message.tool_calls) {
        text += (text.empty() ? "" : "\n\n") + ("Call of " + call.name + ":\n" + call.arguments);
    }
    return text;
}

std::string name_of_call(const messages_t & messages, size_t before, const common_chat_msg & result) {
    for (size_t i = before; i-- > 0;) {
        for (const auto & call : messages[i].tool_calls) {
            if (call.id == result.tool_call_id) {
                return call.name;
            }
        }
    }
    return result.tool_name;
}

} // namespace

// Each call in a message of its own, followed by its result.
messages_t tell_calls_apart(const messages_t & messages) {
    messages_t told;
    for (size_t i = 0; i < messages.size(); ++i) {
        const common_chat_msg & message = messages[i];
        if (message.tool_calls.size() < 2) {
            told.push_back(message);
            continue;
        }
        const size_t results = count_results(messages, i + 1);
        std::vector<bool> used(results, false);
        for (size_t k = 0; k < message.tool_calls.size(); ++k) {
            common_chat_msg one;
            one.role = message.role;
            if (k == 0) {
                one = message;
            }
            one.tool_calls = {message.tool_calls[k]};
            told.push_back(one);
            for (size_t r = 0; r < results; ++r) {
                const common_chat_msg & result = messages[i + 1 + r];
                if (!used[r] && result.tool_call_id == message.tool_calls[k].id) {
                    used[r] = true;
                    told.push_back(result);
                    break;
                }
            }
        }
        for (size_t r = 0; r < results; ++r) {
            if (!used[r]) {
                told.push_back(messages[i + 1 + r]); // answers no call that is known
            }
        }
        i += results;
    }
    return told;
}

// Only what users and assistants say, in turns: the system's text begins the first turn, calls and results are told as text.
messages_t tell_as_text(const messages_t & messages) {
    messages_t told;
    std::string system;
    for (size_t i = 0; i < messages.size(); ++i) {
        const common_chat_msg & message = messages[i];
        const std::string text = spoken_text(message, message.role == "tool" ? name_of_call(messages, i, message) : "");
        if (message.role == "system" && told.empty()) {
            system += text + "\n\n";
            continue;
        }
        const std::string role = message.role == "assistant" ? "assistant" : "user";
        if (!told.empty() && told.back().role == role) {
            told.back().content += "\n\n" + text;
            continue;
        }
        common_chat_msg turn;
        turn.role = role;
        turn.content = text;
        told.push_back(turn);
    }
    if (system.empty()) {
        return told;
    }
    if (told.empty() || told.front().role != "user") {
        common_chat_msg turn;
        turn.role = "user";
        told.insert(told.begin(), turn);
    }
    told.front().content = system + told.front().content;
    return told;
}
