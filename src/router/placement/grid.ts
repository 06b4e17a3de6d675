// All choices of a question, best first, and what each takes at least however devices share its layers: by that most of them
// are passed over without a look at their layouts. Depends on no memory, so it is kept for as long as the model is. Pure.

import type { MemoryParts } from "../../protocol/memory-need.ts";
import { type Choice, listComforts, listPlacements, type Placement } from "./choices.ts";
import type { PlanQuestion, PlanSubject } from "./plan.ts";
import { type Room, sumParts } from "./room.ts";

/** Where a choice stands: which of the comforts, and which of the placements. */
export interface Cell {
  comfort: number;
  placement: number;
}

/** The same for every way to share layers among devices (`PlanSubject.needOf`). */
export interface Bound {
  hostBytes: number;
  /** Weights and cells: fewer layers or experts on devices never make the host's less, nor the devices' more. */
  hostFixedBytes: number;
  devicesFixedBytes: number;
}

export class ChoiceGrid {
  readonly #subject: PlanSubject;
  readonly #comforts: readonly Choice[];
  readonly #decent: number;
  readonly #placements: readonly Placement[];
  readonly #shares: number[];
  readonly #placesFirst: boolean;
  readonly #bounds: Bound[] = [];

  constructor(question: PlanQuestion) {
    const { subject, machine, asked, policy } = question;
    const { decent, last } = listComforts(question);
    this.#subject = subject;
    this.#comforts = [...decent, ...last];
    this.#decent = decent.length;
    this.#placements = listPlacements(question);
    this.#shares = asked.deviceShares ?? machine.devices.map((_, at) => (at === 0 ? 1 : 0));
    this.#placesFirst = policy.goal === "latency";
  }

  get size(): number {
    return this.#comforts.length * this.#placements.length;
  }

  get comforts(): number {
    return this.#comforts.length;
  }

  get placements(): number {
    return this.#placements.length;
  }

  choiceAt({ comfort, placement }: Cell): Choice {
    // Both are there: cells come from here.
    return { ...(this.#comforts[comfort] as Choice), ...(this.#placements[placement] as Placement) };
  }

  boundAt(cell: Cell): Bound {
    const at = cell.comfort * this.#placements.length + cell.placement;
    const known = this.#bounds[at];
    if (known !== undefined) return known;
    const { host, devices } = this.#subject.needOf({ ...this.choiceAt(cell), deviceShares: this.#shares });
    const devicesFixedBytes = devices.reduce((sum, parts) => sum + fixedBytes(parts), 0);
    const bound = { hostBytes: sumParts(host), hostFixedBytes: fixedBytes(host), devicesFixedBytes };
    this.#bounds[at] = bound;
    return bound;
  }

  /** Best first. */
  *cells(): Generator<Cell> {
    const [decent, all, places] = [this.#decent, this.#comforts.length, this.#placements.length];
    if (places === 0) return;
    for (let comfort = 0; comfort < decent; comfort++) yield { comfort, placement: 0 };
    // Who wants single answers fast has rather a small context on a device than a large one beside it.
    if (this.#placesFirst) {
      for (let placement = 1; placement < places; placement++)
        for (let comfort = 0; comfort < decent; comfort++) yield { comfort, placement };
    } else {
      for (let comfort = 0; comfort < decent; comfort++)
        for (let placement = 1; placement < places; placement++) yield { comfort, placement };
    }
    for (let comfort = decent; comfort < all; comfort++)
      for (let placement = 0; placement < places; placement++) yield { comfort, placement };
  }
}

function fixedBytes({ weightsBytes, mappedBytes, kvBytes }: MemoryParts): number {
  return weightsBytes + mappedBytes + kvBytes;
}

const grids = new WeakMap<PlanSubject, Map<string, ChoiceGrid>>();
/** Options of one question ask for some hundred; nobody needs more of one model. */
const GRIDS_MAX = 256;

export function gridOf(question: PlanQuestion): ChoiceGrid {
  const { subject, machine, asked, policy } = question;
  const known = grids.get(subject) ?? new Map<string, ChoiceGrid>();
  grids.set(subject, known);
  const key = JSON.stringify([Object.entries(asked), policy, machine.devices.length, machine.cores]);
  const found = known.get(key);
  if (found !== undefined) return found;
  if (known.size >= GRIDS_MAX) known.clear();
  const grid = new ChoiceGrid(question);
  known.set(key, grid);
  return grid;
}

/** Which cells may fit: of each comfort the placements between too much for the devices and too much for the host. */
export class CellWindows {
  readonly #grid: ChoiceGrid;
  readonly #hostBytes: number;
  readonly #deviceBytes: number;
  readonly #unified: boolean;
  readonly #windows: { first: number; last: number }[] = [];

  constructor(grid: ChoiceGrid, { pools, unified }: Room) {
    const [host, ...devices] = pools;
    this.#grid = grid;
    this.#unified = unified;
    this.#hostBytes = host?.leftBytes ?? 0;
    this.#deviceBytes = devices.reduce((sum, { leftBytes }) => sum + Math.max(0, leftBytes), 0);
  }

  mayFit(cell: Cell): boolean {
    const { first, last } = this.#windowOf(cell.comfort);
    if (cell.placement < first || cell.placement > last) return false;
    return this.#hostBytesOf(this.#grid.boundAt(cell)) <= this.#hostBytes;
  }

  /** What it lacks at least. */
  missingBytes(cell: Cell): number {
    const bound = this.#grid.boundAt(cell);
    const host = Math.max(0, this.#hostBytesOf(bound) - this.#hostBytes);
    return host + Math.max(0, bound.devicesFixedBytes - this.#deviceBytes);
  }

  #windowOf(comfort: number): { first: number; last: number } {
    const known = this.#windows[comfort];
    if (known !== undefined) return known;
    const most = this.#grid.placements - 1;
    const at = (placement: number): Bound => this.#grid.boundAt({ comfort, placement });
    const first = findFirst(0, most + 1, (place) => at(place).devicesFixedBytes <= this.#deviceBytes);
    // Of one memory for all there is no such end: an output that is the input too takes less where all is on the host.
    const after = this.#unified
      ? most + 1
      : findFirst(first, most + 1, (place) => at(place).hostFixedBytes > this.#hostBytes);
    const window = { first, last: after - 1 };
    this.#windows[comfort] = window;
    return window;
  }

  /** Buffers on devices depend on how they share the layers. */
  #hostBytesOf({ hostBytes, devicesFixedBytes }: Bound): number {
    return this.#unified ? hostBytes + devicesFixedBytes : hostBytes;
  }
}

/** The first of `from`…`to` − 1 that passes, as every later one does; `to`: none does. */
function findFirst(from: number, to: number, passes: (at: number) => boolean): number {
  let [low, high] = [from, to];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (passes(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
