// mlo.h: the whole C ABI between TypeScript (src/ffi) and llama.cpp.
//
// Rules, which native/symbols.ts relies on to generate src/ffi/symbols.ts:
//   - one declaration a line, `MLO_API <type> mlo_<name>(<type> <name>, ...);`
//   - types are void, int32_t, int64_t, float, `const char *` (borrowed text), `char *` (owned text, free with
//     mlo_text_free), pointers to the handles below, and pointers to int8_t, int32_t, float or uint8_t arrays.
// Ownership: `_new`, `_start`, `_take` and `char *` results are owned by the caller and freed by the matching `_free`.
// Everything else is borrowed: valid until the next call on the same object.
// Errors: a null pointer or a negative number; mlo_error() then explains, with llama.cpp's own log lines.
// No C++ exception crosses. One thread calls; jobs run on threads of their own and touch nothing that is shared.
#pragma once
#include <stdint.h>

#ifdef __cplusplus
#define MLO_API extern "C" __attribute__((visibility("default")))
#else
#define MLO_API
#endif

// NOLINTBEGIN(modernize-use-using): this header is C
typedef struct mlo_job mlo_job;           // work on a thread of its own, with a result to take
typedef struct mlo_model mlo_model;       // weights, vocabulary and chat template
typedef struct mlo_context mlo_context;   // KV cache and compute buffers over a model
typedef struct mlo_prompt mlo_prompt;     // a prompt: tokens, and how its answer is constrained and parsed
typedef struct mlo_sampler mlo_sampler;   // the sampling state of one sequence
typedef struct mlo_parser mlo_parser;     // splits one answer into content, reasoning and tool calls
typedef struct mlo_drafter mlo_drafter;   // a context of a smaller model that guesses, and what its slots hold
typedef struct mlo_head mlo_head;         // a model's own prediction layers as a guesser, and what its slots hold
typedef struct mlo_state mlo_state;       // a copy of KV cells or of a recurrent state, with a text that says what it is
// NOLINTEND

// --- library ---------------------------------------------------------------------------------------------------------
// SHA-256 of this header as the library was built: must equal the one in symbols.ts.
MLO_API const char * mlo_header_hash(void);
// {"version","commit","compiler"} of the llama.cpp inside.
MLO_API char * mlo_llama_version(void);
// Why the last call failed. Borrowed until the next call.
MLO_API const char * mlo_error(void);
MLO_API void mlo_text_free(char * text);
// Takes captured log lines, `<level digit><text>\n` each (1 debug, 2 info, 3 warning, 4 error): bytes written, 0 = none.
MLO_API int32_t mlo_log_read(uint8_t * buffer, int32_t capacity);
// Live handles by kind, as JSON: {"model":1,"context":1,…}.
MLO_API char * mlo_live_handles(void);

// --- backends --------------------------------------------------------------------------------------------------------
// How well a CPU plug-in fits this processor: 0 = not at all, higher = better, -1 = it can't be loaded.
MLO_API int32_t mlo_plugin_score(const char * path);
// Opens a library that plug-ins need, so that they find it wherever it is. 0 = done.
MLO_API int32_t mlo_library_preload(const char * path);
// Loads one plug-in file. All of them before mlo_start. 0 = done.
MLO_API int32_t mlo_plugin_load(const char * path);
// Initialises llama.cpp with the plug-ins that are loaded. 0 = done, negative: there is no usable device.
MLO_API int32_t mlo_start(void);
// [{"name","description","kind","memoryBytes","freeBytes"}]
MLO_API char * mlo_devices(void);
// Multiplies a quantised matrix and compares with plain arithmetic. 0 = equal within rounding.
MLO_API int32_t mlo_selftest_matmul(void);
// Measures each device, and the disk that a file lies on (an empty path: none), in about two seconds:
// {"devices":[{"name","rates":[{"type","bytesPerSecond","flopsPerSecond"}]}],"diskBytesPerSecond"}; 0 = it can't be told.
MLO_API char * mlo_bench(int32_t threads, const char * path);

// --- jobs ------------------------------------------------------------------------------------------------------------
// 0 = running, 1 = done, -1 = failed (mlo_job_error).
MLO_API int32_t mlo_job_poll(mlo_job * job);
// 0 to 1; for model loads and quantising.
MLO_API float mlo_job_progress(mlo_job * job);
MLO_API const char * mlo_job_error(mlo_job * job);
// Asks the job to end early; it then fails. It still has to be freed.
MLO_API void mlo_job_cancel(mlo_job * job);
// Cancels, waits for the thread, and frees the job with a result that nobody took.
MLO_API void mlo_job_free(mlo_job * job);

