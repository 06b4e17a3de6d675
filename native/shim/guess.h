// What both kinds of guessers share: rows of any slots for one decode, and the likeliest token of a row's logits. Not part
// of the ABI.
#pragma once
#include "internal.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace mlo {

// Logits this far below the largest one add nothing that counts to the sum of probabilities.
const float LOGIT_RANGE = 20.0f;

// How many tokens of two sequences are the same from their beginning on.
inline size_t common_length(const std::vector<llama_token> & held, const llama_token * tokens, size_t n) {
    const size_t most = std::min(held.size(), n);
    return std::mismatch(held.begin(), held.begin() + most, tokens).first - held.begin();
}

// The likeliest token of a row, or -1 where it is less likely than that, or none that the guess may have.
inline llama_token likeliest_token(const float * logits, int32_t size, int32_t vocabulary, float probability_min) {
    const llama_token best = (llama_token) (std::max_element(logits, logits + size) - logits);
    if (best >= vocabulary || !std::isfinite(logits[best])) {
        return -1;
    }
    // The probability is 1 / sum, so most bad guesses are known as such before the sum is complete.
    const float most = probability_min > 0.0f ? 1.0f / probability_min : INFINITY;
    float sum = 0.0f;
    for (int32_t token = 0; token < size && sum <= most; ++token) {
        const float below = logits[token] - logits[best];
        if (below > -LOGIT_RANGE) {
            sum += std::exp(below);
        }
    }
    return sum <= most ? best : -1;
}

// Rows of one decode, of any slots; with a hidden row each where `width` is not 0.
struct guess_rows {
    size_t                      width;
    std::vector<llama_token>    tokens;
    std::vector<float>          hidden;
    std::vector<llama_pos>      positions;
    std::vector<int32_t>        counts;
    std::vector<llama_seq_id>   slots;
    std::vector<llama_seq_id *> ids;
    std::vector<int8_t>         outputs;

    explicit guess_rows(size_t width = 0) : width(width) {}

    // row: the hidden one; null where it was never seen.
    void add(llama_token token, llama_pos position, llama_seq_id slot, bool output, const float * row = nullptr) {
        tokens.push_back(token);
        positions.push_back(position);
        counts.push_back(1);
        slots.push_back(slot);
        outputs.push_back(output);
        hidden.resize(hidden.size() + width, 0.0f);
        if (row) {
            std::memcpy(hidden.data() + hidden.size() - width, row, width * sizeof(float));
        }
    }
    llama_batch batch() {
        ids.clear();
        for (auto & slot : slots) {
            ids.push_back(&slot);
        }
        float * embeddings = width == 0 ? nullptr : hidden.data();
        return {(int32_t) tokens.size(), tokens.data(), embeddings, positions.data(), counts.data(), ids.data(), outputs.data()};
    }
};

} // namespace mlo
