// Acts that wait for their acknowledgement. What people said about the past (words, labels, undo)
// is sent again on the next connection, with the same id. What moves the robot never is: it was meant
// for the moment in which it was pressed.
import type { Ack, IdentifiedAct } from "../wire/messages";

export type Outcome =
  | { kind: "ack"; ack: Ack }
  | { kind: "unanswered"; message: string };

interface Waiting {
  act: IdentifiedAct;
  since: number;
  done: (outcome: Outcome) => void;
}

const survives = new Set(["words", "undo_words", "label", "undo", "split"]);

export class Outbox {
  #waiting = new Map<string, Waiting>();

  constructor(private readonly patienceMs = 5000) {}

  add(act: IdentifiedAct, now: number, done: (outcome: Outcome) => void): void {
    this.#waiting.set(act.id, { act, since: now, done });
  }

  // False: nobody waited for it (a second answer to the same id).
  acknowledged(ack: Ack): boolean {
    const entry = this.#waiting.get(ack.id);
    if (entry === undefined) return false;
    this.#waiting.delete(ack.id);
    entry.done({ kind: "ack", ack });
    return true;
  }

  linkLost(): void {
    this.#giveUp((entry) => !survives.has(entry.act.type), "the link was lost before an answer came");
  }

  // What to send on a new connection.
  forNewLink(now: number): IdentifiedAct[] {
    for (const entry of this.#waiting.values()) entry.since = now;
    return Array.from(this.#waiting.values(), (entry) => entry.act);
  }

  // Call now and then while connected.
  tick(now: number): void {
    this.#giveUp((entry) => now - entry.since > this.patienceMs, "the daemon did not answer");
  }

  get size(): number {
    return this.#waiting.size;
  }

  #giveUp(which: (entry: Waiting) => boolean, message: string): void {
    for (const [id, entry] of this.#waiting) {
      if (!which(entry)) continue;
      this.#waiting.delete(id);
      entry.done({ kind: "unanswered", message });
    }
  }
}