// --- model -----------------------------------------------------------------------------------------------------------
// settings: {"gpuLayers": -1, "useMmap": true, "head": false, "deviceShares": [number], "hostExpertLayers": 0,
// "layOut": false}. head: with its prediction layers (MTP), where it has some. deviceShares: of the layers on devices.
// hostExpertLayers: so many of the first layers keep their experts in host memory. layOut: no weights are read, and contexts
// get no memory: they can't decode, and mlo_context_memory says what they would take.
MLO_API mlo_job * mlo_model_load_start(const char * path, const char * settings);
MLO_API mlo_model * mlo_model_take(mlo_job * job);
MLO_API void mlo_model_free(mlo_model * model);
// Architecture, sizes, context, pooling, template: see src/ffi/model.ts.
MLO_API char * mlo_model_info(mlo_model * model);
// Bytes of a token's text, not terminated; negative: the capacity that is needed. special != 0 shows control tokens.
MLO_API int32_t mlo_token_text(mlo_model * model, int32_t token, int32_t special, uint8_t * buffer, int32_t capacity);
// The one token that a text is, control tokens included; -1 when it is several.
MLO_API int32_t mlo_token_of(mlo_model * model, const char * text);
MLO_API int32_t mlo_token_is_end(mlo_model * model, int32_t token);
// Loads a LoRA adapter into the model, which owns it from then on. Before the model's contexts are made: their graphs must
// have room for it. Returns its number, counted from 0; negative = it is no adapter for this model.
MLO_API int32_t mlo_adapter_load(mlo_model * model, const char * path);

// --- quantising ------------------------------------------------------------------------------------------------------
// Writes a model's GGUF file anew, in another type. settings: {"fileType": llama.cpp's number, "threads", "bufferBytes": of
// rows in memory, "allowRequantize": bool, "imatrix"?: path}. The job has no result; what is at `target` after a failure is
// rubbish. No plug-in is needed.
MLO_API mlo_job * mlo_quantize_start(const char * source, const char * target, const char * settings);

// --- prompt ----------------------------------------------------------------------------------------------------------
// request: src/protocol/generation.ts' Prompt as JSON, or {"kind":"embedding","text":…}, {"kind":"rerank","query":…,"document":…},
// {"kind":"pieces","pieces":[text or token,…],"addSpecial":bool,"parseSpecial":bool}; an infill also says "batchTokens" and
// "contextTokens". A chat's schema that makes no grammar does not fail the job: it goes without, and a warning is logged.
// sampling: SamplingParams as JSON, to make the prompt's sampler too (a grammar may take seconds to compile); null = none.
MLO_API mlo_job * mlo_prompt_start(mlo_model * model, const char * request, const char * sampling);
MLO_API mlo_prompt * mlo_prompt_take(mlo_job * job);
MLO_API void mlo_prompt_free(mlo_prompt * prompt);
// The sampler that was made with the prompt; once, then null.
MLO_API mlo_sampler * mlo_prompt_take_sampler(mlo_prompt * prompt);
MLO_API int32_t mlo_prompt_length(mlo_prompt * prompt);
// Copies mlo_prompt_length token ids.
MLO_API void mlo_prompt_tokens(mlo_prompt * prompt, int32_t * tokens);
// {"stops":[…],"preserved":[token,…],"needsParser":bool,"preamble":tokens,"turns":[position,…],"text":"the rendered prompt"}
MLO_API char * mlo_prompt_info(mlo_prompt * prompt);

