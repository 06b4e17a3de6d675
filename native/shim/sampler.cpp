// Samplers: from a request's settings to llama.cpp's chain, or to a shortcut where that could only pick the largest logit.
// How rows are sampled with them is sample.cpp's business.
#include "internal.h"

#include <algorithm>
#include <cmath>

namespace {

void read_numbers(const common_json & s, common_params_sampling & p) {
    p.seed = (uint32_t) s.value("seed", (int64_t) LLAMA_DEFAULT_SEED);
    p.temp = s.value("temperature", p.temp);
    p.top_k = s.value("topK", p.top_k);
    p.top_p = s.value("topP", p.top_p);
    p.min_p = s.value("minP", p.min_p);
    p.typ_p = s.value("typicalP", p.typ_p);
    p.top_n_sigma = s.value("topNSigma", p.top_n_sigma);
    p.penalty_repeat = s.value("repeatPenalty", p.penalty_repeat);
    p.penalty_last_n = s.value("repeatLastN", p.penalty_last_n);
    p.penalty_freq = s.value("frequencyPenalty", p.penalty_freq);
    p.penalty_present = s.value("presencePenalty", p.penalty_present);
    p.dry_multiplier = s.value("dryMultiplier", p.dry_multiplier);
    p.dry_base = s.value("dryBase", p.dry_base);
    p.dry_allowed_length = s.value("dryAllowedLength", p.dry_allowed_length);
    p.dry_penalty_last_n = s.value("dryPenaltyLastN", p.dry_penalty_last_n);
    p.xtc_probability = s.value("xtcProbability", p.xtc_probability);
    p.xtc_threshold = s.value("xtcThreshold", p.xtc_threshold);
    p.dynatemp_range = s.value("dynatempRange", p.dynatemp_range);
    p.dynatemp_exponent = s.value("dynatempExponent", p.dynatemp_exponent);
    p.mirostat = s.value("mirostat", p.mirostat);
    p.mirostat_tau = s.value("mirostatTau", p.mirostat_tau);
    p.mirostat_eta = s.value("mirostatEta", p.mirostat_eta);
    p.min_keep = s.value("minKeep", p.min_keep);
    p.n_prev = std::max(p.n_prev, p.penalty_last_n);
    p.no_perf = true;
}

void read_biases(const common_json & s, const llama_vocab * vocab, std::vector<llama_logit_bias> & biases) {
    const int32_t vocabulary = llama_vocab_n_tokens(vocab);
    if (s.contains("logitBias")) {
        for (const auto & pair : s.at("logitBias")) {
            const int64_t token = pair.at(0).get<int64_t>();
            if (token < 0 || token >= vocabulary) {
                throw std::invalid_argument("logit_bias: token " + std::to_string(token) + " is not in the vocabulary of " + std::to_string(vocabulary));
            }
            const float bias = pair.at(1).get<float>();
            biases.push_back({(llama_token) token, bias <= -100.0f ? -INFINITY : bias});
        }
    }
    if (s.value("ignoreEos", false)) {
        for (llama_token token = 0; token < vocabulary; ++token) {
            if (llama_vocab_is_eog(vocab, token)) {
                biases.push_back({token, -INFINITY});
            }
        }
    }
}

void add_trigger(const common_grammar_trigger & trigger, const llama_vocab * vocab, common_params_sampling & params) {
    if (trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_WORD) {
        // A word that is one preserved token triggers by the token: its text may never be rendered.
        const auto ids = common_tokenize(vocab, trigger.value, false, true);
        if (ids.size() == 1 && params.preserved_tokens.count(ids[0])) {
            common_grammar_trigger by_token;
            by_token.type = COMMON_GRAMMAR_TRIGGER_TYPE_TOKEN;
            by_token.value = trigger.value;
            by_token.token = ids[0];
            params.grammar_triggers.push_back(by_token);
            return;
        }
    }
    params.grammar_triggers.push_back(trigger);
}

// llama.cpp's parser recurses at each of these: far below what its stack takes, far above what a grammar needs.
constexpr int NESTING_MAX = 500;

void check_nesting(const std::string & grammar) {
    int depth = 0;
    char quote = 0;
    for (size_t i = 0; i < grammar.size(); ++i) {
        const char c = grammar[i];
        if (quote) {
            if (c == '\\') {
                ++i;
            } else if (c == quote) {
                quote = 0;
            }
        } else if (c == '"') {
            quote = '"';
        } else if (c == '[') {
            quote = ']';
        } else if (c == '(' && ++depth > NESTING_MAX) {
            throw std::invalid_argument("grammar: more than " + std::to_string(NESTING_MAX) + " parentheses are open at once");
        } else if (c == ')') {
            --depth;
        }
    }
}

void read_constraints(const common_json & s, const mlo_prompt * prompt, const llama_vocab * vocab, common_params_sampling & params) {
    const std::string user_grammar = s.value("grammar", "");
    if (!user_grammar.empty()) {
        if (user_grammar.compare(0, 11, "%llguidance") == 0) {
            throw std::invalid_argument("grammar: llguidance is not built in; use GBNF");
        }
        check_nesting(user_grammar);
        params.grammar = {COMMON_GRAMMAR_TYPE_USER, user_grammar};
        return;
    }
    if (!prompt || prompt->chat.grammar.empty()) {
        return;
    }
    const auto kind = prompt->has_tools ? COMMON_GRAMMAR_TYPE_TOOL_CALLS : COMMON_GRAMMAR_TYPE_OUTPUT_FORMAT;
    params.grammar = {kind, prompt->chat.grammar};
    params.grammar_lazy = prompt->chat.grammar_lazy;
    // What the grammar has behind it before the first token: of a plain one, what the text begins with.
    params.generation_prompt = prompt->has_plain_grammar ? prompt->begun_content : prompt->chat.generation_prompt;
    for (const auto & text : prompt->chat.preserved_tokens) {
        const auto ids = common_tokenize(vocab, text, false, true);
        if (ids.size() == 1) {
            params.preserved_tokens.insert(ids[0]);
        }
    }
    for (const auto & trigger : prompt->chat.grammar_triggers) {
        add_trigger(trigger, vocab, params);
    }
}

// Where reasoning begins and ends: a lazy grammar must not be triggered inside, and a budget may cut it short.
void read_reasoning(const common_json & s, const mlo_prompt * prompt, const llama_vocab * vocab, common_params_sampling & params) {
    if (!prompt || prompt->chat.thinking_end_tags.empty()) {
        return;
    }
    params.generation_prompt = prompt->chat.generation_prompt;
    params.reasoning_budget_tokens = s.value("reasoningBudgetTokens", -1);
    params.reasoning_budget_start = common_tokenize(vocab, prompt->chat.thinking_start_tag, false, true);
    for (const auto & tag : prompt->chat.thinking_end_tags) {
        params.reasoning_budget_end.push_back(common_tokenize(vocab, tag, false, true));
    }
    params.reasoning_budget_forced = params.reasoning_budget_end.front();
}

bool is_greedy(const common_params_sampling & p) {
    return p.temp <= 0.0f && p.mirostat == 0 && p.dynatemp_range == 0.0f && p.xtc_probability == 0.0f && p.dry_multiplier == 0.0f &&
           p.grammar.empty() && p.reasoning_budget_tokens < 0 && (p.penalty_last_n == 0 || (p.penalty_repeat == 1.0f && p.penalty_freq == 0.0f && p.penalty_present == 0.0f));
}

void add_suppressed(const llama_vocab * vocab, std::vector<llama_logit_bias> & biases) {
    int32_t count = 0;
    const llama_token * tokens = llama_vocab_get_suppress_tokens(vocab, &count);
    for (int32_t i = 0; i < count; ++i) {
        biases.push_back({tokens[i], -INFINITY});
    }
}

// Sums the biases of a token, as the chain would, and sorts them for the scan.
std::vector<llama_logit_bias> merged(std::vector<llama_logit_bias> biases) {
    std::stable_sort(biases.begin(), biases.end(), [](const auto & a, const auto & b) { return a.token < b.token; });
    std::vector<llama_logit_bias> out;
    for (const auto & bias : biases) {
        if (!out.empty() && out.back().token == bias.token) {
            out.back().bias += bias.bias;
        } else {
            out.push_back(bias);
        }
    }
    return out;
}

// What a row costs beside reading its logits once, as measured with a vocabulary of 151,000: a chain that starts with
// top-k costs no more, one that sorts or changes all tokens some times as much, a grammar that refuses a token far more.
constexpr int32_t FULL_CHAIN_COST = 5;
constexpr int32_t GRAMMAR_COST = 50;

int32_t chain_cost(const common_params_sampling & p) {
    if (!p.grammar.empty()) {
        return GRAMMAR_COST;
    }
    const bool penalties = p.penalty_last_n > 0 && (p.penalty_repeat != 1.0f || p.penalty_freq != 0.0f || p.penalty_present != 0.0f);
    const bool all_tokens = p.top_k <= 0 || p.mirostat != 0 || p.dry_multiplier != 0.0f || p.top_n_sigma > 0.0f || !p.logit_bias.empty();
    return penalties || all_tokens ? FULL_CHAIN_COST : 1;
}

} // namespace

std::unique_ptr<mlo_sampler> make_sampler(const mlo_model & model, const common_json & settings, const mlo_prompt * prompt) {
    common_params_sampling params;
    read_numbers(settings, params);
    read_biases(settings, model.vocab, params.logit_bias);
    read_constraints(settings, prompt, model.vocab, params);
    read_reasoning(settings, prompt, model.vocab, params);
    auto sampler = std::make_unique<mlo_sampler>();
    sampler->endless = settings.value("minTokens", 0);
    if (is_greedy(params)) {
        add_suppressed(model.vocab, params.logit_bias);
        sampler->biases = merged(params.logit_bias);
    } else {
        sampler->cost = chain_cost(params);
        sampler->chain.reset(common_sampler_init(model.model, params));
    }
    return sampler;
}

mlo_sampler * mlo_sampler_new(mlo_model * model, const char * settings, mlo_prompt * prompt) {
    return mlo::guard<mlo_sampler *>(nullptr, [&](auto &) {
        return make_sampler(*model, common_json::parse(settings), prompt).release();
    });
}

void mlo_sampler_free(mlo_sampler * sampler) {
    delete sampler;
}
