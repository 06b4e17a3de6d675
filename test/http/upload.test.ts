// Uploads over HTTP: as a body, as a form, as a model file, and in parts as tus has them.

import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createTestApp, readError, readJson, type TestApp } from "../support/http-app.ts";
import { smallModel } from "../support/raw-gguf.ts";
import { beginUpload, patchUpload, silentBody } from "../support/upload-provocations.ts";

const PATH = "/api/models/upload";
const model = new Uint8Array(smallModel());
const sha256 = new Bun.CryptoHasher("sha256").update(model).digest("hex");

const listModels = ({ folder }: TestApp): string[] => {
  const path = join(folder, "models");
  return existsSync(path) ? readdirSync(path).filter((name) => !name.endsWith(".pulled.json")) : [];
};

describe("in one request", () => {
  test("the body is the file", async () => {
    const app = createTestApp();
    const reply = await readJson(
      await app.post(`${PATH}?name=m.gguf&sha256=${sha256.toUpperCase()}`, "", { body: model }),
    );
    expect(reply).toEqual({
      kind: "model",
      name: "m.gguf",
      id: null,
      sizeBytes: model.byteLength,
      sha256,
      error: null,
    });
    expect(listModels(app)).toEqual(["m.gguf"]);
    expect(new Uint8Array(readFileSync(join(app.folder, "models/m.gguf")))).toEqual(model);
  });

  test("a form's file, with fields before it and other parts around", async () => {
    const app = createTestApp();
    const form = new FormData();
    form.set("sha256", sha256);
    form.set("other", "x");
    form.set("file", new File([model], "from-a-form.gguf"));
    form.set("later", "y");
    const reply = await readJson(await app.post(PATH, "", { body: form }));
    expect(reply).toMatchObject({ name: "from-a-form.gguf", sha256 });
    expect(listModels(app)).toEqual(["from-a-form.gguf"]);
  });

  test("a form that comes byte by byte, and content that looks like boundaries", async () => {
    const app = createTestApp();
    const yaml = "model_id: x\r\npath: m\r\n# --B\r\n#\r\n\r\n# --";
    const body = `--B\r\nContent-Disposition: form-data; name="file"; filename="x.yaml"\r\n\r\n${yaml}\r\n--B--\r\n`;
    const bytes = new TextEncoder().encode(body);
    const stream = new ReadableStream({
      start(controller) {
        for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
        controller.close();
      },
    });
    const headers = { "Content-Type": 'multipart/form-data; boundary="B"' };
    const response = await app.post(PATH, "", { body: stream, headers });
    expect(await readJson(response)).toMatchObject({ kind: "model-file", name: "x.yaml" });
    expect(readFileSync(join(app.folder, "model-files/x.yaml"), "utf8")).toBe(yaml);
  });

  test("forms that can't be read", async () => {
    const head = 'Content-Disposition: form-data; name="file"; filename="m.gguf"';
    const wrong: [type: string, body: string][] = [
      ["multipart/form-data", "x"],
      ["multipart/form-data; boundary=B", ""],
      ["multipart/form-data; boundary=B", "--B"],
      ["multipart/form-data; boundary=B", "--Bx"],
      ["multipart/form-data; boundary=B", "--B--\r\n"],
      ["multipart/form-data; boundary=B", `--B\r\n${head}\r\n\r\nGGUF`],
      ["multipart/form-data; boundary=B", `--B\r\n${"x".repeat(10_000)}\r\n\r\nGGUF\r\n--B--`],
      [
        "multipart/form-data; boundary=B",
        `--B\r\nContent-Disposition: form-data; name="x"\r\n\r\n${"y".repeat(2000)}\r\n--B--`,
      ],
      [
        "multipart/form-data; boundary=B",
        `${`--B\r\nContent-Disposition: form-data; name="x"\r\n\r\ny\r\n`.repeat(40)}--B--`,
      ],
    ];
    for (const [type, body] of wrong) {
      const app = createTestApp();
      const response = await app.post(PATH, body, { headers: { "Content-Type": type } });
      expect([body.slice(0, 60), (await readError(response)).code]).toEqual([body.slice(0, 60), "invalid_request"]);
      expect(listModels(app)).toEqual([]);
    }
  });

  test("a form that is refused behind its file leaves nothing of it", async () => {
    const file = (name: string): string =>
      `--B\r\nContent-Disposition: form-data; name="file"; filename="${name}.yaml"\r\n\r\nmodel_id: ${name}\npath: m\r\n`;
    for (const rest of ["--B", "--Bx", "--B\r\nbroken", `${file("y")}--B--\r\n`]) {
      const app = createTestApp();
      const headers = { "Content-Type": "multipart/form-data; boundary=B" };
      const response = await app.post(PATH, `${file("x")}${rest}`, { headers });
      expect([rest, (await readError(response)).code]).toEqual([rest, "invalid_request"]);
      const modelFiles = join(app.folder, "model-files");
      expect([rest, existsSync(modelFiles) ? readdirSync(modelFiles) : []]).toEqual([rest, []]);
      expect(listModels(app)).toEqual([]);
    }
  });

  test("a model file, called as its model, and one that names paths to a server that others reach", async () => {
    const app = createTestApp();
    const file = { model_id: "owner/nice:Q4", path: "m" };
    expect(await readJson(await app.post(PATH, file))).toMatchObject({
      kind: "model-file",
      name: "owner-nice-Q4.json",
    });
    expect((await readError(await app.post(PATH, file))).code).toBe("conflict");
    expect((await app.post(`${PATH}?replace=true`, file)).status).toBe(200);
    expect(readdirSync(join(app.folder, "model-files"))).toEqual(["owner-nice-Q4.json"]);
    expect((await readError(await app.post(PATH, "model_id: [\n"))).code).toBe("invalid_request");
    const open = createTestApp({ host: "0.0.0.0" });
    for (const path of ["/etc/passwd", "../../x", "~/x", "x.gguf", "a/../../b"]) {
      expect(await readError(await open.post(PATH, { model_id: "x", path }))).toMatchObject({ code: "forbidden" });
    }
    const { error } = await readJson(await open.post(PATH, { model_id: "x", path: "m", colour: "red" }));
    expect(error.message).toBe("the model file x.json, line 1: `colour` is no key of a model file");
    const draft = { model_id: "x", path: "m", settings: { draft_model: "d" } };
    expect((await readError(await open.post(PATH, draft))).code).toBe("forbidden");
    expect((await open.post(PATH, { model_id: "x", path: "owner/repo:Q4" })).status).toBe(200);
  });

  test("what is cut, silent or wrong leaves nothing", async () => {
    const app = createTestApp();
    const cut = await app.post(`${PATH}?name=m.gguf`, "", { body: model.subarray(0, 500) });
    expect((await readError(cut)).code).toBe("format_unsupported");
    expect((await readError(await app.post(`${PATH}?name=../m.gguf`, "", { body: model }))).code).toBe(
      "invalid_request",
    );
    expect((await readError(await app.post(`${PATH}?name=m.gguf&sha256=1`, "", { body: model }))).code).toBe(
      "invalid_request",
    );
    const answer = app.post(`${PATH}?name=m.gguf`, "", { body: silentBody("GGUF") });
    const answered = answer.then(() => true);
    while (!(await Promise.race([answered, Bun.sleep(1).then(() => false)]))) app.clock.advance(61_000);
    expect((await readError(await answer)).code).toBe("timeout");
    expect(listModels(app)).toEqual([]);
  });

  test("two at once to one name: one of them is whole", async () => {
    const app = createTestApp();
    const send = () => app.post(`${PATH}?name=m.gguf`, "", { body: model });
    const statuses = (await Promise.all([send(), send(), send()])).map(({ status }) => status);
    expect(statuses.sort()).toEqual([200, 409, 409]);
    expect(listModels(app)).toEqual(["m.gguf"]);
  });
});

