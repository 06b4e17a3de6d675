// Contexts: decode, embeddings, sequences, and the cell counts that the engine's ledger is checked against.
#include "internal.h"

#include "llama-context.h"
#include "llama-cparams.h"
#include "llama-ext.h"
#include "llama-kv-cache-iswa.h"
#include "llama-kv-cache.h"
#include "llama-memory-hybrid-iswa.h"
#include "llama-memory-hybrid.h"
#include "llama-memory-recurrent.h"

#include <algorithm>
#include <cmath>

mlo_context::~mlo_context() {
    if (context) {
        llama_free(context);
    }
}

namespace {

ggml_type type_named(const std::string & name) {
    for (int32_t type = 0; type < GGML_TYPE_COUNT; ++type) {
        if (ggml_blck_size((ggml_type) type) > 0 && name == ggml_type_name((ggml_type) type)) {
            return (ggml_type) type;
        }
    }
    throw std::invalid_argument("ggml has no type " + name);
}

} // namespace

mlo_context * mlo_context_new(mlo_model * model, const char * settings) {
    return mlo::guard<mlo_context *>(nullptr, [&](auto & capture) -> mlo_context * {
        const common_json json = common_json::parse(settings);
        llama_context_params params = llama_context_default_params();
        params.n_ctx = json.at("contextLength").get<int32_t>();
        params.n_batch = json.at("batchSize").get<int32_t>();
        params.n_ubatch = json.at("microBatchSize").get<int32_t>();
        params.n_seq_max = json.at("sequences").get<int32_t>();
        params.n_threads = json.at("threads").get<int32_t>();
        params.n_threads_batch = params.n_threads;
        params.embeddings = json.value("embeddings", false);
        params.pooling_type = (enum llama_pooling_type) json.value("pooling", -1);
        params.kv_unified = true;
        params.flash_attn_type = json.value("flashAttention", true) ? LLAMA_FLASH_ATTN_TYPE_AUTO : LLAMA_FLASH_ATTN_TYPE_DISABLED;
        params.type_k = params.type_v = type_named(json.value("kvType", std::string("f16")));
        params.no_perf = true;
        params.n_outputs_max = json.at("outputs").get<int32_t>();
        const bool is_head = json.value("head", false);
        if (is_head) {
            const std::string problem = mlo::head_problem(*model->model);
            if (!problem.empty() || !mlo::head_is_loaded(*model->model)) {
                throw std::invalid_argument("its prediction layers can't guess: " + (problem.empty() ? "they are not loaded" : problem));
            }
            params.ctx_type = LLAMA_CONTEXT_TYPE_MTP;
        }

        auto made = std::make_unique<mlo_context>();
        made->model = model;
        made->key_type = params.type_k;
        made->value_type = params.type_v;
        made->full_windows = params.swa_full;
        made->context = llama_init_from_model(model->model, params);
        if (!made->context) {
            throw std::runtime_error("llama.cpp can't make a context");
        }
        if (is_head) {
            llama_set_embeddings_nextn(made->context, true, mlo::head_rows_by_output(*model->model));
        }
        made->compute = mlo::compute_threads::attach(made->context, params.n_threads);
        (void) capture;
        return made.release();
    });
}

void mlo_context_free(mlo_context * context) {
    delete context;
}

namespace {

const char * memory_kind(llama_memory_t memory) {
    if (!memory) {
        return "none";
    }
    if (dynamic_cast<llama_kv_cache *>(memory)) {
        return "plain";
    }
    if (dynamic_cast<llama_kv_cache_iswa *>(memory)) {
        return "sliding";
    }
    if (dynamic_cast<llama_memory_recurrent *>(memory)) {
        return "recurrent";
    }
    const bool hybrid = dynamic_cast<llama_memory_hybrid *>(memory) || dynamic_cast<llama_memory_hybrid_iswa *>(memory);
    return hybrid ? "hybrid" : "other";
}

// Two contexts with the same text write states that each can read.
std::string layout_of(const mlo_context & c) {
    const llama_cparams & p = c.context->get_cparams();
    // A model with two sets of RoPE factors turns its keys by the long ones when the context is longer than this.
    const bool is_long = p.n_ctx_seq > p.n_ctx_orig_yarn;
    char text[512];
    snprintf(text, sizeof(text), "k%d v%d fa%d unified%d swa_full%d rope%.9g/%.9g/%u long%d yarn%.9g,%.9g,%.9g,%.9g", (int) c.key_type,
             (int) c.value_type, p.flash_attn, p.kv_unified, c.full_windows, p.rope_freq_base, p.rope_freq_scale, p.n_ctx_orig_yarn, is_long,
             p.yarn_ext_factor, p.yarn_attn_factor, p.yarn_beta_fast, p.yarn_beta_slow);
    return text;
}

} // namespace

