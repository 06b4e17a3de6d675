// The pure parts of downloads: what is asked for, which files make a model, which one fits, and which bytes are missing.

import { describe, expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ProgressLine, renderProgress } from "../../src/commands/text/progress-line.ts";
import { readAvailableMemory } from "../../src/hardware/memory.ts";
import { addRange, areRanges, type ByteRange, countBytes, missingRanges } from "../../src/hub/byte-ranges.ts";
import { parseReference } from "../../src/hub/reference.ts";
import { readHubSettings } from "../../src/hub/settings.ts";
import { chooseCompanions, chooseVariant, listCompanions, listVariants } from "../../src/hub/variant.ts";
import { formatBytes } from "../../src/lib/byte-count.ts";
import { AppError } from "../../src/protocol/errors.ts";
import { FakeClock } from "../support/fake-clock.ts";

describe("byte ranges", () => {
  test("agree with a table of bytes, whatever comes in which order", () => {
    let state = 7;
    const random = (below: number): number => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return state % below;
    };
    for (let round = 0; round < 300; round++) {
      const size = 1 + random(60);
      const bytes = new Uint8Array(size);
      let have: ByteRange[] = [];
      for (let step = 0; step < random(12); step++) {
        const start = random(size);
        const end = start + random(size - start + 1);
        bytes.fill(1, start, end);
        have = addRange(have, [start, end]);
        expect(areRanges(have, size)).toBe(true);
        for (let i = 1; i < have.length; i++) expect(have[i]?.[0]).toBeGreaterThan(have[i - 1]?.[1] ?? 0);
      }
      expect(countBytes(have)).toBe(bytes.reduce((sum, byte) => sum + byte, 0));
      const missing = missingRanges(have, size, 1 + random(20));
      for (const [start, end] of missing) {
        expect(bytes.subarray(start, end).every((byte) => byte === 0)).toBe(true);
        bytes.fill(1, start, end);
      }
      expect(bytes.every((byte) => byte === 1)).toBe(true);
    }
  });

  test.each([
    [null],
    [[[0]]],
    [[[1, 0]]],
    [[[0, 11]]],
    [[[-1, 3]]],
    [
      [
        [0, 5],
        [5, 6],
      ],
    ],
    [
      [
        [4, 5],
        [0, 1],
      ],
    ],
    [[[0, 1.5]]],
    [[["0", 1]]],
  ])("read back from a disk: %p are none", (value) => expect(areRanges(value, 10)).toBe(false));
});

describe("what is asked for", () => {
  const at = (text: string, endpoint = "https://huggingface.co") => parseReference(text, endpoint);
  const repo = (tag: string | null, revision = "main") => ({ kind: "repo", repo: "owner/repo-GGUF", tag, revision });

  test.each([
    ["owner/repo-GGUF", repo(null)],
    ["owner/repo-GGUF:Q4_K_M", repo("Q4_K_M")],
    ["owner/repo-GGUF:latest", repo(null)],
    ["hf.co/owner/repo-GGUF:q8_0", repo("q8_0")],
    ["huggingface.co/owner/repo-GGUF", repo(null)],
    ["hf://owner/repo-GGUF", repo(null)],
    ["https://huggingface.co/owner/repo-GGUF", repo(null)],
    ["https://huggingface.co/owner/repo-GGUF/tree/v1.0", repo(null, "v1.0")],
    ["https://huggingface.co/owner/repo-GGUF/blob/main/Q4/m%20x.gguf", repo("Q4/m x.gguf")],
    ["https://huggingface.co/owner/repo-GGUF/resolve/main/m.gguf?download=true", repo("m.gguf")],
    ["https://example.org/models/m.gguf?key=1", { kind: "url", url: "https://example.org/models/m.gguf?key=1" }],
  ])("%s", (text, expected) => expect(at(text)).toEqual(expected as never));

  test("the endpoint's own host is the Hub", () => {
    expect(at("https://mirror.test/hf/x.gguf", "https://other.test").kind).toBe("url");
    expect(at("http://mirror.test:8080/owner/repo-GGUF", "http://mirror.test:8080")).toEqual(repo(null) as never);
  });

  test.each([
    "llama3.2",
    "a/b/c",
    "../x/y",
    "owner/..",
    "https://user:pass@huggingface.co/owner/repo-GGUF",
    "https://example.org/models/",
    "https://huggingface.co/owner/repo-GGUF/settings",
    "https://huggingface.co/owner",
    "http://",
    "",
    `owner/repo:${"x".repeat(300)}`,
  ])("%p is refused with what can be asked for", (text) => {
    expect(() => at(text)).toThrow(AppError);
  });
});

