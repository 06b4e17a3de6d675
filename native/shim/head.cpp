// A model that guesses with its own prediction layers (MTP): they run in a context of their own over the same weights, on
// pairs of a token and the hidden row that the model had before it. Where rows were never seen, a slot's cells begin anew:
// the layers then see less of the text, and guess worse. When to guess is the caller's decision. Of several such layers the
// first one makes every token of a guess.
#include "head-slots.h"

#include "llama-context.h"
#include "llama-ext.h"

using mlo::guess_rows;
using mlo::head_slot;

namespace {

// More pairs than these are run at once, so that a guess never has much to catch up with.
const size_t PAIRS_WAITING_MAX = 32;

// Makes room for the model's steps with or without hidden rows: a step that found none would fail its requests.
void reserve_steps(llama_context * target, bool with_rows) {
    llama_set_embeddings_nextn(target, with_rows, false);
    // Says again that nothing is wanted of this layer, because that has everything reserved anew.
    llama_set_embeddings_layer_inp(target, 0, false);
    target->sched_reserve();
}

} // namespace

struct mlo_head : mlo::counted<mlo::KIND_HEAD> {
    mlo_context *   target = nullptr;
    mlo_context *   context = nullptr;
    float           probability_min = 0.0f;
    mlo::head_slots slots;

    // False: there is no room, and nothing has changed. After a failure nothing in the cells is trusted.
    bool decode(guess_rows & rows, const mlo::log_capture & capture) {
        int32_t result = llama_decode(context->context, rows.batch());
        while (result == 1 && slots.evict(rows)) {
            result = llama_decode(context->context, rows.batch());
        }
        if (result < 0 || result > 1) {
            for (int32_t slot = 0; slot < (int32_t) slots.slots.size(); ++slot) {
                slots.clear(slot);
            }
            throw std::runtime_error("the decode of the prediction layers failed with " + std::to_string(result) + "\n" + capture.buffer);
        }
        return result == 0;
    }

    // The pairs of tokens [held, end) of a slot; the last one has output, where that is wanted.
    void add_pairs(guess_rows & rows, int32_t slot, size_t end, bool output) const {
        const head_slot & s = slots.slots[slot];
        for (size_t i = s.held; i < end; ++i) {
            rows.add(s.tokens[i], (llama_pos) i, slot, output && i + 1 == end, slots.row_before(s, i));
        }
    }

    // Runs the pairs of tokens [held, end), in batches.
    void run_waiting(int32_t slot, size_t end, const mlo::log_capture & capture) {
        head_slot & s = slots.slots[slot];
        while (s.held < end) {
            guess_rows rows(slots.width);
            const size_t stop = std::min(end, s.held + llama_n_batch(context->context));
            add_pairs(rows, slot, stop, false);
            if (!decode(rows, capture)) {
                slots.clear(slot);
                return;
            }
            slots.note_held(s, stop);
        }
        llama_synchronize(context->context);
    }

    // The likeliest token of a row, or -1, and the layers' own hidden row of it.
    llama_token pick(int32_t row, const float *& hidden) const {
        const float * logits = llama_get_logits_ith(context->context, row);
        hidden = llama_get_embeddings_nextn_ith(context->context, row);
        if (!logits || !hidden) {
            throw std::runtime_error("row " + std::to_string(row) + " of the prediction layers has no output");
        }
        const int32_t size = llama_vocab_n_tokens(context->model->vocab);
        return mlo::likeliest_token(logits, size, size, probability_min);
    }

    // Cells of guessed tokens were made from the layers' own hidden rows: the model's come with the next step.
    void drop_guesses(const std::vector<int32_t> & guessing) {
        for (const int32_t slot : guessing) {
            if (!llama_memory_seq_rm(slots.memory, slot, (llama_pos) slots.slots[slot].held, -1)) {
                slots.clear(slot);
            }
        }
    }
};

mlo_head * mlo_head_new(mlo_context * target, mlo_context * context, float probabilityMin) {
    return mlo::guard<mlo_head *>(nullptr, [&](auto &) {
        if (target->model != context->model) {
            throw std::invalid_argument("the two contexts are of different models");
        }
        auto made = std::make_unique<mlo_head>();
        made->target = target;
        made->context = context;
        made->probability_min = probabilityMin;
        made->slots.memory = llama_get_memory(context->context);
        made->slots.width = (size_t) llama_model_n_embd_out(target->model->model);
        made->slots.slots.resize(llama_n_seq_max(context->context));
        try {
            reserve_steps(target->context, true);
        } catch (...) {
            reserve_steps(target->context, false);
            throw;
        }
        llama_set_embeddings_nextn(target->context, false, false);
        return made.release();
    });
}

