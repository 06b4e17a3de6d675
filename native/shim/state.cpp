// States: what a sequence holds in the caches, copied out, put back, and kept in files. A file is written under another
// name and renamed, so it is there whole or not at all; its checksum tells what happened to it since.
#include "internal.h"

#include "llama-io.h"
#include "llama-kv-cache-iswa.h"
#include "llama-kv-cache.h"
#include "llama-memory-hybrid-iswa.h"
#include "llama-memory-hybrid.h"
#include "llama-memory-recurrent.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace {

enum part { PART_ALL = 0, PART_ATTENTION = 1, PART_REST = 2 };

class state_writer : public llama_io_write_i {
  public:
    explicit state_writer(std::vector<uint8_t> & bytes) : bytes(bytes) {}
    void write(const void * src, size_t size) override {
        bytes.insert(bytes.end(), (const uint8_t *) src, (const uint8_t *) src + size);
    }
    void write_tensor(ggml_tensor * tensor, size_t offset, size_t size) override {
        const size_t at = bytes.size();
        bytes.resize(at + size);
        ggml_backend_tensor_get(tensor, bytes.data() + at, offset, size);
    }
    size_t n_bytes() override { return bytes.size(); }

  private:
    std::vector<uint8_t> & bytes;
};

// How long a state is: known beforehand, its copy is made in one piece.
class state_measurer : public llama_io_write_i {
  public:
    void write(const void *, size_t size) override { total += size; }
    void write_tensor(ggml_tensor *, size_t, size_t size) override { total += size; }
    size_t n_bytes() override { return total; }

  private:
    size_t total = 0;
};

class state_reader : public llama_io_read_i {
  public:
    explicit state_reader(const std::vector<uint8_t> & bytes) : bytes(bytes) {}
    void read(void * dst, size_t size) override { memcpy(dst, take(size), size); }
    void read_tensor(ggml_tensor * tensor, size_t offset, size_t size) override {
        ggml_backend_tensor_set(tensor, take(size), offset, size);
    }
    size_t n_bytes() override { return at; }

  private:
    const uint8_t * take(size_t size) {
        if (size > bytes.size() - at) {
            throw std::runtime_error("the state ends too early");
        }
        at += size;
        return bytes.data() + at - size;
    }
    const std::vector<uint8_t> & bytes;
    size_t at = 0;
};

// The cache whose cells stay until they are removed; null where there is none.
llama_memory_i * attention_of(llama_memory_t memory) {
    if (auto * sliding = dynamic_cast<llama_kv_cache_iswa *>(memory)) {
        return sliding->get_base();
    }
    if (auto * hybrid = dynamic_cast<llama_memory_hybrid *>(memory)) {
        return hybrid->get_mem_attn();
    }
    if (auto * both = dynamic_cast<llama_memory_hybrid_iswa *>(memory)) {
        return both->get_mem_attn()->get_base();
    }
    return dynamic_cast<llama_kv_cache *>(memory);
}

// The memory that holds a part, and the flags to reach it; null where this model has no such part.
llama_memory_i * memory_of(llama_memory_t memory, int32_t part, llama_state_seq_flags & flags) {
    flags = part == PART_REST ? LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY : LLAMA_STATE_SEQ_FLAGS_NONE;
    if (part == PART_ATTENTION) {
        return attention_of(memory);
    }
    return part == PART_REST && dynamic_cast<llama_kv_cache *>(memory) ? nullptr : memory;
}

