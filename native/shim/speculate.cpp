// A smaller model that guesses what a larger one will say. Its KV cells are a cache of tokens and nothing else: a slot
// is shown a sequence's tokens, keeps the beginning that it has of them, and reads the rest. So nothing that happens to
// the larger model's cells (forks, cuts, restores) has to be repeated here. When to guess is the caller's decision.
#include "guess.h"

using mlo::common_length;
using draft_rows = mlo::guess_rows;

namespace {

// Another slot's beginning is shared when it is longer than the slot's own by this many tokens.
const size_t SHARED_TOKENS_MIN = 16;

struct draft_slot {
    std::vector<llama_token> held;    // tokens that have cells
    std::vector<llama_token> pending; // those that follow, up to the last one of the sequence
    int64_t                  used = 0;
};

} // namespace

struct mlo_drafter : mlo::counted<mlo::KIND_DRAFTER> {
    mlo_context *           context = nullptr;
    int32_t                 vocabulary = 0; // tokens that both models have
    float                   probability_min = 0.0f;
    int64_t                 clock = 0;
    std::vector<draft_slot> slots;

    llama_memory_t memory() const { return llama_get_memory(context->context); }

    draft_slot & at(int32_t slot) {
        if (slot < 0 || slot >= (int32_t) slots.size()) {
            throw std::invalid_argument("there is no slot " + std::to_string(slot));
        }
        return slots[slot];
    }

    void clear(int32_t slot) {
        llama_memory_seq_rm(memory(), slot, -1, -1);
        slots[slot].held.clear();
        // They go on from what has gone: a guess would be one without the text before it.
        slots[slot].pending.clear();
    }

    void cut(int32_t slot, size_t length) {
        auto & held = slots[slot].held;
        if (length >= held.size()) {
            return;
        }
        // A window may have lost what a row at this place has to see: then all is read anew.
        if (length == 0 || !llama_memory_seq_rm(memory(), slot, (llama_pos) length, -1) || !mlo_seq_covers(context, slot, (int32_t) length)) {
            clear(slot);
        } else {
            held.resize(length);
        }
    }

    // Takes over what another slot has of these tokens, where that is more.
    void share(int32_t slot, const llama_token * tokens, size_t n) {
        size_t  longest = slots[slot].held.size() + SHARED_TOKENS_MIN;
        int32_t donor = -1;
        for (int32_t other = 0; other < (int32_t) slots.size(); ++other) {
            const size_t common = other == slot ? 0 : common_length(slots[other].held, tokens, n);
            if (common > longest && mlo_seq_covers(context, other, (int32_t) common)) {
                longest = common;
                donor = other;
            }
        }
        if (donor >= 0) {
            clear(slot);
            llama_memory_seq_cp(memory(), donor, slot, 0, (llama_pos) longest);
            slots[slot].held.assign(tokens, tokens + longest);
        }
    }

    // Frees the slot that was used longest ago and has no rows in this decode; false: there is none.
    bool evict(const draft_rows & rows) {
        int32_t oldest = -1;
        for (int32_t slot = 0; slot < (int32_t) slots.size(); ++slot) {
            const bool is_idle = !slots[slot].held.empty() && std::find(rows.slots.begin(), rows.slots.end(), slot) == rows.slots.end();
            if (is_idle && (oldest < 0 || slots[slot].used < slots[oldest].used)) {
                oldest = slot;
            }
        }
        if (oldest >= 0) {
            clear(oldest);
        }
        return oldest >= 0;
    }

    // False: there is no room, and nothing has changed. After a failure nothing in the cells is trusted.
    bool decode(draft_rows & rows, const mlo::log_capture & capture) {
        int32_t result = llama_decode(context->context, rows.batch());
        while (result == 1 && evict(rows)) {
            result = llama_decode(context->context, rows.batch());
        }
        if (result < 0 || result > 1) {
            for (int32_t slot = 0; slot < (int32_t) slots.size(); ++slot) {
                clear(slot);
            }
            throw std::runtime_error("the draft model's decode failed with " + std::to_string(result) + "\n" + capture.buffer);
        }
        if (result == 0) {
            for (size_t i = 0; i < rows.tokens.size(); ++i) {
                slots[rows.slots[i]].held.push_back(rows.tokens[i]);
            }
        }
        return result == 0;
    }

