// Uploads below HTTP: what is refused and when, how one goes on, and that nothing but whole files ever has a name.

import { afterAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readTicket, writeTicket } from "../../src/models/upload/ticket.ts";
import { type UploadRequest, Uploads, type UploadsOptions } from "../../src/models/upload/uploads.ts";
import { AppError } from "../../src/protocol/errors.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { DEMO_PATH } from "../support/fake-inference.ts";

/** Of more than a few pieces. */
const model = new Uint8Array(readFileSync(DEMO_PATH));
const sha256 = new Bun.CryptoHasher("sha256").update(model).digest("hex");
const roots: string[] = [];
afterAll(() => {
  for (const root of roots) rmSync(root, { recursive: true, force: true });
});

function makeUploads(changes: Partial<UploadsOptions> = {}) {
  const root = mkdtempSync(join(tmpdir(), "mlo-uploads-"));
  roots.push(root);
  const models = join(root, "models");
  const placed: string[] = [];
  const options: UploadsOptions = {
    folders: { models, modelFiles: join(root, "files") },
    env: {},
    clock: new FakeClock(Date.now()),
    onPlaced: (path) => void placed.push(path),
    ...changes,
  };
  return { uploads: new Uploads(options), models, files: join(root, "files"), placed, options };
}

const wanted = (changes: Partial<UploadRequest> = {}): UploadRequest => {
  return { name: "m.gguf", sizeBytes: model.byteLength, sha256: null, replaces: false, resumes: true, ...changes };
};

async function* pieces(bytes: Uint8Array, size = 100_000): AsyncGenerator<Uint8Array, void> {
  for (let at = 0; at < bytes.byteLength; at += size) yield bytes.subarray(at, at + size);
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (thrown) {
    return thrown instanceof AppError ? thrown.code : String(thrown);
  }
  return "nothing";
}

const anything = (): void => {};

test("a whole model appears in one step, with what is known of it", async () => {
  const { uploads, models, placed } = makeUploads();
  const { id } = await uploads.create(wanted({ sha256 }));
  await uploads.append(id, 0, pieces(model));
  expect(readdirSync(models).every((name) => name.startsWith("."))).toBe(true);
  const path = join(models, "m.gguf");
  expect(await uploads.finish(id, anything)).toEqual({ kind: "model", path, sizeBytes: model.byteLength, sha256 });
  expect(new Uint8Array(readFileSync(path))).toEqual(model);
  expect(readdirSync(models).sort()).toEqual([".m.gguf.pulled.json", "m.gguf"]);
  expect(placed).toEqual([path]);
});

describe("an upload that breaks off", () => {
  test("goes on where it was, also on another server, and its checksum is that of all", async () => {
    const { uploads, options } = makeUploads();
    const { id } = await uploads.create(wanted({ sha256 }));
    const broken = (async function* () {
      yield model.subarray(0, 700);
      throw new Error("the connection is gone");
    })();
    expect(await codeOf(uploads.append(id, 0, broken))).toContain("the connection is gone");
    const other = new Uploads(options);
    expect(other.status(id)).toMatchObject({ offset: 700, name: "m.gguf", sizeBytes: model.byteLength });
    expect(await codeOf(other.append(id, 600, pieces(model)))).toBe("conflict");
    expect((await other.append(id, 700, pieces(model.subarray(700)))).offset).toBe(model.byteLength);
    expect((await other.finish(id, anything)).sha256).toBe(sha256);
  });

  test("is taken over by who goes on, though the first client still holds its connection", async () => {
    const { uploads } = makeUploads();
    const { id } = await uploads.create(wanted());
    const silent = Promise.withResolvers<void>();
    const held = (async function* () {
      yield model.subarray(0, 500);
      silent.resolve();
      await new Promise(() => {});
    })();
    const first = codeOf(uploads.append(id, 0, held));
    await silent.promise;
    expect((await uploads.append(id, 500, pieces(model.subarray(500)))).offset).toBe(model.byteLength);
    expect(await first).toBe("conflict");
    expect((await uploads.finish(id, anything)).sha256).toBe(sha256);
  });

  test("is removed a day later, and at once when its server is gone and nobody can go on", async () => {
    const clock = new FakeClock(Date.now());
    const { uploads, models } = makeUploads({ clock });
    const kept = await uploads.create(wanted());
    writeTicket(models, { ...wanted({ name: "dead.gguf" }), id: "0".repeat(32), pid: 2 ** 22 + 1 });
    await uploads.create(wanted({ name: "n.gguf" }));
    expect(readTicket(models, "0".repeat(32))).toBeNull();
    expect(uploads.status(kept.id).offset).toBe(0);
    const past = new Date(clock.wallMs() - 25 * 3_600_000);
    utimesSync(join(models, `.upload-${kept.id}.part`), past, past);
    // Its name is free again.
    await uploads.create(wanted());
    expect(() => uploads.status(kept.id)).toThrow("there is no such upload");
  });
});

