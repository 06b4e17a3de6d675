// See answer-stream.h. Three things keep the parser's share small, however long the answer:
//   - an open leaf's text is scanned for the delimiters that end it, or as JSON, and told without a parse;
//   - the text of a closed leaf is cut out of what later parses get, but for its ends, and put back into their messages;
//   - where neither helps, parses are rationed by the bytes that they read, and the text waits for the next one.
// The last parse gets everything; what was told before is compared with it.
#include "answer-stream.h"

#include <algorithm>

namespace mlo {

// Parses may read this many times the text's bytes, plus a constant that lets short answers parse at each push. With
// the last parse, the sum stays below 8 times the bytes of a long answer.
static constexpr int64_t PARSED_FACTOR = 3;
static constexpr int64_t PARSED_FREE_BYTES = 96 * 1024;
// Less is not worth a cut.
static constexpr size_t CUT_BYTES_MIN = 64;

static bool starts_with(const std::string & text, const std::string & start) {
    return text.compare(0, start.size(), start) == 0;
}

static bool ends_with(const std::string & text, const std::string & end) {
    return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

static std::string escaped(const std::string & text) {
    const std::string quoted = common_json(text).dump();
    return quoted.substr(1, quoted.size() - 2);
}

static size_t trimmed_end(const std::string & text, size_t from, size_t to) {
    while (to > from && isspace((unsigned char) text[to - 1])) {
        --to;
    }
    return to;
}

static std::string & part_of(common_chat_msg & message, leaf_kind kind, size_t call) {
    switch (kind) {
        case leaf_kind::CONTENT: return message.content;
        case leaf_kind::REASONING: return message.reasoning_content;
        default: return message.tool_calls.at(call).arguments;
    }
}

answer_stream::answer_stream(common_chat_parser_params given, listener on_text, const std::string & reasoning, const std::string & content)
    : params(std::move(given)), on_text(std::move(on_text)) {
    // As the parser would put it before each text: positions then count from the same start.
    full = input = params.generation_prompt;
    told_end = full.size();
    params.generation_prompt.clear();
    if (!reasoning.empty() || !content.empty()) {
        know_begun(reasoning, content);
    }
}

// As the parser reads it, the beginning is known before the first text comes, but for what it holds back of it.
void answer_stream::know_begun(const std::string & reasoning, const std::string & content) {
    is_telling = false;
    parse(false);
    is_telling = true;
    if (!known.tool_calls.empty()) {
        // A call is told whole: nobody could put its arguments together.
        known = common_chat_msg();
        leaf.reset();
    }
    told_end = full.size();
    begun_reasoning = begun_text(begun_text::held_back(reasoning, known.reasoning_content));
    begun_content = begun_text(begun_text::held_back(content, known.content));
}

void answer_stream::push(const std::string & text, bool final) {
    full += text;
    input += text;
    if (final) {
        input = full;
        cuts.clear();
        parse(true);
        return;
    }
    if (leaf && advance()) {
        return;
    }
    if (leaf) {
        cut_leaf();
        leaf.reset();
    }
    if (may_parse()) {
        parse(false);
    }
}

bool answer_stream::may_parse() const {
    return parsed_bytes + (int64_t) input.size() <= PARSED_FACTOR * (int64_t) full.size() + PARSED_FREE_BYTES;
}

void answer_stream::parse(bool final) {
    common_chat_open_leaf end;
    common_chat_msg message;
    parsed_bytes += (int64_t) input.size();
    bool whole = true;
    try {
        message = common_chat_parse(input, !final, params, &end);
        // Without its cuts a text has to read as it did with them.
        whole = restore(message) && !(message.empty() && !known.empty() && !cuts.empty());
    } catch (const std::exception &) {
        if (final) {
            tell_unparsed();
            return;
        }
        if (cuts.empty()) {
            return; // what comes next may make sense of it
        }
        whole = false;
    }
    if (!whole) {
        forget_cuts();
        if (may_parse()) {
            parse(false);
        }
        return;
    }
    if (!message.empty()) {
        tell(message, final);
    }
    if (!final) {
        open(message, end);
    }
}

// A format is what the model was trained to write, not what it must write: a reader gets what it wrote instead.
void answer_stream::tell_unparsed() {
    ++mismatches;
    const std::string rest = full.substr(told_end);
    if (trimmed_end(rest, 0, rest.size()) > 0) {
        known.content += rest;
        on_text(leaf_kind::CONTENT, 0, rest);
    }
}

bool answer_stream::restore(common_chat_msg & message) const {
    for (const auto & piece : cuts) {
        if (piece.kind == leaf_kind::ARGUMENTS && piece.call >= message.tool_calls.size()) {
            return false;
        }
        std::string & part = part_of(message, piece.kind, piece.call);
        if (piece.offset > part.size()) {
            return false;
        }
        part.insert(piece.offset, piece.text);
    }
    return true;
}

void answer_stream::forget_cuts() {
    cuts.clear();
    input = full;
    may_cut = false;
}

void answer_stream::tell(const common_chat_msg & message, bool final) {
    tell_part(leaf_kind::REASONING, 0, known.reasoning_content, message.reasoning_content, final);
    tell_part(leaf_kind::CONTENT, 0, known.content, message.content, final);
    for (size_t i = 0; i < message.tool_calls.size(); ++i) {
        if (i == known.tool_calls.size()) {
            known.tool_calls.emplace_back();
        }
        auto & call = known.tool_calls[i];
        call.name = message.tool_calls[i].name;
        call.id = message.tool_calls[i].id;
        tell_part(leaf_kind::ARGUMENTS, i, call.arguments, message.tool_calls[i].arguments, final);
    }
    if (final && message.tool_calls.size() < known.tool_calls.size()) {
        ++mismatches;
    }
}

void answer_stream::tell_part(leaf_kind kind, size_t call, std::string & told, const std::string & now, bool final) {
    if (now.size() > told.size() && starts_with(now, told)) {
        const std::string added = now.substr(told.size());
        told = now;
        // The parser may have held back what might begin a delimiter. Escaped text stands nowhere: then nothing was.
        const size_t found = full.find(added, told_end);
        told_end = found == std::string::npos ? full.size() : found + added.size();
        pass_on(kind, call, added);
    } else if (final && now != told) {
        ++mismatches;
    }
}

// A leaf is opened only where the message's part ends with its text: then it is known what text of it becomes. And only
// when it has text: what stands before it, white space above all, might otherwise still take what comes next.
void answer_stream::open(common_chat_msg & message, const common_chat_open_leaf & end) {
    if (end.tag.empty()) {
        return;
    }
    open_leaf made;
    made.kind = end.tag == "content" ? leaf_kind::CONTENT : end.tag == "reasoning" ? leaf_kind::REASONING : leaf_kind::ARGUMENTS;
    if (made.kind == leaf_kind::ARGUMENTS && (message.tool_calls.empty() || message.tool_calls.size() > known.tool_calls.size())) {
        return;
    }
    const size_t call = message.tool_calls.empty() ? 0 : message.tool_calls.size() - 1;
    const std::string & part = part_of(message, made.kind, call);
    size_t from = end.start;
    size_t to = end.end;
    if (end.until.is_open) {
        made.escapes = end.tag == "tool-arg-string-value" || end.rule == "gemma4-string-content";
        if (made.kind == leaf_kind::ARGUMENTS && !made.escapes) {
            return; // the parser may turn it into something else
        }
        from = end.until.start;
        to = end.until.end;
        made.delimiters = end.until.delimiters;
    } else {
        if (end.tag == "reasoning" || end.tag == "tool-arg-string-value") {
            return;
        }
        made.json.emplace();
        for (size_t i = from; i < input.size(); ++i) {
            if (!made.json->step(input[i], i)) {
                return;
            }
        }
        made.trims = end.tag == "tool-args";
        to = made.trims ? trimmed_end(input, from, to) : to;
    }
    const std::string text = input.substr(from, to - from);
    if (text.empty() || !ends_with(part, made.escapes ? escaped(text) : text) || part_of(known, made.kind, call) != part) {
        return;
    }
    made.call = call;
    made.sent = made.entered = to;
    made.scanned = made.json ? input.size() : to;
    made.base = part.size();
    leaf = std::move(made);
}

// False when the leaf ends, or might, in the new text: what is before that has been told.
bool answer_stream::advance() {
    return leaf->json ? advance_json() : advance_text();
}

// Length of the delimiter that starts at a position: 0 = none does, npos = the text ends before it is certain.
static size_t delimiter_at(const std::string & text, size_t at, const std::vector<std::string> & delimiters) {
    size_t found = 0;
    for (const auto & delimiter : delimiters) {
        const size_t there = std::min(delimiter.size(), text.size() - at);
        if (there == 0 || text.compare(at, there, delimiter, 0, there) != 0) {
            continue;
        }
        if (there == delimiter.size()) {
            return there;
        }
        found = std::string::npos;
    }
    return found;
}

bool answer_stream::advance_text() {
    size_t at = leaf->scanned;
    size_t ended = 0;
    while (at < input.size() && (ended = delimiter_at(input, at, leaf->delimiters)) == 0) {
        ++at;
    }
    leaf->scanned = at;
    send(at);
    return ended == 0 || ended == std::string::npos;
}

bool answer_stream::advance_json() {
    size_t settled = leaf->sent;
    bool open = true;
    while (open && leaf->scanned < input.size()) {
        open = leaf->json->step(input[leaf->scanned], leaf->scanned);
        if (open) {
            ++leaf->scanned;
        }
        if (open && leaf->json->is_settled()) {
            settled = std::max(settled, leaf->scanned);
        }
    }
    send(std::max(leaf->sent, leaf->trims ? trimmed_end(input, leaf->sent, settled) : settled));
    return open;
}

void answer_stream::send(size_t to) {
    if (to == leaf->sent) {
        return;
    }
    const std::string raw = input.substr(leaf->sent, to - leaf->sent);
    const std::string text = leaf->escapes ? escaped(raw) : raw;
    leaf->sent = to;
    part_of(known, leaf->kind, leaf->call) += text;
    told_end = full.size() - (input.size() - to);
    pass_on(leaf->kind, leaf->call, text);
}

void answer_stream::pass_on(leaf_kind kind, size_t call, const std::string & text) {
    if (!is_telling) {
        return;
    }
    const bool can_begin = kind != leaf_kind::ARGUMENTS;
    const std::string behind = can_begin ? (kind == leaf_kind::CONTENT ? begun_content : begun_reasoning).cut_from(text) : text;
    if (!behind.empty()) {
        on_text(kind, call, behind);
    }
}

void answer_stream::cut_leaf() {
    size_t from = leaf->entered;
    size_t to = leaf->scanned;
    if (leaf->json) {
        leaf->json->longest_repeat(from, to);
        to = std::min(to, leaf->sent);
    }
    if (!may_cut || to < from + CUT_BYTES_MIN) {
        return;
    }
    const std::string raw = input.substr(from, to - from);
    // JSON is passed on as it is, so a byte before `entered` is as far before the part's end as it was then.
    const size_t offset = leaf->base + from - leaf->entered;
    const std::string text = leaf->escapes ? escaped(raw) : raw;
    if (part_of(known, leaf->kind, leaf->call).compare(offset, text.size(), text) != 0) {
        return;
    }
    std::string without = input.substr(0, from) + input.substr(to);
    // What is left before the cut must not begin a delimiter with what is left behind it.
    size_t longest = 0;
    for (const auto & delimiter : leaf->delimiters) {
        longest = std::max(longest, delimiter.size());
    }
    for (size_t at = from - std::min(from, longest); at < from; ++at) {
        if (delimiter_at(without, at, leaf->delimiters) != 0) {
            return;
        }
    }
    cuts.push_back({leaf->kind, leaf->call, offset, text});
    input = std::move(without);
}

} // namespace mlo
