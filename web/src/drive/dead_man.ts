// Hold to drive. A hand is whatever a person holds: a stick, a gripper button, a key. While at least
// one is held the person wants to drive; when the last one is lifted, the robot holds.
//
// A press asks for the lease each time: a press that nobody asked for through the lossless message
// never moves the robot. If control ends while a hand is still down (preempted, out of limits, STOP),
// the press is spent: the person has to let go and press again, so that nothing ever starts to move
// because somebody happened to lean on a stick.
import type { Lease, RobotState } from "../wire/messages";

export type DrivePhase =
  | "rest" // no hand
  | "asking" // takeover sent, no answer yet
  | "waiting" // lease granted, the robot comes to rest; commands are zeros
  | "driving"
  | "refused" // by the daemon; let go and press again
  | "spent"; // control ended while a hand was down; let go and press again

export interface Seen {
  state: RobotState;
  lease: Lease;
}

export interface DriveCommand {
  epoch: number;
  sequence: number;
  deadMan: boolean;
  moves: boolean; // false: the action must be zeros
}

// Dead-man-up commands that are sent after the last hand lifts, whatever the status says by then.
const farewells = 3;

export class DeadMan {
  #hands = new Set<string>();
  #phase: DrivePhase = "rest";
  #epoch: number | undefined;
  #begun = false; // the status has shown this press's TAKEOVER or HUMAN
  #sequence = 0;
  #owed = 0;
  #mine = false;

  get phase(): DrivePhase {
    return this.#phase;
  }

  get held(): boolean {
    return this.#hands.size > 0;
  }

  holds(hand: string): boolean {
    return this.#hands.has(hand);
  }

  // True: ask for the lease now.
  press(hand: string, linked: boolean): boolean {
    const first = this.#hands.size === 0;
    this.#hands.add(hand);
    if (!first) return false;
    this.#begun = false;
    this.#phase = linked ? "asking" : "spent";
    return linked;
  }

  // True: a dead-man-up command is due at once.
  lift(hand: string): boolean {
    if (!this.#hands.delete(hand) || this.#hands.size > 0) return false;
    return this.#rest();
  }

  // The window lost focus, the page was hidden, a touch was cancelled.
  liftAll(): boolean {
    if (this.#hands.size === 0) return false;
    this.#hands.clear();
    return this.#rest();
  }

  granted(epoch: number): void {
    this.#epoch = epoch;
    if (this.#phase === "asking") this.#phase = "waiting";
  }

  refused(): void {
    if (this.#phase === "asking") this.#phase = "refused";
  }

  linkLost(): void {
    this.#epoch = undefined;
    this.#mine = false;
    this.#owed = 0;
    this.#phase = this.held ? "spent" : "rest";
  }

  observe(seen: Seen): void {
    this.#mine = seen.lease.mine;
    if (seen.lease.mine && (this.#epoch === undefined || seen.lease.epoch > this.#epoch)) {
      this.#epoch = seen.lease.epoch;
    }
    if (this.#phase !== "waiting" && this.#phase !== "driving") return;
    const ours = seen.lease.mine && seen.lease.epoch === this.#epoch;
    const inControl = ours && (seen.state === "TAKEOVER" || seen.state === "HUMAN");
    if (inControl) {
      this.#begun = true;
      this.#phase = seen.state === "HUMAN" ? "driving" : "waiting";
    } else if (this.#begun || (this.#epoch !== undefined && seen.lease.epoch > this.#epoch)) {
      this.#phase = "spent";
    } else if (seen.state === "FAULT_HOLD" || seen.state === "ESTOP") {
      this.#phase = "spent";
    }
  }

  // The command to send now, at the pace of driving; undefined: none is due.
  command(): DriveCommand | undefined {
    if (this.#epoch === undefined) return undefined;
    const deadMan = this.#phase === "waiting" || this.#phase === "driving";
    // With the dead-man up a command moves nothing, but shows that the holder is still there.
    if (!deadMan && !this.#mine && this.#owed === 0) return undefined;
    if (!deadMan && this.#owed > 0) this.#owed -= 1;
    this.#sequence += 1;
    return {
      epoch: this.#epoch, sequence: this.#sequence, deadMan, moves: this.#phase === "driving",
    };
  }

  #rest(): boolean {
    const wasDriving = this.#phase === "waiting" || this.#phase === "driving";
    this.#phase = "rest";
    if (wasDriving) this.#owed = farewells;
    return wasDriving;
  }
}