describe("the models of a repository", () => {
  const file = (path: string, gigabytes = 1) => ({ path, sizeBytes: gigabytes * 1e9, sha256: null });
  const tagsOf = (...paths: string[]) => listVariants(paths.map((path) => file(path))).map(({ tag }) => tag);

  test("are its GGUF files, parts together, without what goes with them", () => {
    const names = ["m-Q8_0.gguf", "m-Q4_K_M-00001-of-00002.gguf", "m-Q4_K_M-00002-of-00002.gguf"];
    expect(tagsOf(...names, "mmproj-F16.gguf", "imatrix.gguf", "x-lora.gguf", "README.md")).toEqual(["Q4_K_M", "Q8_0"]);
    expect(listVariants(names.map((path) => file(path)))[0]).toMatchObject({ sizeBytes: 2e9 });
  });

  test("what goes with a model is none, and is chosen apart", () => {
    const paths = [
      "m-Q4_0.gguf",
      "mmproj-m-F16.gguf",
      "mmproj-m-Q8_0.gguf",
      "mmproj-m-F32.gguf",
      "Small-DRAFT-0.5B-Q4_0.gguf",
      "Small-DRAFT-0.5B-Q8_0.gguf",
      "pirate-lora-F16.gguf",
      "lora/poet.gguf",
      "imatrix.gguf",
    ];
    const files = paths.map((path, at) => file(path, at + 1));
    expect(listVariants(files).map(({ tag }) => tag)).toEqual(["Q4_0"]);
    const companions = listCompanions(files);
    expect(companions.map(({ kind, tag }) => [kind, tag])).toEqual([
      ["projector", "mmproj-m-F16"],
      ["projector", "mmproj-m-F32"],
      ["projector", "mmproj-m-Q8_0"],
      ["draft", "Small-DRAFT-0.5B-Q4_0"],
      ["draft", "Small-DRAFT-0.5B-Q8_0"],
      ["adapter", "lora-poet"],
      ["adapter", "pirate-lora-F16"],
    ]);
    expect(chooseCompanions(companions).map(({ tag }) => tag)).toEqual([
      "mmproj-m-F16",
      "Small-DRAFT-0.5B-Q8_0",
      "lora-poet",
      "pirate-lora-F16",
    ]);
    // By its name, one is taken as a model is; alone in a repository, drafts are its models.
    const wanted = { repo: "o/r", largestBytes: null, companions };
    expect(chooseVariant(listVariants(files), { ...wanted, wanted: "mmproj-m-q8_0" }).tag).toBe("mmproj-m-Q8_0");
    expect(chooseVariant(listVariants(files), { ...wanted, wanted: "lora/poet.gguf" }).tag).toBe("lora-poet");
    expect(tagsOf("Small-DRAFT-0.5B-Q4_0.gguf")).toEqual(["Q4_0"]);
  });

  test("lack those of which a part is missing", () => {
    expect(tagsOf("m-Q4_0-00001-of-00003.gguf", "m-Q4_0-00003-of-00003.gguf", "m-Q4_0-00002-of-00002.gguf")).toEqual(
      [],
    );
  });

  test("have different names, also where the quantisation is the same", () => {
    expect(tagsOf("a-Q4_0.gguf", "b-Q4_0.gguf", "plain.gguf")).toEqual(["Q4_0", "b-Q4_0", "plain"]);
  });

  const variants = listVariants([
    file("m-Q2_K.gguf", 3),
    file("m-Q4_K_M.gguf", 5),
    file("m-Q8_0.gguf", 8),
    file("m-F16.gguf", 16),
  ]);
  const choose = (largestBytes: number | null, wanted: string | null = null) =>
    chooseVariant(variants, { repo: "o/r", wanted, largestBytes }).tag;

  test("the largest quantised one that fits is taken", () => {
    expect([null, 70e9, 8e9, 7.9e9, 5e9, 3e9].map((bytes) => choose(bytes))).toEqual([
      "Q8_0",
      "Q8_0",
      "Q8_0",
      "Q4_K_M",
      "Q4_K_M",
      "Q2_K",
    ]);
    expect(() => choose(2.9e9)).toThrow("fits into memory: here one may have 2.9 GB");
    const bare = listVariants([file("m-F16.gguf", 1)]);
    expect(chooseVariant(bare, { repo: "o/r", wanted: null, largestBytes: 2e9 }).tag).toBe("F16");
  });

  test("one that is named is taken, fitting or not: by quantisation, file or path", () => {
    for (const wanted of ["f16", "F16", "m-F16.gguf"]) expect(choose(1, wanted)).toBe("F16");
    expect(() => choose(null, "Q5_0")).toThrow('has no model "Q5_0"');
    expect(() => chooseVariant([], { repo: "o/r", wanted: null, largestBytes: null })).toThrow("has no GGUF file");
  });

  test.each([
    [0, "0 B"],
    [999, "999 B"],
    [1000, "1.0 kB"],
    [4_700_000_000, "4.7 GB"],
    [123_456_000_000, "123 GB"],
    [5e15, "5000 TB"],
  ])("%d bytes are %s", (bytes, text) => expect(formatBytes(bytes)).toBe(text));
});

