// STOP is sent again and again, on whatever connection there is, until it is acknowledged. Each press
// has an id of its own: the daemon answers an id once, and a press after a reset must stop again.

export const stopRepeatMs = 200;

export class StopLatch {
  #pending = new Map<string, number>(); // id, when it was last sent

  // Returns the ids that are due now.
  press(id: string, now: number): string[] {
    this.#pending.set(id, Number.NEGATIVE_INFINITY);
    return this.due(now);
  }

  due(now: number): string[] {
    const ids: string[] = [];
    for (const [id, sent] of this.#pending) {
      if (now - sent < stopRepeatMs) continue;
      this.#pending.set(id, now);
      ids.push(id);
    }
    return ids;
  }

  // Any answer ends the repeating: a refusal will not change by asking again.
  acknowledged(id: string): boolean {
    return this.#pending.delete(id);
  }

  newLink(): void {
    for (const id of this.#pending.keys()) this.#pending.set(id, Number.NEGATIVE_INFINITY);
  }

  get pending(): boolean {
    return this.#pending.size > 0;
  }
}
