// Entries of the log as people say them.
import type { LogEvent } from "../wire/messages";

const stateNames: Record<string, string> = {
  HOLD: "paused", TAKEOVER: "taking over", HUMAN: "driven by a person", HANDBACK: "handing back",
  AUTO: "autonomous", FAULT_HOLD: "fault", ESTOP: "stopped",
};
// As stored: docs/reference/events.md.
const stateNumbers = ["HOLD", "TAKEOVER", "HUMAN", "HANDBACK", "AUTO", "FAULT_HOLD", "ESTOP"];
const roleNumbers = ["a program", "a viewer", "a supervisor", "an engineer"];
const labelNumbers = ["none", "success", "failure", "discard"];
const labelNames: Record<string, string> = {
  success: "worked", failure: "failed", discard: "taken out of training", none: "label taken back",
};

function named(value: unknown, numbers: readonly string[]): string {
  return typeof value === "number" ? (numbers[value] ?? "") : typeof value === "string" ? value : "";
}

export function eventWords(event: LogEvent): string {
  const { data } = event;
  const value = (key: string): string => {
    const it = data[key];
    return typeof it === "string" ? it : typeof it === "number" ? String(it) : "";
  };
  const role = (): string => named(data["role"], roleNumbers);
  switch (event.kind) {
    case "booted": return "The program started";
    case "episode_started": return `Episode ${event.episode} began`;
    case "episode_ended": return `Episode ${event.episode} ended`;
    case "span_opened": return "A correction began";
    case "span_closed": return "The correction ended";
    case "authority_changed": {
      const to = named(data["to"], stateNumbers);
      return `Now ${stateNames[to] ?? to.toLowerCase()}`;
    }
    case "words": return `“${value("text")}”`;
    case "words_confirmed": return "Words were confirmed";
    case "words_undone": return "Words were taken back";
    case "span_split": return `The correction begins at step ${value("correction_from")}`;
    case "instruction_changed": return `New task: ${value("instruction")}`;
    case "label": {
      const label = named(data["value"], labelNumbers);
      const span = value("span");
      const which = span === "" || span === "0" ? "" : `, correction ${span}`;
      return `Episode ${value("episode")}${which}: ${labelNames[label] ?? label}`;
    }
    case "steps_discarded": return `Steps ${value("first_step")} to ${value("last_step")} will not be learned from`;
    case "weights_accepted": return `Weights v${value("version")} passed the gate`;
    case "weights_rejected": return `Weights were refused: ${value("detail") || value("reason").replaceAll("_", " ")}`;
    case "weights_live": return `Weights v${value("version")} act`;
    case "weights_confirmed": return `Weights v${value("version")} confirmed`;
    case "weights_promoted": return `Weights v${value("version")} promoted`;
    case "weights_rolled_back": return `Rolled back from v${value("from")} to v${value("to")}: ${value("reason").replaceAll("_", " ")}`;
    case "learning_paused": return `Learning paused: ${value("reason").replaceAll("_", " ")}`;
    case "learning_resumed": return "Learning goes on";
    case "corrections_withdrawn": return `What ${value("supervisor")} taught is not learned from any more`;
    case "corrections_restored": return `What ${value("supervisor")} taught counts again`;
    case "fault": return `Fault: ${value("detail") || value("code")}`;
    case "stopped": return "STOP";
    case "stop_reset": return "STOP was reset";
    case "episode_evicted": return `The steps of episode ${value("episode")} were deleted to make room`;
    case "pairing_code_made": return `A code was made that lets in ${role()}`;
    case "device_paired": return `“${value("name")}” was let in as ${role()}`;
    case "device_revoked": {
      const why = ["", ": somebody has a copy of its key", ": it was not used for long"][Number(data["reason"])] ?? "";
      return `“${value("name")}” was sent away${why}`;
    }
    case "key_added": return data["use"] === 0
      ? `The key of the robot “${value("name")}” was added` : `The key “${value("name")}” was added, as ${role()}`;
    case "key_removed": return `The key “${value("name")}” was removed`;
    case "token_changed": return value("id") !== ""
      ? `The token of ${role()} on this machine was changed` : `The token of ${role()} on this machine was revoked`;
    case "steps_lost": return `${value("count")} steps were not recorded`;
    default: return event.kind.replaceAll("_", " ");
  }
}
