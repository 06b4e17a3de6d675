// An answer that goes on from the conversation's last message: llama.cpp renders the messages before it, and puts what opens
// an answer and the message's own text behind them.
#include "internal.h"

#include <algorithm>

bool goes_on(const common_chat_templates_inputs & inputs) {
    return inputs.continue_final_message != COMMON_CHAT_CONTINUATION_NONE && !inputs.messages.empty();
}

namespace {

// Some templates end a conversation that is not to be answered with a token of its own. It has no place before an answer.
void drop_ending(common_chat_params & chat, const mlo_model & model, common_chat_templates_inputs inputs) {
    inputs.messages.pop_back();
    inputs.continue_final_message = COMMON_CHAT_CONTINUATION_NONE;
    inputs.add_generation_prompt = true;
    const std::string opened = common_chat_templates_apply(model.templates.get(), inputs).prompt;
    const size_t shown = chat.prompt.size() - chat.generation_prompt.size();
    size_t shared = 0;
    while (shared < std::min(shown, opened.size()) && chat.prompt[shared] == opened[shared]) {
        ++shared;
    }
    chat.prompt.erase(shared, shown - shared);
}

bool ends_with(const std::string & text, const std::string & end) {
    return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

} // namespace

void begin_answer(mlo_prompt & prompt, const mlo_model & model, const common_chat_templates_inputs & inputs) {
    if (!goes_on(inputs)) {
        return;
    }
    const common_chat_msg & last = inputs.messages.back();
    const bool thinks = inputs.continue_final_message == COMMON_CHAT_CONTINUATION_REASONING;
    prompt.begun_reasoning = last.reasoning_content;
    prompt.begun_content = thinks ? "" : last.render_content();
    if (!ends_with(prompt.chat.prompt, thinks ? prompt.begun_reasoning : prompt.begun_content)) {
        throw std::invalid_argument(
            thinks ? "the chat template has no place for thoughts: the last message can't go on in its reasoning_content"
                   : "the chat template does not let the last message go on");
    }
    drop_ending(prompt.chat, model, inputs);
}
