// Prompts of tasks that have a format of their own: a text with a gap to fill, a query with a document to rank, and texts
// whose tokens are asked for. They run on a job's thread and only read the model.
#include "internal.h"

#include <algorithm>

namespace {

using tokens_t = std::vector<llama_token>;

void append(tokens_t & to, const tokens_t & tokens) {
    to.insert(to.end(), tokens.begin(), tokens.end());
}

void require_infill_tokens(const llama_vocab * vocab) {
    const std::pair<const char *, llama_token> needed[] = {
        {"FIM_PRE", llama_vocab_fim_pre(vocab)}, {"FIM_SUF", llama_vocab_fim_suf(vocab)}, {"FIM_MID", llama_vocab_fim_mid(vocab)}};
    std::string missing;
    for (const auto & [name, token] : needed) {
        if (token == LLAMA_TOKEN_NULL) {
            missing += (missing.empty() ? "" : ", ") + std::string(name);
        }
    }
    if (!missing.empty()) {
        throw std::invalid_argument("the model can't fill in text: its vocabulary has no " + missing);
    }
}

// What surrounds the gap in other files: under the repository's token, a file each, the current one last.
tokens_t read_extra(const llama_vocab * vocab, const common_json & files) {
    const auto text_tokens = [&](const std::string & text) { return common_tokenize(vocab, text, false, false); };
    const llama_token separator = llama_vocab_fim_sep(vocab);
    tokens_t extra;
    if (llama_vocab_fim_rep(vocab) != LLAMA_TOKEN_NULL) {
        extra.push_back(llama_vocab_fim_rep(vocab));
        append(extra, text_tokens("myproject\n"));
    }
    for (const auto & file : files) {
        if (separator != LLAMA_TOKEN_NULL) {
            extra.push_back(separator);
            append(extra, text_tokens(file.value("filename", std::string("tmp")) + "\n"));
        } else {
            append(extra, text_tokens("\n\n--- snippet ---\n\n"));
        }
        append(extra, text_tokens(file.at("text").get<std::string>()));
    }
    if (separator != LLAMA_TOKEN_NULL) {
        extra.push_back(separator);
        append(extra, text_tokens("filename\n"));
    }
    return extra;
}

} // namespace

// As llama-server lays it out, so that models see what they know from there: extra, BOS, PRE prefix prompt, SUF suffix, MID.
// The prefix keeps its end and the suffix its beginning: three quarters and one quarter of a batch.
void read_infill(mlo_prompt & prompt, const mlo_model & model, const common_json & request) {
    const llama_vocab * vocab = model.vocab;
    require_infill_tokens(vocab);
    const int32_t batch = request.at("batchTokens").get<int32_t>();
    const int32_t context = request.at("contextTokens").get<int32_t>();
    const int32_t answer = request.value("answerTokens", 0);
    tokens_t prefix = common_tokenize(vocab, request.at("prefix").get<std::string>(), false, false);
    tokens_t suffix = common_tokenize(vocab, request.at("suffix").get<std::string>(), false, false);
    const tokens_t begun = common_tokenize(vocab, request.value("prompt", std::string()), false, true);
    const tokens_t extra = read_extra(vocab, request.at("extra"));

    const size_t prefix_max = (size_t) (3 * (batch / 4));
    const size_t suffix_max = (size_t) std::max(0, batch / 4 - (2 + (int32_t) begun.size()));
    if (prefix.size() > prefix_max) {
        prefix.erase(prefix.begin(), prefix.end() - (ptrdiff_t) prefix_max);
    }
    suffix.resize(std::min(suffix.size(), suffix_max));

    tokens_t gap;
    // Some files want one added and have none.
    if (llama_vocab_get_add_bos(vocab) && llama_vocab_bos(vocab) != LLAMA_TOKEN_NULL) {
        gap.push_back(llama_vocab_bos(vocab));
    }
    gap.push_back(llama_vocab_fim_pre(vocab));
    append(gap, prefix);
    append(gap, begun);
    gap.push_back(llama_vocab_fim_suf(vocab));
    append(gap, suffix);
    gap.push_back(llama_vocab_fim_mid(vocab));
    // The context's rest is for other files, but for twice the answer: their end is nearest to the gap.
    const int64_t room = (int64_t) context - std::max<int64_t>(batch, (int64_t) gap.size()) - 2 * (int64_t) answer;
    const size_t extra_take = (size_t) std::clamp<int64_t>(room, 0, (int64_t) extra.size());
    prompt.tokens.assign(extra.end() - (ptrdiff_t) extra_take, extra.end());
    append(prompt.tokens, gap);
}

// One sequence of a query and a document: by the model's own rerank template, or with the tokens that its vocabulary adds.
void read_rerank(mlo_prompt & prompt, const mlo_model & model, const common_json & request) {
    const llama_vocab * vocab = model.vocab;
    const std::string query = request.at("query").get<std::string>();
    const std::string document = request.at("document").get<std::string>();
    if (const char * format = llama_model_chat_template(model.model, "rerank")) {
        // Replaced in one pass over the template: a query that holds the other placeholder is data.
        const std::string text = format;
        const std::pair<std::string, const std::string &> places[] = {{"{query}", query}, {"{document}", document}};
        for (size_t at = 0; at < text.size();) {
            const auto * place = std::find_if(std::begin(places), std::end(places), [&](const auto & candidate) {
                return text.compare(at, candidate.first.size(), candidate.first) == 0;
            });
            if (place == std::end(places)) {
                prompt.text += text[at++];
            } else {
                prompt.text += place->second;
                at += place->first.size();
            }
        }
        prompt.tokens = common_tokenize(vocab, prompt.text, false, true);
        return;
    }
    const llama_token eos = llama_vocab_eos(vocab) == LLAMA_TOKEN_NULL ? llama_vocab_sep(vocab) : llama_vocab_eos(vocab);
    const auto add = [&](bool wanted, llama_token token) {
        if (wanted && token != LLAMA_TOKEN_NULL) {
            prompt.tokens.push_back(token);
        }
    };
    add(llama_vocab_get_add_bos(vocab), llama_vocab_bos(vocab));
    append(prompt.tokens, common_tokenize(vocab, query, false, false));
    add(llama_vocab_get_add_eos(vocab), eos);
    add(llama_vocab_get_add_sep(vocab), llama_vocab_sep(vocab));
    append(prompt.tokens, common_tokenize(vocab, document, false, false));
    add(llama_vocab_get_add_eos(vocab), eos);
}

// Texts and token ids in a row, as llama-server's /tokenize takes them: what is added at the ends belongs to a text that
// comes first.
void read_pieces(mlo_prompt & prompt, const mlo_model & model, const common_json & request) {
    const bool parse_special = request.at("parseSpecial").get<bool>();
    bool add_special = request.at("addSpecial").get<bool>() && mlo::has_marks(model.vocab);
    for (const auto & piece : request.at("pieces")) {
        if (piece.is_string()) {
            append(prompt.tokens, common_tokenize(model.vocab, piece.get<std::string>(), add_special, parse_special));
        } else {
            prompt.tokens.push_back(checked_token(model.vocab, piece));
        }
        add_special = false;
    }
}
