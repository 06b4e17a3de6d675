// The addon's two functions. A driver may take long or never answer: it is asked on a thread of its own, and JavaScript
// looks now and then whether there is an answer. Not on the runtime's thread pool: a thread that hangs would be lost to it.

#include <napi.h>

#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "readings.h"

namespace {

struct Question {
    std::mutex mutex;
    bool running = false;
    bool answered = false;
    std::string answer;
};

// Never destroyed: the thread may still be in the driver when the process ends.
Question & question() {
    static Question * const only = new Question;
    return *only;
}

void answer(const std::vector<std::string> & candidates) noexcept {
    std::string text;
    try {
        text = probe::read_all(candidates);
    } catch (...) {
        // Short enough to need no memory of its own.
        text = "{}";
    }
    std::lock_guard<std::mutex> lock(question().mutex);
    question().answer.swap(text);
    question().running = false;
    question().answered = true;
}

// begin(candidates: string[]): true, or false while the last question is still open.
Napi::Value begin(const Napi::CallbackInfo & info) {
    std::vector<std::string> candidates;
    if (info.Length() > 0 && info[0].IsArray()) {
        const Napi::Array names = info[0].As<Napi::Array>();
        for (uint32_t i = 0; i < names.Length(); ++i) {
            candidates.push_back(names.Get(i).ToString().Utf8Value());
        }
    }
    {
        std::lock_guard<std::mutex> lock(question().mutex);
        if (question().running) return Napi::Boolean::New(info.Env(), false);
        question().running = true;
        question().answered = false;
    }
    try {
        std::thread(answer, std::move(candidates)).detach();
    } catch (const std::exception &) {
        // No more threads: as if the driver had said nothing.
        std::lock_guard<std::mutex> lock(question().mutex);
        question().running = false;
        question().answered = true;
        question().answer = "{}";
    }
    return Napi::Boolean::New(info.Env(), true);
}

// take(): the answer as JSON, once; null: there is none yet.
Napi::Value take(const Napi::CallbackInfo & info) {
    std::string text;
    {
        std::lock_guard<std::mutex> lock(question().mutex);
        if (!question().answered) return info.Env().Null();
        question().answered = false;
        text.swap(question().answer);
    }
    return Napi::String::New(info.Env(), text);
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
    exports.Set("begin", Napi::Function::New(env, begin));
    exports.Set("take", Napi::Function::New(env, take));
    return exports;
}

} // namespace

NODE_API_MODULE(probe, init)
