// llama.cpp's log: kept in a bounded ring that the engine drains, and shown in the errors of native calls.
#include "internal.h"

#include "log.h"

#include <cstring>
#include <deque>

namespace mlo {

std::atomic<int> live[KIND_COUNT];

namespace {

// Enough for a model load's chatter; older lines are dropped, because a stuck reader must not grow the engine.
constexpr size_t LINES_MAX = 2000;
// An error message quotes at most this much of the log. Errors have room of their own: what they say must not be lost behind
// any number of warnings.
constexpr size_t CAPTURE_BYTES_MAX = 2000;
constexpr size_t CAPTURE_ERROR_BYTES_MAX = 4000;

std::mutex              ring_mutex;
std::deque<std::string> ring;
std::atomic<bool>       ring_filled{false};

thread_local log_capture * current = nullptr;
thread_local std::string   last_error;
thread_local int           last_level = GGML_LOG_LEVEL_INFO;

void add_line(ggml_log_level level, const std::string & text) {
    std::string line = (char) ('0' + (int) level) + text;
    if (line.back() != '\n') {
        line += '\n';
    }
    std::lock_guard<std::mutex> lock(ring_mutex);
    if (ring.size() == LINES_MAX) {
        ring.pop_front();
    }
    ring.push_back(std::move(line));
    ring_filled = true;
}

// Another pooling than the file's is what we ask for, for each context that embeds with a model that generates.
bool is_expected(const char * text) {
    return strstr(text, "model default pooling_type is") != nullptr;
}

void on_log(ggml_log_level level, const char * text, void *) {
    // A continued line has the level of the line that it continues.
    if (level == GGML_LOG_LEVEL_CONT) {
        level = (ggml_log_level) last_level;
    }
    if (level == GGML_LOG_LEVEL_WARN && is_expected(text)) {
        level = GGML_LOG_LEVEL_DEBUG;
    }
    last_level = level;
    if (!current || level < GGML_LOG_LEVEL_WARN) {
        add_line(level, text);
    } else if (current->buffer.size() < (level >= GGML_LOG_LEVEL_ERROR ? CAPTURE_ERROR_BYTES_MAX : CAPTURE_BYTES_MAX)) {
        current->buffer += text;
    }
}

struct install {
    install() {
        llama_log_set(on_log, nullptr);
        // common/ has a logger of its own, which would write to our standard output.
        common_log_pause(common_log_main());
    }
} installed;

} // namespace

log_capture::log_capture() : outer(current) {
    current = this;
}

log_capture::~log_capture() {
    current = outer;
    if (!taken && !buffer.empty()) {
        add_line(GGML_LOG_LEVEL_WARN, buffer);
    }
}

std::string log_capture::lines() {
    taken = true;
    if (buffer.empty()) {
        return "";
    }
    std::string text = buffer;
    while (!text.empty() && text.back() == '\n') {
        text.pop_back();
    }
    return "\n" + text;
}

void log_warning(const std::string & message) {
    add_line(GGML_LOG_LEVEL_WARN, message);
}

void set_error(const std::string & message) {
    last_error = message;
}

char * own_text(const std::string & text) {
    return strdup(text.c_str());
}

} // namespace mlo

const char * mlo_error(void) {
    return mlo::last_error.c_str();
}

void mlo_text_free(char * text) {
    free(text);
}

int32_t mlo_log_read(uint8_t * buffer, int32_t capacity) {
    if (!mlo::ring_filled) {
        return 0;
    }
    std::lock_guard<std::mutex> lock(mlo::ring_mutex);
    int32_t written = 0;
    while (!mlo::ring.empty()) {
        std::string & line = mlo::ring.front();
        if ((int32_t) line.size() > capacity) {
            line.resize(capacity);
            line.back() = '\n';
        }
        if (written + (int32_t) line.size() > capacity) {
            return written;
        }
        memcpy(buffer + written, line.data(), line.size());
        written += (int32_t) line.size();
        mlo::ring.pop_front();
    }
    mlo::ring_filled = false;
    return written;
}

char * mlo_live_handles(void) {
    static const char * names[mlo::KIND_COUNT] = {"job", "model", "context", "prompt", "sampler", "parser", "state", "drafter", "head"};
    common_json counts = common_json::object();
    for (int i = 0; i < mlo::KIND_COUNT; ++i) {
        counts[names[i]] = mlo::live[i].load();
    }
    return mlo::own_text(counts.dump());
}