void mlo_head_free(mlo_head * head) {
    delete head;
}

void mlo_head_watch(mlo_head * h, int32_t on) {
    llama_set_embeddings_nextn(h->target->context, on != 0, false);
}

int32_t mlo_head_take(mlo_head * h, int32_t slot, int32_t * before, int32_t start, int32_t * tokens, int32_t n, int32_t certain, int32_t row) {
    return mlo::guard<int32_t>(-1, [&](auto & capture) -> int32_t {
        const float * hidden = llama_get_embeddings_nextn(h->target->context);
        if (!hidden || n < 1 || start < 0 || row < 0 || row + n > (int32_t) llama_n_batch(h->target->context)) {
            throw std::invalid_argument("the last batch has no such hidden rows");
        }
        h->slots.take(slot, before, (size_t) start, tokens, (size_t) n, hidden + (size_t) row * h->slots.width);
        const size_t end = (size_t) (start + std::clamp(certain, 0, n));
        if (end > h->slots.at(slot).held + PAIRS_WAITING_MAX) {
            h->run_waiting(slot, end, capture);
        }
        return 0;
    });
}

int32_t mlo_head_show(mlo_head * h, int32_t slot, int32_t * tokens, int32_t n) {
    return mlo::guard<int32_t>(-1, [&](auto &) -> int32_t {
        if (n < 1) {
            throw std::invalid_argument("a sequence without tokens");
        }
        head_slot & s = h->slots.use(slot);
        h->slots.cut(slot, mlo::common_length(s.tokens, tokens, n));
        // The last token's pair is run for its output, so it must not have been before.
        if (s.held >= (size_t) n || s.tokens.size() + 1 < (size_t) n || !h->slots.row_before(s, n - 1)) {
            return 0;
        }
        s.tokens.assign(tokens, tokens + n);
        return n - (int32_t) s.held;
    });
}

int32_t mlo_head_guess(mlo_head * h, int32_t n, int32_t * slots, int32_t * limits, int32_t stride, int32_t * guesses, int32_t * counts) {
    return mlo::guard<int32_t>(-1, [&](auto & capture) -> int32_t {
        guess_rows           rows(h->slots.width);
        std::vector<int32_t> going; // parts that guess on, in the order of their outputs
        std::vector<int32_t> outputs;
        std::vector<int32_t> guessing;
        for (int32_t part = 0; part < n; ++part) {
            const head_slot & s = h->slots.use(slots[part]);
            counts[part] = 0;
            const size_t left = s.tokens.size() - s.held;
            if (limits[part] < 1 || left == 0 || rows.tokens.size() + left > llama_n_batch(h->context->context)) {
                continue;
            }
            h->add_pairs(rows, slots[part], s.tokens.size(), true);
            going.push_back(part);
            guessing.push_back(slots[part]);
            outputs.push_back((int32_t) rows.tokens.size() - 1);
        }
        int32_t total = 0;
        for (bool is_first = true; !going.empty() && h->decode(rows, capture); is_first = false) {
            for (size_t i = 0; is_first && i < guessing.size(); ++i) {
                head_slot & s = h->slots.slots[guessing[i]];
                h->slots.note_held(s, s.tokens.size());
            }
            guess_rows           next(h->slots.width);
            std::vector<int32_t> staying;
            for (size_t i = 0; i < going.size(); ++i) {
                const int32_t part = going[i];
                const float * hidden = nullptr;
                const llama_token token = h->pick(outputs[i], hidden);
                if (token < 0) {
                    continue;
                }
                guesses[part * stride + counts[part]++] = token;
                ++total;
                // Nothing follows an end, and a row whose output nobody needs is not run.
                if (counts[part] < std::min(limits[part], stride) && !llama_vocab_is_eog(h->context->model->vocab, token)) {
                    next.add(token, (llama_pos) h->slots.slots[slots[part]].held + counts[part] - 1, slots[part], true, hidden);
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
        h->drop_guesses(guessing);
        return total;
    });
}