describe("in parts", () => {
  const ask = ({ app }: TestApp, method: string, path: string) =>
    app.handle(new Request(`http://localhost:9000${path}`, { method }));

  test("each goes where the last one ended, and the last byte ends it", async () => {
    const app = createTestApp();
    const path = await beginUpload(app, "m.gguf", model.byteLength);
    expect(path).toMatch(/^\/api\/models\/upload\/[0-9a-f]{32}$/);
    let offset = 0;
    while (offset < model.byteLength) {
      expect(listModels(app).every((name) => name.startsWith("."))).toBe(true);
      const head = await ask(app, "HEAD", path);
      expect([head.headers.get("Upload-Offset"), head.headers.get("Upload-Length")]).toEqual([
        `${offset}`,
        `${model.byteLength}`,
      ]);
      expect([head.headers.get("Tus-Resumable"), head.headers.get("Cache-Control")]).toEqual(["1.0.0", "no-store"]);
      const part = model.slice(offset, offset + 100);
      const response = await patchUpload(app, path, part, offset);
      offset += part.byteLength;
      expect([response.status, response.headers.get("Upload-Offset")]).toEqual([204, `${offset}`]);
    }
    expect(listModels(app)).toEqual(["m.gguf"]);
    expect((await ask(app, "HEAD", path)).status).toBe(404);
  });

  test("one that is given up leaves nothing", async () => {
    const app = createTestApp();
    const path = await beginUpload(app, "m.gguf", model.byteLength);
    await patchUpload(app, path, model.slice(0, 100));
    expect((await ask(app, "DELETE", path)).status).toBe(204);
    expect((await ask(app, "DELETE", path)).status).toBe(404);
    expect(listModels(app)).toEqual([]);
  });

  test("what is no upload, no length, no version and no name", async () => {
    const app = createTestApp();
    for (const id of ["x", "..%2F..%2Fx", "0".repeat(32), "%00"]) {
      expect([id, (await ask(app, "HEAD", `${PATH}/${id}`)).status]).toEqual([id, 404]);
    }
    const begin = (headers: Record<string, string>) => app.post(PATH, "", { headers });
    const metadata = `filename ${btoa("m.gguf")}`;
    for (const [param, headers] of [
      ["Tus-Resumable", { "Tus-Resumable": "0.2.0", "Upload-Length": "5", "Upload-Metadata": metadata }],
      ["Upload-Length", { "Tus-Resumable": "1.0.0", "Upload-Metadata": metadata }],
      ["Upload-Length", { "Tus-Resumable": "1.0.0", "Upload-Length": "-5", "Upload-Metadata": metadata }],
      ["name", { "Tus-Resumable": "1.0.0", "Upload-Length": "5" }],
      ["name", { "Tus-Resumable": "1.0.0", "Upload-Length": "5", "Upload-Metadata": `filename ${btoa("../m.gguf")}` }],
      [
        "sha256",
        { "Tus-Resumable": "1.0.0", "Upload-Length": "5", "Upload-Metadata": `${metadata},sha256 ${btoa("x")}` },
      ],
      ["Upload-Length", { "Tus-Resumable": "1.0.0", "Upload-Defer-Length": "1", "Upload-Metadata": metadata }],
    ] as const) {
      const error = await readError(await begin(headers));
      expect([headers, error.code, error.param]).toEqual([headers, "invalid_request", param]);
    }
  });

  test("all of it may come with the beginning", async () => {
    const app = createTestApp();
    const headers = {
      "Tus-Resumable": "1.0.0",
      "Upload-Length": String(model.byteLength),
      "Upload-Metadata": `filename ${btoa("m.gguf")}, sha256 ${btoa(sha256)}`,
      "Content-Type": "application/offset+octet-stream",
    };
    const response = await app.post(PATH, "", { headers, body: model });
    expect([response.status, response.headers.get("Upload-Offset")]).toEqual([201, String(model.byteLength)]);
    expect(await readJson(response)).toMatchObject({ kind: "model", sha256 });
    expect(listModels(app)).toEqual(["m.gguf"]);
  });
});
