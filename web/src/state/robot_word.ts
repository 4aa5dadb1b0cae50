// The state as a person reads it: one word, one icon, one colour, one sound.
import type { Status } from "../wire/messages";

export type Mood =
  | "auto" | "hold" | "taking" | "human" | "handing" | "fault" | "stopped" | "lost";

export interface RobotWord {
  mood: Mood;
  word: string;
  line: string; // under the word
}

// The part of a name that a person chose: "tablet#3" is shown as "tablet".
export const shortName = (name: string): string => name.replace(/#\d+$/, "") || name;

export type LinkView = "connecting" | "open" | "lost" | "refused";

export function robotWord(status: Status | undefined, link: LinkView): RobotWord {
  if (link === "connecting" && status === undefined) {
    return { mood: "lost", word: "CONNECTING", line: "Looking for the robot" };
  }
  if (link !== "open" || status === undefined) {
    return {
      mood: "lost", word: "LINK LOST",
      line: "The picture is old. The robot holds if you were driving; the policy goes on if it was.",
    };
  }
  const holder = status.lease.holder;
  const name = holder === undefined ? "somebody" : shortName(holder.name);
  const why = status.whyText;
  switch (status.state) {
    case "AUTO":
      return { mood: "auto", word: "AUTONOMOUS", line: why || "The policy drives" };
    case "TAKEOVER":
      return {
        mood: "taking", word: "TAKING OVER",
        line: status.lease.mine ? "Hold on: the robot comes to rest, then it is yours" : `${name} takes over`,
      };
    case "HUMAN":
      return status.lease.mine
        ? { mood: "human", word: "YOU DRIVE", line: "Let go, and the robot holds" }
        : { mood: "human", word: "HUMAN", line: `${name} drives` };
    case "HANDBACK":
      return { mood: "handing", word: "HANDING BACK", line: why || "The policy looks again" };
    case "FAULT_HOLD":
      return { mood: "fault", word: "FAULT", line: why || status.robotTrouble || "The robot holds" };
    case "ESTOP":
      return { mood: "stopped", word: "STOPPED", line: why || "STOP was pressed" };
    case "HOLD":
      return { mood: "hold", word: "PAUSED", line: why || "The robot holds" };
  }
}
