// Downloads from a Hub on this machine, with everything that can go wrong on the way: at the end the file is whole and
// checked, or the error is clear, and nothing half is ever listed.

import { describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { detectFormat } from "../../src/formats/detect.ts";
import { Hub, type HubOptions, type PullEvent, type Pulled } from "../../src/hub/hub.ts";
import type { HubLimits } from "../../src/hub/limits.ts";
import { ModelRegistry } from "../../src/models/registry.ts";
import { AppError } from "../../src/protocol/errors.ts";
import { recordName } from "../../src/protocol/hub-name.ts";
import { FIXTURES } from "../formats/corpus.ts";
import { encode } from "../formats/corpus-fixture.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { type Asked, type LoopbackHub, makeLargeModel, sha256Of, startLoopbackHub } from "../support/loopback-hub.ts";
import { makeRandom } from "../support/random.ts";
import { smallModel, stringEntry } from "../support/raw-gguf.ts";

const REPO = "owner/tiny-GGUF";
const MEGABYTE = 1024 * 1024;
/** So that no test waits for long; the pieces are small so that there are several. */
const LIMITS: Partial<HubLimits> = { backoffMs: 1, backoffMsMax: 4, stallMs: 100, pieceBytes: 256 * 1024 };
const large = makeLargeModel(2 * MEGABYTE, 1);

interface Setup {
  root: string;
  hub: Hub;
  events: PullEvent[];
  pull(name?: string, signal?: AbortSignal): Promise<Pulled>;
}

function setUp({ endpoint }: Pick<LoopbackHub, "endpoint">, changes: Partial<HubOptions> = {}): Setup {
  const root = changes.root ?? mkdtempSync(join(tmpdir(), "mlo-pull-"));
  const settings = { endpoint, token: "hf_secret", offline: false };
  const hub = new Hub({
    settings,
    root,
    largestModelBytes: () => null,
    ...changes,
    limits: { ...LIMITS, ...changes.limits },
  });
  const events: PullEvent[] = [];
  const pull = (name = REPO, signal = new AbortController().signal) =>
    hub.pull(name, { signal, onEvent: (event) => events.push(event) });
  return { root, hub, events, pull };
}

/** What a server that looks now would list: id → whether it can be served. */
function listed(root: string): Record<string, boolean> {
  const options = { models: [], modelsDirs: [root], demoPath: null, clock: new FakeClock() };
  return Object.fromEntries(new ModelRegistry(options).list().map(({ id, error }) => [id, error === null]));
}

async function failure(run: Promise<unknown>): Promise<AppError> {
  try {
    await run;
  } catch (thrown) {
    if (thrown instanceof AppError) return thrown;
    throw thrown;
  }
  throw new Error("nothing was thrown");
}

/** Every file below, hidden ones too. */
const filesIn = (root: string): string[] =>
  readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)
    .sort();

const storageRanges = (asked: readonly Asked[]) =>
  asked.filter(({ kind, range }) => kind === "storage" && range !== null && range[1] > 0).map(({ range }) => range);