// FNV-like over 8 bytes at a time in four lanes: it has to notice damage, not to withstand an enemy.
uint64_t checksum(uint64_t seed, const uint8_t * data, size_t size) {
    const uint64_t prime = 0x9e3779b97f4a7c15ull;
    uint64_t lanes[4] = {seed ^ size, seed + prime, seed ^ ~prime, seed - prime};
    size_t at = 0;
    for (; at + 32 <= size; at += 32) {
        for (int lane = 0; lane < 4; ++lane) {
            uint64_t word;
            memcpy(&word, data + at + 8 * lane, 8);
            lanes[lane] = (lanes[lane] ^ word) * prime;
            lanes[lane] ^= lanes[lane] >> 29;
        }
    }
    for (; at < size; ++at) {
        lanes[at % 4] = (lanes[at % 4] ^ data[at]) * prime;
        lanes[at % 4] ^= lanes[at % 4] >> 29;
    }
    uint64_t sum = 0;
    for (const uint64_t lane : lanes) {
        sum = (sum ^ lane) * prime;
        sum ^= sum >> 32;
    }
    return sum;
}

// magic, lengths of text and bytes; then text, bytes, checksum. Numbers are this machine's: the text's key holds the build.
struct file_head {
    char     magic[8];
    uint64_t text_size;
    uint64_t byte_size;
};
const char MAGIC[8] = {'M', 'L', 'O', 'S', 'T', 'A', 'T', '1'};
const uint64_t TEXT_SIZE_MAX = 1 << 20;

struct file_closer {
    void operator()(FILE * file) const { fclose(file); }
};
using file_ptr = std::unique_ptr<FILE, file_closer>;

[[noreturn]] void throw_errno(const std::string & what) {
    throw std::runtime_error(what + ": " + strerror(errno));
}

uint64_t file_checksum(const file_head & head, const std::string & text, const std::vector<uint8_t> & bytes) {
    const uint64_t head_sum = checksum(1, (const uint8_t *) &head, sizeof(head));
    return checksum(checksum(head_sum, (const uint8_t *) text.data(), text.size()), bytes.data(), bytes.size());
}

// Between two of these a write that nobody wants any more ends: one with a low priority may take seconds for the whole.
const size_t WRITE_BYTES = 1 << 20;

bool write_bytes(FILE * file, const std::vector<uint8_t> & bytes, const std::atomic<bool> & cancelled) {
    for (size_t at = 0; at < bytes.size(); at += WRITE_BYTES) {
        const size_t count = std::min(WRITE_BYTES, bytes.size() - at);
        if (cancelled) {
            errno = ECANCELED;
            return false;
        }
        if (fwrite(bytes.data() + at, 1, count, file) != count) {
            return false;
        }
    }
    return true;
}

void write_file(const std::string & path, const std::string & text, const std::vector<uint8_t> & bytes, const std::atomic<bool> & cancelled) {
    // Two jobs may write the same state: one that is in no hurry, and the one that took its place.
    static std::atomic<uint32_t> drafts{0};

    file_head head{};
    memcpy(head.magic, MAGIC, sizeof(MAGIC));
    head.text_size = text.size();
    head.byte_size = bytes.size();
    const uint64_t sum = file_checksum(head, text, bytes);
    const std::string draft = path + "." + std::to_string(++drafts) + ".part-" + std::to_string(getpid());
    file_ptr file(fopen(draft.c_str(), "wb"));
    if (!file) {
        throw_errno("can't make " + draft);
    }
    const bool written = fwrite(&head, sizeof(head), 1, file.get()) == 1 &&
                         fwrite(text.data(), 1, text.size(), file.get()) == text.size() &&
                         write_bytes(file.get(), bytes, cancelled) &&
                         fwrite(&sum, sizeof(sum), 1, file.get()) == 1 && fflush(file.get()) == 0;
    const int error = errno;
    file.reset();
    // No fsync: a file that a power cut damages is found by its checksum, and costs no more than reading the prompt.
    if (!written || rename(draft.c_str(), path.c_str()) != 0) {
        errno = written ? errno : error;
        const std::string why = strerror(errno);
        remove(draft.c_str());
        throw std::runtime_error("can't write " + path + ": " + why);
    }
}

