// How old the picture on the screen is. A camera of 10 Hz shows pictures of up to 100 ms although all
// is well, so what is judged is how much older a picture is than its camera's period explains.

export type Freshness = "none" | "fresh" | "late" | "old";

export const lateMs = 150;
export const oldMs = 300;

export class FrameAge {
  #period = 100;
  #known = false;
  #shown: { sequence: number; capturedMs: number; at: number; ageMs: number } | undefined;

  // `at`: this page's clock when the frame arrived; `ageMs`: its age when it was sent.
  drawn(sequence: number, capturedMs: number, at: number, ageMs: number): void {
    const before = this.#shown;
    if (before !== undefined && sequence > before.sequence && capturedMs > before.capturedMs) {
      // Divided by the sequence's growth: frames that were dropped on the way slow no camera down.
      const period = (capturedMs - before.capturedMs) / (sequence - before.sequence);
      if (period >= 5 && period <= 2000) {
        this.#period += (period - this.#period) * (this.#known ? 0.1 : 1);
        this.#known = true;
      }
    }
    this.#shown = { sequence, capturedMs, at, ageMs };
  }

  get periodMs(): number {
    return this.#period;
  }

  // Age beyond what the camera's period explains, ms; never below what the frame had when it came.
  staleness(now: number): number | undefined {
    const shown = this.#shown;
    if (shown === undefined) return undefined;
    const waited = now - shown.at;
    return Math.max(shown.ageMs, waited + shown.ageMs - this.#period, 0);
  }

  freshness(now: number): Freshness {
    const stale = this.staleness(now);
    if (stale === undefined) return "none";
    if (stale > oldMs) return "old";
    return stale > lateMs ? "late" : "fresh";
  }
}