char * mlo_context_info(mlo_context * c) {
    return mlo::guard<char *>(nullptr, [&](auto &) {
        llama_memory_t memory = llama_get_memory(c->context);
        return mlo::own_text(common_json({
            {"contextLength", (int64_t) llama_n_ctx(c->context)},
            {"sequenceContextLength", (int64_t) llama_n_ctx_seq(c->context)},
            {"batchSize", (int64_t) llama_n_batch(c->context)},
            {"microBatchSize", (int64_t) llama_n_ubatch(c->context)},
            {"sequences", (int64_t) llama_n_seq_max(c->context)},
            {"pooling", (int) llama_pooling_type(c->context)},
            {"canShift", memory && llama_memory_can_shift(memory)},
            {"memory", memory_kind(memory)},
            {"layout", layout_of(*c)},
        }).dump());
    });
}

int64_t mlo_context_bytes(mlo_context * c) {
    return mlo::guard<int64_t>(-1, [&](auto &) {
        int64_t bytes = 0;
        for (const auto & [type, part] : llama_get_memory_breakdown(c->context)) {
            bytes += (int64_t) (part.context + part.compute);
        }
        return bytes;
    });
}

int32_t mlo_decode(mlo_context * c, int32_t n, int32_t * tokens, int32_t * positions, int32_t * sequences, int8_t * outputs) {
    return mlo::guard<int32_t>(-100, [&](auto & capture) {
        thread_local std::vector<int32_t> counts;
        thread_local std::vector<llama_seq_id *> ids;
        counts.assign(n, 1);
        ids.resize(n);
        for (int32_t i = 0; i < n; ++i) {
            ids[i] = sequences + i;
        }
        llama_batch batch = {n, tokens, nullptr, positions, counts.data(), ids.data(), outputs};
        const int32_t result = llama_decode(c->context, batch);
        if (result < 0) {
            mlo::set_error("llama_decode failed with " + std::to_string(result) + capture.lines());
        }
        return result;
    });
}

int32_t mlo_top_logits(mlo_context * c, int32_t row, int32_t count, int32_t * tokens, float * logits) {
    return mlo::guard<int32_t>(-1, [&](auto &) {
        llama_synchronize(c->context);
        const float * values = llama_get_logits_ith(c->context, row);
        if (!values) {
            throw std::invalid_argument("row " + std::to_string(row) + " has no output");
        }
        const int32_t vocabulary = llama_vocab_n_tokens(c->model->vocab);
        std::fill_n(tokens, count, -1);
        std::fill_n(logits, count, -INFINITY);
        for (int32_t t = 0; t < vocabulary; ++t) {
            int32_t at = count;
            for (; at > 0 && values[t] > logits[at - 1]; --at) {
                if (at < count) {
                    tokens[at] = tokens[at - 1];
                    logits[at] = logits[at - 1];
                }
            }
            if (at < count) {
                tokens[at] = t;
                logits[at] = values[t];
            }
        }
        return 0;
    });
}

int32_t mlo_embedding(mlo_context * c, int32_t sequence, float * vector, int32_t dimensions) {
    return mlo::guard<int32_t>(-1, [&](auto &) {
        llama_synchronize(c->context);
        const bool pools = llama_pooling_type(c->context) != LLAMA_POOLING_TYPE_NONE;
        const float * pooled = pools ? llama_get_embeddings_seq(c->context, sequence) : llama_get_embeddings_ith(c->context, -1);
        if (!pooled) {
            throw std::runtime_error("sequence " + std::to_string(sequence) + " has no pooled embedding");
        }
        common_embd_normalize(pooled, vector, dimensions, 2);
        return 0;
    });
}