describe("a download", () => {
  test("comes in pieces, is checked, and is listed by its repository and quantisation", async () => {
    await using server = startLoopbackHub({ "tiny-Q8_0.gguf": large, "README.md": new Uint8Array(9) });
    const { root, pull, events } = setUp(server);
    expect(await pull()).toEqual({ name: `${REPO}:Q8_0`, folder: join(root, REPO, "Q8_0"), weightsFolder: null });
    expect(sha256Of(readFileSync(join(root, REPO, "Q8_0", "tiny-Q8_0.gguf")))).toBe(sha256Of(large));
    expect(filesIn(root)).toEqual([recordName("tiny-Q8_0.gguf"), "tiny-Q8_0.gguf"]);
    expect(listed(root)).toEqual({ [`${REPO}:Q8_0`]: true });
    expect(storageRanges(server.asked).length).toBe(Math.ceil(large.length / (256 * 1024)));
    expect(events.at(0)).toEqual({ type: "planned", name: `${REPO}:Q8_0`, totalBytes: large.length });
    expect(events.at(-1)).toMatchObject({ type: "done", wasThere: false });
    const record = JSON.parse(readFileSync(join(root, REPO, "Q8_0", recordName("tiny-Q8_0.gguf")), "utf8"));
    expect(record).toMatchObject({ repo: REPO, tag: "Q8_0", revision: "c0ffee", sha256: sha256Of(large) });
  });

  test("gives the token to the Hub, and not to where it redirects", async () => {
    await using server = startLoopbackHub();
    await setUp(server).pull();
    for (const { kind, authorization } of server.asked) {
      expect([kind, authorization]).toEqual([kind, kind === "storage" ? null : "Bearer hf_secret"]);
    }
  });

  test("of what is there asks for the listing alone, and of what has changed replaces it", async () => {
    await using server = startLoopbackHub();
    const { root, pull, events } = setUp(server);
    await pull();
    const before = server.asked.length;
    await pull();
    expect(server.asked.slice(before).map(({ kind }) => kind)).toEqual(["tree"]);
    expect(events.at(-1)).toMatchObject({ type: "done", wasThere: true });
    server.files.set("tiny-Q8_0.gguf", large);
    await pull();
    expect(readFileSync(join(root, REPO, "Q8_0", "tiny-Q8_0.gguf")).length).toBe(large.length);
    expect(filesIn(root)).toHaveLength(2);
  });

  test("of a split model appears with all its parts at once", async () => {
    const names = ["m-Q4_0-00001-of-00002.gguf", "m-Q4_0-00002-of-00002.gguf"];
    const parts = Object.fromEntries(names.map((name, at) => [`Q4_0/${name}`, makeLargeModel(300_000, at)]));
    await using server = startLoopbackHub(parts);
    const { root, pull } = setUp(server);
    const between: object[] = [];
    server.fault = ({ kind, path }) => {
      if (kind === "storage" && path.includes("00002-of")) between.push(listed(root));
      return null;
    };
    await pull();
    expect(between.length).toBeGreaterThan(1);
    for (const seen of between) expect(seen).toEqual({});
    expect(filesIn(join(root, REPO, "Q4_0"))).toEqual([...names.map(recordName), ...names].sort());
    expect(Object.keys(listed(root))).toEqual([`${REPO}:Q4_0`]);
  });

  test("of an address elsewhere", async () => {
    await using server = startLoopbackHub({ "x/plain.gguf": large });
    await using hub = startLoopbackHub();
    const { root, pull, events } = setUp(hub);
    const address = `${server.endpoint}/owner/tiny-GGUF/resolve/main/x/plain.gguf`;
    expect((await pull(address)).name).toBe("plain");
    expect(listed(root)).toEqual({ plain: true });
    expect(events).toContainEqual({ type: "verifying", file: "plain.gguf", sha256: null });
    expect(server.asked.every(({ authorization }) => authorization === null)).toBe(true);
    await pull(address);
    expect(events.at(-1)).toMatchObject({ type: "done", wasThere: true });
    expect((await failure(pull(address.replace("x/plain", "y/plain")))).message).toContain("has another plain already");
  });
});

describe("what goes with a model", () => {
  const projector = smallModel([stringEntry("general.type", "mmproj")], "clip");

  test("comes along when it is asked for, and is listed with it", async () => {
    await using server = startLoopbackHub({
      "tiny-Q8_0.gguf": large,
      "mmproj-F16.gguf": projector,
      "mmproj-F32.gguf": makeLargeModel(5000, 3),
      "imatrix.gguf": makeLargeModel(5000, 4),
    });
    const { root, hub, pull, events } = setUp(server);
    await pull();
    expect(filesIn(root)).toEqual([recordName("tiny-Q8_0.gguf"), "tiny-Q8_0.gguf"]);
    const signal = new AbortController().signal;
    const pulled = await hub.pull(REPO, { signal, takesCompanions: true, onEvent: (event) => events.push(event) });
    expect(pulled).toEqual({ name: `${REPO}:Q8_0`, folder: join(root, REPO, "Q8_0"), weightsFolder: null });
    expect(filesIn(join(root, REPO, "mmproj-F16"))).toEqual([recordName("mmproj-F16.gguf"), "mmproj-F16.gguf"]);
    const options = { models: [], modelsDirs: [root], demoPath: null, clock: new FakeClock() };
    const [entry, ...others] = new ModelRegistry(options).list();
    expect(others).toEqual([]);
    expect(entry?.companions).toMatchObject([{ kind: "projector", name: "mmproj-F16" }]);
  });

  test("comes alone by its name", async () => {
    await using server = startLoopbackHub({ "tiny-Q8_0.gguf": large, "mmproj-F16.gguf": projector });
    const { root, pull } = setUp(server);
    expect((await pull(`${REPO}:mmproj-F16`)).name).toBe(`${REPO}:mmproj-F16`);
    expect(filesIn(root)).toEqual([recordName("mmproj-F16.gguf"), "mmproj-F16.gguf"]);
  });
});

