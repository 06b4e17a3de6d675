// Prompts: a chat rendered by the model's own template, or plain text, as tokens, with what shapes the answer:
// stop strings, grammar and parser. Rendering and tokenising run on a job's thread.
#include "internal.h"

#include <algorithm>

namespace {

// A template writes the first special token itself where the tokenizer would add it: one is enough.
bool starts_with_bos(const llama_vocab * vocab, const std::string & text) {
    const llama_token bos = llama_vocab_bos(vocab);
    if (bos == LLAMA_TOKEN_NULL || !llama_vocab_get_add_bos(vocab)) {
        return false;
    }
    const std::string piece = llama_vocab_get_text(vocab, bos);
    return !piece.empty() && text.compare(0, piece.size(), piece) == 0;
}

// Tokens before the first message that is not the system's: what other conversations with the same tools begin with too.
int32_t preamble_length(const common_chat_msg_spans & messages) {
    for (const auto & span : messages.spans) {
        if (span.role != COMMON_CHAT_ROLE_SYSTEM) {
            return (int32_t) span.pos;
        }
    }
    return 0;
}

// Where the last messages begin: the next prompt of this conversation has the same tokens up to one of these places, and
// after it an answer that its template may write in another way than the model did.
std::vector<int32_t> last_turns(const common_chat_msg_spans & messages) {
    const size_t count = std::min<size_t>(messages.spans.size(), 2);
    std::vector<int32_t> turns;
    for (size_t i = messages.spans.size() - count; i < messages.spans.size(); ++i) {
        turns.push_back((int32_t) messages.spans[i].pos);
    }
    return turns;
}

void read_chat(mlo_prompt & prompt, const mlo_model & model, const common_json & request, const std::function<void()> & add_sampler) {
    if (!model.templates) {
        throw std::invalid_argument("the model's chat template does not parse, so it can't chat; /v1/completions works");
    }
    prompt.is_chat = true;
    constrain_chat(prompt, model, request, add_sampler);
    prompt.text = prompt.chat.prompt;
    const bool add_special = mlo::has_marks(model.vocab) && !starts_with_bos(model.vocab, prompt.text);
    prompt.tokens = common_tokenize(model.vocab, prompt.text, add_special, true);
    common_chat_msg_delimiters delimiters = prompt.chat.message_delimiters;
    delimiters.tokenize(model.vocab);
    const common_chat_msg_spans messages = delimiters.split(prompt.tokens);
    prompt.preamble = preamble_length(messages);
    prompt.turns = last_turns(messages);
}

void read_tokens(mlo_prompt & prompt, const mlo_model & model, const common_json & request) {
    for (const auto & token : request.at("tokens")) {
        prompt.tokens.push_back(checked_token(model.vocab, token));
    }
}

void * read_prompt(const mlo_model & model, const std::string & text, const std::string & sampling) {
    const common_json request = common_json::parse(text);
    const std::string kind = request.at("kind").get<std::string>();
    auto prompt = std::make_unique<mlo_prompt>();
    const auto add_sampler = [&] {
        if (!sampling.empty()) {
            prompt->sampler = make_sampler(model, common_json::parse(sampling), prompt.get());
        }
    };
    if (kind == "chat") {
        read_chat(*prompt, model, request, add_sampler);
        return prompt.release();
    }
    if (kind == "tokens") {
        read_tokens(*prompt, model, request);
    } else if (kind == "infill") {
        read_infill(*prompt, model, request);
    } else if (kind == "rerank") {
        read_rerank(*prompt, model, request);
    } else if (kind == "pieces") {
        read_pieces(*prompt, model, request);
    } else {
        // An embedding's text is data: what looks like a special token in it is not one.
        prompt->text = request.at("text").get<std::string>();
        prompt->tokens = common_tokenize(model.vocab, prompt->text, mlo::has_marks(model.vocab), kind != "embedding");
    }
    add_sampler();
    return prompt.release();
}

} // namespace

llama_token checked_token(const llama_vocab * vocab, const common_json & token) {
    const int32_t vocabulary = llama_vocab_n_tokens(vocab);
    const int64_t id = token.get<int64_t>();
    if (id < 0 || id >= vocabulary) {
        throw std::invalid_argument("token " + std::to_string(id) + " is not in the vocabulary of " + std::to_string(vocabulary));
    }
    return (llama_token) id;
}

mlo_job * mlo_prompt_start(mlo_model * model, const char * request, const char * sampling) {
    return mlo::guard<mlo_job *>(nullptr, [&](auto &) {
        auto job = std::make_unique<mlo_job>();
        job->drop = [](void * result) { delete (mlo_prompt *) result; };
        job->start([model, text = std::string(request), settings = std::string(sampling ? sampling : "")](mlo_job &) {
            return read_prompt(*model, text, settings);
        });
        return job.release();
    });
}

mlo_prompt * mlo_prompt_take(mlo_job * job) {
    return (mlo_prompt *) job->take();
}

void mlo_prompt_free(mlo_prompt * prompt) {
    delete prompt;
}

mlo_sampler * mlo_prompt_take_sampler(mlo_prompt * prompt) {
    return prompt->sampler.release();
}

int32_t mlo_prompt_length(mlo_prompt * prompt) {
    return (int32_t) prompt->tokens.size();
}

void mlo_prompt_tokens(mlo_prompt * prompt, int32_t * tokens) {
    std::copy(prompt->tokens.begin(), prompt->tokens.end(), tokens);
}

char * mlo_prompt_info(mlo_prompt * prompt) {
    return mlo::guard<char *>(nullptr, [&](auto &) {
        const bool thinks = prompt->is_chat && prompt->chat.supports_thinking;
        return mlo::own_text(common_json({
            {"stops", prompt->chat.additional_stops},
            {"preserved", prompt->chat.preserved_tokens},
            {"needsParser", prompt->is_chat && (prompt->has_tools || thinks)},
            {"preamble", prompt->preamble},
            {"turns", prompt->turns},
            {"text", prompt->text},
        }).dump_safe());
    });
}
