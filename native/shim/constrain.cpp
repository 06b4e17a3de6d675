// A chat as its template shows it, and the grammar and parser of its answer. No schema fails a request: what llama.cpp makes
// no grammar of goes without one, and what a template can't show is shown as the grammar has it, or not at all. Messages that
// a template does not take are told in other words. Each such step is logged.
#include "internal.h"

#include "json-schema-to-grammar.h"

namespace {

const char * const ANY_OBJECT = R"({"type":"object"})";
const char * const ANY_VALUE = R"({"description":"any JSON value"})";

using inputs_t = common_chat_templates_inputs;

// A tool's grammarParameters and the prompt's grammarSchema are what the grammar follows, in place of what templates show.
inputs_t chat_inputs(const common_json & request, const common_chat_templates * templates) {
    inputs_t inputs;
    inputs.use_jinja = true;
    inputs.messages = common_chat_msgs_parse_oaicompat(request.at("messages"));
    if (request.contains("tools")) {
        const common_json & tools = request.at("tools");
        inputs.tools = common_chat_tools_parse_oaicompat(tools);
        for (size_t i = 0; i < inputs.tools.size(); ++i) {
            const common_json & function = tools.at(i).at("function");
            if (function.contains("grammarParameters")) {
                inputs.tools[i].grammar_parameters = function.at("grammarParameters").dump();
            }
        }
    }
    inputs.tool_choice = common_chat_tool_choice_parse_oaicompat(request.value("toolChoice", "auto"));
    // Several calls in one answer are what OpenAI's clients expect, where the template can show them again.
    auto can = common_chat_templates_get_caps(templates);
    inputs.parallel_tool_calls = request.value("parallelToolCalls", (bool) can["supports_parallel_tool_calls"]);
    if (request.contains("jsonSchema")) {
        inputs.json_schema = request.at("jsonSchema").dump();
    }
    if (request.contains("grammarSchema")) {
        inputs.shown_json_schema = inputs.json_schema;
        inputs.json_schema = request.at("grammarSchema").dump();
    }
    // A model that may write text first may never come to the call that is asked for. What goes on has its text already.
    inputs.calls_only = inputs.tool_choice == COMMON_CHAT_TOOL_CHOICE_REQUIRED && !request.contains("jsonSchema") && !request.contains("continues");
    inputs.reasoning_format = COMMON_REASONING_FORMAT_AUTO;
    inputs.add_generation_prompt = request.value("opensAnswer", true);
    if (request.contains("continues")) {
        const bool thinks = request.at("continues").get<std::string>() == "reasoning";
        inputs.continue_final_message = thinks ? COMMON_CHAT_CONTINUATION_REASONING : COMMON_CHAT_CONTINUATION_CONTENT;
    }
    if (request.contains("templateArgs")) {
        for (const auto & entry : request.at("templateArgs").items()) {
            inputs.chat_template_kwargs[entry.key()] = entry.value().dump();
            if (entry.key() == "enable_thinking" && entry.value().is_boolean()) {
                inputs.enable_thinking = entry.value().get<bool>();
            }
        }
    }
    return inputs;
}

void join(std::string & list, const std::string & item) {
    list += (list.empty() ? "" : ", ") + item;
}

// Whether llama.cpp makes a grammar of it that it can read itself.
bool makes_grammar(const std::string & schema, const llama_vocab * vocab) {
    try {
        const std::string grammar = json_schema_to_grammar(common_json::parse(schema), true);
        llama_sampler * sampler = llama_sampler_init_grammar(vocab, grammar.c_str(), "root");
        if (sampler) {
            llama_sampler_free(sampler);
        }
        return sampler != nullptr;
    } catch (const std::exception &) {
        return false;
    }
}

// Takes schemas out of the grammar that make none, or all of them when each makes one: then it is their sum that does not.
// Returns whose they were; empty: there was nothing to take.
std::string loosen(inputs_t & inputs, const llama_vocab * vocab, bool all) {
    std::string loosened;
    for (auto & tool : inputs.tools) {
        const std::string & schema = tool.grammar_parameters.empty() ? tool.parameters : tool.grammar_parameters;
        if (schema != ANY_OBJECT && (all || !makes_grammar(schema, vocab))) {
            tool.grammar_parameters = ANY_OBJECT;
            join(loosened, "the tool " + tool.name);
        }
    }
    if (!inputs.json_schema.empty() && inputs.json_schema != ANY_VALUE && (all || !makes_grammar(inputs.json_schema, vocab))) {
        inputs.shown_json_schema = inputs.shown_json_schema.empty() ? inputs.json_schema : inputs.shown_json_schema;
        inputs.json_schema = ANY_VALUE;
        join(loosened, "the answer");
    }
    return loosened.empty() && !all ? loosen(inputs, vocab, true) : loosened;
}

bool renders(const common_chat_templates * templates, const inputs_t & inputs) {
    try {
        common_chat_templates_apply(templates, inputs);
        return true;
    } catch (const std::exception &) {
        return false;
    }
}

inputs_t without_tools(inputs_t inputs) {
    inputs.tools.clear();
    inputs.tool_choice = COMMON_CHAT_TOOL_CHOICE_AUTO;
    return inputs;
}

// Tells the messages in the first words that the template takes. Returns how; empty: it is not them, or nothing helps.
std::string retell(inputs_t & inputs, const common_chat_templates * templates) {
    inputs_t alone = without_tools(inputs);
    if (renders(templates, alone)) {
        return "";
    }
    // A last message that goes on is not shown by the template: it stays as it is.
    std::vector<common_chat_msg> shown = inputs.messages;
    std::vector<common_chat_msg> begun;
    if (goes_on(inputs) && !shown.empty()) {
        begun = {shown.back()};
        shown.pop_back();
    }
    const auto tell = [&](std::vector<common_chat_msg> told) {
        told.insert(told.end(), begun.begin(), begun.end());
        alone.messages = told;
    };
    tell(tell_calls_apart(shown));
    std::string how = "with one call each";
    if (!renders(templates, alone)) {
        tell(tell_as_text(shown));
        how = "as text";
    }
    if (!renders(templates, alone)) {
        return "";
    }
    inputs.messages = alone.messages;
    return how;
}

// Some templates walk through a tool's schema and stumble over what is rare in it. Such a tool is shown as its grammar has it;
// when that is too much as well, without parameters. Returns the tools; empty: it is not them.
std::string simplify(inputs_t & inputs, const common_chat_templates * templates) {
    std::string simplified;
    inputs_t alone = without_tools(inputs);
    if (inputs.tools.empty() || !renders(templates, alone)) {
        return simplified;
    }
    const auto shows = [&](const common_chat_tool & tool) {
        alone.tools = {tool};
        // Its grammar is not the question here.
        alone.tools[0].grammar_parameters = ANY_OBJECT;
        return renders(templates, alone);
    };
    for (auto & tool : inputs.tools) {
        if (shows(tool)) {
            continue;
        }
        join(simplified, "the tool " + tool.name);
        tool.grammar_parameters = tool.grammar_parameters.empty() ? tool.parameters : tool.grammar_parameters;
        tool.parameters = tool.grammar_parameters;
        if (!shows(tool)) {
            tool.parameters = R"({"type":"object","properties":{}})";
        }
    }
    return simplified;
}

bool asks_for_json(const inputs_t & inputs) {
    return !inputs.json_schema.empty() && (inputs.tools.empty() || inputs.tool_choice == COMMON_CHAT_TOOL_CHOICE_NONE);
}

// Some templates' parsers know no schema of the answer: then it is the text itself that follows it. So it is with those that want a
// code fence around it (is_bare), where the answer's beginning has none.
void constrain_text(mlo_prompt & prompt, const mlo_model & model, inputs_t & inputs, bool is_bare) {
    if (!asks_for_json(inputs) || !(is_bare || prompt.chat.grammar.empty())) {
        return;
    }
    inputs.force_pure_content = true;
    prompt.chat = common_chat_templates_apply(model.templates.get(), inputs);
    prompt.chat.grammar = json_schema_to_grammar(common_json::parse(inputs.json_schema), true);
    prompt.has_plain_grammar = true;
    if (goes_on(inputs)) {
        // Rendered so, the prompt ends with the message before.
        prompt.chat.generation_prompt += inputs.messages.back().render_content();
        prompt.chat.prompt += prompt.chat.generation_prompt;
    }
}

} // namespace

