// Text from the daemon into messages. A field that is missing or of the wrong type gets a value that
// claims nothing: an unknown state reads as HOLD with nobody in control, never as motion.
import type {
  Actor, Camera, Channel, DaemonMessage, EpisodeRow, LabelValue, Plea, RobotState, Role, WeightsVersion,
} from "./messages";

type Fields = Record<string, unknown>;

const fields = (value: unknown): Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const text = (value: unknown): string => (typeof value === "string" ? value : "");
const flag = (value: unknown): boolean => value === true;
const number = (value: unknown): number =>
  typeof value === "number" && Number.isFinite(value) ? value : 0;
const numbers = (value: unknown): number[] => list(value).map(number);

function oneOf<T extends string>(value: unknown, allowed: readonly T[], otherwise: T): T {
  return allowed.find((item) => item === value) ?? otherwise;
}

const states = ["HOLD", "TAKEOVER", "HUMAN", "HANDBACK", "AUTO", "FAULT_HOLD", "ESTOP"] as const;
const roles = ["viewer", "script", "supervisor", "engineer"] as const;
const labels = ["success", "failure", "discard", "none"] as const;

const state = (value: unknown): RobotState => oneOf(value, states, "HOLD");
const role = (value: unknown): Role => oneOf(value, roles, "viewer");
const label = (value: unknown): LabelValue => oneOf(value, labels, "none");

function actor(value: unknown): Actor {
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

function camera(value: unknown): Camera {
  const it = fields(value);
  return { name: text(it["name"]), width: number(it["width"]), height: number(it["height"]) };
}

function episode(value: unknown): EpisodeRow {
  const it = fields(value);
  return {
    id: number(it["id"]), outcome: label(it["outcome"]), driver: text(it["driver"]),
    steps: number(it["steps"]), humanSteps: number(it["human_steps"]),
    takeovers: number(it["takeovers"]), humanSeconds: number(it["human_seconds"]),
    seconds: number(it["seconds"]), weights: number(it["weights"]),
  };
}

function version(value: unknown): WeightsVersion {
  const it = fields(value);
  return {
    version: number(it["version"]), parent: number(it["parent"]), kind: text(it["kind"]),
    state: text(it["state"]), wasLive: flag(it["was_live"]), acceptedMs: number(it["accepted_ms"]),
    reason: text(it["reason"]),
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
        robotTrouble: text(it["robot_trouble"]), fault: text(it["fault"]), missedTicks: number(it["missed_ticks"]),
        lostSteps: number(it["lost_steps"]), viewers: number(it["viewers"]),
        help: plea(it["help"]),
        uncertainty: typeof it["uncertainty"] === "number" ? it["uncertainty"] : undefined,
        speed: typeof it["speed"] === "number" ? it["speed"] : 1,
      };
    }
    case "event":
      return {
        type: "event", sequence: number(it["sequence"]), kind: text(it["kind"]),
        episode: number(it["episode"]), step: number(it["step"]), wallMs: number(it["wall_ms"]),
        actor: actor(it["actor"]), data: fields(it["data"]),
      };
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
        holder: text(it["holder"]),
      };
    case "asked_to_drive":
      return { type: "asked_to_drive", by: actor(it["by"]) };
    case "pong":
      return { type: "pong", sent: number(it["sent"]), daemonMs: number(it["daemon_ms"]) };
    default:
      return undefined;
  }
}