// --- context ---------------------------------------------------------------------------------------------------------
// settings: {"contextLength","batchSize","microBatchSize","outputs","sequences","threads","embeddings":bool,"pooling":-1..4,"head":bool,
// "flashAttention":true,"kvType":"f16"}
// outputs: rows with logits in one batch. sequences: how many seq-ids there are, at most 256. head: one for mlo_head_new; only
// for a model whose mlo_model_info says that its prediction layers can guess.
MLO_API mlo_context * mlo_context_new(mlo_model * model, const char * settings);
MLO_API void mlo_context_free(mlo_context * context);
// {"contextLength","sequenceContextLength","batchSize","microBatchSize","sequences","pooling","canShift","memory","layout"} as
// llama.cpp settled them. memory: plain, sliding, recurrent, hybrid, other or none. layout: all that shapes the bytes of a state.
MLO_API char * mlo_context_info(mlo_context * context);
// Bytes of its caches and compute buffers, the weights not included; negative: failed.
MLO_API int64_t mlo_context_bytes(mlo_context * context);
// What the context and its model take: {"host":{"weightsBytes","mappedBytes","repackedBytes","kvBytes","computeBytes"},
// "devices":[the same],"outputBytes","reservedOutputBytes","workBytes"}. The last three are of the host and beside those: rows
// with output at their most, and now; scratch memory of the processor's kernels, which only a layOut model tells.
MLO_API char * mlo_context_memory(mlo_context * context);
// The adapters that the next decodes run with: n numbers of the model's adapters and their scales. Others have none. 0 = done.
MLO_API int32_t mlo_adapters_set(mlo_context * context, int32_t n, int32_t * adapters, float * scales);
// Runs n tokens. Arrays of n: token id, position, seq-id, and 1 where logits or embeddings are wanted.
// 0 = done, 1 = no room in the KV cache, 2 = aborted, negative = failed. After 1 the cache is as before.
MLO_API int32_t mlo_decode(mlo_context * context, int32_t n, int32_t * tokens, int32_t * positions, int32_t * sequences, int8_t * outputs);
// Samples n rows in one go: rows are batch indices with output, samplers one each. Accepts each token. Returns how many
// rows failed: their token is -1, and mlo_error() tells of the first of them. The other rows are not touched by that.
MLO_API int32_t mlo_sample(mlo_context * context, int32_t n, int32_t * rows, mlo_sampler ** samplers, int32_t * tokens);
// The `count` largest logits of a row and their tokens, best first, for a look at what a model would say. 0 = done.
MLO_API int32_t mlo_top_logits(mlo_context * context, int32_t row, int32_t count, int32_t * tokens, float * logits);
// Of n rows with output, before any of them is sampled: the logit of `tokens[i]` (-1 = none), and, unless sums is null, the
// logarithm of the sum of all exponentials. The `top` largest logits and their tokens go to arrays of n * top. 0 = done.
MLO_API int32_t mlo_logprobs(mlo_context * context, int32_t n, int32_t * rows, int32_t * tokens, int32_t top, float * logits, float * sums, int32_t * topTokens, float * topLogits);
// A ranking model's score of a sequence. 0 = done.
MLO_API int32_t mlo_rank(mlo_context * context, int32_t sequence, float * score);
// Copies the pooled vector of a sequence, L2-normalised; where nothing is pooled that of the last row. 0 = done.
MLO_API int32_t mlo_embedding(mlo_context * context, int32_t sequence, float * vector, int32_t dimensions);
// Removes positions [from, to) of a sequence; to < 0 = to the end. 0 = done, negative: not possible here.
MLO_API int32_t mlo_seq_remove(mlo_context * context, int32_t sequence, int32_t from, int32_t to);
// Gives positions [start, end) of one sequence to another one too; the cells are then shared. 0 = done.
MLO_API int32_t mlo_seq_copy(mlo_context * context, int32_t from, int32_t to, int32_t start, int32_t end);
// 1: the sequence holds all that a row at this position has to see, so it can go on from there or be copied up to there.
MLO_API int32_t mlo_seq_covers(mlo_context * context, int32_t sequence, int32_t position);
MLO_API void mlo_memory_clear(mlo_context * context);
// llama.cpp's own cell counts: (size, used) for each of its caches. Returns how many caches there are.
MLO_API int32_t mlo_cells(mlo_context * context, int32_t * pairs, int32_t capacity);
// Gives the system the pages of host memory that only empty cells have, and the heap's free ones: bytes of empty cells' pages,
// whether they had been used or not; negative: failed. Linux only, elsewhere it does nothing.
MLO_API int64_t mlo_context_trim(mlo_context * context);

// --- state -----------------------------------------------------------------------------------------------------------
// Copies what a sequence holds. part 0: all; 1: its cells of full attention alone; 2: the rest, a window's cells and a
// recurrent state, which are only right for the position where the sequence ends now.
MLO_API mlo_state * mlo_state_copy(mlo_context * context, int32_t sequence, int32_t part);
MLO_API void mlo_state_free(mlo_state * state);
MLO_API int64_t mlo_state_bytes(mlo_state * state);
// The text that it was written with.
MLO_API const char * mlo_state_text(mlo_state * state);
// Gives a sequence the copied part instead of what it had of that part. 0 = done, negative: it does not fit, and the
// sequence has nothing of that part then.
MLO_API int32_t mlo_state_apply(mlo_context * context, mlo_state * state, int32_t sequence, int32_t part);
// Writes it to a file, whole or not at all, with a checksum. The state may be freed before the job ends. awaited = 0: with
// what computing leaves of the processors; else as fast as it goes.
MLO_API mlo_job * mlo_state_write_start(mlo_state * state, const char * path, const char * text, int32_t awaited);
// Reads one; the job fails when a byte of it is not as it was written.
MLO_API mlo_job * mlo_state_read_start(const char * path);
MLO_API mlo_state * mlo_state_take(mlo_job * job);

// --- sampler ---------------------------------------------------------------------------------------------------------
// settings: SamplingParams as JSON. prompt, when not null, gives the grammar of its tools or schema.
MLO_API mlo_sampler * mlo_sampler_new(mlo_model * model, const char * settings, mlo_prompt * prompt);
MLO_API void mlo_sampler_free(mlo_sampler * sampler);

