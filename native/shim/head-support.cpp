// Whether a model's own prediction layers (MTP, "nextn") can guess. llama.cpp aborts where a graph of theirs is built for a
// model that has none, or lacks a tensor of it, so all of that is looked at here first. It makes nothing.
#include "internal.h"

#include "llama-model.h"

namespace {

// Null: the file has none, or these are the model's only layers.
const llama_layer * first_head_layer(const llama_model & model) {
    const size_t trunk = model.hparams.n_layer();
    return mlo::head_layers(model) == 0 || trunk == 0 || trunk >= model.layers.size() ? nullptr : &model.layers[trunk];
}

// Tensors that llama.cpp's graph of these layers asserts; the loader has seen to all others.
bool has_tensors(const llama_model & model, const llama_layer & layer) {
    const llama_hparams & h = model.hparams;
    switch (model.arch) {
        case LLM_ARCH_GLM4_MOE:
        case LLM_ARCH_COHERE2MOE:
            return layer.ffn_gate_inp;
        case LLM_ARCH_MIMO2:
            return layer.wqkv && layer.ffn_gate && layer.ffn_down && layer.ffn_up;
        case LLM_ARCH_DEEPSEEK2: {
            const bool has_experts = layer.ffn_gate_inp && layer.ffn_down_exps && layer.ffn_gate_shexp && layer.ffn_down_shexp &&
                                     layer.ffn_up_shexp && (layer.ffn_gate_up_exps || (layer.ffn_up_exps && layer.ffn_gate_exps));
            const bool has_attention = h.is_mla() && h.n_lora_q > 0 && layer.wq_a && layer.attn_q_a_norm && layer.wq_b &&
                                       layer.wkv_a_mqa && layer.attn_kv_a_norm && layer.wk_b && h.f_attn_temp_scale == 0.0f;
            return has_experts && has_attention && layer.ffn_norm;
        }
        default:
            return true;
    }
}

} // namespace

namespace mlo {

int32_t head_layers(const llama_model & model) {
    // In some models these layers are something else.
    return model.hparams.router_layer >= 0 ? 0 : (int32_t) model.hparams.n_layer_nextn;
}

bool head_is_loaded(const llama_model & model) {
    const llama_layer * layer = first_head_layer(model);
    return layer && layer->attn_norm && layer->nextn.eh_proj && layer->nextn.enorm && layer->nextn.hnorm;
}

bool head_rows_by_output(const llama_model & model) {
    return model.arch == LLM_ARCH_MIMO2 || model.arch == LLM_ARCH_STEP35;
}

std::string head_problem(const llama_model & model) {
    const llama_layer * layer = first_head_layer(model);
    if (!layer) {
        return "there are none beside a model's other layers";
    }
    switch (model.arch) {
        case LLM_ARCH_HY_V3:
        case LLM_ARCH_STEP35:
        case LLM_ARCH_MIMO2:
            break;
        case LLM_ARCH_GLM4_MOE:
        case LLM_ARCH_COHERE2MOE:
        case LLM_ARCH_DEEPSEEK2:
            if (head_layers(model) > 1) {
                return "llama.cpp takes one of them in this architecture, and there are more";
            }
            break;
        default:
            return "llama.cpp has no graph for them in this architecture, or its memory can't take back a guess";
    }
    return head_is_loaded(model) && !has_tensors(model, *layer) ? "tensors of them are missing" : "";
}

} // namespace mlo
