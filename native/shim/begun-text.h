// The beginning of a text that its prompt holds already: a parser that reads the two as one tells it once more, and a client
// is to get what comes behind it. Not part of the ABI.
#pragma once

#include <algorithm>
#include <cctype>
#include <string>

namespace mlo {

class begun_text {
  public:
    begun_text() = default;
    explicit begun_text(std::string beginning) : left(std::move(beginning)) {}

    // The end of a beginning that a parser has not told, where it told this much of the text: what might begin a delimiter, and
    // white space.
    static std::string held_back(const std::string & beginning, const std::string & told) {
        size_t from = 0;
        while (from < beginning.size() && is_space(beginning[from])) {
            ++from;
        }
        const std::string text = beginning.substr(from);
        if (text.empty()) {
            return beginning;
        }
        if (told.find(text) != std::string::npos) {
            return "";
        }
        const size_t longest = std::min(text.size(), told.size());
        for (size_t held = 0; held < longest && held < HELD_BYTES_MAX; ++held) {
            const size_t length = longest - held;
            if (told.compare(told.size() - length, length, text, 0, length) == 0) {
                return text.substr(length);
            }
        }
        return beginning;
    }

    // What of the next piece of the text stands behind the beginning. White space may differ: parsers leave some of it out,
    // and templates put some before it. A text that begins in other words has no such beginning.
    std::string cut_from(const std::string & piece) {
        size_t at = 0;
        size_t gone = 0;
        while (at < piece.size() && gone < left.size()) {
            if (piece[at] == left[gone]) {
                ++at;
                ++gone;
            } else if (is_space(left[gone])) {
                ++gone;
            } else if (is_space(piece[at])) {
                ++at;
            } else {
                gone = left.size();
            }
        }
        left.erase(0, gone);
        return piece.substr(at);
    }

  private:
    // No format's delimiter is longer. It bounds the search.
    static constexpr size_t HELD_BYTES_MAX = 64;

    static bool is_space(char character) { return isspace((unsigned char) character) != 0; }

    std::string left;
};

} // namespace mlo
