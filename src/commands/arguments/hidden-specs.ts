// The commands that only this program itself starts: its own child processes. Help does not list them.

import { SERVE_OPTIONS } from "../../config.ts";
import { textOption } from "../../lib/option.ts";
import type { CommandSpec } from "./specs.ts";

const JOB = { name: "job", placeholder: "NAME", description: "Answer one question and end" };

export const HIDDEN_COMMANDS: readonly CommandSpec[] = [
  {
    name: "engine",
    operands: "",
    operandsMax: 0,
    summary: "The child process that runs one model",
    options: [textOption(JOB, /^[a-z]+$/, "a job's name", ""), SERVE_OPTIONS.logLevel, SERVE_OPTIONS.logFormat],
    notes: [],
    hidden: true,
  },
  {
    name: "probe",
    operands: "ADDON",
    operandsMax: 1,
    summary: "The child process that asks a GPU's driver for the first time",
    options: [],
    notes: [],
    hidden: true,
  },
];
