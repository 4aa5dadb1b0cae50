// Driving, 30 times a second: hands in, jog commands out.
import type { Channel, Jog } from "../wire/messages";
import { DeadMan } from "./dead_man";
import { jogAction, noWish, shape } from "./jog";
import type { Viewpoint, Wish } from "./jog";
import { wishOfKeys } from "./keys";

export const driveMs = 33;

export interface DriverHooks {
  linked: () => boolean;
  askForLease: () => void;
  send: (jog: Jog) => void;
  newestTick: () => number;
  channels: () => readonly Channel[];
  speed: () => number;
  viewpoint: () => Viewpoint;
  changed: () => void;
}

export class Driver {
  readonly deadMan = new DeadMan();
  #keys = new Set<string>();
  #sticks = new Map<string, Partial<Wish>>();

  constructor(private readonly hooks: DriverHooks) {
    window.setInterval(() => this.#send(), driveMs);
    const drop = (): void => this.dropAll();
    window.addEventListener("blur", drop);
    window.addEventListener("pagehide", drop);
    document.addEventListener("freeze", drop);
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState !== "visible") drop();
    });
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
    const sum: Wish = { ...wishOfKeys(this.#keys) };
    for (const stick of this.#sticks.values()) {
      sum.right += shape(stick.right ?? 0);
      sum.away += shape(stick.away ?? 0);
      sum.up += shape(stick.up ?? 0);
      sum.open += stick.open ?? 0;
    }
    return sum;
  }

  hands(): string {
    return [...this.#sticks.keys(), ...this.#keys].join(" ");
  }

  #press(hand: string): void {
    if (this.deadMan.press(hand, this.hooks.linked())) this.hooks.askForLease();
    this.hooks.changed();
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