describe("weights that must be converted", () => {
  const files = (name: string): Record<string, Uint8Array> => {
    const found = FIXTURES.find((fixture) => fixture.name === name)?.files ?? {};
    return Object.fromEntries(Object.entries(found).map(([path, bytes]) => [path.replace("/m/", ""), bytes]));
  };
  const model = files("a sharded SafeTensors model");
  const extra = { "1_Pooling/config.json": encode("{}"), "onnx/model.onnx": encode("x"), "empty.json": encode("") };
  const takesWeights = { takesWeights: true, signal: new AbortController().signal, onEvent: () => {} };

  test("come with all that belongs to them, in a folder that is called as the model is", async () => {
    await using server = startLoopbackHub({ ...model, ...extra });
    const { root, hub, pull } = setUp(server);
    expect((await failure(pull())).code).toBe("model_not_found");
    const { name, folder, weightsFolder } = await hub.pull(REPO, takesWeights);
    expect([name, folder]).toEqual([`${REPO}:safetensors`, join(root, REPO, "safetensors", "tiny-GGUF")]);
    expect(weightsFolder).toBe(folder);
    const expected = [...Object.keys(model), "1_Pooling/config.json"].sort();
    const found = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.name.startsWith("."))
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
    expect(found.sort()).toEqual(expected);
    for (const [path, bytes] of Object.entries(model))
      expect(readFileSync(join(folder, path))).toEqual(Buffer.from(bytes));
    expect(detectFormat(folder).verdict).toBe("convertible");
    const before = server.asked.length;
    await hub.pull(`${REPO}:safetensors`, takesWeights);
    expect(server.asked.slice(before).map(({ kind }) => kind)).toEqual(["tree"]);
  });

  test("of which nothing could be made are told before a byte of them, unless they are named", async () => {
    const other = encode(JSON.stringify({ architectures: ["SomethingForCausalLM"], model_type: "something" }));
    await using server = startLoopbackHub({ ...model, "config.json": other });
    const { root, hub } = setUp(server);
    const error = await failure(hub.pull(REPO, takesWeights));
    expect([error.code, error.message]).toEqual([
      "format_unsupported",
      expect.stringContaining("SomethingForCausalLM"),
    ]);
    expect(filesIn(root)).toEqual([]);
    expect((await hub.pull(`${REPO}:safetensors`, takesWeights)).name).toBe(`${REPO}:safetensors`);
  });

  test("are left where there is a GGUF file", async () => {
    await using server = startLoopbackHub({ ...model, "tiny-Q8_0.gguf": large });
    expect((await setUp(server).hub.pull(REPO, takesWeights)).name).toBe(`${REPO}:Q8_0`);
  });
});