int32_t mlo_rank(mlo_context * c, int32_t sequence, float * score) {
    return mlo::guard<int32_t>(-1, [&](auto &) {
        llama_synchronize(c->context);
        const float * scores = llama_get_embeddings_seq(c->context, sequence);
        if (!scores || llama_pooling_type(c->context) != LLAMA_POOLING_TYPE_RANK) {
            throw std::runtime_error("sequence " + std::to_string(sequence) + " has no rank");
        }
        *score = scores[0];
        return 0;
    });
}

int32_t mlo_seq_remove(mlo_context * c, int32_t sequence, int32_t from, int32_t to) {
    llama_memory_t memory = llama_get_memory(c->context);
    // Encoders have no cache: there is nothing to remove.
    return !memory || llama_memory_seq_rm(memory, sequence, from, to) ? 0 : -1;
}

int32_t mlo_seq_copy(mlo_context * c, int32_t from, int32_t to, int32_t start, int32_t end) {
    return mlo::guard<int32_t>(-1, [&](auto &) {
        llama_memory_seq_cp(llama_get_memory(c->context), from, to, start, end);
        return 0;
    });
}

namespace {

// Whether every position from `from` up to `to` has a cell of this sequence.
bool has_cells(const llama_kv_cache * cache, llama_seq_id sequence, llama_pos from, llama_pos to) {
    const auto & cells = cache->get_cells(sequence);
    int32_t found = 0;
    for (uint32_t i = 0; i < cells.size(); ++i) {
        found += cells.pos_in(i, from, to) && cells.seq_has(i, sequence);
    }
    return found == to - from;
}

} // namespace

int32_t mlo_seq_covers(mlo_context * c, int32_t sequence, int32_t position) {
    return mlo::guard<int32_t>(0, [&](auto &) -> int32_t {
        llama_memory_t memory = llama_get_memory(c->context);
        const llama_pos end = llama_memory_seq_pos_max(memory, sequence) + 1;
        if (position <= 0 || position > end) {
            return 0;
        }
        if (dynamic_cast<llama_kv_cache *>(memory)) {
            return 1;
        }
        if (auto * sliding = dynamic_cast<llama_kv_cache_iswa *>(memory)) {
            const llama_pos window = llama_model_n_swa(c->model->model);
            return has_cells(sliding->get_swa(), sequence, std::max(0, position - window), position);
        }
        // A recurrent state is that of the last position, and of no other one.
        return position == end;
    });
}

void mlo_memory_clear(mlo_context * c) {
    if (llama_memory_t memory = llama_get_memory(c->context)) {
        llama_memory_clear(memory, false);
    }
}

namespace {

struct cell_counts {
    int32_t * pairs;
    int32_t   capacity;
    int32_t   count = 0;

    void add(uint32_t size, uint32_t used) {
        if (count < capacity) {
            pairs[2 * count] = (int32_t) size;
            pairs[2 * count + 1] = (int32_t) used;
        }
        ++count;
    }
    // Unified KV keeps all sequences in one stream: sequence 0's cells are everybody's.
    void add(const llama_kv_cache * cache) { add(cache->get_size(), cache->get_cells(0).get_used()); }
    void add(const llama_kv_cache_iswa * cache) {
        add(cache->get_base());
        add(cache->get_swa());
    }
    void add(const llama_memory_recurrent * cache) { add(cache->size, cache->used); }
};

} // namespace

int32_t mlo_cells(mlo_context * c, int32_t * pairs, int32_t capacity) {
    return mlo::guard<int32_t>(-1, [&](auto &) {
        llama_memory_t memory = llama_get_memory(c->context);
        cell_counts counts{pairs, capacity};
        if (auto * plain = dynamic_cast<llama_kv_cache *>(memory)) {
            counts.add(plain);
        } else if (auto * sliding = dynamic_cast<llama_kv_cache_iswa *>(memory)) {
            counts.add(sliding);
        } else if (auto * recurrent = dynamic_cast<llama_memory_recurrent *>(memory)) {
            counts.add(recurrent);
        } else if (auto * hybrid = dynamic_cast<llama_memory_hybrid *>(memory)) {
            counts.add(hybrid->get_mem_attn());
            counts.add(hybrid->get_mem_recr());
        } else if (auto * both = dynamic_cast<llama_memory_hybrid_iswa *>(memory)) {
            counts.add(both->get_mem_attn());
            counts.add(both->get_mem_recr());
        }
        return counts.count;
    });
}
