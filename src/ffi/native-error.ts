// A native call that failed. The message is the shim's, with llama.cpp's own log lines below it.

export class NativeError extends Error {
  constructor(
    readonly call: string,
    readonly detail: string,
  ) {
    super(detail === "" ? `${call} failed` : detail);
    this.name = "NativeError";
  }
}
