// What was said to the robot and what became of it.
import type { Ack, Meaning, Understood, WordsUse } from "../wire/messages";

export interface SaidWords {
  id: string;
  who: string;
  mine: boolean;
  text: string;
  meant: Meaning;
  state: "sending" | "stored" | "refused" | "undone";
  echo: string; // what was understood, or why not
  understood: Understood | undefined; // of a daemon that says it
  confirmUntil: number; // performance.now(); 0: nothing to confirm
  asking: "" | "confirm" | "undo"; // what was asked of the daemon and is not answered yet
  problem: string; // why confirming or taking back did not work
}

export const keptWords = 5;
export const confirmMs = 10_000;

export function newWords(id: string, text: string, meant: Meaning): SaidWords {
  return {
    id, who: "you", mine: true, text, meant, state: "sending", echo: "", understood: undefined,
    confirmUntil: 0, asking: "", problem: "",
  };
}

export const withWords = (all: readonly SaidWords[], words: SaidWords): SaidWords[] =>
  [words, ...all].slice(0, keptWords);

export const changeWords = (
  all: readonly SaidWords[], id: string, change: (words: SaidWords) => SaidWords,
): SaidWords[] => all.map((each) => (each.id === id ? change(each) : each));

export function answered(words: SaidWords, ack: Ack, now: number): SaidWords {
  return {
    ...words, state: ack.ok ? "stored" : "refused", echo: ack.echo || ack.message, understood: ack.words,
    confirmUntil: ack.ok && ack.words?.confirm === true ? now + confirmMs : 0, asking: "", problem: "",
  };
}

export function confirmed(words: SaidWords, ack: Ack): SaidWords {
  if (!ack.ok) return { ...words, asking: "", confirmUntil: 0, problem: ack.message || ack.code };
  const understood = ack.words ?? (words.understood && { ...words.understood, acted: true, undo: false });
  return { ...words, asking: "", confirmUntil: 0, problem: "", understood: understood && { ...understood, confirm: false } };
}

export function takenBack(words: SaidWords, ack: Ack): SaidWords {
  if (!ack.ok) {
    return {
      ...words, asking: "", problem: ack.message || ack.code,
      understood: words.understood && { ...words.understood, undo: false },
    };
  }
  return { ...words, asking: "", problem: "", state: "undone" };
}

export const mayUndo = (words: SaidWords): boolean =>
  words.mine && words.state === "stored" && words.understood?.undo === true;
export const mayConfirm = (words: SaidWords, now: number): boolean =>
  words.mine && words.state === "stored" && now < words.confirmUntil;

const uses: Record<WordsUse, string> = {
  nudge: "a correction", hold: "hold", speed: "a change of speed", instruction: "a task",
  comment: "a comment", not_understood: "not understood",
};

// One line for people: what was understood.
export function understoodWords(words: SaidWords): string {
  if (words.state === "sending") return "Sending …";
  if (words.state === "undone") return "Taken back";
  if (words.state === "refused") return `Not stored: ${words.echo}`;
  const it = words.understood;
  if (it === undefined) return words.echo;
  if (it.use === "not_understood") return "Not understood";
  return `Understood as ${it.as || uses[it.use]}`;
}

// And one for what came of it.
export function outcomeOfWords(words: SaidWords, now: number): { tone: "good" | "wait" | "quiet" | "bad"; text: string } {
  if (words.problem !== "") return { tone: "bad", text: words.problem };
  const it = words.understood;
  if (words.state === "undone") {
    return { tone: "quiet", text: it?.use === "nudge" ? "What it moved is never learned from." : "" };
  }
  if (words.state !== "stored" || it === undefined) return { tone: "quiet", text: "" };
  if (it.use === "not_understood") return { tone: "bad", text: it.why || "Stored as said; the robot does nothing." };
  if (it.use === "instruction" && it.acted) return { tone: "wait", text: "This is the task now." };
  if (it.acted) return { tone: "good", text: it.use === "comment" ? "Stored." : "Done." };
  if (it.confirm) {
    return mayConfirm(words, now)
      ? { tone: "wait", text: "Nothing has moved. Tap to confirm." }
      : { tone: "quiet", text: "Not confirmed in time: nothing moved." };
  }
  return { tone: "quiet", text: it.why === "" ? "Stored." : `Stored only: ${it.why}` };
}
