// An unload of one place: takes back the loads that came before it, lets the requests that came before it be answered, and
// then has its engine end. Who comes later is none of its affair, and gets the next engine.

import { onStopped } from "../engines/slot.ts";
import type { FreedMemory } from "./freed.ts";
import type { Place } from "./place.ts";
import { explainGivenUp } from "./refusals.ts";
import type { WaitingLine } from "./waiting-line.ts";

export interface PlaceUnloading {
  /** Who asked for nothing but a load, and was told that it is given up. */
  loadsGivenUp: number;
  /** Requests that are answered first. */
  requestsAhead: number;
  /** Of each engine that ended for it. */
  freed: Promise<FreedMemory[]>;
}

export interface UnloadOptions {
  nowMs: number;
  line: WaitingLine;
  /** Its engine takes no new requests; resolves when its process has begun to end, or is gone. */
  close(place: Place): Promise<void>;
}

export function unloadPlace(key: string, place: Place, { nowMs, line, close }: UnloadOptions): PlaceUnloading {
  place.unloadedMs = nowMs;
  const why = explainGivenUp(place.id);
  const loadsGivenUp = line.giveUpLoads(key, why);
  const waiting = line.count(key);
  const answered = line.untilAnswered(key);
  const given = giveUpStart();
  if (place.slot.kind === "asleep") place.slot = onStopped(place.slot);
  const requestsAhead = waiting + (place.engine?.client.openCount ?? 0);
  return { loadsGivenUp, requestsAhead, freed: end() };

  async function end(): Promise<FreedMemory[]> {
    const freed = [await endEngine(given)];
    if (waiting > 0) {
      // Theirs is closed when they have it: who comes later must not keep it. They may have left, too.
      await answered;
      freed.push(await endEngine(giveUpStart()));
    }
    return freed.filter((part) => part !== null);
  }

  /** Null: there is none, or somebody's request waits for it. */
  function giveUpStart(): Promise<unknown> | null {
    if (line.has(key) || place.starting === null) return null;
    place.giveUp?.(why);
    return place.starting;
  }

  /** `start`: one that was given up, and may have been done by then. */
  async function endEngine(start: Promise<unknown> | null): Promise<FreedMemory | null> {
    if (start !== null) await Promise.allSettled([start]);
    if (place.engine !== null) await close(place);
    else if (place.leaving === null) return null;
    await place.leaving;
    return place.tenure.freed;
  }
}
