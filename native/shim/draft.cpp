// Drafts: guesses at the next tokens, which one decode then checks all at once.
#include "internal.h"

#include "ngram-map.h"

#include <algorithm>

namespace {

// So many tokens have to come again in the same order for what followed them to be a guess worth checking.
const uint16_t MATCH_TOKENS = 6;

} // namespace

int32_t mlo_draft_lookup(int32_t * tokens, int32_t n, int32_t capacity, int32_t * draft) {
    return mlo::guard<int32_t>(0, [&](auto &) -> int32_t {
        if (n < 1 || capacity < MATCH_TOKENS) {
            return 0;
        }
        thread_local llama_tokens history;
        history.assign(tokens, tokens + n - 1);
        const common_ngram_simple_config config = {MATCH_TOKENS, (uint16_t) std::min(capacity, (int32_t) UINT16_MAX)};
        const llama_tokens guess = common_ngram_simple_draft(config, history, tokens[n - 1]);
        std::copy(guess.begin(), guess.end(), draft);
        return (int32_t) guess.size();
    });
}
