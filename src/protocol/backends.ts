// The back ends of ggml that can be asked for by name. A leaf: settings and the choice of plug-ins share it.

/** `cpu` is always loaded besides the others: llama.cpp can't do without. */
export const BACKENDS = ["cuda", "vulkan", "metal", "cpu"] as const;
export type BackendName = (typeof BACKENDS)[number];
