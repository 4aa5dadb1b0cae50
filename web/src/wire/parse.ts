// Text from the daemon into messages. A field that is missing or of the wrong type gets a value that
// claims nothing: an unknown state reads as HOLD with nobody in control, never as motion.
import { count, fields, flag, known, list, number, numbers, oneOf, text } from "./fields";
import type {
  Actor, Camera, Channel, DaemonMessage, EpisodeRow, GateFigures, LabelValue, LogEvent, Plea,
  RobotState, Role, Round, Taught, Understood, WeightsVersion,
} from "./messages";

const states = ["HOLD", "TAKEOVER", "HUMAN", "HANDBACK", "AUTO", "FAULT_HOLD", "ESTOP"] as const;
const roles = ["viewer", "script", "supervisor", "engineer"] as const;
const labels = ["success", "failure", "discard", "none"] as const;
const uses = ["nudge", "hold", "speed", "instruction", "comment", "not_understood"] as const;

const state = (value: unknown): RobotState => oneOf(value, states, "HOLD");
const role = (value: unknown): Role => oneOf(value, roles, "viewer");
export const label = (value: unknown): LabelValue => oneOf(value, labels, "none");

export function actor(value: unknown): Actor {
  const it = fields(value);
  return { name: text(it["name"]), role: role(it["role"]) };
}

// Undefined: nobody is asked for.
function plea(value: unknown): Plea | undefined {
  const it = fields(value);
  const id = number(it["id"]);
  if (id === 0) return undefined;
  return { id, why: text(it["why"]), score: number(it["score"]), sinceS: number(it["since_s"]) };
}

function channel(value: unknown): Channel {
  const it = fields(value);
  return {
    name: text(it["name"]), unit: text(it["unit"]),
    lower: number(it["lower"]), upper: number(it["upper"]),
  };
}

export function camera(value: unknown): Camera {
  const it = fields(value);
  return { name: text(it["name"]), width: number(it["width"]), height: number(it["height"]) };
}

function episode(value: unknown): EpisodeRow {
  const it = fields(value);
  return {
    id: number(it["id"]), purpose: text(it["purpose"]), outcome: label(it["outcome"]), driver: text(it["driver"]),
    steps: number(it["steps"]), humanSteps: number(it["human_steps"]),
    takeovers: number(it["takeovers"]), humanSeconds: number(it["human_seconds"]),
    seconds: number(it["seconds"]), weights: number(it["weights"]),
    takeoverAfterS: known(it["takeover_after_s"]), instruction: text(it["instruction"]),
    startedMs: number(it["started_ms"]),
  };
}

function taught(value: unknown): Taught | undefined {
  const it = fields(value);
  return known(it["steps"]) === undefined
    ? undefined : { episodes: count(it["episodes"]), steps: count(it["steps"]) };
}

// The gate writes a negative number for what it did not measure.
function gate(value: unknown): GateFigures | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const it = fields(value);
  const measured = (key: string): number | undefined => {
    const figure = known(it[key]);
    return figure === undefined || figure < 0 ? undefined : figure;
  };
  const episodes = count(it["held_out_episodes"]);
  return {
    largestChange: measured("largest_change"), demonstrationError: measured("demonstration_error"),
    demonstrationReference: measured("demonstration_error_reference"), wildShare: measured("wild_share"),
    heldOutEpisodes: episodes, enoughEvidence: flag(it["enough_evidence"]),
    heldOutChange: episodes > 0 ? known(it["held_out_change"]) : undefined,
    heldOutBound: episodes > 0 ? known(it["held_out_change_bound"]) : undefined,
  };
}

function round(value: unknown): Round {
  const it = fields(value);
  return {
    version: known(it["version"]), kind: text(it["kind"]), loss: known(it["loss"]),
    trainSeconds: known(it["train_seconds"]), wallMs: number(it["wall_ms"]),
    corrections: taught(it["corrections"]),
    verdict: text(it["verdict"]), reason: text(it["reason"]),
  };
}

function counts(value: unknown): Record<string, number> {
  return Object.fromEntries(Object.entries(fields(value)).map(([key, each]) => [key, count(each)]));
}

function understood(value: unknown): Understood | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const it = fields(value);
  return {
    use: oneOf(it["use"], uses, "not_understood"), as: text(it["as"]), acted: flag(it["acted"]),
    why: text(it["why"]), confirm: flag(it["confirm"]), undo: flag(it["undo"]),
  };
}

export function logEvent(value: unknown): LogEvent {
  const it = fields(value);
  return {
    type: "event", sequence: number(it["sequence"]), kind: text(it["kind"]),
    episode: number(it["episode"]), step: number(it["step"]), wallMs: number(it["wall_ms"]),
    actor: actor(it["actor"]), data: fields(it["data"]),
  };
}

