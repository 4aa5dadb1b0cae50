// A gamepad of the standard mapping (W3C Gamepad, "standard"): a shoulder button held is the dead-man,
// the sticks drive, the triggers close and open the gripper. Pads are asked 30 times a second, since
// browsers tell nothing of them but that they come and go.
import { byJoints } from "./jog";
import type { Controls, Wish } from "./jog";

export type PadCommand = "stop" | "start" | "hold" | "worked" | "failed" | "previous" | "next";

// What is read from a Gamepad; a test makes its own.
export interface PadLike {
  index: number;
  id: string;
  connected: boolean;
  mapping: string;
  axes: readonly number[];
  buttons: readonly { pressed: boolean; value: number }[];
}

const shoulders = [4, 5]; // LB, RB
const commands: Readonly<Record<number, PadCommand>> = {
  8: "stop", // View, Select
  9: "start", // Menu, Start
  1: "hold", // B
  3: "worked", // Y
  0: "failed", // A
};

const pressed = (pad: PadLike, button: number): boolean => pad.buttons[button]?.pressed ?? false;
const pulled = (pad: PadLike, button: number): number => pad.buttons[button]?.value ?? 0;
const axis = (pad: PadLike, index: number): number => {
  const value = pad.axes[index] ?? 0;
  return Number.isFinite(value) ? value : 0;
};

export const padHeld = (pad: PadLike): boolean => shoulders.some((button) => pressed(pad, button));

// `joint`: the chosen one of a robot that is driven joint by joint.
export function padWish(pad: PadLike, controls: Controls, joint?: string): Partial<Wish> {
  const open = pulled(pad, 7) - pulled(pad, 6);
  if (byJoints(controls)) {
    return { open, joints: joint === undefined ? {} : { [joint]: axis(pad, 0) } };
  }
  return {
    right: axis(pad, 0), away: -axis(pad, 1), up: -axis(pad, 3), turn: -axis(pad, 2), open,
    tilt: Number(pressed(pad, 12)) - Number(pressed(pad, 13)),
    roll: Number(pressed(pad, 15)) - Number(pressed(pad, 14)),
  };
}

export interface PadHooks {
  press: (hand: string, wish: Partial<Wish>) => void;
  move: (hand: string, wish: Partial<Wish>) => void;
  lift: (hand: string) => void;
  command: (command: PadCommand) => void;
  controls: () => Controls;
  joint: () => string | undefined;
  seen: (name: string) => void; // of the pad in use; empty: none
}

// One pad at a time: the first that is there, until it goes.
export class GamepadHand {
  #pad: number | undefined;
  #name = "";
  #holding = false;
  // Buttons that were down when the pad was first seen do nothing until they have been up.
  #down: ReadonlySet<number> = new Set();

  constructor(private readonly hooks: PadHooks) {}

  // With all pads there are, as navigator.getGamepads() gives them.
  poll(pads: readonly (PadLike | null)[]): void {
    const there = pads.filter((pad): pad is PadLike =>
      pad !== null && pad.connected && pad.mapping === "standard");
    const pad = there.find((each) => each.index === this.#pad) ?? there[0];
    if (this.#pad !== undefined && pad?.index !== this.#pad) this.#lose();
    if (pad === undefined) return;
    if (this.#pad === undefined) {
      this.#pad = pad.index;
      this.#down = this.#downOn(pad);
      this.#show(pad.id);
      return;
    }
    this.#show(pad.id);
    this.#read(pad);
  }

  #read(pad: PadLike): void {
    const hand = "pad";
    const wish = padWish(pad, this.hooks.controls(), this.hooks.joint());
    const now = this.#downOn(pad);
    const fresh = (button: number): boolean => now.has(button) && !this.#down.has(button);
    const held = padHeld(pad);
    if (this.#holding && !held) {
      this.#holding = false;
      this.hooks.lift(hand);
    } else if (this.#holding) {
      this.hooks.move(hand, wish);
    } else if (shoulders.some(fresh)) {
      this.#holding = true;
      this.hooks.press(hand, wish);
    }
    for (const [button, command] of Object.entries(commands)) {
      if (fresh(Number(button))) this.hooks.command(command);
    }
    if (byJoints(this.hooks.controls())) {
      if (fresh(12)) this.hooks.command("previous");
      if (fresh(13)) this.hooks.command("next");
    }
    this.#down = now;
  }

  #lose(): void {
    this.#pad = undefined;
    this.#down = new Set();
    if (this.#holding) this.hooks.lift("pad");
    this.#holding = false;
    this.#show("");
  }

  #downOn(pad: PadLike): ReadonlySet<number> {
    return new Set(pad.buttons.flatMap((button, index) => (button.pressed ? [index] : [])));
  }

  #show(name: string): void {
    if (name === this.#name) return;
    this.#name = name;
    this.hooks.seen(name);
  }
}
