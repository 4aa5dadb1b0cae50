// One episode as it went: who was in control at each step, what was said, and what is learned from.
// GET /api/v1/episodes/{id}; docs/reference/supervisor-port.md.
import { count, fields, flag, known, list, number, numbers, oneOf, text } from "../wire/fields";
import type { Actor, Camera, LabelValue, LogEvent } from "../wire/messages";
import { actor, camera, label, logEvent } from "../wire/parse";

export type Who = "policy" | "human" | "nudge" | "script" | "hold" | "lost";

export interface Span {
  id: number;
  kind: "takeover" | "nudge";
  first: number; // both steps belong to it
  last: number;
  correctionFrom: number | undefined; // steps before it are recovery
  reason: string;
  complete: boolean;
  actor: Actor;
  label: LabelValue;
  seconds: number;
}

export interface Range {
  first: number;
  last: number;
}

export interface EpisodeRecord {
  id: number;
  purpose: string;
  outcome: LabelValue;
  instruction: string;
  steps: number;
  seconds: number;
  periodMs: number;
  startedMs: number;
  ended: boolean;
  recorded: boolean; // false: the steps cannot be read at all
  damaged: boolean; // some of them cannot
  truncated: boolean; // there are more than fit
  spans: Span[];
  discarded: Range[];
  lost: Range[];
  cameras: Camera[];
  events: LogEvent[]; // oldest first
  who: Who[]; // for each step, as the lists below
  weights: number[];
  at: number[]; // seconds since the first step
  proposed: (number[] | undefined)[]; // normalised
  executed: number[][];
  clamped: boolean[];
}

const mostSteps = 100_000;
const whos = ["policy", "human", "nudge", "script", "hold", "lost"] as const;

function range(value: unknown): Range {
  const it = fields(value);
  const first = count(it["first_step"]);
  return { first, last: known(it["last_step"]) ?? first + count(it["count"]) - 1 };
}

function span(value: unknown): Span {
  const it = fields(value);
  return {
    id: count(it["id"]), kind: oneOf(it["kind"], ["takeover", "nudge"] as const, "takeover"),
    first: count(it["first_step"]), last: number(it["last_step"]),
    correctionFrom: known(it["correction_from"]), reason: text(it["reason"]),
    complete: flag(it["complete"]), actor: actor(it["actor"]), label: label(it["label"]),
    seconds: number(it["seconds"]),
  };
}

// Undefined: not an episode.
export function parseEpisode(value: unknown): EpisodeRecord | undefined {
  const it = fields(value);
  if (known(it["id"]) === undefined) return undefined;
  const step = fields(it["step"]);
  const sources = list(step["source"]).slice(0, mostSteps);
  const periodMs = number(it["policy_period_ms"]) || 100;
  const upTo = (values: unknown): unknown[] => {
    const all = list(values);
    return sources.map((_each, index) => all[index]);
  };
  let latest = 0;
  return {
    id: count(it["id"]), purpose: text(it["purpose"]), outcome: label(it["outcome"]),
    instruction: text(it["instruction"]), steps: count(it["steps"]), seconds: number(it["seconds"]),
    periodMs, startedMs: number(it["started_ms"]), ended: it["ended"] !== false,
    recorded: it["recorded"] !== false, damaged: flag(it["damaged"]), truncated: flag(it["truncated"]),
    spans: list(it["spans"]).map(span).filter((each) => each.last >= each.first),
    discarded: list(it["discarded"]).map(range), lost: list(it["lost"]).map(range),
    cameras: list(it["cameras"]).map(camera), events: list(it["events"]).map(logEvent),
    who: sources.map((each) => oneOf(each, whos, "hold")),
    weights: upTo(step["weights"]).map(count),
    // Never backwards: playing would not get past such a step.
    at: upTo(step["seconds"]).map((each, index) => {
      latest = Math.max(latest, known(each) ?? (index * periodMs) / 1000);
      return latest;
    }),
    proposed: upTo(step["proposed"]).map((each) => (Array.isArray(each) ? numbers(each) : undefined)),
    executed: upTo(step["executed"]).map(numbers), clamped: upTo(step["clamped"]).map(flag),
  };
}

export interface Run<T> extends Range {
  value: T;
}

