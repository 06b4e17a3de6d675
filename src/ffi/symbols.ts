// GENERATED from native/shim/mlo.h by `npm run symbols`: change the header instead.

/** SHA-256 of the header; the library must have been built from the same. */
export const HEADER_HASH = "d6f4193cb1c1137f78c7a3d8c3c121be4827576132b077ba33687d44ced30d07";

export const SYMBOLS = {
  // mlo_header_hash()
  mlo_header_hash: { args: [], returns: "cstring" },
  // mlo_llama_version()
  mlo_llama_version: { args: [], returns: "ptr" },
  // mlo_error()
  mlo_error: { args: [], returns: "cstring" },
  // mlo_text_free(text)
  mlo_text_free: { args: ["ptr"], returns: "void" },
  // mlo_log_read(buffer, capacity)
  mlo_log_read: { args: ["ptr", "i32"], returns: "i32" },
  // mlo_live_handles()
  mlo_live_handles: { args: [], returns: "ptr" },
  // mlo_plugin_score(path)
  mlo_plugin_score: { args: ["ptr"], returns: "i32" },
  // mlo_library_preload(path)
  mlo_library_preload: { args: ["ptr"], returns: "i32" },
  // mlo_plugin_load(path)
  mlo_plugin_load: { args: ["ptr"], returns: "i32" },
  // mlo_start()
  mlo_start: { args: [], returns: "i32" },
  // mlo_devices()
  mlo_devices: { args: [], returns: "ptr" },
  // mlo_selftest_matmul()
  mlo_selftest_matmul: { args: [], returns: "i32" },
  // mlo_bench(threads, path)
  mlo_bench: { args: ["i32", "ptr"], returns: "ptr" },
  // mlo_job_poll(job)
  mlo_job_poll: { args: ["ptr"], returns: "i32" },
  // mlo_job_progress(job)
  mlo_job_progress: { args: ["ptr"], returns: "f32" },
  // mlo_job_error(job)
  mlo_job_error: { args: ["ptr"], returns: "cstring" },
  // mlo_job_cancel(job)
  mlo_job_cancel: { args: ["ptr"], returns: "void" },
  // mlo_job_free(job)
  mlo_job_free: { args: ["ptr"], returns: "void" },
  // mlo_model_load_start(path, settings)
  mlo_model_load_start: { args: ["ptr", "ptr"], returns: "ptr" },
  // mlo_model_take(job)
  mlo_model_take: { args: ["ptr"], returns: "ptr" },
  // mlo_model_free(model)
  mlo_model_free: { args: ["ptr"], returns: "void" },
  // mlo_model_info(model)
  mlo_model_info: { args: ["ptr"], returns: "ptr" },
  // mlo_token_text(model, token, special, buffer, capacity)
  mlo_token_text: { args: ["ptr", "i32", "i32", "ptr", "i32"], returns: "i32" },
  // mlo_token_of(model, text)
  mlo_token_of: { args: ["ptr", "ptr"], returns: "i32" },
  // mlo_token_is_end(model, token)
  mlo_token_is_end: { args: ["ptr", "i32"], returns: "i32" },
  // mlo_adapter_load(model, path)
  mlo_adapter_load: { args: ["ptr", "ptr"], returns: "i32" },
  // mlo_quantize_start(source, target, settings)
  mlo_quantize_start: { args: ["ptr", "ptr", "ptr"], returns: "ptr" },
  // mlo_prompt_start(model, request, sampling)
  mlo_prompt_start: { args: ["ptr", "ptr", "ptr"], returns: "ptr" },
  // mlo_prompt_take(job)
  mlo_prompt_take: { args: ["ptr"], returns: "ptr" },
  // mlo_prompt_free(prompt)
  mlo_prompt_free: { args: ["ptr"], returns: "void" },
  // mlo_prompt_take_sampler(prompt)
  mlo_prompt_take_sampler: { args: ["ptr"], returns: "ptr" },
  // mlo_prompt_length(prompt)
  mlo_prompt_length: { args: ["ptr"], returns: "i32" },
  // mlo_prompt_tokens(prompt, tokens)
  mlo_prompt_tokens: { args: ["ptr", "ptr"], returns: "void" },
  // mlo_prompt_info(prompt)
  mlo_prompt_info: { args: ["ptr"], returns: "ptr" },
  // mlo_context_new(model, settings)
  mlo_context_new: { args: ["ptr", "ptr"], returns: "ptr" },
  // mlo_context_free(context)
  mlo_context_free: { args: ["ptr"], returns: "void" },
  // mlo_context_info(context)
  mlo_context_info: { args: ["ptr"], returns: "ptr" },
  // mlo_context_bytes(context)
  mlo_context_bytes: { args: ["ptr"], returns: "i64" },
  // mlo_context_memory(context)
  mlo_context_memory: { args: ["ptr"], returns: "ptr" },
  // mlo_adapters_set(context, n, adapters, scales)
  mlo_adapters_set: { args: ["ptr", "i32", "ptr", "ptr"], returns: "i32" },
  // mlo_decode(context, n, tokens, positions, sequences, outputs)
  mlo_decode: { args: ["ptr", "i32", "ptr", "ptr", "ptr", "ptr"], returns: "i32" },
  // mlo_sample(context, n, rows, samplers, tokens)
  mlo_sample: { args: ["ptr", "i32", "ptr", "ptr", "ptr"], returns: "i32" },
  // mlo_top_logits(context, row, count, tokens, logits)
  mlo_top_logits: { args: ["ptr", "i32", "i32", "ptr", "ptr"], returns: "i32" },
  // mlo_logprobs(context, n, rows, tokens, top, logits, sums, topTokens, topLogits)
  mlo_logprobs: { args: ["ptr", "i32", "ptr", "ptr", "i32", "ptr", "ptr", "ptr", "ptr"], returns: "i32" },
  // mlo_rank(context, sequence, score)
  mlo_rank: { args: ["ptr", "i32", "ptr"], returns: "i32" },
  // mlo_embedding(context, sequence, vector, dimensions)
  mlo_embedding: { args: ["ptr", "i32", "ptr", "i32"], returns: "i32" },
  // mlo_seq_remove(context, sequence, from, to)
  mlo_seq_remove: { args: ["ptr", "i32", "i32", "i32"], returns: "i32" },
  // mlo_seq_copy(context, from, to, start, end)
  mlo_seq_copy: { args: ["ptr", "i32", "i32", "i32", "i32"], returns: "i32" },
  // mlo_seq_covers(context, sequence, position)
  mlo_seq_covers: { args: ["ptr", "i32", "i32"], returns: "i32" },
  // mlo_memory_clear(context)
  mlo_memory_clear: { args: ["ptr"], returns: "void" },
  // mlo_cells(context, pairs, capacity)
  mlo_cells: { args: ["ptr", "ptr", "i32"], returns: "i32" },
  // mlo_context_trim(context)
  mlo_context_trim: { args: ["ptr"], returns: "i64" },
  // mlo_state_copy(context, sequence, part)
  mlo_state_copy: { args: ["ptr", "i32", "i32"], returns: "ptr" },
  // mlo_state_free(state)
  mlo_state_free: { args: ["ptr"], returns: "void" },
  // mlo_state_bytes(state)
  mlo_state_bytes: { args: ["ptr"], returns: "i64" },
  // mlo_state_text(state)
  mlo_state_text: { args: ["ptr"], returns: "cstring" },
  // mlo_state_apply(context, state, sequence, part)
  mlo_state_apply: { args: ["ptr", "ptr", "i32", "i32"], returns: "i32" },
  // mlo_state_write_start(state, path, text, awaited)
  mlo_state_write_start: { args: ["ptr", "ptr", "ptr", "i32"], returns: "ptr" },
  // mlo_state_read_start(path)
  mlo_state_read_start: { args: ["ptr"], returns: "ptr" },
  // mlo_state_take(job)
  mlo_state_take: { args: ["ptr"], returns: "ptr" },
  // mlo_sampler_new(model, settings, prompt)
  mlo_sampler_new: { args: ["ptr", "ptr", "ptr"], returns: "ptr" },
  // mlo_sampler_free(sampler)
  mlo_sampler_free: { args: ["ptr"], returns: "void" },
  // mlo_schema_accepts(schema, text)
  mlo_schema_accepts: { args: ["ptr", "ptr"], returns: "i32" },
  // mlo_draft_lookup(tokens, n, capacity, draft)
  mlo_draft_lookup: { args: ["ptr", "i32", "i32", "ptr"], returns: "i32" },
  // mlo_drafter_new(target, context, probabilityMin)
  mlo_drafter_new: { args: ["ptr", "ptr", "f32"], returns: "ptr" },
  // mlo_drafter_free(drafter)
  mlo_drafter_free: { args: ["ptr"], returns: "void" },
  // mlo_drafter_show(drafter, slot, tokens, n, rows)
  mlo_drafter_show: { args: ["ptr", "i32", "ptr", "i32", "i32"], returns: "i32" },
  // mlo_drafter_guess(drafter, n, slots, limits, stride, guesses, counts)
  mlo_drafter_guess: { args: ["ptr", "i32", "ptr", "ptr", "i32", "ptr", "ptr"], returns: "i32" },
  // mlo_head_new(target, context, probabilityMin)
  mlo_head_new: { args: ["ptr", "ptr", "f32"], returns: "ptr" },
  // mlo_head_free(head)
  mlo_head_free: { args: ["ptr"], returns: "void" },
  // mlo_head_watch(head, on)
  mlo_head_watch: { args: ["ptr", "i32"], returns: "void" },
  // mlo_head_take(head, slot, before, start, tokens, n, certain, row)
  mlo_head_take: { args: ["ptr", "i32", "ptr", "i32", "ptr", "i32", "i32", "i32"], returns: "i32" },
  // mlo_head_show(head, slot, tokens, n)
  mlo_head_show: { args: ["ptr", "i32", "ptr", "i32"], returns: "i32" },
  // mlo_head_guess(head, n, slots, limits, stride, guesses, counts)
  mlo_head_guess: { args: ["ptr", "i32", "ptr", "ptr", "i32", "ptr", "ptr"], returns: "i32" },
  // mlo_parser_new(prompt)
  mlo_parser_new: { args: ["ptr"], returns: "ptr" },
  // mlo_parser_free(parser)
  mlo_parser_free: { args: ["ptr"], returns: "void" },
  // mlo_parser_push(parser, text, final)
  mlo_parser_push: { args: ["ptr", "ptr", "i32"], returns: "ptr" },
  // mlo_parser_parsed_bytes(parser)
  mlo_parser_parsed_bytes: { args: ["ptr"], returns: "i64" },
  // mlo_parser_mismatches(parser)
  mlo_parser_mismatches: { args: ["ptr"], returns: "i32" },
  // mlo_die_with_parent(parent)
  mlo_die_with_parent: { args: ["i32"], returns: "i32" },
  // mlo_wait(socket, timeoutMs)
  mlo_wait: { args: ["i32", "i32"], returns: "i32" },
  // mlo_read(socket, buffer, capacity)
  mlo_read: { args: ["i32", "ptr", "i32"], returns: "i32" },
  // mlo_write(socket, bytes, length)
  mlo_write: { args: ["i32", "ptr", "i32"], returns: "i32" },
} as const;
