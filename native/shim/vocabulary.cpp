// What a vocabulary has, and whether two models mean the same by a token, so that one can guess for the other.
#include "internal.h"

#include <algorithm>
#include <cstring>

namespace {

// Vocabularies of one family differ in padding and in tokens that were added at the end; those may differ in number.
const int32_t ADDED_TOKENS_MAX = 128;
// The first few tokens are control tokens, whose texts differ between models that otherwise agree.
const llama_token CONTROL_TOKENS = 5;

const char * type_name(const llama_vocab * vocab) {
    switch (llama_vocab_type(vocab)) {
        case LLAMA_VOCAB_TYPE_SPM: return "SPM";
        case LLAMA_VOCAB_TYPE_BPE: return "BPE";
        case LLAMA_VOCAB_TYPE_WPM: return "WPM";
        case LLAMA_VOCAB_TYPE_UGM: return "UGM";
        case LLAMA_VOCAB_TYPE_RWKV: return "RWKV";
        default: return "another one";
    }
}

std::string quoted(const llama_vocab * vocab, llama_token token) {
    return "'" + common_token_to_piece(vocab, token) + "'";
}

void check_marker(const char * name, bool added, llama_token token, bool draft_added, llama_token draft_token) {
    if (added != draft_added || (added && token != draft_token)) {
        const auto text = [](bool is_added, llama_token t) { return is_added ? "token " + std::to_string(t) : std::string("none"); };
        throw std::invalid_argument(std::string("it marks the ") + name + " of a text with " + text(draft_added, draft_token) + ", the model with " + text(added, token));
    }
}

} // namespace

bool mlo::has_marks(const llama_vocab * vocab) {
    // WordPiece puts both around a text, whatever the file says.
    const bool is_wpm = llama_vocab_type(vocab) == LLAMA_VOCAB_TYPE_WPM;
    const auto lacks = [](bool added, llama_token token) { return added && token == LLAMA_TOKEN_NULL; };
    return !lacks(is_wpm || llama_vocab_get_add_bos(vocab), llama_vocab_bos(vocab)) &&
           !lacks(!is_wpm && llama_vocab_get_add_eos(vocab), llama_vocab_eos(vocab)) &&
           !lacks(is_wpm || llama_vocab_get_add_sep(vocab), llama_vocab_sep(vocab));
}

void mlo::check_vocabulary(const llama_vocab * target, const llama_vocab * draft) {
    if (llama_vocab_type(target) != llama_vocab_type(draft)) {
        throw std::invalid_argument(std::string("its vocabulary is of type ") + type_name(draft) + ", the model's is " + type_name(target));
    }
    check_marker("beginning", llama_vocab_get_add_bos(target), llama_vocab_bos(target), llama_vocab_get_add_bos(draft), llama_vocab_bos(draft));
    check_marker("end", llama_vocab_get_add_eos(target), llama_vocab_eos(target), llama_vocab_get_add_eos(draft), llama_vocab_eos(draft));
    const int32_t size = llama_vocab_n_tokens(target);
    const int32_t draft_size = llama_vocab_n_tokens(draft);
    if (std::abs(size - draft_size) > ADDED_TOKENS_MAX) {
        throw std::invalid_argument("its vocabulary has " + std::to_string(draft_size) + " tokens, the model's " + std::to_string(size));
    }
    for (llama_token token = CONTROL_TOKENS; token < std::min(size, draft_size); ++token) {
        if (std::strcmp(llama_vocab_get_text(target, token), llama_vocab_get_text(draft, token)) != 0) {
            throw std::invalid_argument("its token " + std::to_string(token) + " is " + quoted(draft, token) + ", the model's is " + quoted(target, token));
        }
    }
}
