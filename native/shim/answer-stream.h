// An answer as it arrives: which of its text belongs to which part of the message. Text that can't end the part that is
// open is passed on as it comes; llama.cpp's parser is asked only about the rest. Not part of the ABI.
#pragma once

#include "begun-text.h"
#include "internal.h"
#include "json-scan.h"

#include <optional>

namespace mlo {

enum class leaf_kind { CONTENT, REASONING, ARGUMENTS };

class answer_stream {
  public:
    // Told of each piece of text that has become certain, in order. call: for ARGUMENTS.
    using listener = std::function<void(leaf_kind leaf, size_t call, const std::string & text)>;

    // reasoning, content: what the answer begins with in the generation prompt. It is not told.
    answer_stream(common_chat_parser_params params, listener on_text, const std::string & reasoning, const std::string & content);
    // An answer that the parser does not take is told as content from where it was understood last: nothing is lost.
    void push(const std::string & text, bool final);

    // What has been told, as one message.
    common_chat_msg known;
    // Bytes that llama.cpp's parser was given.
    int64_t parsed_bytes = 0;
    // Parts of the final message that do not go on from what was told; and one for an answer that does not parse.
    int32_t mismatches = 0;

  private:
    // The part of the message that text is passed on to without a parse.
    struct open_leaf {
        leaf_kind kind;
        size_t    call = 0;
        bool      escapes = false;      // text is put into a JSON string
        bool      trims = false;        // the parser keeps white space at the end to itself
        size_t    sent;                 // up to here in `input` the text has been told
        size_t    scanned;              // up to here it is known to belong to the leaf
        size_t    entered;              // `sent` when the leaf was opened
        size_t    base;                 // bytes of the part that were known then
        std::vector<std::string> delimiters;
        std::optional<json_scan> json;  // the leaf is JSON, and ends where that ends
    };
    // Text that was left out of `input`, and where in the message it belongs.
    struct cut {
        leaf_kind   kind;
        size_t      call;
        size_t      offset;
        std::string text;
    };

    void know_begun(const std::string & reasoning, const std::string & content);
    bool may_parse() const;
    void parse(bool final);
    void tell_unparsed();
    bool restore(common_chat_msg & message) const;
    void forget_cuts();
    void tell(const common_chat_msg & message, bool final);
    void tell_part(leaf_kind kind, size_t call, std::string & told, const std::string & now, bool final);
    void open(common_chat_msg & message, const common_chat_open_leaf & end);
    bool advance();
    bool advance_text();
    bool advance_json();
    void send(size_t to);
    void cut_leaf();
    void pass_on(leaf_kind kind, size_t call, const std::string & text);

    common_chat_parser_params params;
    listener                  on_text;
    std::string               full;  // the generation prompt and all text
    std::string               input; // the same without the cuts: what the parser is given
    std::vector<cut>          cuts;
    bool                      may_cut = true;
    std::optional<open_leaf>  leaf;
    size_t                    told_end; // in `full`: what was told stands before this
    begun_text                begun_reasoning; // what of the beginning the parser holds back
    begun_text                begun_content;
    bool                      is_telling = true;
};

} // namespace mlo
