// See json-scan.h. It accepts what llama.cpp's JSON parser accepts, and numbers that are not quite numbers.
#include "json-scan.h"

#include <cctype>
#include <cstring>

namespace mlo {

// Deeper than any arguments are: the points of one more level are not worth their memory.
static constexpr size_t MARKED_NESTING_MAX = 32;

void json_scan::mark(size_t position) {
    if (mode == ESCAPE || mode == HEX || mode == NUMBER || mode == LITERAL || mode == DONE || nesting.size() > MARKED_NESTING_MAX) {
        return;
    }
    std::string point = nesting;
    point += (char) ('a' + mode);
    point += mode == STRING && in_key ? 'k' : 'v';
    points.try_emplace(point, stretch{position, position}).first->second.last = position;
}

bool json_scan::step(char byte, size_t position) {
    const mode_type before = mode;
    const size_t depth = nesting.size();
    // A run within a string is one stretch: its ends are enough.
    const bool leaves_run = mode != STRING || byte == '"' || byte == '\\';
    if (leaves_run) {
        mark(position);
    }
    if (!take(byte)) {
        return false;
    }
    if (mode != before || nesting.size() != depth) {
        mark(position + 1);
    }
    return mode != DONE;
}

bool json_scan::start_value(char byte) {
    switch (byte) {
        case '{': nesting += byte; mode = KEY_OR_END; return true;
        case '[': nesting += byte; mode = VALUE_OR_END; return true;
        case '"': mode = STRING; in_key = false; return true;
        case 't': literal_left = "rue"; mode = LITERAL; return true;
        case 'f': literal_left = "alse"; mode = LITERAL; return true;
        case 'n': literal_left = "ull"; mode = LITERAL; return true;
        default:
            if (byte != '-' && !isdigit((unsigned char) byte)) {
                return false;
            }
            mode = NUMBER;
            return true;
    }
}

bool json_scan::close(char byte) {
    if (nesting.empty() || nesting.back() != (byte == '}' ? '{' : '[')) {
        return false;
    }
    nesting.pop_back();
    end_value();
    return true;
}

bool json_scan::take(char byte) {
    const bool space = isspace((unsigned char) byte) != 0;
    switch (mode) {
        case STRING:
            if (byte == '\\') {
                mode = ESCAPE;
            } else if (byte == '"' && in_key) {
                mode = COLON;
            } else if (byte == '"') {
                end_value();
            }
            return true;
        case ESCAPE:
            mode = byte == 'u' ? HEX : STRING;
            hex_left = 4;
            return byte != 0 && strchr("\"\\/bfnrtu", byte) != nullptr;
        case HEX:
            if (--hex_left == 0) {
                mode = STRING;
            }
            return isxdigit((unsigned char) byte) != 0;
        case LITERAL:
            if (literal_left.empty() || literal_left[0] != byte) {
                return false;
            }
            literal_left.erase(0, 1);
            if (literal_left.empty()) {
                end_value();
            }
            return true;
        case NUMBER:
            if (isdigit((unsigned char) byte) || (byte != 0 && strchr("+-.eE", byte))) {
                return true;
            }
            if (nesting.empty()) {
                return false;
            }
            mode = AFTER;
            return take(byte);
        case VALUE_OR_END:
            if (byte == ']') {
                return close(byte);
            }
            return space || start_value(byte);
        case VALUE:
            return space || start_value(byte);
        case KEY_OR_END:
        case KEY:
            if (byte == '}' && mode == KEY_OR_END) {
                return close(byte);
            }
            if (byte == '"') {
                mode = STRING;
                in_key = true;
                return true;
            }
            return space;
        case COLON:
            if (byte == ':') {
                mode = VALUE;
                return true;
            }
            return space;
        case AFTER:
            if (byte == ',') {
                mode = nesting.back() == '{' ? KEY : VALUE;
                return true;
            }
            return space || ((byte == '}' || byte == ']') && close(byte));
        case DONE:
            return false;
    }
    return false;
}

void json_scan::longest_repeat(size_t & from, size_t & to) const {
    from = to = 0;
    for (const auto & entry : points) {
        if (entry.second.last - entry.second.first > to - from) {
            from = entry.second.first;
            to = entry.second.last;
        }
    }
}

} // namespace mlo
