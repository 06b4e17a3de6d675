// What a context and its model take of memory, by place and purpose. Says the same of a model that was loaded and of one
// that was only laid out (no_alloc), whose contexts can't decode.
#include "internal.h"

#include "llama-context.h"
#include "llama-cparams.h"
#include "llama-ext.h"
#include "llama-model.h"

#include "ggml-cpu.h"

#include <algorithm>
#include <cstring>

namespace {

struct parts {
    int64_t weights = 0;
    int64_t mapped = 0;   // of the host: read from the file where they lie
    int64_t repacked = 0; // of the weights: converted for the processor's kernels (repack, AMX)
    int64_t kv = 0;
    int64_t compute = 0;

    common_json json() const {
        return common_json({
            {"weightsBytes", weights}, {"mappedBytes", mapped}, {"repackedBytes", repacked}, {"kvBytes", kv}, {"computeBytes", compute},
        });
    }
};

struct places {
    const llama_model * model;
    parts               host;
    std::vector<parts>  devices;

    explicit places(const llama_model * of) : model(of), devices(llama_model_n_devices(of)) {}

    // Memory of the host that a device owns, such as CUDA's pinned one, is the host's.
    parts & of(ggml_backend_buffer_type_t type) {
        ggml_backend_dev_t device = ggml_backend_buft_is_host(type) ? nullptr : ggml_backend_buft_get_device(type);
        for (size_t i = 0; i < devices.size(); ++i) {
            if (device && device == llama_model_get_device(model, (int) i)) {
                return devices[i];
            }
        }
        return host;
    }
};

// Whether a load maps the file: llama.cpp's rule for LLAMA_LOAD_MODE_AUTO.
bool maps_files(const llama_model * model) {
    for (int i = 0; i < llama_model_n_devices(model); ++i) {
        ggml_backend_dev_props props;
        ggml_backend_dev_get_props(llama_model_get_device(model, i), &props);
        if (!props.caps.mmap_support) {
            return false;
        }
    }
    return true;
}

// Mapped weights are counted tensor by tensor: the stretch of the file that they lie in holds others too, which were copied.
void add_weights(const llama_model & model, places & all) {
    const bool laid_out = model.hparams.no_alloc;
    const bool maps = maps_files(&model);
    for (const auto & [type, bytes] : model.memory_breakdown()) {
        const bool is_host = ggml_backend_buft_is_host(type);
        const bool is_mapped = is_host && (laid_out ? maps : strcmp(ggml_backend_buft_name(type), "CPU_Mapped") == 0);
        parts & place = all.of(type);
        if (is_mapped) {
            for (const auto & [name, tensor] : model.tensors_by_name) {
                if (tensor->buffer && ggml_backend_buffer_get_type(tensor->buffer) == type) {
                    place.mapped += (int64_t) ggml_nbytes(tensor);
                }
            }
            continue;
        }
        place.weights += (int64_t) bytes;
        if (!is_host && &place == &all.host) {
            place.repacked += (int64_t) bytes;
        }
    }
}

// The opaque plan of ggml's CPU plug-in begins with this.
int64_t work_bytes(const ggml_cgraph * graph, int32_t threads) {
    ggml_backend_ptr backend(ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr));
    if (!backend) {
        throw std::runtime_error("there is no CPU plug-in");
    }
    ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(ggml_backend_get_device(backend.get()));
    auto set_threads = (ggml_backend_set_n_threads_t) ggml_backend_reg_get_proc_address(reg, "ggml_backend_set_n_threads");
    if (set_threads) {
        set_threads(backend.get(), threads);
    }
    ggml_backend_graph_plan_t plan = ggml_backend_graph_plan_create(backend.get(), const_cast<ggml_cgraph *>(graph));
    const auto bytes = (int64_t) ((const ggml_cplan *) plan)->work_size;
    ggml_backend_graph_plan_free(backend.get(), plan);
    return bytes;
}

// Scratch memory of the processor's kernels, for the operations that it computes itself.
int64_t host_work_bytes(llama_context * context) {
    const llama_cparams & p = context->get_cparams();
    const uint32_t tokens = std::min(p.n_ctx, p.n_ubatch);
    ggml_cgraph * graph = llama_graph_reserve(context, tokens, p.n_seq_max, std::min(tokens, p.n_outputs_max));
    if (!graph) {
        throw std::runtime_error("llama.cpp can't build the graph of a full batch");
    }
    const int32_t nodes = ggml_graph_n_nodes(graph);
    const ggml_init_params params = {ggml_graph_overhead_custom(nodes, false), nullptr, true};
    ggml_context_ptr memory(ggml_init(params));
    ggml_cgraph * own = ggml_new_graph_custom(memory.get(), nodes, false);
    for (int32_t i = 0; i < nodes; ++i) {
        ggml_tensor * node = ggml_graph_node(graph, i);
        ggml_backend_t backend = ggml_backend_sched_get_tensor_backend(context->get_sched(), node);
        if (!backend || ggml_backend_dev_type(ggml_backend_get_device(backend)) == GGML_BACKEND_DEVICE_TYPE_CPU) {
            ggml_graph_add_node(own, node);
        }
    }
    return ggml_graph_n_nodes(own) == 0 ? 0 : work_bytes(own, (int32_t) p.n_threads);
}

int64_t output_bytes(const llama_context & context, int64_t rows) {
    const llama_cparams & p = context.get_cparams();
    const llama_model & model = context.get_model();
    const int64_t width = model.hparams.n_embd_out();
    const bool pools = p.embeddings && p.pooling_type != LLAMA_POOLING_TYPE_NONE && model.arch != LLM_ARCH_T5;
    int64_t floats = pools ? width : rows * model.vocab.n_tokens();
    if (p.embeddings && !pools) {
        floats += rows * width;
    }
    if (p.embeddings_nextn) {
        floats += width * (p.embeddings_nextn_masked ? rows : (int64_t) p.n_batch);
    }
    return floats * (int64_t) sizeof(float);
}

} // namespace

char * mlo_context_memory(mlo_context * c) {
    return mlo::guard<char *>(nullptr, [&](auto &) {
        llama_context & context = *c->context;
        const llama_model & model = *c->model->model;
        const llama_cparams & p = context.get_cparams();
        places all(&model);
        add_weights(model, all);
        for (const auto & [type, bytes] : context.memory_breakdown()) {
            parts & place = all.of(type);
            place.kv += (int64_t) bytes.context;
            place.compute += (int64_t) bytes.compute;
        }
        common_json devices = common_json::array();
        for (const parts & device : all.devices) {
            devices.push_back(device.json());
        }
        return mlo::own_text(common_json({
            {"host", all.host.json()},
            {"devices", devices},
            {"outputBytes", output_bytes(context, p.n_outputs_max)},
            {"reservedOutputBytes", output_bytes(context, std::min(p.n_seq_max, p.n_outputs_max))},
            {"workBytes", model.hparams.no_alloc ? host_work_bytes(&context) : 0},
        }).dump());
    });
}
