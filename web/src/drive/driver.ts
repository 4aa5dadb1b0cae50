// Driving, 30 times a second: hands in, jog commands out.
import type { Channel, Jog } from "../wire/messages";
import { DeadMan } from "./dead_man";
import { GamepadHand } from "./gamepad";
import type { PadCommand } from "./gamepad";
import { addWish, byJoints, controlsOf, jogAction, noWish, shape } from "./jog";
import type { Controls, Viewpoint, Wish } from "./jog";
import { wishOfKeys } from "./keys";

export const driveMs = 33;

export interface DriverHooks {
  linked: () => boolean;
  mayDrive: () => boolean;
  askForLease: () => void;
  send: (jog: Jog) => void;
  newestTick: () => number;
  channels: () => readonly Channel[];
  speed: () => number;
  viewpoint: () => Viewpoint;
  joint: () => string | undefined; // the chosen one
  padCommand: (command: PadCommand) => void;
  padSeen: (name: string) => void;
  changed: () => void;
}

export class Driver {
  readonly deadMan = new DeadMan();
  #keys = new Set<string>();
  #sticks = new Map<string, Partial<Wish>>();
  #pad: GamepadHand;

  constructor(private readonly hooks: DriverHooks) {
    this.#pad = new GamepadHand({
      press: (hand, wish) => {
        if (this.hooks.mayDrive()) this.press(hand, wish);
      },
      move: (hand, wish) => this.move(hand, wish),
      lift: (hand) => this.lift(hand),
      command: (command) => this.hooks.padCommand(command),
      controls: () => this.controls(),
      joint: () => this.hooks.joint(),
      seen: (name) => this.hooks.padSeen(name),
    });
    window.setInterval(() => {
      this.#askPads();
      this.#send();
    }, driveMs);
    const drop = (): void => this.dropAll();
    window.addEventListener("blur", drop);
    window.addEventListener("pagehide", drop);
    // Before the next poll: a pad without power must not drive for another 33 ms.
    window.addEventListener("gamepaddisconnected", () => this.#askPads());
    document.addEventListener("freeze", drop);
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState !== "visible") drop();
    });
  }

  controls(): Controls {
    return controlsOf(this.hooks.channels());
  }

  // A stick or button was touched; `wish` is what it asks for from now on.
  press(hand: string, wish: Partial<Wish>): void {
    this.#sticks.set(hand, wish);
    this.#press(hand);
  }

  move(hand: string, wish: Partial<Wish>): void {
    if (!this.#sticks.has(hand)) return;
    this.#sticks.set(hand, wish);
    this.hooks.changed();
  }

  lift(hand: string): void {
    this.#sticks.delete(hand);
    if (this.deadMan.lift(hand)) this.#send();
    this.hooks.changed();
  }

  pressKey(code: string): void {
    this.#keys.add(code);
    this.#press(`key ${code}`);
  }

  liftKey(code: string): void {
    if (!this.#keys.delete(code)) return;
    if (this.deadMan.lift(`key ${code}`)) this.#send();
    this.hooks.changed();
  }

  dropAll(): void {
    this.#sticks.clear();
    this.#keys.clear();
    if (this.deadMan.liftAll()) this.#send();
    this.hooks.changed();
  }

  // What the hands ask for, before speed.
  wish(): Wish {
    const joint = byJoints(this.controls()) ? this.hooks.joint() : undefined;
    const sum: Wish = wishOfKeys(this.#keys, joint);
    for (const stick of this.#sticks.values()) addWish(sum, stick, shape);
    return sum;
  }

  hands(): string {
    return [...this.#sticks.keys(), ...this.#keys].join(" ");
  }

  #press(hand: string): void {
    if (this.deadMan.press(hand, this.hooks.linked())) this.hooks.askForLease();
    this.hooks.changed();
  }

  // Some browsers keep pads from pages of an insecure connection.
  #askPads(): void {
    if (document.visibilityState === "visible" && typeof navigator.getGamepads === "function") {
      this.#pad.poll(navigator.getGamepads());
    }
  }

  #send(): void {
    const command = this.deadMan.command();
    if (command === undefined || !this.hooks.linked()) return;
    this.hooks.send({
      type: "jog", epoch: command.epoch, sequence: command.sequence, tick: this.hooks.newestTick(),
      dead_man: command.deadMan,
      action: jogAction(
        this.hooks.channels(), command.moves ? this.wish() : noWish, this.hooks.speed(),
        this.hooks.viewpoint(),
      ),
    });
  }
}
