// Models: loading on a job's thread, and what a model says of itself.
#include "internal.h"

#include "llama-ext.h"
#include "llama-model.h"

#include <list>
#include <set>

namespace {

bool on_progress(float fraction, void * data) {
    auto * job = (mlo_job *) data;
    job->progress = fraction;
    return !job->cancelled;
}

std::string meta_text(const llama_model * model, const std::string & key) {
    char value[256];
    const int32_t n = llama_model_meta_val_str(model, key.c_str(), value, sizeof(value));
    return n < 0 ? "" : value;
}

// Where the weights lie, beyond the number of layers on devices. Borrowed by the parameters while the model loads.
struct placement {
    std::vector<float>                            shares;
    std::list<std::string>                        patterns; // of the overrides, which point to them
    std::vector<llama_model_tensor_buft_override> overrides;

    placement(const common_json & settings, llama_model_params & params) {
        if (settings.contains("deviceShares")) {
            shares = settings.at("deviceShares").get<std::vector<float>>();
        }
        if (shares.size() > llama_max_devices()) {
            throw std::invalid_argument("llama.cpp has at most " + std::to_string(llama_max_devices()) + " devices");
        }
        if (!shares.empty()) {
            // The model copies so many.
            shares.resize(llama_max_devices());
            params.tensor_split = shares.data();
        }
        const int32_t layers = settings.value("hostExpertLayers", 0);
        for (int32_t layer = 0; layer < layers; ++layer) {
            patterns.push_back(llm_ffn_block_regex(layer, LLM_FFN_EXPS_REGEX));
            overrides.push_back({patterns.back().c_str(), ggml_backend_cpu_buffer_type()});
        }
        if (!overrides.empty()) {
            overrides.push_back({nullptr, nullptr});
            params.tensor_buft_overrides = overrides.data();
        }
    }
};

common_json lengths_of(const llama_hparams & hparams, uint32_t (llama_hparams::*of_layer)(uint32_t) const) {
    std::set<uint32_t> lengths;
    for (uint32_t layer = 0; layer < hparams.n_layer(); ++layer) {
        lengths.insert((hparams.*of_layer)(layer));
    }
    common_json list = common_json::array();
    for (const uint32_t length : lengths) {
        list.push_back((int64_t) length);
    }
    return list;
}

void * load(mlo_job & job, const std::string & path, const common_json & settings) {
    llama_model_params params = llama_model_default_params();
    const placement    placed(settings, params);
    params.n_gpu_layers = settings.value("gpuLayers", -1);
    params.load_mode = settings.value("useMmap", true) ? LLAMA_LOAD_MODE_AUTO : LLAMA_LOAD_MODE_NONE;
    params.load_mtp = settings.value("head", false);
    params.progress_callback = on_progress;
    params.progress_callback_user_data = &job;

    auto loaded = std::make_unique<mlo_model>();
    loaded->model = llama_model_load_from_file(path.c_str(), params);
    if (!loaded->model) {
        return nullptr;
    }
    loaded->vocab = llama_model_get_vocab(loaded->model);
    for (llama_token token = 0; token < llama_vocab_n_tokens(loaded->vocab); ++token) {
        if (llama_vocab_is_eog(loaded->vocab, token)) {
            loaded->ends.push_back(token);
        }
    }
    if (!mlo::has_marks(loaded->vocab)) {
        mlo::log_warning("the file wants a token at the beginning or end of each text and names none: texts go without");
    }
    loaded->has_template = llama_model_chat_template(loaded->model, nullptr) != nullptr;
    try {
        loaded->templates = common_chat_templates_init(loaded->model, "");
    } catch (const std::exception & e) {
        // A template that does not parse spoils chat alone: the model still completes text.
        mlo::log_warning(std::string("the chat template does not parse: ") + e.what());
        loaded->has_template = false;
    }
    return loaded.release();
}

} // namespace

mlo_model::~mlo_model() {
    templates.reset();
    if (model) {
        llama_model_free(model);
    }
}

