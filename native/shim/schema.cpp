// What llama.cpp's grammar of a JSON schema takes: asked without a model, to judge a schema by what it does.
#include "internal.h"

#include "json-schema-to-grammar.h"
#include "llama-grammar.h"

#include <algorithm>

int32_t mlo_schema_accepts(const char * schema, const char * text) {
    return mlo::guard<int32_t>(-1, [&](auto &) -> int32_t {
        const std::string grammar_text = json_schema_to_grammar(common_json::parse(schema), true);
        const std::unique_ptr<llama_grammar, decltype(&llama_grammar_free_impl)> grammar(
            llama_grammar_init_impl(nullptr, grammar_text.c_str(), "root", false, nullptr, 0, nullptr, 0), llama_grammar_free_impl);
        if (!grammar) {
            throw std::invalid_argument("llama.cpp does not read the grammar that it made of the schema");
        }
        const auto & stacks = llama_grammar_get_stacks(grammar.get());
        try {
            llama_grammar_accept_str(*grammar, text);
        } catch (const std::runtime_error &) {
            return 0;
        }
        // A stack that is empty has nothing left to come.
        return std::any_of(stacks.begin(), stacks.end(), [](const auto & stack) { return stack.empty(); }) ? 1 : 0;
    });
}
