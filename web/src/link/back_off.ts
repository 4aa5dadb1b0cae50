// How long to wait before connecting again: doubling to a bound, spread so that many pages do not
// come back in the same moment.

export class BackOff {
  #attempts = 0;

  constructor(
    private readonly random: () => number = Math.random,
    private readonly firstMs = 250,
    private readonly mostMs = 4000,
  ) {}

  nextMs(): number {
    const full = Math.min(this.mostMs, this.firstMs * 2 ** this.#attempts);
    this.#attempts += 1;
    return full * (0.75 + 0.5 * this.random());
  }

  reset(): void {
    this.#attempts = 0;
  }
}
