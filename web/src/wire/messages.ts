// What travels between the page and the daemon: docs/reference/supervisor-port.md.

export type RobotState =
  | "HOLD" | "TAKEOVER" | "HUMAN" | "HANDBACK" | "AUTO" | "FAULT_HOLD" | "ESTOP";
export type Role = "viewer" | "script" | "supervisor" | "engineer";
export type LabelValue = "success" | "failure" | "discard" | "none";
export type Meaning = "instruction" | "comment";

export interface Actor {
  name: string;
  role: Role;
}

export interface Channel {
  name: string;
  unit: string;
  lower: number; // what -1 of a normalised action means, in `unit`
  upper: number; // and what 1 means
}

export interface Camera {
  name: string;
  width: number;
  height: number;
}

export interface RobotSpec {
  id: string;
  controlPeriodMs: number;
  policyPeriodMs: number;
  action: Channel[];
  proprioception: Channel[];
  cameras: Camera[];
}

export interface Hello {
  type: "hello";
  protocol: number;
  program: string;
  boot: string;
  you: Actor;
  secure: boolean; // over TLS
  robot: RobotSpec;
  freshMs: number;
}

export interface Lease {
  epoch: number;
  holder: Actor | undefined;
  mine: boolean;
}

export interface EpisodeNow {
  id: number;
  step: number;
  autonomous: number;
  limit: number;
  seconds: number;
  instruction: string;
  takeovers: number;
  humanSeconds: number;
}

// The robot asks for a person.
export interface Plea {
  id: number;
  why: string; // for people
  score: number; // 0 to 1
  sinceS: number;
}

export interface Status {
  type: "status";
  tick: number;
  state: RobotState;
  why: string;
  whyText: string;
  lease: Lease;
  source: string;
  proposed: number[]; // normalised; empty: none
  requested: number[];
  executed: number[];
  clamped: boolean;
  proprioception: number[];
  episode: EpisodeNow;
  weights: { playing: number; live: number; kind: string; confirmed: number };
  learning: { state: string; detail: string; round: string; done: number; total: number };
  recording: boolean;
  robotAgeMs: number;
  robotTrouble: string;
  caution: string;  // what cannot be promised for this robot; empty: nothing
  alarm: string; // the log was damaged when this boot found it; empty: it was not
  storage: string; // what people should see to about the disk; empty: nothing
  fault: string; // what the fault was, for people; empty: none
  missedTicks: number;
  lostSteps: number;
  viewers: number;
  help: Plea | undefined;
  uncertainty: number | undefined; // 0 to 1
  speed: number; // of the policy, as words have set it; 1: its own
}

// To the holder of the lease: somebody would like to drive.
export interface AskedToDrive {
  type: "asked_to_drive";
  by: Actor;
}

export interface LogEvent {
  type: "event";
  sequence: number;
  kind: string;
  episode: number;
  step: number;
  wallMs: number;
  actor: Actor;
  data: Record<string, unknown>;
}

export interface EpisodeRow {
  id: number;
  purpose: string; // deployment, demonstration
  outcome: LabelValue;
  driver: string;
  steps: number;
  humanSteps: number;
  takeovers: number;
  humanSeconds: number;
  seconds: number;
  weights: number;
  takeoverAfterS: number | undefined; // undefined: nobody took over
  instruction: string;
  startedMs: number; // 0: not known
}

export interface Curves {
  type: "curves";
  episodes: EpisodeRow[]; // oldest first
  success: { of: number; successes: number; low: number; high: number };
}

export interface WeightsVersion {
  version: number;
  parent: number; // 0: none
  kind: string;
  state: string; // accepted, confirmed, rolled_back
  wasLive: boolean;
  acceptedMs: number;
  reason: string;
  gate: GateFigures | undefined;
  trainSeconds: number | undefined;
  corrections: Taught | undefined;
  loss: number | undefined;
  withdrawn: readonly string[]; // people whose withdrawn corrections it may have learned from
}

export interface Taught {
  episodes: number;
  steps: number;
}

// What the gate measured; undefined where a check had no data or was not reached.
export interface GateFigures {
  largestChange: number | undefined;
  demonstrationError: number | undefined;
  demonstrationReference: number | undefined;
  wildShare: number | undefined;
  heldOutEpisodes: number;
  enoughEvidence: boolean;
  heldOutChange: number | undefined;
  heldOutBound: number | undefined;
}

export interface Weights {
  type: "weights";
  live: number;
  confirmed: number;
  versions: WeightsVersion[]; // newest first
}

// What became of words.
export type WordsUse = "nudge" | "hold" | "speed" | "instruction" | "comment" | "not_understood";
export interface Understood {
  use: WordsUse;
  as: string;
  acted: boolean;
  why: string; // for people: why they were stored only
  confirm: boolean; // nothing has moved; a person has to tap
  undo: boolean; // can be taken back now
}

export interface Ack {
  type: "ack";
  id: string;
  ok: boolean;
  code: string;
  message: string;
  echo: string;
  epoch: number;
  holder: string;
  words: Understood | undefined;
}

export interface Phrases {
  type: "phrases";
  quick: string[];
  last: string[];
}

export interface Round {
  version: number | undefined; // undefined: refused
  kind: string; // full, micro
  loss: number | undefined;
  trainSeconds: number | undefined;
  wallMs: number;
  corrections: Taught | undefined; // undefined: an earlier version of the log did not say
  verdict: string;
  reason: string;
}

export interface Learning {
  type: "learning";
  episodes: Record<string, number>; // by outcome
  steps: Record<string, number>; // by class
  supervisors: { name: string; corrections: number }[];
  rounds: Round[]; // oldest first
  next: string; // for people
}

export interface Pong {
  type: "pong";
  sent: number;
  daemonMs: number;
}

export type DaemonMessage =
  | Hello | Status | LogEvent | Curves | Weights | Ack | Pong | Phrases | Learning | AskedToDrive;

// Messages with an id are acknowledged, once each.
export type Act =
  | { type: "takeover" | "release" | "hand_back" | "stop" | "reset_stop" | "reset_fault" | "hold" }
  | { type: "roll_back" | "resume_learning" | "ask_to_drive" | "end_episode" }
  | { type: "decline_help"; help: number }
  | { type: "words"; text: string; meant: Meaning; view: "facing" | "behind" }
  | { type: "label"; episode: number; span: number; value: LabelValue }
  | { type: "confirm_words" | "undo_words"; words: string }
  | { type: "undo"; seconds: number }
  | { type: "split"; span: number; step: number }
  | { type: "promote"; version: number };
export type IdentifiedAct = Act & { id: string };

export interface Jog {
  type: "jog";
  epoch: number;
  sequence: number;
  tick: number;
  dead_man: boolean;
  action: number[];
}

export type ClientMessage =
  | IdentifiedAct
  | Jog
  | { type: "frames"; cameras: string[] }
  | { type: "frame_seen"; camera: number; sequence: number }
  | { type: "ping"; sent: number };
