// Reads JSON as it arrives, a byte at a time, and says at each point whether the value goes on. It does not build anything.
#pragma once

#include <cstddef>
#include <map>
#include <string>

namespace mlo {

class json_scan {
  public:
    // Takes the next byte, which stands at `position`. False when the value does not go on with it: it is not taken then,
    // or it was the value's last.
    bool step(char byte, size_t position);
    // Between two tokens, or in a string and not in an escape: what was read means the same whatever follows.
    bool is_settled() const { return mode != ESCAPE && mode != HEX; }
    // The longest stretch between two points at which all that may follow is the same: without it the rest of the value
    // reads alike.
    void longest_repeat(size_t & from, size_t & to) const;

  private:
    enum mode_type { VALUE, VALUE_OR_END, KEY, KEY_OR_END, COLON, AFTER, STRING, ESCAPE, HEX, NUMBER, LITERAL, DONE };
    struct stretch {
        size_t first;
        size_t last;
    };

    bool start_value(char byte);
    bool take(char byte);
    bool close(char byte);
    void end_value() { mode = nesting.empty() ? DONE : AFTER; }
    void mark(size_t position);

    std::string nesting; // the brackets that are open
    mode_type   mode = VALUE;
    bool        in_key = false;
    int         hex_left = 0;
    std::string literal_left;
    std::map<std::string, stretch> points; // by all that decides what may follow
};

} // namespace mlo
