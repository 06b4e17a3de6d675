// What a run over the OpenAPI document consists of: a slice per route, and the sequences of several routes. Remembers
// which slices found nothing, so that a run that was cut short goes on where it was. Starts nothing.

import { existsSync, readFileSync, writeFileSync } from "node:fs";

/** Routes whose answers have as many tokens as `max_tokens` allows: each example is a whole generation. */
const GENERATING = /^POST \/(v1\/(chat\/completions|completions|messages|responses)|infill|api\/(chat|generate))$/;

/** Its answer has no end, or is no answer of HTTP but a WebSocket. */
const LEFT_OUT: readonly string[] = ["GET /api/events", "GET /api/ws"];

export interface Slice {
  /** `POST /v1/chat/completions`, or what the sequences are of. */
  name: string;
  phases: string;
  examples: number;
  /** Arguments that choose its routes. */
  filter: string[];
}

export interface Counts {
  cheap: number;
  generating: number;
}

interface Document {
  paths: Record<string, Record<string, object>>;
}

/** Every operation of the document, each alone; then sequences of the cheap ones, and of all of them. */
export function listSlices(document: Document, counts: Counts): Slice[] {
  const names = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const alone = names
    .filter((name) => !LEFT_OUT.includes(name))
    .map((name): Slice => {
      const examples = GENERATING.test(name) ? counts.generating : counts.cheap;
      return { name, phases: "examples,coverage,fuzzing", examples, filter: ["--include-name", name] };
    });
  const generating = names.filter((name) => GENERATING.test(name));
  const without = (left: readonly string[]): string[] => left.flatMap((name) => ["--exclude-name", name]);
  const sequences = [
    {
      name: "sequences of cheap routes",
      phases: "stateful",
      examples: counts.cheap,
      filter: without([...generating, ...LEFT_OUT]),
    },
    { name: "sequences of all routes", phases: "stateful", examples: counts.generating, filter: without(LEFT_OUT) },
  ];
  return [...alone, ...sequences].filter(({ examples }) => examples > 0);
}

/** The slices that found nothing, by what they asked and whom. */
export class Passed {
  readonly #file: string;
  readonly #scope: string;
  readonly #keys: Set<string>;

  /** `scope`: everything that a slice's outcome hangs on beside the slice itself. */
  constructor(file: string, scope: string) {
    this.#file = file;
    this.#scope = scope;
    this.#keys = new Set(existsSync(file) ? readFileSync(file, "utf8").split("\n") : []);
  }

  has(slice: Slice): boolean {
    return this.#keys.has(this.#name(slice));
  }

  add(slice: Slice): void {
    this.#keys.add(this.#name(slice));
    writeFileSync(this.#file, [...this.#keys].join("\n"));
  }

  #name({ name, examples }: Slice): string {
    return `${this.#scope} ${examples} ${name}`;
  }
}