describe("a download that is stopped", () => {
  test("at any moment goes on from there, and nothing half is listed", async () => {
    await using server = startLoopbackHub({ "tiny-Q8_0.gguf": large });
    server.slownessMs = 1;
    const { root, pull } = setUp(server);
    let stops = 0;
    for (let afterMs = 3; ; afterMs += 4) {
      const stop = new AbortController();
      const timer = setTimeout(() => stop.abort(), afterMs);
      const ended = await pull(REPO, stop.signal).then(
        () => null,
        (thrown: AppError) => thrown,
      );
      clearTimeout(timer);
      if (ended === null) break;
      expect([ended.code, listed(root)]).toEqual(["cancelled", {}]);
      stops += 1;
    }
    expect(stops).toBeGreaterThan(1);
    expect(listed(root)).toEqual({ [`${REPO}:Q8_0`]: true });
    // Each stop loses what was on its way in four connections, and no more.
    expect(server.servedBytes).toBeLessThan(large.length + stops * 4 * 256 * 1024);
  });

  test("by a kill of the process", async () => {
    await using server = startLoopbackHub({ "tiny-Q8_0.gguf": makeLargeModel(8 * MEGABYTE, 3) });
    const home = mkdtempSync(join(tmpdir(), "mlo-pull-home-"));
    const root = join(home, "data", "ml-offload", "models");
    const env = {
      PATH: process.env.PATH ?? "",
      HOME: home,
      XDG_DATA_HOME: join(home, "data"),
      HF_ENDPOINT: server.endpoint,
    };
    server.slownessMs = 40;
    const start = () =>
      Bun.spawn([process.execPath, join(import.meta.dir, "../../src/main.ts"), "pull", REPO], {
        env,
        stdio: ["ignore", "pipe", "pipe"],
      });
    for (const servedBytes of [0, 1_000_000, 4_500_000, 7_000_000]) {
      const child = start();
      while (server.servedBytes < servedBytes || server.asked.length === 0) await Bun.sleep(1);
      child.kill("SIGKILL");
      await child.exited;
      expect(existsSync(root) ? listed(root) : {}).toEqual({});
    }
    server.slownessMs = 0;
    const before = server.servedBytes;
    const last = start();
    expect([await last.exited, await new Response(last.stdout).text()]).toEqual([0, `${REPO}:Q8_0\n`]);
    expect(server.servedBytes - before).toBeLessThan(8 * MEGABYTE);
    expect(listed(root)).toEqual({ [`${REPO}:Q8_0`]: true });
  }, 60_000);

  test("is not begun twice at a time, and a lock of a process that is gone is taken over", async () => {
    await using server = startLoopbackHub({ "tiny-Q8_0.gguf": large });
    const { root, pull } = setUp(server);
    const lock = join(root, REPO, ".Q8_0.pull.lock");
    server.fault = ({ kind, index }) => (kind === "storage" && index === 1 ? { stallAfterBytes: 10 } : null);
    const first = pull();
    while (!existsSync(lock)) await Bun.sleep(1);
    expect(await failure(pull())).toMatchObject({ code: "overloaded" });
    await first;
    expect(existsSync(lock)).toBe(false);
    server.files.set("tiny-Q8_0.gguf", smallModel());
    writeFileSync(lock, "1");
    expect((await failure(pull())).message).toContain("by the process 1");
    for (const gone of ["999999999", String(process.pid), "junk"]) {
      writeFileSync(lock, gone);
      await pull();
      server.files.set("tiny-Q8_0.gguf", makeLargeModel(1000, gone.length));
    }
  });
});

