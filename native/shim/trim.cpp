// Giving memory back while the context stays: pages of host memory that only empty cells have, and what the heap holds free.
// An empty cell is never read but for a weight of zero, and is written before it is used: zeros are as good as anything.
#include "internal.h"

#include "ggml-backend.h"
#include "ggml-cpp.h"
#include "llama-kv-cache-iswa.h"
#include "llama-kv-cache.h"
#include "llama-memory-hybrid-iswa.h"
#include "llama-memory-hybrid.h"

#ifdef __linux__
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace {

#ifdef __linux__

// The whole pages within these bytes. They are the process's own until they are written again.
int64_t drop_pages(uint8_t * begin, uint8_t * end) {
    static const uintptr_t page = (uintptr_t) sysconf(_SC_PAGESIZE);
    const uintptr_t first = ((uintptr_t) begin + page - 1) / page * page;
    const uintptr_t last = (uintptr_t) end / page * page;
    if (last <= first) {
        return 0;
    }
#ifdef MADV_COLD
    // A huge page of which a part is dropped stays whole with the kernel until it needs the memory. This splits it.
    madvise((void *) first, last - first, MADV_COLD);
#endif
    if (madvise((void *) first, last - first, MADV_DONTNEED) != 0) {
        return 0;
    }
    return (int64_t) (last - first);
}

// Only memory that ggml took from the heap: what a device's driver has mapped or pinned is not ours to drop.
bool is_plain_memory(const ggml_tensor * tensor) {
    return tensor->buffer != nullptr && ggml_backend_buffer_get_type(tensor->buffer) == ggml_backend_cpu_buffer_type();
}

// One row a cell. A transposed cache of values has one column a cell, so that no page is a cell's own.
bool has_row_per_cell(const ggml_tensor * view, uint32_t cells) {
    return view->ne[2] == (int64_t) cells && view->nb[2] == view->view_src->nb[1];
}

// A huge page is there whole or not at all, and the kernel would make huge ones again of what is left of some
// (see 0032-large-buffers.patch). Of the whole buffer, because each part with a wish of its own is a mapping of its own.
void want_small_pages(const ggml_tensor * rows) {
    static const uintptr_t page = (uintptr_t) sysconf(_SC_PAGESIZE);
    const uintptr_t begin = (uintptr_t) ggml_backend_buffer_get_base(rows->buffer);
    const uintptr_t first = (begin + page - 1) / page * page;
    const uintptr_t last = (begin + ggml_backend_buffer_get_size(rows->buffer)) / page * page;
    if (last > first) {
        // Refused where there are no huge pages: then there is nothing to wish for.
        madvise((void *) first, last - first, MADV_NOHUGEPAGE);
    }
}

int64_t drop_cells(const ggml_tensor * rows, const llama_kv_cells & cells) {
    if (!is_plain_memory(rows)) {
        return 0;
    }
    want_small_pages(rows);
    uint8_t * data = (uint8_t *) rows->data;
    int64_t   bytes = 0;
    for (uint32_t i = 0; i < cells.size();) {
        uint32_t end = i;
        while (end < cells.size() && cells.is_empty(end)) {
            ++end;
        }
        bytes += drop_pages(data + i * rows->nb[1], data + end * rows->nb[1]);
        i = end + 1;
    }
    return bytes;
}

int64_t drop_empty(const llama_kv_cache * cache) {
    // Each of several streams has rows of its own: we make contexts with one.
    if (cache->get_n_stream() != 1) {
        return 0;
    }
    const uint32_t size = cache->get_size();
    const llama_kv_cells & cells = cache->get_cells(0);
    llama_kv_cache::slot_info all{};
    int64_t bytes = 0;
    for (const uint32_t layer : cache->get_layer_ids()) {
        bytes += drop_cells(cache->get_k_storage((int32_t) layer), cells);
        // There is no accessor of the values but their view.
        ggml_context_ptr views(ggml_init({ggml_tensor_overhead() * 2, nullptr, true}));
        const ggml_tensor * values = cache->get_v(views.get(), (int32_t) layer, size, all);
        if (has_row_per_cell(values, size)) {
            bytes += drop_cells(values->view_src, cells);
        }
    }
    return bytes;
}

int64_t drop_empty(const llama_kv_cache_iswa * cache) {
    return drop_empty(cache->get_base()) + drop_empty(cache->get_swa());
}

int64_t drop_all_empty(llama_memory_t memory) {
    if (auto * plain = dynamic_cast<llama_kv_cache *>(memory)) {
        return drop_empty(plain);
    }
    if (auto * sliding = dynamic_cast<llama_kv_cache_iswa *>(memory)) {
        return drop_empty(sliding);
    }
    if (auto * hybrid = dynamic_cast<llama_memory_hybrid *>(memory)) {
        return drop_empty(hybrid->get_mem_attn());
    }
    if (auto * both = dynamic_cast<llama_memory_hybrid_iswa *>(memory)) {
        return drop_empty(both->get_mem_attn());
    }
    return 0;
}

#endif

} // namespace

int64_t mlo_context_trim(mlo_context * c) {
    return mlo::guard<int64_t>(-1, [&](auto &) -> int64_t {
#ifdef __linux__
        llama_synchronize(c->context);
        const int64_t bytes = drop_all_empty(llama_get_memory(c->context));
#ifdef __GLIBC__
        malloc_trim(0);
#endif
        return bytes;
#else
        (void) c;
        return 0;
#endif
    });
}
