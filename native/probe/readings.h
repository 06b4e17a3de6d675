// What a platform's part of the probe gives: one JSON text of raw readings. What they mean is decided in src/hardware.
// A reading is a number or a text, {"error": n} with the driver's own code, or {"missing": true} where it has no such call.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace probe {

// Blocks for as long as the driver does: called on a thread of its own, one call at a time. `candidates` are the paths or
// names under which the driver's library is looked for. Does not throw but for want of memory.
std::string read_all(const std::vector<std::string> & candidates);

inline void append_text(std::string & out, const char * text, size_t length) {
    static const char digits[] = "0123456789abcdef";
    out += '"';
    for (size_t i = 0; i < length && text[i] != '\0'; ++i) {
        const unsigned char c = static_cast<unsigned char>(text[i]);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += static_cast<char>(c);
        } else if (c < 0x20 || c >= 0x7f) {
            // A driver's text need not be UTF-8, and JSON has to be.
            out += "\\u00";
            out += digits[c >> 4];
            out += digits[c & 15];
        } else {
            out += static_cast<char>(c);
        }
    }
    out += '"';
}

inline std::string text_of(const std::string & text) {
    std::string out;
    append_text(out, text.c_str(), text.size());
    return out;
}

inline std::string error_of(int code) { return "{\"error\":" + std::to_string(code) + "}"; }

inline std::string missing() { return "{\"missing\":true}"; }

// {"name":value,…}; values are JSON already.
class Object {
public:
    Object & add(const char * name, const std::string & value) {
        body_ += body_.empty() ? "{\"" : ",\"";
        body_ += name;
        body_ += "\":";
        body_ += value;
        return *this;
    }
    Object & add(const char * name, uint64_t value) { return add(name, std::to_string(value)); }
    std::string done() const { return body_.empty() ? "{}" : body_ + "}"; }

private:
    std::string body_;
};

class List {
public:
    void add(const std::string & value) {
        body_ += body_.empty() ? "[" : ",";
        body_ += value;
    }
    std::string done() const { return body_.empty() ? "[]" : body_ + "]"; }

private:
    std::string body_;
};

} // namespace probe