describe("a server that fails", () => {
  test.each([429, 500, 502, 503, 504])("with %d now and then does no harm", async (status) => {
    await using server = startLoopbackHub({ "tiny-Q8_0.gguf": large });
    server.fault = ({ index }) => (index % 2 === 0 ? new Response("", { status }) : null);
    const { root, pull } = setUp(server, { limits: { connections: 1 } });
    await pull();
    expect(listed(root)).toEqual({ [`${REPO}:Q8_0`]: true });
  });

  test.each([
    [429, "rate_limited"],
    [503, "download_failed"],
  ])("with %d every time is left after a few tries", async (status, code) => {
    await using server = startLoopbackHub();
    server.fault = () => new Response("", { status });
    expect((await failure(setUp(server).pull())).code).toBe(code as AppError["code"]);
    expect(server.asked).toHaveLength(6);
  });

  test("and asks to wait is waited for, and one that asks for too long is told", async () => {
    await using server = startLoopbackHub();
    server.fault = ({ kind, index }) =>
      kind === "tree" && index === 0 ? new Response("", { status: 429, headers: { "Retry-After": "0.25" } }) : null;
    const { pull, events } = setUp(server);
    await pull();
    expect(events[0]).toMatchObject({ type: "waiting", waitMs: 250 });
    server.fault = () => new Response("", { status: 429, headers: { "Retry-After": "3600" } });
    const error = await failure(pull());
    expect([error.code, error.hint]).toEqual(["rate_limited", "Try again in 60 minutes."]);
  });

  test("breaks bodies off and stalls, again and again", async () => {
    await using server = startLoopbackHub({ "tiny-Q8_0.gguf": large });
    server.fault = ({ kind, index }) => {
      if (kind !== "storage" || index === 0) return null;
      if (index % 3 === 0) return { breakAfterBytes: 100_000 };
      return index % 7 === 0 ? { stallAfterBytes: 70_000 } : null;
    };
    const { root, pull } = setUp(server);
    await pull();
    expect(listed(root)).toEqual({ [`${REPO}:Q8_0`]: true });
  });

  test("sends nothing of a piece, ever: the error says so, and what has arrived is kept", async () => {
    await using server = startLoopbackHub({ "tiny-Q8_0.gguf": large });
    const broken = ({ kind, range }: Asked) =>
      kind === "storage" && range !== null && range[0] >= MEGABYTE ? { breakAfterBytes: 10 } : null;
    server.fault = broken;
    const { root, pull } = setUp(server);
    const error = await failure(pull());
    expect([error.code, error.message]).toEqual(["download_failed", expect.stringContaining("broke off")]);
    expect(listed(root)).toEqual({});
    const served = server.servedBytes;
    server.fault = () => null;
    await pull();
    expect(server.servedBytes - served).toBeLessThan(large.length);
  });

  test("trickles: its connection is given up for a new one, and in the end it is told", async () => {
    await using server = startLoopbackHub({ "tiny-Q8_0.gguf": large });
    server.fault = ({ kind, index }) => (kind === "storage" && index % 3 === 1 ? { trickleBytes: 5 } : null);
    // Silence is not what is looked at here, however busy the machine is.
    const limits = { slowMs: 20, slowBytesMin: 100_000, stallMs: 30_000 };
    const { root, pull } = setUp(server, { limits });
    await pull();
    expect(listed(root)).toEqual({ [`${REPO}:Q8_0`]: true });
    server.fault = ({ kind, range }) => (kind === "storage" && range?.[1] !== 0 ? { trickleBytes: 5 } : null);
    server.files.set("tiny-Q8_0.gguf", makeLargeModel(2 * MEGABYTE, 8));
    const error = await failure(setUp(server, { limits: { ...limits, attemptsMax: 2 } }).pull());
    expect([error.code, error.message]).toEqual(["download_failed", expect.stringContaining("too slowly")]);
  });

  test("gives no ranges: it comes whole", async () => {
    await using server = startLoopbackHub({ "tiny-Q8_0.gguf": large });
    server.fault = ({ kind, index }) => {
      if (kind !== "storage") return null;
      return index === 1 ? { breakAfterBytes: 90_000 } : "no-ranges";
    };
    const { root, pull } = setUp(server);
    await pull();
    expect(listed(root)).toEqual({ [`${REPO}:Q8_0`]: true });
  });

  test("can't be reached", async () => {
    const error = await failure(setUp({ endpoint: "http://127.0.0.1:1" }).pull());
    expect([error.code, error.message]).toEqual(["download_failed", expect.stringContaining("can't be reached")]);
  });

  test("leads in circles, or to other protocols", async () => {
    await using server = startLoopbackHub();
    for (const location of ["/again", "ftp://127.0.0.1/x", "file:///etc/passwd"]) {
      const before = server.asked.length;
      server.fault = ({ kind }) =>
        kind === "tree" ? null : new Response(null, { status: 302, headers: { Location: location } });
      expect((await failure(setUp(server).pull())).code).toBe("not_supported");
      expect(server.asked.length - before).toBeLessThan(12);
    }
  });
});

