// SafeTensors bytes from a list of tensors, and from any header, so that a test can lie in it.

export interface TensorToWrite {
  name: string;
  dtype: string;
  shape: readonly number[];
  data: Uint8Array;
}

/** A whole file: header, then the tensors' data in their order. */
export function writeSafetensors(tensors: readonly TensorToWrite[], metadata?: Record<string, string>): Uint8Array {
  const header: Record<string, unknown> = metadata === undefined ? {} : { __metadata__: metadata };
  let at = 0;
  for (const { name, dtype, shape, data } of tensors) {
    header[name] = { dtype, shape, data_offsets: [at, at + data.byteLength] };
    at += data.byteLength;
  }
  return joinSafetensors(
    JSON.stringify(header),
    tensors.map((tensor) => tensor.data),
  );
}

/** Whatever the header says. `headerBytes` lies about its length. */
export function joinSafetensors(
  header: string,
  data: readonly Uint8Array[],
  headerBytes?: number | bigint,
): Uint8Array {
  const text = new TextEncoder().encode(header);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(headerBytes ?? text.byteLength), true);
  return new Uint8Array(Buffer.concat([length, text, ...data]));
}