function version(value: unknown): WeightsVersion {
  const it = fields(value);
  return {
    version: number(it["version"]), parent: number(it["parent"]), kind: text(it["kind"]),
    state: text(it["state"]), wasLive: flag(it["was_live"]), acceptedMs: number(it["accepted_ms"]),
    reason: text(it["reason"]), gate: gate(it["gate"]), trainSeconds: known(it["train_seconds"]),
    corrections: taught(it["corrections"]), loss: known(it["loss"]),
    withdrawn: list(it["withdrawn"]).map(text),
  };
}

// Undefined: not a message this page knows.
export function parseDaemonMessage(raw: string): DaemonMessage | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(raw);
  } catch {
    return undefined;
  }
  const it = fields(parsed);
  switch (it["type"]) {
    case "hello": {
      const robot = fields(it["robot"]);
      return {
        type: "hello", protocol: number(it["protocol"]), program: text(it["program"]),
        boot: text(it["boot"]), you: actor(it["you"]), secure: flag(it["secure"]), freshMs: number(it["fresh_ms"]) || 200,
        robot: {
          id: text(robot["id"]), controlPeriodMs: number(robot["control_period_ms"]),
          policyPeriodMs: number(robot["policy_period_ms"]),
          action: list(robot["action"]).map(channel),
          proprioception: list(robot["proprioception"]).map(channel),
          cameras: list(robot["cameras"]).map(camera),
        },
      };
    }
    case "status": {
      const lease = fields(it["lease"]);
      const now = fields(it["episode"]);
      const weights = fields(it["weights"]);
      const learning = fields(it["learning"]);
      const holder = lease["holder"];
      return {
        type: "status", tick: number(it["tick"]), state: state(it["state"]), why: text(it["why"]),
        whyText: text(it["why_text"]),
        lease: {
          epoch: number(lease["epoch"]),
          holder: holder === null || holder === undefined ? undefined : actor(holder),
          mine: flag(lease["mine"]),
        },
        source: text(it["source"]), proposed: numbers(it["proposed"]),
        requested: numbers(it["requested"]), executed: numbers(it["executed"]),
        clamped: flag(it["clamped"]), proprioception: numbers(it["proprioception"]),
        episode: {
          id: number(now["id"]), step: number(now["step"]), autonomous: number(now["autonomous"]),
          limit: number(now["limit"]), seconds: number(now["seconds"]),
          instruction: text(now["instruction"]), takeovers: number(now["takeovers"]),
          humanSeconds: number(now["human_seconds"]),
        },
        weights: {
          playing: number(weights["playing"]), live: number(weights["live"]),
          kind: text(weights["kind"]), confirmed: number(weights["confirmed"]),
        },
        learning: {
          state: text(learning["state"]), detail: text(learning["detail"]),
          round: text(learning["round"]), done: number(learning["done"]),
          total: number(learning["total"]),
        },
        recording: flag(it["recording"]), robotAgeMs: number(it["robot_age_ms"]),
        robotTrouble: text(it["robot_trouble"]), caution: text(it["caution"]), alarm: text(it["alarm"]), storage: text(it["storage"]), fault: text(it["fault"]), missedTicks: number(it["missed_ticks"]),
        lostSteps: number(it["lost_steps"]), viewers: number(it["viewers"]),
        help: plea(it["help"]),
        uncertainty: typeof it["uncertainty"] === "number" ? it["uncertainty"] : undefined,
        speed: typeof it["speed"] === "number" ? it["speed"] : 1,
      };
    }
    case "event":
      return logEvent(it);
    case "curves": {
      const success = fields(it["success"]);
      return {
        type: "curves", episodes: list(it["episodes"]).map(episode),
        success: {
          of: number(success["of"]), successes: number(success["successes"]),
          low: number(success["low"]), high: number(success["high"]),
        },
      };
    }
    case "weights":
      return {
        type: "weights", live: number(it["live"]), confirmed: number(it["confirmed"]),
        versions: list(it["versions"]).map(version),
      };
    case "ack":
      return {
        type: "ack", id: text(it["id"]), ok: flag(it["ok"]), code: text(it["code"]),
        message: text(it["message"]), echo: text(it["echo"]), epoch: number(it["epoch"]),
        holder: text(it["holder"]), words: understood(it["words"]),
      };
    case "phrases":
      return {
        type: "phrases", quick: list(it["quick"]).map(text).filter(Boolean).slice(0, 8),
        last: list(it["last"]).map(text).filter(Boolean).slice(0, 5),
      };
    case "learning": {
      const dataset = fields(it["dataset"]);
      return {
        type: "learning", episodes: counts(dataset["episodes"]), steps: counts(dataset["steps"]),
        supervisors: list(dataset["supervisors"]).map((each) => ({
          name: text(fields(each)["name"]), corrections: count(fields(each)["corrections"]),
        })),
        rounds: list(it["rounds"]).map(round), next: text(it["next"]),
      };
    }
    case "asked_to_drive":
      return { type: "asked_to_drive", by: actor(it["by"]) };
    case "pong":
      return { type: "pong", sent: number(it["sent"]), daemonMs: number(it["daemon_ms"]) };
    default:
      return undefined;
  }
}
