// A context's threads: see threads.h. Nothing here knows what a row is.
#include "threads.h"

#include "internal.h"

#include "ggml-backend.h"
#include "ggml-cpu.h"

#include <algorithm>
#include <system_error>

namespace mlo {

std::unique_ptr<compute_threads> compute_threads::attach(llama_context * context, int32_t threads) {
    ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    if (threads < 2 || !device) {
        return nullptr;
    }
    ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(device);
    const auto make = (decltype(ggml_threadpool_new) *) ggml_backend_reg_get_proc_address(reg, "ggml_threadpool_new");
    const auto free_pool = (decltype(ggml_threadpool_free) *) ggml_backend_reg_get_proc_address(reg, "ggml_threadpool_free");
    if (!make || !free_pool) {
        return nullptr;
    }
    ggml_threadpool_params params = ggml_threadpool_params_default(threads);
    // After a decode ggml's threads look out for the next one, then they sleep (levels above 100 are microseconds: patch
    // 0010). That bridges the pause between two steps, which is shorter than waking a thread, and meanwhile they offer
    // their cores to our sampling threads, the server and its client; the default level would burn a core for a tenth of
    // a second after the last step, whoever else wants it.
    params.poll = 2000;
    auto made = std::make_unique<compute_threads>();
    made->pool = make(&params);
    made->free_pool = free_pool;
    if (!made->pool) {
        return nullptr;
    }
    llama_attach_threadpool(context, made->pool, nullptr);
    return made;
}

compute_threads::~compute_threads() {
    if (pool) {
        free_pool(pool);
    }
}

row_threads::~row_threads() {
    {
        std::lock_guard<std::mutex> lock(mutex);
        stopping = true;
    }
    wake.notify_all();
    for (auto & helper : helpers) {
        helper.join();
    }
}

void row_threads::take_rows() {
    for (int32_t row = next++; row < rows; row = next++) {
        (*work)(row);
    }
}

void row_threads::help() {
    std::unique_lock<std::mutex> lock(mutex);
    uint64_t seen = 0;
    for (;;) {
        wake.wait(lock, [&] { return stopping || (round != seen && wanted > 0); });
        if (stopping) {
            return;
        }
        seen = round;
        --wanted;
        ++busy;
        lock.unlock();
        take_rows();
        lock.lock();
        if (--busy == 0) {
            done.notify_one();
        }
    }
}

void row_threads::run(int32_t n, const std::function<void(int32_t)> & body) {
    const int32_t extra = std::min(threads, n) - 1;
    if (extra < 1) {
        for (int32_t row = 0; row < n; ++row) {
            body(row);
        }
        return;
    }
    {
        std::lock_guard<std::mutex> lock(mutex);
        try {
            while ((int32_t) helpers.size() < extra) {
                helpers.emplace_back([this] { help(); });
            }
        } catch (const std::system_error &) {
            // No more threads are to be had: those that are there do it all.
        }
        rows = n;
        work = &body;
        next = 0;
        wanted = extra;
        ++round;
    }
    wake.notify_all();
    take_rows();
    std::unique_lock<std::mutex> lock(mutex);
    // A helper that has not woken by now finds nothing to do, and must not look at the next round as at this one.
    wanted = 0;
    done.wait(lock, [&] { return busy == 0; });
    work = nullptr;
}

} // namespace mlo
