// The library itself: identity, plug-ins, devices, and the arithmetic self-test.
#include "internal.h"

#include "build-info.h"
#include "ggml-backend.h"
#include "ggml-cpp.h"
#include "ggml.h"

#include <cmath>
#include <dlfcn.h>
#include <random>

const char * mlo_header_hash(void) {
    return MLO_HEADER_HASH;
}

char * mlo_llama_version(void) {
    return mlo::own_text(common_json({
        {"version", llama_version()},
        {"commit", llama_commit()},
        {"compiler", llama_compiler()},
    }).dump());
}

int32_t mlo_plugin_score(const char * path) {
    void * handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char * reason = dlerror();
        mlo::set_error(reason ? reason : "dlopen failed");
        return -1;
    }
    auto score = (int (*)()) dlsym(handle, "ggml_backend_score");
    const int value = score ? score() : 1;
    dlclose(handle);
    return value;
}

int32_t mlo_library_preload(const char * path) {
    // The handle is kept: a plug-in that asks for the same SONAME gets this library.
    if (dlopen(path, RTLD_NOW | RTLD_GLOBAL)) {
        return 0;
    }
    const char * reason = dlerror();
    mlo::set_error(reason ? reason : "dlopen failed");
    return -1;
}

int32_t mlo_plugin_load(const char * path) {
    mlo::log_capture capture;
    if (ggml_backend_load(path)) {
        return 0;
    }
    mlo::set_error(std::string("can't load the plug-in ") + path + capture.lines());
    return -1;
}

int32_t mlo_start(void) {
    if (ggml_backend_dev_count() == 0) {
        // With an empty registry llama.cpp would look for plug-ins by itself, in the working directory too.
        mlo::set_error("no backend is loaded");
        return -1;
    }
    llama_backend_init();
    return 0;
}

char * mlo_devices(void) {
    common_json list = common_json::array();
    for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        size_t free = 0;
        size_t total = 0;
        ggml_backend_dev_memory(device, &free, &total);
        const char * kind = "accelerator";
        switch (ggml_backend_dev_type(device)) {
            case GGML_BACKEND_DEVICE_TYPE_CPU: kind = "cpu"; break;
            case GGML_BACKEND_DEVICE_TYPE_GPU: kind = "gpu"; break;
            case GGML_BACKEND_DEVICE_TYPE_IGPU: kind = "integrated-gpu"; break;
            default: break;
        }
        list.push_back(common_json({
            {"name", ggml_backend_dev_name(device)},
            {"description", ggml_backend_dev_description(device)},
            {"kind", kind},
            {"memoryBytes", (int64_t) total},
            {"freeBytes", (int64_t) free},
        }));
    }
    return mlo::own_text(list.dump());
}

namespace {

// One quantised matrix times a batch wide enough to reach the tiled kernels.
constexpr int64_t INNER = 256;
constexpr int64_t ROWS = 64;
constexpr int64_t COLUMNS = 32;
// Activations are rounded to 8 bits inside the kernels, which leaves about 1 % of a row's norm.
constexpr double ERROR_MAX = 0.03;

double relative_error(const std::vector<float> & got, const std::vector<float> & weights, const std::vector<float> & input) {
    double difference = 0;
    double norm = 0;
    for (int64_t c = 0; c < COLUMNS; ++c) {
        for (int64_t r = 0; r < ROWS; ++r) {
            double want = 0;
            for (int64_t k = 0; k < INNER; ++k) {
                want += (double) weights[r * INNER + k] * input[c * INNER + k];
            }
            const double delta = got[c * ROWS + r] - want;
            difference += delta * delta;
            norm += want * want;
        }
    }
    return std::sqrt(difference / norm);
}

bool check_type(ggml_backend_t backend, ggml_type type) {
    std::mt19937 random(1234);
    std::normal_distribution<float> normal;
    std::vector<float> weights(INNER * ROWS), input(INNER * COLUMNS), output(ROWS * COLUMNS);
    for (float & x : weights) x = normal(random);
    for (float & x : input) x = normal(random);

    std::vector<uint8_t> quantized(ggml_row_size(type, INNER) * ROWS);
    ggml_quantize_chunk(type, weights.data(), quantized.data(), 0, ROWS, INNER, nullptr);
    ggml_get_type_traits(type)->to_float(quantized.data(), weights.data(), INNER * ROWS);

    ggml_context_ptr context(ggml_init({ggml_tensor_overhead() * 8 + ggml_graph_overhead(), nullptr, true}));
    ggml_tensor * a = ggml_new_tensor_2d(context.get(), type, INNER, ROWS);
    ggml_tensor * b = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, INNER, COLUMNS);
    ggml_tensor * product = ggml_mul_mat(context.get(), a, b);
    ggml_cgraph * graph = ggml_new_graph(context.get());
    ggml_build_forward_expand(graph, product);
    ggml_backend_buffer_ptr buffer(ggml_backend_alloc_ctx_tensors(context.get(), backend));
    ggml_backend_tensor_set(a, quantized.data(), 0, quantized.size());
    ggml_backend_tensor_set(b, input.data(), 0, input.size() * sizeof(float));
    if (ggml_backend_graph_compute(backend, graph) != GGML_STATUS_SUCCESS) {
        return false;
    }
    ggml_backend_tensor_get(product, output.data(), 0, output.size() * sizeof(float));
    const double error = relative_error(output, weights, input);
    return std::isfinite(error) && error < ERROR_MAX;
}

} // namespace

int32_t mlo_selftest_matmul(void) {
    return mlo::guard<int32_t>(-1, [](auto &) {
        ggml_backend_ptr backend(ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr));
        if (!backend) {
            throw std::runtime_error("the CPU backend does not start");
        }
        for (ggml_type type : {GGML_TYPE_Q4_0, GGML_TYPE_Q8_0, GGML_TYPE_Q4_K, GGML_TYPE_Q6_K}) {
            if (!check_type(backend.get(), type)) {
                throw std::runtime_error(std::string("wrong product for ") + ggml_type_name(type));
            }
        }
        return 0;
    });
}
