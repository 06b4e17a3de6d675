// What the shim's files share: the handles' contents, error capture, and live counts. Not part of the ABI.
#pragma once
#include "mlo.h"

#include "chat.h"
#include "common.h"
#include "json.h"
#include "llama.h"
#include "sampling.h"
#include "threads.h"

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace mlo {

// Counts handles by kind, so that tests can see a leak.
enum kind { KIND_JOB, KIND_MODEL, KIND_CONTEXT, KIND_PROMPT, KIND_SAMPLER, KIND_PARSER, KIND_STATE, KIND_DRAFTER, KIND_HEAD, KIND_COUNT };
extern std::atomic<int> live[KIND_COUNT];

template <kind K> struct counted {
    counted() { ++live[K]; }
    ~counted() { --live[K]; }
    counted(const counted &) = delete;
    counted & operator=(const counted &) = delete;
};

// Collects llama.cpp's warnings and errors on this thread while it lives. What nobody takes for an error goes to the log:
// an error is told to whoever caused it, and need not show up beside another request.
class log_capture {
  public:
    log_capture();
    ~log_capture();
    // What was said, below a line break; it is then the error's, and no longer the log's.
    std::string lines();
    std::string buffer;

  private:
    log_capture * outer;
    bool          taken = false;
};

void set_error(const std::string & message);
char * own_text(const std::string & text);
void wake_waiter();

// The calling thread computes only what others leave: for work that nobody waits for.
void stand_back();

void log_warning(const std::string & message);
// Whether the vocabulary has every token that it puts around a text: llama.cpp gives up on one that it wants and has not.
bool has_marks(const llama_vocab * vocab);

// Throws with the first difference, unless token N of one vocabulary is token N of the other.
void check_vocabulary(const llama_vocab * target, const llama_vocab * draft);

// How many prediction layers (MTP) a file says it has, whether they were loaded, and why they can't guess: empty when they can.
int32_t head_layers(const llama_model & model);
bool head_is_loaded(const llama_model & model);
std::string head_problem(const llama_model & model);
// Whether the layers' own hidden rows are those of rows with output alone: a graph that gives them all is read by row.
bool head_rows_by_output(const llama_model & model);

// Runs body on this thread; on an exception sets the error and returns `failed`.
template <typename T, typename F> T guard(T failed, F && body) {
    log_capture capture;
    try {
        return body(capture);
    } catch (const std::exception & e) {
        set_error(std::string(e.what()) + capture.lines());
    } catch (...) {
        set_error("unknown native error" + capture.lines());
    }
    return failed;
}

} // namespace mlo

// A job owns its thread and its result; `drop` frees a result that nobody took.
struct mlo_job : mlo::counted<mlo::KIND_JOB> {
    std::atomic<int>   state{0};
    std::atomic<float> progress{0.0f};
    std::atomic<bool>  cancelled{false};
    void *             result = nullptr;
    std::string        error;
    std::function<void(void *)> drop;
    std::thread        thread;

    void start(std::function<void *(mlo_job &)> work);
    void * take();
};

struct mlo_model : mlo::counted<mlo::KIND_MODEL> {
    llama_model *             model = nullptr;
    const llama_vocab *       vocab = nullptr;
    std::vector<llama_token>  ends; // tokens that end a generation
    common_chat_templates_ptr templates;
    bool                      has_template = false;
    std::vector<llama_adapter_lora *> adapters; // freed with the model, by llama.cpp
    ~mlo_model();
};

struct mlo_context : mlo::counted<mlo::KIND_CONTEXT> {
    llama_context *   context = nullptr;
    const mlo_model * model = nullptr;
    ggml_type         key_type = GGML_TYPE_F16;
    ggml_type         value_type = GGML_TYPE_F16;
    bool              full_windows = false;
    std::unique_ptr<mlo::compute_threads> compute; // freed after the context, which uses it
    std::unique_ptr<mlo::row_threads>     rows;    // made by the first batch that is worth it
    ~mlo_context();
};

struct mlo_state : mlo::counted<mlo::KIND_STATE> {
    // Shared with the job that writes it.
    std::shared_ptr<std::vector<uint8_t>> bytes = std::make_shared<std::vector<uint8_t>>();
    std::string                           text;
};

struct mlo_sampler : mlo::counted<mlo::KIND_SAMPLER> {
    common_sampler_ptr            chain;  // null: greedy, by argmax
    std::vector<llama_logit_bias> biases; // of the greedy case, sorted by token, one each
    int32_t                       cost = 1; // of a row, in readings of its logits
    int32_t                       endless = 0; // tokens that must come before one that ends the generation may
};

struct mlo_prompt : mlo::counted<mlo::KIND_PROMPT> {
    std::vector<llama_token> tokens;
    std::string              text;
    bool                     is_chat = false;
    bool                     has_tools = false;
    bool                     has_plain_grammar = false; // of the answer's text alone, without what the prompt ends with
    int32_t                  preamble = 0; // leading tokens of system text and tools
    std::string              begun_reasoning; // of an answer that goes on from what the prompt ends with
    std::string              begun_content;
    std::vector<int32_t>     turns; // where the last messages begin, the one to be generated included
    common_chat_params       chat;
    std::unique_ptr<mlo_sampler> sampler;
};

// Prompts with a format of their own: {"prefix","suffix","prompt","extra","batchTokens","contextTokens","answerTokens"},
// {"query","document"} and {"pieces","addSpecial","parseSpecial"}.
void read_infill(mlo_prompt & prompt, const mlo_model & model, const common_json & request);
void read_rerank(mlo_prompt & prompt, const mlo_model & model, const common_json & request);
void read_pieces(mlo_prompt & prompt, const mlo_model & model, const common_json & request);

// Throws for an id that the vocabulary has not.
llama_token checked_token(const llama_vocab * vocab, const common_json & token);

// The messages in other words, for templates that raise an error about them: what was said, in the same order.
std::vector<common_chat_msg> tell_calls_apart(const std::vector<common_chat_msg> & messages);
std::vector<common_chat_msg> tell_as_text(const std::vector<common_chat_msg> & messages);

// Tools for templates that know none. tell_plainly: calls and results as text, tools in the system's. parse_plain_calls: grammar
// and parser of calls written so, for a chat that was rendered without tools.
bool knows_tools(const common_chat_templates * templates);
void tell_plainly(common_chat_templates_inputs & inputs);
void parse_plain_calls(common_chat_params & chat, const common_chat_templates_inputs & inputs);

// Whether the answer goes on from the last message, which is the assistant's.
bool goes_on(const common_chat_templates_inputs & inputs);
// Of such an answer: the rendered prompt ends with its beginning, and the prompt knows what that is. Throws where the template has
// no place for it.
void begin_answer(mlo_prompt & prompt, const mlo_model & model, const common_chat_templates_inputs & inputs);

// Fills in the chat's text, grammar and parser. add_sampler makes the sampler: it is called again when its grammar failed.
void constrain_chat(mlo_prompt & prompt, const mlo_model & model, const common_json & request, const std::function<void()> & add_sampler);

// How the templates' format writes a call's arguments: "json": as one value, held to the schema. "text": one by one, texts as they
// are. "nested": what is in them too. "loose": held to no schema, or any number of them. "none": it has no calls.
std::string argument_format(const common_chat_templates * templates);

// settings: SamplingParams. prompt, when not null, gives the grammar of its tools or schema.
std::unique_ptr<mlo_sampler> make_sampler(const mlo_model & model, const common_json & settings, const mlo_prompt * prompt);