describe("everything at once", () => {
  /** What a bad day has, drawn from a seed. */
  function stormy(seed: number, server: LoopbackHub): LoopbackHub["fault"] {
    const random = makeRandom(seed);
    const again = makeLargeModel(MEGABYTE, seed + 1000);
    return ({ kind, path }) => {
      const draw = random(kind === "storage" ? 14 : 30);
      if (draw === 0) return new Response("", { status: 429, headers: { "Retry-After": "0" } });
      if (draw === 1) return new Response("", { status: [500, 502, 503, 504, 408][random(5)] as number });
      if (draw === 2) return new Response(null, { status: 307, headers: { Location: "/nowhere" } });
      if (draw === 3) return new Response("<html>Sign in</html>", { status: 200, headers: { ETag: '"page"' } });
      if (draw === 4 && kind === "storage") return { breakAfterBytes: random(300_000) };
      if (draw === 5 && kind === "storage") return { stallAfterBytes: random(300_000) };
      if (draw === 6 && kind === "storage") return { trickleBytes: 1 + random(50) };
      if (draw === 7 && random(6) === 0) server.files.set(path.endsWith(".gguf") ? path : "tiny-Q8_0.gguf", again);
      return null;
    };
  }

  test("ends with the file that the Hub has, or with a clear error, and with nothing half", async () => {
    const outcomes = new Map<string, number>();
    for (let seed = 1; seed <= 24; seed++) {
      await using server = startLoopbackHub({ "tiny-Q8_0.gguf": makeLargeModel(MEGABYTE, seed) });
      server.fault = stormy(seed, server);
      const limits = { stallMs: 60, slowMs: 20, slowBytesMin: 50_000, pieceBytes: 128 * 1024 };
      const { root, pull } = setUp(server, { limits });
      for (let attempt = 1; attempt <= 3; attempt++) {
        const error = await pull().then(
          () => null,
          (thrown: unknown) => thrown,
        );
        const outcome = error instanceof AppError ? error.code : error === null ? "whole" : String(error);
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        expect([
          seed,
          ["whole", "download_failed", "model_not_found", "not_supported"].includes(outcome) || outcome,
        ]).toEqual([seed, true]);
        if (outcome !== "whole") {
          expect([seed, listed(root)]).toEqual([seed, {}]);
          continue;
        }
        const path = join(root, REPO, "Q8_0", "tiny-Q8_0.gguf");
        const known = [makeLargeModel(MEGABYTE, seed), makeLargeModel(MEGABYTE, seed + 1000)].map(sha256Of);
        expect([seed, known.includes(sha256Of(readFileSync(path)))]).toEqual([seed, true]);
        expect([seed, filesIn(root).length]).toEqual([seed, 2]);
        break;
      }
    }
    // A storm that nothing comes through, or that does nothing, would show nothing.
    expect(outcomes.get("whole")).toBeGreaterThan(5);
    expect(outcomes.size).toBeGreaterThan(1);
  }, 60_000);
});