mlo_state * read_file(const std::string & path) {
    file_ptr file(fopen(path.c_str(), "rb"));
    if (!file || fseek(file.get(), 0, SEEK_END) != 0) {
        throw_errno("can't read " + path);
    }
    const uint64_t size = (uint64_t) ftell(file.get());
    rewind(file.get());
    file_head head{};
    uint64_t sum = 0;
    if (size < sizeof(head) + sizeof(sum) || fread(&head, sizeof(head), 1, file.get()) != 1 || memcmp(head.magic, MAGIC, sizeof(MAGIC)) != 0) {
        throw std::runtime_error(path + " is not a state");
    }
    // Lengths are checked before anything of that length is made.
    if (head.text_size > TEXT_SIZE_MAX || head.byte_size > size || sizeof(head) + head.text_size + head.byte_size + sizeof(sum) != size) {
        throw std::runtime_error(path + " is cut short or damaged");
    }
    auto state = std::make_unique<mlo_state>();
    state->text.resize(head.text_size);
    state->bytes->resize(head.byte_size);
    if (fread(&state->text[0], 1, head.text_size, file.get()) != head.text_size ||
        fread(state->bytes->data(), 1, head.byte_size, file.get()) != head.byte_size ||
        fread(&sum, sizeof(sum), 1, file.get()) != 1) {
        throw std::runtime_error("can't read " + path);
    }
    if (sum != file_checksum(head, state->text, *state->bytes)) {
        throw std::runtime_error(path + " is damaged: its checksum differs");
    }
    return state.release();
}

int written_mark = 0; // the result of a job that has none

} // namespace

mlo_state * mlo_state_copy(mlo_context * c, int32_t sequence, int32_t part) {
    return mlo::guard<mlo_state *>(nullptr, [&](auto &) {
        llama_synchronize(c->context);
        auto state = std::make_unique<mlo_state>();
        state_writer writer(*state->bytes);
        llama_state_seq_flags flags = 0;
        if (llama_memory_i * source = memory_of(llama_get_memory(c->context), part, flags)) {
            state_measurer measurer;
            source->state_write(measurer, sequence, flags);
            state->bytes->reserve(measurer.n_bytes());
            source->state_write(writer, sequence, flags);
        }
        return state.release();
    });
}

void mlo_state_free(mlo_state * state) {
    delete state;
}

int64_t mlo_state_bytes(mlo_state * state) {
    return (int64_t) state->bytes->size();
}

const char * mlo_state_text(mlo_state * state) {
    return state->text.c_str();
}

int32_t mlo_state_apply(mlo_context * c, mlo_state * state, int32_t sequence, int32_t part) {
    return mlo::guard<int32_t>(-1, [&](auto &) {
        if (state->bytes->empty()) {
            return 0;
        }
        llama_synchronize(c->context);
        llama_state_seq_flags flags = 0;
        llama_memory_i * target = memory_of(llama_get_memory(c->context), part, flags);
        if (!target) {
            throw std::invalid_argument("this model's memory has no such part");
        }
        state_reader reader(*state->bytes);
        target->state_read(reader, sequence, flags);
        return 0;
    });
}

mlo_job * mlo_state_write_start(mlo_state * state, const char * path, const char * text, int32_t awaited) {
    return mlo::guard<mlo_job *>(nullptr, [&](auto &) {
        auto job = std::make_unique<mlo_job>();
        job->drop = [](void *) {};
        job->start([bytes = state->bytes, path = std::string(path), text = std::string(text), awaited](mlo_job & self) -> void * {
            if (!awaited) {
                mlo::stand_back();
            }
            write_file(path, text, *bytes, self.cancelled);
            return &written_mark;
        });
        return job.release();
    });
}

mlo_job * mlo_state_read_start(const char * path) {
    return mlo::guard<mlo_job *>(nullptr, [&](auto &) {
        auto job = std::make_unique<mlo_job>();
        job->drop = [](void * result) { delete (mlo_state *) result; };
        job->start([path = std::string(path)](mlo_job &) -> void * { return read_file(path); });
        return job.release();
    });
}

mlo_state * mlo_state_take(mlo_job * job) {
    return (mlo_state *) job->take();
}
