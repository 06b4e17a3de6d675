// The threads of a context: ggml's own for its graphs, which outlive one decode, and ours that sample rows. Not part of the ABI.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

struct llama_context;
struct ggml_threadpool;

namespace mlo {

// ggml starts and ends its threads at each decode unless it is given some. To be freed after the context.
class compute_threads {
  public:
    // Null where ggml's CPU backend has no such thing, or one thread does all.
    static std::unique_ptr<compute_threads> attach(llama_context * context, int32_t threads);
    ~compute_threads();

  private:
    ggml_threadpool * pool = nullptr;
    void (*free_pool)(ggml_threadpool *) = nullptr;
};

// Runs the same work for each of n rows, on the calling thread and on up to `threads - 1` helpers, which sleep in between.
class row_threads {
  public:
    explicit row_threads(int32_t threads) : threads(threads) {}
    ~row_threads();
    // Returns when all rows are done. `work` does not throw, and finds which row is whose by its number alone.
    void run(int32_t n, const std::function<void(int32_t)> & work);

  private:
    void help();
    void take_rows();

    const int32_t            threads;
    std::vector<std::thread> helpers; // made when they are first needed
    std::mutex               mutex;
    std::condition_variable  wake;
    std::condition_variable  done;
    uint64_t                 round = 0;
    int32_t                  wanted = 0; // helpers that this round may still take
    int32_t                  busy = 0;
    bool                     stopping = false;
    int32_t                  rows = 0;
    std::atomic<int32_t>     next{0};
    const std::function<void(int32_t)> * work = nullptr;
};

} // namespace mlo
