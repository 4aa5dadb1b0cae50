// Round trip and its jitter, smoothed as in RFC 6298 (SRTT and RTTVAR), so that the numbers on the
// page stay readable at four pings a second.

export class RoundTrip {
  #smooth: number | undefined;
  #variation = 0;

  add(ms: number): void {
    if (!Number.isFinite(ms) || ms < 0) return;
    if (this.#smooth === undefined) {
      this.#smooth = ms;
      this.#variation = ms / 2;
      return;
    }
    this.#variation += (Math.abs(ms - this.#smooth) - this.#variation) / 4;
    this.#smooth += (ms - this.#smooth) / 8;
  }

  reset(): void {
    this.#smooth = undefined;
    this.#variation = 0;
  }

  get ms(): number | undefined {
    return this.#smooth;
  }

  get jitterMs(): number {
    return this.#variation;
  }
}
