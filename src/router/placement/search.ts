// The first choice that fits, and of those that don't the one that lacks least. Pure.

import { type Choice, standardChoice } from "./choices.ts";
import { type Cell, CellWindows, gridOf } from "./grid.ts";
import { findLayout, type Layout, listLayouts } from "./layout.ts";
import type { AskedSettings, Lowered, Placed, PlanQuestion, PlanSettings, Shortfall } from "./plan.ts";
import { findShortfalls, leaveRoom, missingBytes, sumNeed } from "./room.ts";
import { predictSpeed } from "./speed.ts";

/** Null: nothing that may be chosen fits. */
export function placeModel(question: PlanQuestion): Placed | null {
  if (findConflict(question) !== null) return null;
  const room = leaveRoom(question.machine, question.residents);
  const grid = gridOf(question);
  const windows = new CellWindows(grid, room);
  let rank = 0;
  for (const cell of grid.cells()) {
    const layout = windows.mayFit(cell)
      ? findLayout(question.subject, grid.choiceAt(cell), question.asked, room)
      : null;
    if (layout !== null) return describe(question, layout, rank);
    rank += 1;
  }
  return null;
}

/** What was asked for that no memory makes possible; null: nothing. */
export function findConflict({ subject, machine, asked }: PlanQuestion): string | null {
  const { gpuLayers = 0, hostExpertLayers = 0, deviceShares } = asked;
  const count = machine.devices.length;
  if (gpuLayers > 0 && count === 0)
    return `${gpuLayers} layers are asked to be on a device, and there is none that computes`;
  if (gpuLayers > subject.layers + 1)
    return `${subject.id} has ${subject.layers + 1} layers with its output, not ${gpuLayers}`;
  if (hostExpertLayers > subject.expertLayers) {
    return `${subject.id} has ${subject.expertLayers} layers with experts, not ${hostExpertLayers}`;
  }
  if (deviceShares !== undefined && deviceShares.length !== count) {
    return `the shares of ${deviceShares.length} devices are given, and there are ${count}`;
  }
  return null;
}

/** With which nothing that was asked for is impossible; what could not be kept is in it. */
export function withoutConflict({ subject, machine, asked }: PlanQuestion): AskedSettings {
  const count = machine.devices.length;
  const changes: AskedSettings = {};
  const layersMax = count === 0 ? 0 : subject.layers + 1;
  if ((asked.gpuLayers ?? 0) > layersMax) changes.gpuLayers = layersMax;
  if ((asked.hostExpertLayers ?? 0) > subject.expertLayers) changes.hostExpertLayers = subject.expertLayers;
  if (asked.deviceShares !== undefined && asked.deviceShares.length !== count) changes.deviceShares = undefined;
  return changes;
}

interface Least {
  short: Shortfall[];
  missing: number[];
  sum: number;
}

/** Of the choices that don't fit the one that needs the least more, and how much of which pool. */
export function findLeast(question: PlanQuestion): Omit<Least, "sum"> {
  const room = leaveRoom(question.machine, question.residents);
  const grid = gridOf(question);
  const windows = new CellWindows(grid, room);
  let least: Least = { short: [], missing: [], sum: Number.POSITIVE_INFINITY };
  const look = (cell: Cell): void => {
    for (const { need } of listLayouts(question.subject, grid.choiceAt(cell), question.asked, room)) {
      const missing = missingBytes(need, room);
      const sum = missing.reduce((total, bytes) => total + bytes, 0);
      if (sum < least.sum) least = { short: findShortfalls(need, room), missing, sum };
    }
  };
  // Mostly it is the last comfort that lacks least: what it lacks shows what need not be looked at. The first of equals is told.
  for (let placement = 0; placement < grid.placements; placement++) {
    const cell = { comfort: grid.comforts - 1, placement };
    if (windows.missingBytes(cell) < least.sum) look(cell);
  }
  const most = least.sum;
  least = { short: [], missing: [], sum: Number.POSITIVE_INFINITY };
  for (const cell of grid.cells()) {
    const missing = windows.missingBytes(cell);
    if (missing <= most && missing < least.sum) look(cell);
  }
  return least;
}

function describe(question: PlanQuestion, { settings, need }: Layout, rank: number): Placed {
  const { subject, machine } = question;
  return {
    settings,
    need,
    totalBytes: sumNeed(need),
    embedding: subject.embeddingOf(settings),
    lowered: compareChoices(standardChoice(question), settings),
    speed: predictSpeed(subject, machine, settings, need),
    rank,
  };
}

function compareChoices(standard: Choice, settings: PlanSettings): Lowered[] {
  return (Object.keys(standard) as (keyof Choice)[]).flatMap((setting) => {
    const [from, to] = [standard[setting], settings[setting]];
    // The KV type is never chosen below its standard.
    if (from === to || typeof from === "string" || typeof to === "string") return [];
    return [{ setting, from, to }];
  });
}