mlo_job * mlo_model_load_start(const char * path, const char * settings) {
    return mlo::guard<mlo_job *>(nullptr, [&](auto &) {
        auto job = std::make_unique<mlo_job>();
        job->drop = [](void * result) { delete (mlo_model *) result; };
        job->start([path = std::string(path), parsed = common_json::parse(settings)](mlo_job & self) {
            return load(self, path, parsed);
        });
        return job.release();
    });
}

mlo_model * mlo_model_take(mlo_job * job) {
    return (mlo_model *) job->take();
}

void mlo_model_free(mlo_model * model) {
    delete model;
}

char * mlo_model_info(mlo_model * m) {
    return mlo::guard<char *>(nullptr, [&](auto &) {
        const llama_model * model = m->model;
        char description[256];
        llama_model_desc(model, description, sizeof(description));
        const std::string architecture = meta_text(model, "general.architecture");
        const std::string pooling = meta_text(model, architecture + ".pooling_type");
        const std::string causal = meta_text(model, architecture + ".attention.causal");
        common_json devices = common_json::array();
        for (int32_t i = 0; i < llama_model_n_devices(model); ++i) {
            devices.push_back(ggml_backend_dev_name(llama_model_get_device(model, i)));
        }
        return mlo::own_text(common_json({
            {"architecture", architecture},
            {"description", description},
            {"parameterCount", (int64_t) llama_model_n_params(model)},
            {"sizeBytes", (int64_t) llama_model_size(model)},
            {"vocabularySize", llama_vocab_n_tokens(m->vocab)},
            {"embeddingLength", llama_model_n_embd_out(model)},
            {"trainedContextLength", llama_model_n_ctx_train(model)},
            {"slidingWindow", llama_model_n_swa(model)},
            {"pooling", pooling.empty() ? -1 : std::stoi(pooling)},
            {"hasRankHead", model->cls != nullptr || model->cls_out != nullptr},
            {"causal", causal != "false"},
            {"hasDecoder", llama_model_has_decoder(model)},
            {"hasEncoder", llama_model_has_encoder(model)},
            {"layers", (int64_t) model->hparams.n_layer()},
            {"keyLengths", lengths_of(model->hparams, &llama_hparams::n_embd_head_k)},
            {"valueLengths", lengths_of(model->hparams, &llama_hparams::n_embd_head_v)},
            {"canFuseAttention", model->arch != LLM_ARCH_GROK},
            {"isRecurrent", llama_model_is_recurrent(model) || llama_model_is_hybrid(model)},
            {"hasChatTemplate", m->has_template},
            {"argumentFormat", m->templates ? argument_format(m->templates.get()) : "none"},
            {"devices", devices},
            {"headLayers", mlo::head_layers(*model)},
            {"headIsLoaded", mlo::head_is_loaded(*model)},
            {"headProblem", mlo::head_problem(*model)},
        }).dump_safe());
    });
}

int32_t mlo_token_text(mlo_model * model, int32_t token, int32_t special, uint8_t * buffer, int32_t capacity) {
    return mlo::guard<int32_t>(INT32_MIN, [&](auto &) {
        const int32_t length = llama_token_to_piece(model->vocab, token, (char *) buffer, capacity, 0, special != 0);
        if (length < 0) {
            mlo::set_error("token " + std::to_string(token) + " has " + std::to_string(-length) + " bytes, more than its reader takes");
        }
        return length;
    });
}

int32_t mlo_token_of(mlo_model * model, const char * text) {
    return mlo::guard<int32_t>(-1, [&](auto &) {
        const auto tokens = common_tokenize(model->vocab, text, false, true);
        return tokens.size() == 1 ? tokens[0] : -1;
    });
}

int32_t mlo_token_is_end(mlo_model * model, int32_t token) {
    return mlo::guard<int32_t>(0, [&](auto &) { return llama_vocab_is_eog(model->vocab, token) ? 1 : 0; });
}
