// How fast a machine turned out to be when it was measured. A leaf: types only. What could not be measured is null.

/** Of weights of one type, at one device. */
export interface TypeRate {
  /** ggml's name, such as `q4_K`. */
  type: string;
  /** Of weights that one decoding step reads, whatever limits it: memory or arithmetic. */
  bytesPerSecond: number;
  /** Of a prompt's batch. */
  flopsPerSecond: number;
}

export interface DeviceRates {
  /** As ggml calls it, such as `CPU` or `CUDA0`. */
  name: string;
  kind: "cpu" | "gpu" | "integrated-gpu" | "accelerator";
  totalBytes: number | null;
  rates: readonly TypeRate[];
}

export interface MachineRates {
  /** In ggml's order, the processor among them. */
  devices: readonly DeviceRates[];
  /** Past the page cache. */
  diskBytesPerSecond: number | null;
}
