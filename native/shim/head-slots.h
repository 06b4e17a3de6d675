// What the slots of a model's own prediction layers hold, for head.cpp: tokens, the cells of those whose pair (a token, and
// the hidden row that the model had before it) was run, and rows whose pairs were not. A slot is told what a sequence
// consists of, so nothing that happens to the model's cells has to be repeated here. It runs nothing.
#pragma once
#include "guess.h"

namespace mlo {

struct head_slot {
    std::vector<llama_token> tokens;         // of the sequence, from its beginning
    size_t                   held = 0;       // tokens before this one have cells, or come before the first that has
    size_t                   rows_start = 0; // position of the first hidden row
    std::vector<float>       rows;
    int64_t                  used = 0;
};

struct head_slots {
    llama_memory_t         memory = nullptr;
    size_t                 width = 0;
    int64_t                clock = 0;
    std::vector<head_slot> slots;

    head_slot & at(int32_t slot) {
        if (slot < 0 || slot >= (int32_t) slots.size()) {
            throw std::invalid_argument("there is no slot " + std::to_string(slot));
        }
        return slots[slot];
    }

    head_slot & use(int32_t slot) {
        head_slot & s = at(slot);
        s.used = ++clock;
        return s;
    }

    size_t rows_end(const head_slot & s) const { return s.rows_start + s.rows.size() / width; }

    // The hidden row before a position. Null: it was never seen, or has gone.
    const float * row_before(const head_slot & s, size_t position) const {
        const bool is_there = position > s.rows_start && position <= rows_end(s);
        return is_there ? s.rows.data() + (position - 1 - s.rows_start) * width : nullptr;
    }

    void clear(int32_t slot) {
        llama_memory_seq_rm(memory, slot, -1, -1);
        head_slot & s = slots[slot];
        s.tokens.clear();
        s.rows.clear();
        s.held = s.rows_start = 0;
    }

    // Rows from this position on are forgotten.
    void cut_rows(head_slot & s, size_t position) {
        if (rows_end(s) > position) {
            s.rows_start = std::min(s.rows_start, position);
            s.rows.resize((position - s.rows_start) * width);
        }
    }

    // Keeps the first `length` tokens, and what is known of them.
    void cut(int32_t slot, size_t length) {
        head_slot & s = slots[slot];
        if (length >= s.tokens.size()) {
            return;
        }
        if (length == 0 || (length < s.held && !llama_memory_seq_rm(memory, slot, (llama_pos) length, -1))) {
            clear(slot);
            return;
        }
        s.tokens.resize(length);
        s.held = std::min(s.held, length);
        cut_rows(s, length);
    }

    // Whether every pair before this position has a cell, or a row that it can be run from; the first pair needs none.
    bool reaches(const head_slot & s, size_t position) const { return std::max(s.held, rows_end(s)) >= position; }

    // Makes the slot hold tokens [0, start) of a sequence, as far as any slot has seen them; else nothing before `start`.
    void begin_at(int32_t slot, const llama_token * tokens, size_t start) {
        head_slot & s = slots[slot];
        if (s.tokens.size() >= start && reaches(s, start)) {
            return;
        }
        clear(slot);
        for (int32_t other = 0; other < (int32_t) slots.size(); ++other) {
            const head_slot & donor = slots[other];
            if (other == slot || !reaches(donor, start) || common_length(donor.tokens, tokens, start) < start) {
                continue;
            }
            llama_memory_seq_cp(memory, other, slot, 0, (llama_pos) donor.held);
            const int64_t used = s.used;
            s = donor;
            s.used = used;
            cut(slot, start);
            return;
        }
        s.tokens.assign(tokens, tokens + start);
        s.held = s.rows_start = start;
    }

    // Adds n tokens and their rows at position `start`; all before them is as `before` says.
    void take(int32_t slot, const llama_token * before, size_t start, const llama_token * tokens, size_t n, const float * hidden) {
        head_slot & s = use(slot);
        size_t common = common_length(s.tokens, before, start);
        while (common >= start && common < std::min(start + n, s.tokens.size()) && s.tokens[common] == tokens[common - start]) {
            ++common;
        }
        cut(slot, common);
        begin_at(slot, before, start);
        // Rows that were seen before are the same ones again.
        cut_rows(s, start);
        if (s.rows.empty()) {
            s.rows_start = start;
        }
        s.tokens.resize(start);
        s.tokens.insert(s.tokens.end(), tokens, tokens + n);
        s.rows.insert(s.rows.end(), hidden, hidden + n * width);
    }

    // Pairs before `end` have cells now: of their rows only the one before the next pair is needed.
    void note_held(head_slot & s, size_t end) {
        s.held = end;
        const size_t needed = std::min(end > 0 ? end - 1 : 0, rows_end(s));
        if (needed > s.rows_start) {
            s.rows.erase(s.rows.begin(), s.rows.begin() + (needed - s.rows_start) * width);
            s.rows_start = needed;
        }
    }

    // Frees the slot that was used longest ago and has no pair in this decode; false: there is none.
    bool evict(const guess_rows & rows) {
        int32_t oldest = -1;
        for (int32_t slot = 0; slot < (int32_t) slots.size(); ++slot) {
            const bool is_idle = slots[slot].held > 0 && std::find(rows.slots.begin(), rows.slots.end(), slot) == rows.slots.end();
            if (is_idle && (oldest < 0 || slots[slot].used < slots[oldest].used)) {
                oldest = slot;
            }
        }
        if (oldest >= 0) {
            clear(oldest);
        }
        return oldest >= 0;
    }
};

} // namespace mlo