describe("refused at once", () => {
  test("names that are no file's, or no model's", async () => {
    const { uploads, models } = makeUploads();
    const names = [
      "../m.gguf",
      "a/b.gguf",
      "a\\b.gguf",
      ".m.gguf",
      "..",
      "",
      "m\0.gguf",
      "m\n.gguf",
      "con.gguf",
      "m.bin",
      "m",
    ];
    for (const name of [
      ...names,
      `${"x".repeat(250)}.gguf`,
      "-m.gguf",
      "a b.gguf",
      "/etc/passwd",
      "C:m.gguf",
      "m.gguf.",
      "default.gguf",
      "auto.gguf",
      "default-00001-of-00001.gguf",
    ]) {
      expect([name, await codeOf(uploads.create(wanted({ name })))]).toEqual([name, "invalid_request"]);
    }
    expect(existsSync(models)).toBe(false);
  });

  test("what is there, or on its way", async () => {
    const { uploads, models } = makeUploads();
    mkdirSync(models, { recursive: true });
    writeFileSync(join(models, "there.gguf"), "x");
    expect(await codeOf(uploads.create(wanted({ name: "there.gguf" })))).toBe("conflict");
    expect(await codeOf(uploads.create(wanted({ name: "there.gguf", replaces: true })))).toBe("conflict");
    // Both ask before either has begun.
    const both = await Promise.all([
      codeOf(uploads.create(wanted())),
      codeOf(uploads.create(wanted({ name: "M.gguf" }))),
    ]);
    expect(both.sort()).toEqual(["conflict", "nothing"]);
    expect(await codeOf(uploads.create(wanted({ resumes: false })))).toBe("conflict");
  });

  test("what the disk has no room for, with what is on its way counted", async () => {
    const reserve = 256 * 1024 * 1024;
    const { uploads } = makeUploads({ freeDiskBytes: async () => reserve + 1000 });
    expect(await codeOf(uploads.create(wanted({ sizeBytes: 1001 })))).toBe("storage_unavailable");
    await uploads.create(wanted({ sizeBytes: 600 }));
    expect(await codeOf(uploads.create(wanted({ name: "n.gguf", sizeBytes: 600 })))).toBe("storage_unavailable");
    expect(await codeOf(uploads.create(wanted({ name: "n.gguf", sizeBytes: 400 })))).toBe("nothing");
  });

  test("more than some at a time", async () => {
    const { uploads } = makeUploads();
    for (let count = 0; count < 16; count++) await uploads.create(wanted({ name: `m${count}.gguf` }));
    expect(await codeOf(uploads.create(wanted()))).toBe("overloaded");
  });

  test("more than some at a time, but not for long by those of which nothing comes", async () => {
    const { uploads, models } = makeUploads();
    const begun = await uploads.create(wanted({ name: "begun.gguf" }));
    await uploads.append(begun.id, 0, pieces(model.subarray(0, 100)));
    const ids = [begun.id];
    for (let count = 0; count < 15; count++) ids.push((await uploads.create(wanted({ name: `m${count}.gguf` }))).id);
    expect(await codeOf(uploads.create(wanted()))).toBe("overloaded");
    const past = new Date(Date.now() - 11 * 60_000);
    for (const id of ids) utimesSync(join(models, `.upload-${id}.part`), past, past);
    await uploads.create(wanted());
    expect(uploads.status(begun.id).offset).toBe(100);
    expect(() => uploads.status(ids[1] ?? "")).toThrow("there is no such upload");
  });
});

describe("refused while it arrives", () => {
  const send = async (bytes: Uint8Array, sizeBytes: number | null): Promise<{ code: string; asked: number }> => {
    const { uploads, models } = makeUploads();
    let asked = 0;
    const counted = (async function* () {
      for (let at = 0; at < bytes.byteLength; at += 100_000) {
        asked += 1;
        yield bytes.subarray(at, at + 100_000);
      }
    })();
    const { id } = await uploads.create(wanted({ sizeBytes }));
    const code = await codeOf(uploads.append(id, 0, counted));
    if (code !== "nothing") expect(readdirSync(models)).toEqual([]);
    return { code, asked };
  };

  test("a web page at its first bytes, whatever its name", async () => {
    const page = Buffer.from(`<!DOCTYPE html>${"x".repeat(1_000_000)}`);
    for (const size of [page.byteLength, null]) {
      expect(await send(page, size)).toEqual({ code: "format_unsupported", asked: 1 });
    }
  });

  test("a header that claims more than what was announced", async () => {
    expect(await send(model, model.byteLength - 1)).toMatchObject({ code: "format_unsupported", asked: 1 });
  });

  test("more bytes than announced", async () => {
    expect(await send(Buffer.concat([model, model]), model.byteLength)).toMatchObject({ code: "payload_too_large" });
  });

  test("nothing of a model whose length nobody said", async () => {
    expect((await send(model, null)).code).toBe("nothing");
  });
});