void constrain_chat(mlo_prompt & prompt, const mlo_model & model, const common_json & request, const std::function<void()> & add_sampler) {
    inputs_t original = chat_inputs(request, model.templates.get());
    prompt.has_tools = !original.tools.empty() && original.tool_choice != COMMON_CHAT_TOOL_CHOICE_NONE;
    inputs_t inputs = original;
    bool is_bare = false;
    const bool is_plain = !knows_tools(model.templates.get());
    if (is_plain) {
        tell_plainly(original);
        inputs = original;
    }
    const auto attempt = [&] {
        prompt.chat = common_chat_templates_apply(model.templates.get(), is_plain ? without_tools(inputs) : inputs);
        constrain_text(prompt, model, inputs, is_bare);
        if (prompt.has_tools && is_plain && inputs.json_schema.empty()) {
            parse_plain_calls(prompt.chat, inputs);
        } else if (prompt.has_tools && inputs.tool_choice == COMMON_CHAT_TOOL_CHOICE_REQUIRED && prompt.chat.grammar.empty()) {
            throw std::invalid_argument("the chat template's format of tool calls is not known, so none can be required");
        }
        begin_answer(prompt, model, inputs);
        add_sampler();
    };
    std::string error;
    try {
        return attempt();
    } catch (const std::exception & e) {
        error = e.what();
    }
    const auto retry = [&](const char * what, const std::string & whose) {
        try {
            attempt();
        } catch (const std::exception &) {
            inputs = original;
            return false;
        }
        mlo::log_warning(what + whose + ": " + error);
        return true;
    };
    if (original.calls_only) {
        original.calls_only = false;
        inputs = original;
        if (retry("the chat template's format needs text beside its calls", "")) {
            return;
        }
    }
    const bool begins_otherwise = goes_on(inputs) && error.find("grammar stack") != std::string::npos;
    if (begins_otherwise && asks_for_json(inputs)) {
        is_bare = true;
        if (retry("the chat template's format does not fit the answer's beginning", "")) {
            return;
        }
    }
    if (begins_otherwise) {
        throw std::invalid_argument("the last message can't go on as the response_format or the tools of the request ask for: it begins in another way");
    }
    const std::string retold = retell(inputs, model.templates.get());
    if (!retold.empty()) {
        original = inputs;
        if (retry("the chat template does not take the messages; it gets them ", retold)) {
            return;
        }
    }
    const std::string simplified = simplify(inputs, model.templates.get());
    if (!simplified.empty() && retry("the chat template can't show the schema of ", simplified)) {
        return;
    }
    const std::string loosened = loosen(inputs, model.vocab, false);
    if (!loosened.empty() && retry("no grammar for the schema of ", loosened)) {
        return;
    }
    // It was no schema's fault.
    throw std::runtime_error(error);
}
