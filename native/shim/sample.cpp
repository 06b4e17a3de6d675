// Samples the rows of a batch from raw logits, on several threads where that pays: each row has its own sampler, and
// nothing else is written.
#include "internal.h"

#include <algorithm>
#include <cmath>

namespace {

// Tokens whose largest logit is found at once: compilers turn the lanes into vector registers.
constexpr int32_t ARGMAX_BLOCK = 256;
constexpr int32_t ARGMAX_LANES = 16;

float block_max(const float * logits) {
    float lanes[ARGMAX_LANES];
    for (int32_t i = 0; i < ARGMAX_LANES; ++i) {
        lanes[i] = logits[i];
    }
    for (int32_t j = ARGMAX_LANES; j < ARGMAX_BLOCK; j += ARGMAX_LANES) {
        for (int32_t i = 0; i < ARGMAX_LANES; ++i) {
            lanes[i] = logits[j + i] > lanes[i] ? logits[j + i] : lanes[i];
        }
    }
    return *std::max_element(lanes, lanes + ARGMAX_LANES);
}

// The first of the largest. A block is read one by one where it has a bias, or a logit above the best so far.
llama_token argmax(const float * logits, int32_t vocabulary, const std::vector<llama_logit_bias> & biases) {
    llama_token best = 0;
    float best_logit = -INFINITY;
    size_t next = 0;
    for (int32_t from = 0; from < vocabulary; from += ARGMAX_BLOCK) {
        const int32_t to = std::min(from + ARGMAX_BLOCK, vocabulary);
        const bool biased = next < biases.size() && biases[next].token < to;
        if (!biased && to - from == ARGMAX_BLOCK && !(block_max(logits + from) > best_logit)) {
            continue;
        }
        for (llama_token token = from; token < to; ++token) {
            float logit = logits[token];
            if (next < biases.size() && biases[next].token == token) {
                logit += biases[next++].bias;
            }
            if (logit > best_logit) {
                best_logit = logit;
                best = token;
            }
        }
    }
    return best;
}

llama_token sample_row(float * logits, const mlo_model & model, mlo_sampler & sampler) {
    const int32_t vocabulary = llama_vocab_n_tokens(model.vocab);
    if (sampler.endless > 0) {
        --sampler.endless;
        for (const llama_token end : model.ends) {
            logits[end] = -INFINITY;
        }
    }
    if (!sampler.chain) {
        return argmax(logits, vocabulary, sampler.biases);
    }
    const llama_token token = common_sampler_sample_logits(sampler.chain.get(), logits);
    common_sampler_accept(sampler.chain.get(), token, true);
    return token;
}

// From here on it pays to wake another thread: about 200 microseconds of reading logits once.
constexpr int64_t PARALLEL_LOGITS_MIN = 1000000;
bool is_worth_threads(int32_t n, int32_t vocabulary, mlo_sampler ** samplers) {
    int64_t logits = 0;
    for (int32_t i = 0; i < n; ++i) {
        logits += (int64_t) vocabulary * samplers[i]->cost;
    }
    return n > 1 && logits >= PARALLEL_LOGITS_MIN;
}

} // namespace

int32_t mlo_sample(mlo_context * c, int32_t n, int32_t * rows, mlo_sampler ** samplers, int32_t * tokens) {
    return mlo::guard<int32_t>(-1, [&](auto &) {
        llama_synchronize(c->context);
        // Fetching reorders the rows of a batch when it is first done, so it is done here, and before any sampling.
        std::vector<float *> logits(n);
        for (int32_t i = 0; i < n; ++i) {
            logits[i] = llama_get_logits_ith(c->context, rows[i]);
        }
        const int32_t vocabulary = llama_vocab_n_tokens(c->model->vocab);
        std::vector<std::string> errors(n);
        const auto sample = [&](int32_t i) {
            // A grammar that gets stuck throws while it accepts: that is its own request's end, and nobody else's.
            tokens[i] = mlo::guard<int32_t>(-1, [&](auto &) {
                if (!logits[i]) {
                    throw std::invalid_argument("row " + std::to_string(rows[i]) + " has no output");
                }
                return sample_row(logits[i], *c->model, *samplers[i]);
            });
            if (tokens[i] < 0) {
                // An error is its thread's.
                errors[i] = mlo_error();
            }
        };
        if (is_worth_threads(n, vocabulary, samplers)) {
            if (!c->rows) {
                c->rows = std::make_unique<mlo::row_threads>(llama_n_threads(c->context));
            }
            c->rows->run(n, sample);
        } else {
            for (int32_t i = 0; i < n; ++i) {
                sample(i);
            }
        }
        int32_t failed = 0;
        for (int32_t i = 0; i < n; ++i) {
            if (tokens[i] < 0 && ++failed == 1) {
                mlo::set_error(errors[i]);
            }
        }
        return failed;
    });
}