describe("content that is not what it should be", () => {
  test("a wrong checksum: the file is removed, and the error names both", async () => {
    await using server = startLoopbackHub({ "tiny-Q8_0.gguf": large });
    server.lies.set("tiny-Q8_0.gguf", "ab".repeat(32));
    // The Hub's own ETag would tell at once: here it is of the storage's kind.
    const { root, pull } = setUp(server, {
      fetch: async (url, init) => {
        const response = await fetch(url, init);
        if (!response.headers.has("X-Linked-ETag")) return response;
        const headers = new Headers(response.headers);
        headers.delete("X-Linked-ETag");
        return new Response(null, { status: response.status, headers });
      },
    });
    const error = await failure(pull());
    expect(error).toMatchObject({ code: "download_failed" });
    expect(error.message).toContain(sha256Of(large));
    expect(error.message).toContain("ab".repeat(32));
    expect(filesIn(root)).toEqual([]);
    server.lies.clear();
    await pull();
    expect(listed(root)).toEqual({ [`${REPO}:Q8_0`]: true });
  });

  test("another ETag between two pieces: it begins anew, with the new content", async () => {
    const changed = makeLargeModel(2 * MEGABYTE, 2);
    await using server = startLoopbackHub({ "tiny-Q8_0.gguf": large });
    server.fault = ({ kind, index }) => {
      if (kind === "storage" && index === 4) server.files.set("tiny-Q8_0.gguf", changed);
      return null;
    };
    const { root, pull, events } = setUp(server, { limits: { connections: 1 } });
    await pull();
    expect(events).toContainEqual(expect.objectContaining({ type: "restarting" }));
    expect(sha256Of(readFileSync(join(root, REPO, "Q8_0", "tiny-Q8_0.gguf")))).toBe(sha256Of(changed));
  });

  test("a shorter one too", async () => {
    await using server = startLoopbackHub({ "tiny-Q8_0.gguf": large });
    server.fault = ({ kind, index }) => {
      if (kind === "storage" && index === 6) server.files.set("tiny-Q8_0.gguf", smallModel());
      return null;
    };
    const { root, pull } = setUp(server, { limits: { connections: 1 } });
    await pull();
    expect(readFileSync(join(root, REPO, "Q8_0", "tiny-Q8_0.gguf")).length).toBe(smallModel().length);
  });

  test("one that changes all the time is told", async () => {
    await using server = startLoopbackHub();
    server.fault = ({ kind, index }) => {
      if (kind !== "tree") server.files.set("tiny-Q8_0.gguf", makeLargeModel(500_000 + index * 400, index + 10));
      return null;
    };
    const { root, pull } = setUp(server);
    expect((await failure(pull())).message).toContain("again and again");
    expect(listed(root)).toEqual({});
  });

  test("between two tries: the bytes of the old one are not used", async () => {
    await using server = startLoopbackHub({ "tiny-Q8_0.gguf": large });
    server.fault = ({ kind, range }) =>
      kind === "storage" && (range?.[0] ?? 0) > 0 ? new Response("", { status: 500 }) : null;
    const { root, pull } = setUp(server);
    await failure(pull());
    server.fault = () => null;
    server.files.set("tiny-Q8_0.gguf", makeLargeModel(2 * MEGABYTE, 9));
    await pull();
    expect(listed(root)).toEqual({ [`${REPO}:Q8_0`]: true });
  });
});

describe("a disk that is full", () => {
  test("is seen before the first byte", async () => {
    await using server = startLoopbackHub({ "tiny-Q8_0.gguf": large });
    const { root, pull } = setUp(server, { freeDiskBytes: async () => 257 * MEGABYTE });
    const error = await failure(pull());
    expect([error.code, error.message]).toEqual(["storage_unavailable", expect.stringContaining("2.1 MB are missing")]);
    expect(storageRanges(server.asked)).toEqual([]);
    expect(listed(root)).toEqual({});
  });

  test("while it is written: what has arrived is kept, and goes on when there is room", async () => {
    await using server = startLoopbackHub({ "tiny-Q8_0.gguf": large });
    const root = mkdtempSync(join(tmpdir(), "mlo-pull-"));
    let roomBytes = MEGABYTE;
    const openFile: typeof open = async (...args) => {
      const handle = await open(...args);
      const write = handle.write.bind(handle) as (...given: unknown[]) => Promise<{ bytesWritten: number }>;
      return Object.assign(handle, {
        async write(...given: unknown[]) {
          roomBytes -= Number(given[2]);
          if (roomBytes < 0) throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
          return await write(...given);
        },
      });
    };
    const error = await failure(setUp(server, { root, openFile }).pull());
    expect([error.code, error.message]).toEqual(["storage_unavailable", expect.stringContaining("the disk is full")]);
    expect(listed(root)).toEqual({});
    const served = server.servedBytes;
    await setUp(server, { root }).pull();
    expect(server.servedBytes - served).toBeLessThan(large.length - MEGABYTE / 2);
    expect(listed(root)).toEqual({ [`${REPO}:Q8_0`]: true });
  });
});
