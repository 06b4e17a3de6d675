// Log probabilities of rows: the normaliser, the likeliest tokens and one token's logit, on several threads where that
// pays. It only reads the logits, so that it may run before any sampling; the vocabulary never leaves native memory.
#include "internal.h"

#include <algorithm>
#include <cmath>

namespace {

// The logarithm of the sum of all exponentials: a logit minus this is its log probability.
float log_sum(const float * logits, int32_t vocabulary) {
    const float largest = *std::max_element(logits, logits + vocabulary);
    // In double: a large vocabulary's tail of small terms adds up.
    double sum = 0;
    for (int32_t t = 0; t < vocabulary; ++t) {
        sum += std::exp(logits[t] - largest);
    }
    return largest + (float) std::log(sum);
}

// The `count` largest, best first; equal ones in the order of their ids. `count` is small, so insertion is quick.
void find_largest(const float * logits, int32_t vocabulary, int32_t count, int32_t * tokens, float * values) {
    int32_t found = 0;
    for (int32_t t = 0; t < vocabulary; ++t) {
        if (found == count && !(logits[t] > values[count - 1])) {
            continue;
        }
        int32_t at = found < count ? found++ : count - 1;
        for (; at > 0 && logits[t] > values[at - 1]; --at) {
            values[at] = values[at - 1];
            tokens[at] = tokens[at - 1];
        }
        values[at] = logits[t];
        tokens[at] = t;
    }
}

// From here on it pays to wake another thread: exponentials cost several times as much as reading.
constexpr int64_t PARALLEL_LOGITS_MIN = 200000;

} // namespace

int32_t mlo_logprobs(mlo_context * c, int32_t n, int32_t * rows, int32_t * tokens, int32_t top, float * logits, float * sums, int32_t * top_tokens, float * top_logits) {
    return mlo::guard<int32_t>(-1, [&](auto &) {
        llama_synchronize(c->context);
        const int32_t vocabulary = llama_vocab_n_tokens(c->model->vocab);
        if (top < 0 || top > vocabulary) {
            throw std::invalid_argument(std::to_string(top) + " tokens of a row are not to be had");
        }
        // Fetching reorders the rows of a batch when it is first done, so it is done here.
        std::vector<const float *> values(n);
        for (int32_t i = 0; i < n; ++i) {
            values[i] = llama_get_logits_ith(c->context, rows[i]);
            if (!values[i]) {
                throw std::invalid_argument("row " + std::to_string(rows[i]) + " has no output");
            }
            if (tokens[i] >= vocabulary) {
                throw std::invalid_argument("token " + std::to_string(tokens[i]) + " is not in the vocabulary");
            }
        }
        const auto read = [&](int32_t i) {
            logits[i] = tokens[i] < 0 ? -INFINITY : values[i][tokens[i]];
            if (sums) {
                sums[i] = log_sum(values[i], vocabulary);
            }
            if (top > 0) {
                find_largest(values[i], vocabulary, top, top_tokens + (int64_t) i * top, top_logits + (int64_t) i * top);
            }
        };
        if (sums && n > 1 && (int64_t) n * vocabulary >= PARALLEL_LOGITS_MIN) {
            if (!c->rows) {
                c->rows = std::make_unique<mlo::row_threads>(llama_n_threads(c->context));
            }
            c->rows->run(n, read);
        } else {
            for (int32_t i = 0; i < n; ++i) {
                read(i);
            }
        }
        return 0;
    });
}
