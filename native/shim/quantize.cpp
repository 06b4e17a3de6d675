// Quantising: llama.cpp's own quantiser over a whole file, on a job's thread.
#include "internal.h"

#include "imatrix-loader.h"

#include <cstring>

namespace {

// What an importance matrix is to the quantiser: averages by tensor, and what the new file says of where they come from.
struct importance {
    common_imatrix                          loaded;
    std::vector<llama_model_imatrix_data>   list;  // ends with a null name
    std::vector<llama_model_kv_override>    notes; // ends with an empty key
};

void add_note(importance & matrix, const char * key, const std::string & text) {
    llama_model_kv_override note = {};
    note.tag = LLAMA_KV_OVERRIDE_TYPE_STR;
    snprintf(note.key, sizeof(note.key), "%s", key);
    snprintf(note.val_str, sizeof(note.val_str), "%s", text.c_str());
    matrix.notes.push_back(note);
}

void add_note(importance & matrix, const char * key, int64_t number) {
    llama_model_kv_override note = {};
    note.tag = LLAMA_KV_OVERRIDE_TYPE_INT;
    snprintf(note.key, sizeof(note.key), "%s", key);
    note.val_i64 = number;
    matrix.notes.push_back(note);
}

// Sums become averages, in place: each expert has a count of its own. Without a count older files have averages already.
void average(const std::string & name, common_imatrix_entry & entry, bool is_legacy) {
    const size_t parts = entry.counts.size();
    if (parts == 0 || entry.sums.size() % parts != 0) {
        throw std::runtime_error("the importance matrix contradicts itself at " + name);
    }
    const size_t length = entry.sums.size() / parts;
    for (size_t part = 0; part < parts; ++part) {
        const float count = (float) entry.counts[part];
        for (size_t i = part * length; i < (part + 1) * length; ++i) {
            entry.sums[i] = count > 0.0f ? entry.sums[i] / count : is_legacy ? entry.sums[i] : 1.0f;
        }
    }
}

std::unique_ptr<importance> load_importance(const std::string & path) {
    auto matrix = std::make_unique<importance>();
    common_imatrix & loaded = matrix->loaded;
    if (!common_imatrix_load(path, loaded) || loaded.entries.empty()) {
        throw std::runtime_error("the importance matrix can't be read");
    }
    for (auto & [name, entry] : loaded.entries) {
        average(name, entry, loaded.is_legacy);
        matrix->list.push_back({name.c_str(), entry.sums.data(), entry.sums.size()});
    }
    matrix->list.push_back({nullptr, nullptr, 0});
    // The keys that llama-quantize writes; of the path only the name, since folders are nobody else's business.
    add_note(*matrix, "quantize.imatrix.file", path.substr(path.find_last_of('/') + 1));
    if (!loaded.datasets.empty()) {
        add_note(*matrix, "quantize.imatrix.dataset", loaded.datasets[0]);
    }
    add_note(*matrix, "quantize.imatrix.entries_count", (int64_t) loaded.entries.size());
    if (loaded.chunk_count > 0) {
        add_note(*matrix, "quantize.imatrix.chunks_count", (int64_t) loaded.chunk_count);
    }
    matrix->notes.push_back({});
    return matrix;
}

bool on_progress(float fraction, void * data) {
    auto * job = (mlo_job *) data;
    job->progress = fraction;
    return !job->cancelled;
}

int done_mark = 0; // the result of a job that has none

void * quantize(mlo_job & job, const std::string & source, const std::string & target, const common_json & settings) {
    llama_model_quantize_params params = llama_model_quantize_default_params();
    params.ftype = (llama_ftype) settings.value("fileType", 0);
    params.nthread = settings.value("threads", 1);
    params.allow_requantize = settings.value("allowRequantize", false);
    params.max_buf_size = (size_t) settings.value("bufferBytes", (int64_t) 0);
    params.progress_callback = on_progress;
    params.progress_callback_user_data = &job;
    const std::string path = settings.value("imatrix", std::string());
    std::unique_ptr<importance> matrix = path.empty() ? nullptr : load_importance(path);
    if (matrix) {
        params.imatrix = matrix->list.data();
        params.kv_overrides = matrix->notes.data();
    }
    return llama_model_quantize(source.c_str(), target.c_str(), &params) == 0 ? &done_mark : nullptr;
}

} // namespace

mlo_job * mlo_quantize_start(const char * source, const char * target, const char * settings) {
    return mlo::guard<mlo_job *>(nullptr, [&](auto &) {
        auto job = std::make_unique<mlo_job>();
        job->drop = [](void *) {};
        job->start([from = std::string(source), to = std::string(target), parsed = common_json::parse(settings)](mlo_job & self) {
            return quantize(self, from, to, parsed);
        });
        return job.release();
    });
}