// Whether the grammar that llama.cpp makes of a JSON schema takes a text as a whole: 1 = yes, 0 = no, -1 = it makes none.
MLO_API int32_t mlo_schema_accepts(const char * schema, const char * text);

// --- draft -----------------------------------------------------------------------------------------------------------
// Guesses how a sequence of n tokens goes on: as it did when its last few tokens came before. Writes at most `capacity`
// tokens; returns how many, 0 = no guess.
MLO_API int32_t mlo_draft_lookup(int32_t * tokens, int32_t n, int32_t capacity, int32_t * draft);
// Guesses with a smaller model's context, borrowed; its seq-ids are the slots. Null: its vocabulary is not the target's, and
// mlo_error() names the difference. A guess ends before a token that is less likely than probabilityMin.
MLO_API mlo_drafter * mlo_drafter_new(mlo_model * target, mlo_context * context, float probabilityMin);
MLO_API void mlo_drafter_free(mlo_drafter * drafter);
// Shows a slot the n tokens of a sequence and reads at most `rows` of them. Returns how many are left to run, the last token
// included: 1 = it is up to date. Fewer than asked are read where there is no room. Negative: failed.
MLO_API int32_t mlo_drafter_show(mlo_drafter * drafter, int32_t slot, int32_t * tokens, int32_t n, int32_t rows);
// Guesses what follows the tokens that n different slots were shown last, once a showing: at most limits[i], into
// guesses[i * stride], counts[i] of them. What was left to run, one batch at most, is run first. Returns the sum. Negative: failed.
MLO_API int32_t mlo_drafter_guess(mlo_drafter * drafter, int32_t n, int32_t * slots, int32_t * limits, int32_t stride, int32_t * guesses, int32_t * counts);

// Guesses with the model's own prediction layers, in a context of theirs; both contexts are borrowed, its seq-ids are the slots.
MLO_API mlo_head * mlo_head_new(mlo_context * target, mlo_context * context, float probabilityMin);
MLO_API void mlo_head_free(mlo_head * head);
// Whether the target's next decodes keep the hidden rows that the layers work on.
MLO_API void mlo_head_watch(mlo_head * head, int32_t on);
// Takes hidden rows [row, row + n) of the target's last batch: those of n tokens of a sequence that has `start` tokens before them.
// Of these n the first `certain` are the sequence's own, the others a guess. 0 = done.
MLO_API int32_t mlo_head_take(mlo_head * head, int32_t slot, int32_t * before, int32_t start, int32_t * tokens, int32_t n, int32_t certain, int32_t row);
// Shows a slot the n tokens of a sequence. Returns how many are left to run, the last one included; 0 = the row before the last
// token was not taken, so there is nothing to guess from. Negative: failed.
MLO_API int32_t mlo_head_show(mlo_head * head, int32_t slot, int32_t * tokens, int32_t n);
// As mlo_drafter_guess.
MLO_API int32_t mlo_head_guess(mlo_head * head, int32_t n, int32_t * slots, int32_t * limits, int32_t stride, int32_t * guesses, int32_t * counts);

// --- parser ----------------------------------------------------------------------------------------------------------
MLO_API mlo_parser * mlo_parser_new(mlo_prompt * prompt);
MLO_API void mlo_parser_free(mlo_parser * parser);
// Appends text of the answer. Result: [{"text"?,"reasoning"?,"toolCall"?:{"index","id","name","arguments"}}], new since the last call.
MLO_API char * mlo_parser_push(mlo_parser * parser, const char * text, int32_t final);
// Bytes that llama.cpp's parser was given so far: it grows with the answer's length, not with its square.
MLO_API int64_t mlo_parser_parsed_bytes(mlo_parser * parser);
// Parts of the final message that differ from what was handed out before.
MLO_API int32_t mlo_parser_mismatches(mlo_parser * parser);

// --- process ---------------------------------------------------------------------------------------------------------
// The kernel kills this process when its parent dies (elsewhere: a thread that watches). 0 = done.
MLO_API int32_t mlo_die_with_parent(int32_t parent);
// Waits for the socket or for a job to end: bit 0 = readable, bit 1 = a job ended, 0 = timeout. timeout < 0 = for ever.
MLO_API int32_t mlo_wait(int32_t socket, int32_t timeoutMs);
// Bytes read, 0 = the peer closed, -1 = nothing there now, other negatives = -errno.
MLO_API int32_t mlo_read(int32_t socket, uint8_t * buffer, int32_t capacity);
// Writes all of it, waiting as needed. 0 = done, negative = -errno.
MLO_API int32_t mlo_write(int32_t socket, uint8_t * bytes, int32_t length);
