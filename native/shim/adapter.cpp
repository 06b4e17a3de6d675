// LoRA adapters: loaded into a model, chosen for a context. llama.cpp's loader takes a file at its word where it does
// not throw (a key of another type, a third dimension), and aborts on it then or when it computes: so a file is checked
// here before it gets there.
#include "internal.h"

#include "gguf.h"
#include "llama-model.h"

#include <cmath>

namespace {

struct gguf_file {
    gguf_context * keys = nullptr;
    ggml_context * tensors = nullptr;

    explicit gguf_file(const char * path) {
        gguf_init_params params = {/*.no_alloc =*/true, /*.ctx =*/&tensors};
        keys = gguf_init_from_file(path, params);
    }
    ~gguf_file() {
        gguf_free(keys);
        ggml_free(tensors);
    }
    gguf_file(const gguf_file &) = delete;
    gguf_file & operator=(const gguf_file &) = delete;

    std::string text(const char * key) const {
        const int64_t id = gguf_find_key(keys, key);
        return id >= 0 && gguf_get_kv_type(keys, id) == GGUF_TYPE_STRING ? gguf_get_val_str(keys, id) : "";
    }
};

void check_keys(const gguf_file & file, const llama_model & model) {
    if (file.text("general.type") != "adapter" || file.text("adapter.type") != "lora") {
        throw std::runtime_error("it is no LoRA adapter: its general.type and adapter.type do not say so");
    }
    const std::string architecture = file.text("general.architecture");
    if (architecture != llm_arch_name(model.arch)) {
        throw std::runtime_error("it is for the architecture '" + architecture + "', and the model is '" + llm_arch_name(model.arch) + "'");
    }
    if (gguf_find_key(file.keys, "adapter.alora.invocation_tokens") >= 0) {
        throw std::runtime_error("it is an activated LoRA (aLoRA), which only works from its invocation tokens on: that is not supported");
    }
    const int64_t alpha = gguf_find_key(file.keys, "adapter.lora.alpha");
    if (alpha >= 0 && (gguf_get_kv_type(file.keys, alpha) != GGUF_TYPE_FLOAT32 || !std::isfinite(gguf_get_val_f32(file.keys, alpha)))) {
        throw std::runtime_error("its adapter.lora.alpha is not a finite number");
    }
}

bool can_multiply(ggml_type type) {
    return type == GGML_TYPE_F32 || type == GGML_TYPE_F16 || type == GGML_TYPE_BF16 || ggml_is_quantized(type);
}

// Whether the product of the two has the shape of what they change, stacked weights of experts included.
bool fits(const ggml_tensor & a, const ggml_tensor & b, const ggml_tensor & weight, bool is_embedding) {
    for (int dimension = 2; dimension < GGML_MAX_DIMS; ++dimension) {
        if (a.ne[dimension] != weight.ne[dimension] || b.ne[dimension] != weight.ne[dimension]) {
            return false;
        }
    }
    // A row of the embedding is looked up, not multiplied by: llama.cpp has its two factors the other way round.
    return is_embedding ? a.ne[0] == b.ne[0] && a.ne[0] > 0 && weight.ne[0] == b.ne[1] && weight.ne[1] == a.ne[1]
                        : a.ne[1] == b.ne[0] && b.ne[0] > 0 && weight.ne[0] == a.ne[0] && weight.ne[1] == b.ne[1];
}

void check_tensors(const gguf_file & file, const llama_model & model) {
    const std::string suffix = ".lora_a";
    bool is_empty = true;
    for (ggml_tensor * a = ggml_get_first_tensor(file.tensors); a; a = ggml_get_next_tensor(file.tensors, a)) {
        const std::string name = a->name;
        if (name.size() <= suffix.size() || name.compare(name.size() - suffix.size(), suffix.size(), suffix) != 0) {
            continue; // its counterpart, which is found from here, or what llama.cpp's loader refuses
        }
        is_empty = false;
        const std::string base = name.substr(0, name.size() - suffix.size());
        const ggml_tensor * b = ggml_get_tensor(file.tensors, (base + ".lora_b").c_str());
        const ggml_tensor * weight = model.get_tensor(base.c_str());
        if (!b || !weight) {
            throw std::runtime_error(b ? "the model has no tensor '" + base + "'" : "it has no '" + base + ".lora_b'");
        }
        const bool is_embedding = base == "token_embd.weight";
        if (is_embedding && !model.get_tensor("output.weight")) {
            throw std::runtime_error("it changes the token embedding, which is this model's output too: llama.cpp can't do that");
        }
        if (!can_multiply(a->type) || !can_multiply(b->type) || !fits(*a, *b, *weight, is_embedding)) {
            throw std::runtime_error("its tensors for '" + base + "' do not fit the model's");
        }
    }
    if (is_empty) {
        throw std::runtime_error("it has no tensors");
    }
}

} // namespace

int32_t mlo_adapter_load(mlo_model * m, const char * path) {
    return mlo::guard<int32_t>(-1, [&](auto &) {
        {
            const gguf_file file(path);
            if (!file.keys) {
                throw std::runtime_error("it can't be read as GGUF");
            }
            check_keys(file, *m->model);
            check_tensors(file, *m->model);
        }
        llama_adapter_lora * adapter = llama_adapter_lora_init(m->model, path);
        if (!adapter) {
            throw std::runtime_error("llama.cpp does not take it");
        }
        m->adapters.push_back(adapter);
        return (int32_t) m->adapters.size() - 1;
    });
}

int32_t mlo_adapters_set(mlo_context * c, int32_t n, int32_t * adapters, float * scales) {
    return mlo::guard<int32_t>(-1, [&](auto &) {
        std::vector<llama_adapter_lora *> chosen;
        for (int32_t i = 0; i < n; ++i) {
            chosen.push_back(c->model->adapters.at(adapters[i]));
        }
        return llama_set_adapters_lora(c->context, chosen.data(), chosen.size(), scales);
    });
}