    // The likeliest token of a row, or -1 where it is not likely enough.
    llama_token pick(int32_t row) const {
        const float * logits = llama_get_logits_ith(context->context, row);
        if (!logits) {
            throw std::runtime_error("row " + std::to_string(row) + " of the draft model has no output");
        }
        return mlo::likeliest_token(logits, llama_vocab_n_tokens(context->model->vocab), vocabulary, probability_min);
    }
};

mlo_drafter * mlo_drafter_new(mlo_model * target, mlo_context * context, float probabilityMin) {
    return mlo::guard<mlo_drafter *>(nullptr, [&](auto &) {
        mlo::check_vocabulary(target->vocab, context->model->vocab);
        auto made = std::make_unique<mlo_drafter>();
        made->context = context;
        made->vocabulary = std::min(llama_vocab_n_tokens(target->vocab), llama_vocab_n_tokens(context->model->vocab));
        made->probability_min = probabilityMin;
        made->slots.resize(llama_n_seq_max(context->context));
        return made.release();
    });
}

void mlo_drafter_free(mlo_drafter * drafter) {
    delete drafter;
}

int32_t mlo_drafter_show(mlo_drafter * d, int32_t slot, int32_t * tokens, int32_t n, int32_t rows) {
    return mlo::guard<int32_t>(-1, [&](auto & capture) -> int32_t {
        if (n < 1) {
            throw std::invalid_argument("a sequence without tokens");
        }
        draft_slot & s = d->at(slot);
        s.used = ++d->clock;
        // The last token is always run to guess from, so it never counts as held.
        const size_t wanted = (size_t) n - 1;
        d->cut(slot, common_length(s.held, tokens, wanted));
        d->share(slot, tokens, wanted);
        const size_t most = (size_t) std::clamp(rows, 0, (int32_t) llama_n_batch(d->context->context));
        const size_t count = std::min(most, wanted - s.held.size());
        if (count > 0) {
            draft_rows batch;
            const size_t start = s.held.size();
            for (size_t i = start; i < start + count; ++i) {
                batch.add(tokens[i], (llama_pos) i, slot, false);
            }
            d->decode(batch, capture);
            llama_synchronize(d->context->context);
        }
        s.pending.assign(tokens + s.held.size(), tokens + n);
        return (int32_t) s.pending.size();
    });
}

int32_t mlo_drafter_guess(mlo_drafter * d, int32_t n, int32_t * slots, int32_t * limits, int32_t stride, int32_t * guesses, int32_t * counts) {
    return mlo::guard<int32_t>(-1, [&](auto & capture) -> int32_t {
        size_t left = 0;
        for (int32_t part = 0; part < n; ++part) {
            left += d->at(slots[part]).pending.size();
        }
        if (left > llama_n_batch(d->context->context)) {
            throw std::invalid_argument(std::to_string(left) + " tokens are left to run, more than one batch takes");
        }
        draft_rows           rows;
        std::vector<int32_t> going; // parts that guess on, in the order of their outputs
        std::vector<int32_t> outputs;
        for (int32_t part = 0; part < n; ++part) {
            draft_slot & s = d->at(slots[part]);
            counts[part] = 0;
            if (limits[part] < 1 || s.pending.empty()) {
                continue;
            }
            s.used = ++d->clock;
            for (size_t i = 0; i < s.pending.size(); ++i) {
                rows.add(s.pending[i], (llama_pos) (s.held.size() + i), slots[part], i + 1 == s.pending.size());
            }
            s.pending.clear();
            going.push_back(part);
            outputs.push_back((int32_t) rows.tokens.size() - 1);
        }
        int32_t total = 0;
        while (!going.empty() && d->decode(rows, capture)) {
            llama_synchronize(d->context->context);
            draft_rows           next;
            std::vector<int32_t> staying;
            for (size_t i = 0; i < going.size(); ++i) {
                const int32_t part = going[i];
                const llama_token token = d->pick(outputs[i]);
                if (token < 0) {
                    continue;
                }
                guesses[part * stride + counts[part]++] = token;
                ++total;
                // Nothing follows an end, and a row whose output nobody needs is not run.
                if (counts[part] < std::min(limits[part], stride) && !llama_vocab_is_eog(d->context->model->vocab, token)) {
                    next.add(token, (llama_pos) d->slots[slots[part]].held.size(), slots[part], true);
                    staying.push_back(part);
                }
            }
            rows = std::move(next);
            going = std::move(staying);
            outputs.resize(going.size());
            for (size_t i = 0; i < outputs.size(); ++i) {
                outputs[i] = (int32_t) i;
            }
        }
        return total;
    });
}
