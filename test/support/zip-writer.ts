// Zip archives from a list of entries, with places to lie in.

import { crc32, deflateRawSync } from "node:zlib";

export interface EntryToWrite {
  name: string;
  data: Uint8Array;
  deflate?: boolean;
  /** Said in the table instead of the true one. */
  claimedBytes?: number;
}

export interface ZipLies {
  /** Said in the end record. */
  entryCount?: number;
  directoryBytes?: number;
  directoryAt?: number;
}

export function writeZip(entries: readonly EntryToWrite[], lies: ZipLies = {}): Uint8Array {
  const parts: Buffer[] = [];
  const table: Buffer[] = [];
  let at = 0;
  for (const { name, data, deflate = false, claimedBytes } of entries) {
    const packed = deflate ? deflateRawSync(data) : Buffer.from(data);
    const encoded = Buffer.from(name, "utf8");
    const shared = Buffer.alloc(26);
    shared.writeUInt16LE(20, 0);
    shared.writeUInt16LE(deflate ? 8 : 0, 4);
    shared.writeUInt32LE(crc32(data), 10);
    shared.writeUInt32LE(packed.byteLength, 14);
    shared.writeUInt32LE(claimedBytes ?? data.byteLength, 18);
    shared.writeUInt16LE(encoded.byteLength, 22);
    const head = Buffer.concat([Buffer.from("PK\x03\x04", "latin1"), shared, encoded]);
    const row = Buffer.alloc(46);
    row.write("PK\x01\x02\x14\x00", 0, "latin1");
    shared.copy(row, 6);
    row.writeUInt32LE(at, 42);
    table.push(row, encoded);
    parts.push(head, packed);
    at += head.byteLength + packed.byteLength;
  }
  const directory = Buffer.concat(table);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", 0, "latin1");
  const count = lies.entryCount ?? entries.length;
  end.writeUInt16LE(count, 8);
  end.writeUInt16LE(count, 10);
  end.writeUInt32LE(lies.directoryBytes ?? directory.byteLength, 12);
  end.writeUInt32LE(lies.directoryAt ?? at, 16);
  return new Uint8Array(Buffer.concat([...parts, directory, end]));
}