describe("refused at its end, and nothing stays", () => {
  const finish = async (bytes: Uint8Array, changes: Partial<UploadRequest>) => {
    const made = makeUploads();
    const { id } = await made.uploads.create(wanted({ sizeBytes: null, ...changes }));
    await made.uploads.append(id, 0, pieces(bytes));
    const code = await codeOf(made.uploads.finish(id, anything));
    expect(readdirSync(made.models)).toEqual([]);
    expect(made.placed).toEqual([]);
    return code;
  };

  test("a cut file, an empty one, another checksum, fewer bytes than announced", async () => {
    expect(await finish(model.subarray(0, model.byteLength - 1), {})).toBe("format_unsupported");
    expect(await finish(model.subarray(0, 20), {})).toBe("format_unsupported");
    expect(await finish(new Uint8Array(0), {})).toBe("format_unsupported");
    expect(await finish(model, { sha256: "0".repeat(64) })).toBe("invalid_request");
    expect(await finish(model, { sizeBytes: model.byteLength + 10 })).toBe("invalid_request");
  });

  test("a name that somebody else took meanwhile", async () => {
    const { uploads, models } = makeUploads();
    const { id } = await uploads.create(wanted());
    await uploads.append(id, 0, pieces(model));
    writeFileSync(join(models, "m.gguf"), "theirs");
    expect(await codeOf(uploads.finish(id, anything))).toBe("conflict");
    expect(readFileSync(join(models, "m.gguf"), "utf8")).toBe("theirs");
    expect(readdirSync(models)).toEqual(["m.gguf"]);
  });
});

describe("a model file", () => {
  const text = Buffer.from("model_id: x\npath: m\n");
  const store = async (
    made: ReturnType<typeof makeUploads>,
    bytes: Uint8Array,
    changes: Partial<UploadRequest> = {},
  ) => {
    const { id } = await made.uploads.create(wanted({ name: "x.yaml", sizeBytes: null, ...changes }));
    await made.uploads.append(id, 0, pieces(bytes));
    return await made.uploads.finish(id, anything);
  };

  test("is written when it is right, and takes another's place only when that is said", async () => {
    const made = makeUploads();
    expect(await store(made, text)).toMatchObject({ kind: "model-file", path: join(made.files, "x.yaml") });
    expect(await codeOf(store(made, text))).toBe("conflict");
    const other = Buffer.from("model_id: x\npath: other\n");
    await store(made, other, { replaces: true });
    expect(readFileSync(join(made.files, "x.yaml"), "utf8")).toBe(other.toString());
    expect(readdirSync(made.files)).toEqual(["x.yaml"]);
  });

  test("with a mistake is not, and says in which line it is", async () => {
    const made = makeUploads();
    const wrong = Buffer.from("model_id: x\npath: m\nsettings: {ctx: -1}\n");
    const thrown = await store(made, wrong).catch((error: AppError) => error);
    expect(thrown).toMatchObject({ code: "invalid_request", param: "settings.ctx" });
    expect((thrown as AppError).hint).toBe("Correct it and send it again. docs/models.md lists the keys.");
    expect((thrown as AppError).message).toStartWith("the model file x.yaml, line 3: `settings.ctx`");
    const unknown = await store(made, Buffer.from("model_id: x\npath: m\ncontext: 5\n")).catch(
      (error: AppError) => error,
    );
    expect(unknown).toMatchObject({ code: "invalid_request", param: "context" });
    expect(await codeOf(store(made, Buffer.alloc(100_000, "x")))).toBe("payload_too_large");
    expect(existsSync(made.files)).toBe(false);
    expect(readdirSync(made.models)).toEqual([]);
  });

  test("names no template outside of the folder: whoever asks could read it", async () => {
    const made = makeUploads();
    const send = (file: string) =>
      store(made, Buffer.from(`model_id: x\npath: m\nsettings: {chat_template_file: ${file}}\n`));
    for (const file of ["/etc/passwd", "../secret.txt", "below/../../secret.txt", "~/secret.txt"]) {
      const thrown = await send(file).catch((error: AppError) => error);
      expect(thrown, file).toMatchObject({ code: "forbidden", param: "settings.chat_template_file" });
    }
    expect(existsSync(made.files)).toBe(false);
    expect(await send("templates/mine.jinja")).toMatchObject({ kind: "model-file" });
  });

  test("that is not wanted is refused by who asks", async () => {
    const made = makeUploads();
    const { id } = await made.uploads.create(wanted({ name: "x.yaml", sizeBytes: null }));
    await made.uploads.append(id, 0, pieces(text));
    const refuse = (): never => {
      throw new AppError({ code: "forbidden", message: "no" });
    };
    expect(await codeOf(made.uploads.finish(id, refuse))).toBe("forbidden");
    expect(existsSync(made.files)).toBe(false);
  });
});
