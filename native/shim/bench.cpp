// How fast a device reads weights and multiplies, and how fast a disk is read: measured in a child, for predictions.
#include "internal.h"

#include "ggml-backend.h"
#include "ggml-cpp.h"
#include "ggml.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace {

using seconds = std::chrono::duration<double>;
using steady  = std::chrono::steady_clock;

constexpr int64_t INNER = 4096;
constexpr int64_t ROWS = 2048;
// Of one decoding step, and of a prompt's micro batch; less keeps a slow processor within the time.
constexpr int64_t BATCH = 256;
// Weights of one type: more than any cache but the largest ones holds.
constexpr size_t WEIGHT_BYTES = 192u << 20;
// Repeats stop here: a share of the two seconds that all of it may take.
constexpr double READ_SECONDS = 0.12;
constexpr double MULTIPLY_SECONDS = 0.12;
constexpr double DISK_SECONDS = 0.3;
constexpr size_t DISK_CHUNK = 4u << 20;
constexpr size_t DISK_BYTES_MAX = 512u << 20;

// Where llama.cpp would put weights of this type: in memory that the processor's own layouts are made for, if it has such.
ggml_backend_buffer_type_t weights_place(ggml_backend_dev_t device, ggml_tensor * product) {
    ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(device);
    const auto extras = (ggml_backend_dev_get_extra_bufts_t) ggml_backend_reg_get_proc_address(reg, "ggml_backend_dev_get_extra_bufts");
    ggml_backend_buffer_type_t * list = extras ? extras(device) : nullptr;
    for (; list && *list; ++list) {
        ggml_backend_buffer_ptr trial(ggml_backend_buft_alloc_buffer(*list, 0));
        product->src[0]->buffer = trial.get();
        const bool takes = trial && ggml_backend_dev_supports_op(device, product);
        product->src[0]->buffer = nullptr;
        if (takes) {
            return *list;
        }
    }
    return ggml_backend_dev_buffer_type(device);
}

struct measured {
    double bytes_per_second;
    double flops_per_second;
};

// Seconds of one run, the fastest of those that fit into the time: others of the machine only ever add to it.
double time_graph(ggml_backend_t backend, ggml_cgraph * graph, double budget) {
    double best = 1e9;
    const auto start = steady::now();
    do {
        const auto before = steady::now();
        if (ggml_backend_graph_compute(backend, graph) != GGML_STATUS_SUCCESS) {
            throw std::runtime_error("the device computes nothing");
        }
        best = std::min(best, seconds(steady::now() - before).count());
    } while (seconds(steady::now() - start).count() < budget);
    return best;
}

measured measure_type(ggml_backend_t backend, ggml_backend_dev_t device, ggml_type type) {
    const size_t matrix_bytes = ggml_row_size(type, INNER) * ROWS;
    const int64_t count = std::max<int64_t>(1, WEIGHT_BYTES / matrix_bytes);
    const ggml_init_params params = {ggml_tensor_overhead() * (4 * count + 8) + 2 * ggml_graph_overhead(), nullptr, true};
    ggml_context_ptr weights(ggml_init(params));
    ggml_context_ptr context(ggml_init(params));
    ggml_tensor * column = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, INNER, 1);
    ggml_tensor * batch = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, INNER, BATCH);
    ggml_cgraph * reading = ggml_new_graph(context.get());
    ggml_cgraph * multiplying = ggml_new_graph(context.get());
    std::vector<ggml_tensor *> matrices;
    ggml_tensor * product = nullptr;
    for (int64_t i = 0; i < count; ++i) {
        matrices.push_back(ggml_new_tensor_2d(weights.get(), type, INNER, ROWS));
        product = ggml_mul_mat(context.get(), matrices.back(), column);
        ggml_build_forward_expand(reading, product);
    }
    ggml_build_forward_expand(multiplying, ggml_mul_mat(context.get(), matrices.front(), batch));

    ggml_backend_buffer_ptr held(ggml_backend_alloc_ctx_tensors_from_buft(weights.get(), weights_place(device, product)));
    ggml_backend_buffer_ptr rest(ggml_backend_alloc_ctx_tensors(context.get(), backend));
    if (!held || !rest) {
        throw std::runtime_error("the device has no room for the measurement");
    }
    // As a half it is 0.008: a number in every type's scales, and no denormal one.
    const std::vector<uint8_t> fill(matrix_bytes, 0x20);
    for (ggml_tensor * matrix : matrices) {
        ggml_backend_tensor_set(matrix, fill.data(), 0, fill.size());
    }
    const std::vector<float> ones(INNER * BATCH, 0.01f);
    ggml_backend_tensor_set(column, ones.data(), 0, INNER * sizeof(float));
    ggml_backend_tensor_set(batch, ones.data(), 0, ones.size() * sizeof(float));

    const double read = time_graph(backend, reading, READ_SECONDS);
    const double multiply = time_graph(backend, multiplying, MULTIPLY_SECONDS);
    return {(double) matrix_bytes * count / read, 2.0 * INNER * ROWS * BATCH / multiply};
}

void use_threads(ggml_backend_t backend, ggml_backend_dev_t device, int32_t threads) {
    ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(device);
    const auto set = (ggml_backend_set_n_threads_t) ggml_backend_reg_get_proc_address(reg, "ggml_backend_set_n_threads");
    if (set) {
        set(backend, threads);
    }
}

common_json measure_device(ggml_backend_dev_t device, int32_t threads) {
    common_json entry = {{"name", ggml_backend_dev_name(device)}};
    common_json rates = common_json::array();
    ggml_backend_ptr backend(ggml_backend_dev_init(device, nullptr));
    if (!backend) {
        throw std::runtime_error(std::string(ggml_backend_dev_name(device)) + " does not start");
    }
    use_threads(backend.get(), device, threads);
    for (ggml_type type : {GGML_TYPE_F16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_K}) {
        const measured found = measure_type(backend.get(), device, type);
        rates.push_back(common_json({
            {"type", ggml_type_name(type)},
            {"bytesPerSecond", found.bytes_per_second},
            {"flopsPerSecond", found.flops_per_second},
        }));
    }
    entry["rates"] = rates;
    return entry;
}

// Past the page cache, where the system can do that; 0: it can't be told.
double measure_disk(const char * path) {
#ifdef O_DIRECT
    const int file = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (file < 0) {
        return 0;
    }
    void * buffer = nullptr;
    size_t total = 0;
    const auto start = steady::now();
    double passed = 0;
    if (posix_memalign(&buffer, 4096, DISK_CHUNK) == 0) {
        while (total < DISK_BYTES_MAX && passed < DISK_SECONDS) {
            const ssize_t got = pread(file, buffer, DISK_CHUNK, (off_t) total);
            if (got <= 0) {
                break;
            }
            total += (size_t) got;
            passed = seconds(steady::now() - start).count();
        }
        free(buffer);
    }
    close(file);
    // A file of less says more about the first seek than about the disk.
    return total >= DISK_CHUNK && passed > 0 ? (double) total / passed : 0;
#else
    (void) path;
    return 0;
#endif
}

} // namespace

char * mlo_bench(int32_t threads, const char * path) {
    return mlo::guard<char *>(nullptr, [&](auto &) {
        common_json devices = common_json::array();
        for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
            devices.push_back(measure_device(ggml_backend_dev_get(i), threads));
        }
        return mlo::own_text(common_json({
            {"devices", devices},
            {"diskBytesPerSecond", path && *path ? measure_disk(path) : 0.0},
        }).dump());
    });
}