describe("settings", () => {
  const home = mkdtempSync(join(tmpdir(), "mlo-hub-home-"));
  writeFileSync(join(home, "token"), "hf_file\n");
  const read = (env: Record<string, string>) => readHubSettings({ HOME: home, ...env });

  test("are those of Hugging Face's tools", () => {
    expect(read({})).toEqual({ endpoint: "https://huggingface.co", token: null, offline: false });
    expect(read({ HF_ENDPOINT: "http://mirror.test/hub/", HF_TOKEN: "hf_x", HF_HUB_OFFLINE: "1" })).toEqual({
      endpoint: "http://mirror.test/hub",
      token: "hf_x",
      offline: true,
    });
    expect(read({ HF_HOME: home }).token).toBe("hf_file");
    expect(read({ HF_HOME: home, HF_TOKEN: "hf_x" }).token).toBe("hf_x");
    expect(read({ HF_HOME: home, HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" }).token).toBeNull();
    expect(read({ HF_TOKEN_PATH: join(home, "token") }).token).toBe("hf_file");
    expect(read({ HF_HUB_OFFLINE: "0" }).offline).toBe(false);
  });

  test.each([
    { HF_ENDPOINT: "mirror" },
    { HF_ENDPOINT: "ftp://x" },
    { HF_ENDPOINT: "https://a:b@x" },
    { HF_TOKEN: "a\nb" },
  ])("%p is refused", (env) => expect(() => read(env as unknown as Record<string, string>)).toThrow(AppError));
});

describe("memory", () => {
  const from = (files: Record<string, string>) => readAvailableMemory((path) => files[path] ?? null);
  const meminfo = "MemTotal:       1000 kB\nMemAvailable:    500 kB\n";

  test("is what the system has, or what the container is allowed", () => {
    expect(from({})).toBeNull();
    expect(from({ "/proc/meminfo": meminfo })).toBe(512_000);
    const group = { "/sys/fs/cgroup/memory.max": "300000\n", "/sys/fs/cgroup/memory.current": "200000\n" };
    expect(from({ "/proc/meminfo": meminfo, ...group })).toBe(100_000);
    expect(
      from({ "/proc/meminfo": meminfo, ...group, "/sys/fs/cgroup/memory.stat": "anon 1\nactive_file 50000\n" }),
    ).toBe(150_000);
    expect(from({ "/proc/meminfo": meminfo, "/sys/fs/cgroup/memory.max": "max\n" })).toBe(512_000);
  });
});

describe("progress", () => {
  test("is drawn in one line on a terminal, and told now and then elsewhere", () => {
    for (const isTty of [true, false]) {
      const clock = new FakeClock();
      const written: string[] = [];
      const line = new ProgressLine({ write: (text) => written.push(text), isTty, columns: 60 }, clock);
      for (let done = 0; done <= 100; done++) {
        line.show("m.gguf", done * 1e6, 100e6);
        clock.advance(250);
      }
      line.note("Checking m.gguf");
      expect(written.length).toBe(isTty ? 103 : 5);
      for (const text of written) expect(isTty ? /^\r|\n$/.test(text) : text.endsWith("\n")).toBe(true);
      expect(written.join("")).toContain("100%");
    }
  });

  test("has the speed and what is left", () => {
    const progress = { label: "m", doneBytes: 25e6, totalBytes: 100e6, bytesPerSecond: 5e6 };
    expect(renderProgress(progress, false)).toBe("m  25% 25.0 MB of 100 MB, 5.0 MB/s, 0:15 left");
    expect(renderProgress({ ...progress, bytesPerSecond: null }, true)).toBe(
      "m [######..................]  25% 25.0 MB of 100 MB",
    );
    expect(renderProgress({ ...progress, bytesPerSecond: 5e3 }, false)).toContain("4:10:00 left");
  });
});
