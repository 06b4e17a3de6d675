// The life of one model's engine as a state machine. Pure: events in, the next state out.
//
//   state      a request …        and then
//   idle       starts an engine   → starting
//   starting   joins the start    → ready, or idle (load refused), or cooling (died)
//   ready      is granted         → idle or cooling (died), or asleep
//   asleep     starts an engine   → starting
//   cooling    is refused until the time has come, then starts an engine
//
// One death costs nothing: the next request starts a new engine. Repeated deaths wait longer each time.

export type Slot =
  | { kind: "idle"; deaths: Deaths }
  | { kind: "starting"; deaths: Deaths }
  | { kind: "ready"; deaths: Deaths; sinceMs: number }
  | { kind: "asleep"; deaths: Deaths }
  | { kind: "cooling"; deaths: Deaths; untilMs: number };

/** Deaths in a row, without a calm time between them. */
export type Deaths = number;

export type Decision = { kind: "start" } | { kind: "join" } | { kind: "grant" } | { kind: "refuse"; waitMs: number };

export const NEW_SLOT: Slot = { kind: "idle", deaths: 0 };

/** An engine that lived this long before it died counts as the first to die. */
const CALM_MS = 60_000;
const COOLING_MS_FIRST = 1_000;
const COOLING_MS_MAX = 60_000;

export function decide(slot: Slot, nowMs: number): Decision {
  switch (slot.kind) {
    case "idle":
    case "asleep":
      return { kind: "start" };
    case "starting":
      return { kind: "join" };
    case "ready":
      return { kind: "grant" };
    case "cooling":
      return nowMs >= slot.untilMs ? { kind: "start" } : { kind: "refuse", waitMs: slot.untilMs - nowMs };
  }
}

export function onStart(slot: Slot): Slot {
  return { kind: "starting", deaths: slot.deaths };
}

export function onReady(slot: Slot, nowMs: number): Slot {
  return { kind: "ready", deaths: slot.deaths, sinceMs: nowMs };
}

/** The engine ended on purpose, or refused the model: nothing died. */
export function onStopped(slot: Slot): Slot {
  return { kind: "idle", deaths: slot.deaths };
}

/** Nobody asked for long, so the engine is stopped. */
export function onSlept(slot: Slot): Slot {
  return { kind: "asleep", deaths: slot.deaths };
}

export function onDeath(slot: Slot, nowMs: number): Slot {
  const wasCalm = slot.kind === "ready" && nowMs - slot.sinceMs >= CALM_MS;
  const deaths = wasCalm ? 1 : slot.deaths + 1;
  if (deaths === 1) return { kind: "idle", deaths };
  const coolingMs = Math.min(COOLING_MS_FIRST * 2 ** (deaths - 2), COOLING_MS_MAX);
  return { kind: "cooling", deaths, untilMs: nowMs + coolingMs };
}