// Equal neighbours as one.
export function runsOf<T>(values: readonly T[]): Run<T>[] {
  const runs: Run<T>[] = [];
  values.forEach((value, index) => {
    const open = runs[runs.length - 1];
    if (open !== undefined && open.value === value) open.last = index;
    else runs.push({ value, first: index, last: index });
  });
  return runs;
}

// What a step is to the learner, as far as the episode itself says.
export type Use =
  | "correction" | "recovery" | "nudged" | "success" | "demonstration" | "taken_out" | "undone" | "lost" | "none";

export const useWords: Record<Use, string> = {
  correction: "correction", recovery: "recovery", nudged: "nudged", success: "success",
  demonstration: "demonstration", taken_out: "taken out", undone: "undone", lost: "not recorded",
  none: "not learned from",
};

const within = (step: number, ranges: readonly Range[]): boolean =>
  ranges.some((each) => step >= each.first && step <= each.last);

export function usesOf(record: EpisodeRecord): Use[] {
  return record.who.map((who, step) => {
    if (who === "lost" || within(step, record.lost)) return "lost";
    if (record.outcome === "discard") return "taken_out";
    if (within(step, record.discarded)) return "undone";
    const span = spanAt(record, step);
    if (span !== undefined && (span.label === "discard" || span.label === "failure")) return "taken_out";
    if (record.purpose === "demonstration") return record.outcome === "failure" ? "none" : "demonstration";
    if (span !== undefined && who !== "hold") {
      if (span.kind === "nudge") return "nudged";
      return span.correctionFrom !== undefined && step < span.correctionFrom ? "recovery" : "correction";
    }
    return who === "policy" && record.outcome === "success" ? "success" : "none";
  });
}

export function spanAt(record: EpisodeRecord, step: number): Span | undefined {
  return record.spans.find((each) => step >= each.first && step <= each.last);
}

// The step on the screen `seconds` after the first one.
export function stepAt(at: readonly number[], seconds: number): number {
  let low = 0;
  let high = at.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((at[middle] ?? 0) <= seconds) low = middle;
    else high = middle - 1;
  }
  return Math.max(0, low);
}

// Where a correction may begin: some of it has to be left.
export function splitStep(span: Range, step: number): number {
  return Math.min(span.last, Math.max(span.first, Math.round(step)));
}

export type MomentKind = "words" | "label" | "weights" | "task" | "undone" | "trouble" | "help" | "split";

export interface Moment {
  step: number;
  kind: MomentKind;
  text: string;
}

const momentKinds: Record<string, MomentKind> = {
  words: "words", words_undone: "words", label: "label", instruction_changed: "task",
  steps_discarded: "undone", fault: "trouble", stopped: "trouble", steps_lost: "trouble",
  help_asked: "help", span_split: "split", weights_rolled_back: "weights", weights_promoted: "weights",
};

// What is worth a mark on the strip. Changes of weights are read from the steps: an entry of the log
// says when they were made, a step says when they acted.
export function momentsOf(record: EpisodeRecord, words: (event: LogEvent) => string): Moment[] {
  const last = Math.max(0, record.who.length - 1);
  const endMs = record.startedMs + 1000 * record.seconds;
  const moments: Moment[] = [];
  const standing = new Map<string, Moment>(); // labels and splits: the last of each counts
  for (const event of record.events) {
    const kind = momentKinds[event.kind];
    if (kind === undefined) continue;
    const about = event.kind === "steps_discarded" ? known(event.data["first_step"])
      : event.kind === "span_split" ? known(event.data["correction_from"]) : undefined;
    // What was said afterwards stands at the end, not at the step at which the robot was by then.
    const said = record.ended && event.wallMs > endMs ? last : event.step;
    const moment = { step: Math.min(last, about ?? said), kind, text: words(event) };
    if (kind === "label" || kind === "split") standing.set(`${kind} ${String(event.data["span"])}`, moment);
    else moments.push(moment);
  }
  moments.push(...standing.values());
  let acting = 0;
  record.weights.forEach((version, step) => {
    if (version === 0 || version === acting) return; // 0: the step was lost
    if (acting > 0) moments.push({ step, kind: "weights", text: `Weights v${version} act` });
    acting = version;
  });
  return moments.sort((a, b) => a.step - b.step);
}
