// Pictures of past steps: loads those that are looked at first, keeps the newest used, and asks for the
// neighbours before they are wanted.

export interface Place {
  camera: string;
  step: number;
}

export interface ReelOptions<T> {
  load: (place: Place, given_up: AbortSignal) => Promise<T | undefined>; // undefined: there is none
  drop: (picture: T) => void;
  arrived: () => void;
  keep?: number; // pictures
  parallel?: number; // requests
}

type Entry<T> = { picture: T | undefined };

const keyOf = (place: Place): string => `${place.step} ${place.camera}`;

export class FrameReel<T> {
  #kept = new Map<string, Entry<T>>(); // oldest use first
  #flying = new Map<string, AbortController>();
  #wanted: Place[] = [];
  #closed = false;
  readonly #keep: number;
  readonly #parallel: number;

  constructor(private readonly options: ReelOptions<T>) {
    this.#keep = options.keep ?? 96;
    this.#parallel = options.parallel ?? 4;
  }

  // Undefined: not here yet. "none": that step has no picture of this camera.
  picture(place: Place): T | "none" | undefined {
    const key = keyOf(place);
    const entry = this.#kept.get(key);
    if (entry === undefined) return undefined;
    this.#kept.delete(key);
    this.#kept.set(key, entry);
    return entry.picture ?? "none";
  }

  // The most urgent first. What was asked for before and is not in the list any more is given up.
  want(places: readonly Place[]): void {
    this.#wanted = places.filter((place) => !this.#kept.has(keyOf(place))).slice(0, this.#keep);
    const still = new Set(this.#wanted.map(keyOf));
    for (const [key, request] of this.#flying) if (!still.has(key)) request.abort();
    this.#fly();
  }

  // What was said about a step of a live episode may have changed.
  forgetMissing(): void {
    for (const [key, entry] of this.#kept) if (entry.picture === undefined) this.#kept.delete(key);
  }

  close(): void {
    this.#closed = true;
    this.#wanted = [];
    for (const request of this.#flying.values()) request.abort();
    for (const entry of this.#kept.values()) if (entry.picture !== undefined) this.options.drop(entry.picture);
    this.#kept.clear();
  }

  #fly(): void {
    for (const place of this.#wanted) {
      if (this.#closed || this.#flying.size >= this.#parallel) return;
      const key = keyOf(place);
      if (!this.#flying.has(key) && !this.#kept.has(key)) void this.#load(place, key);
    }
  }

  async #load(place: Place, key: string): Promise<void> {
    const request = new AbortController();
    this.#flying.set(key, request);
    let entry: Entry<T> | undefined;
    try {
      entry = { picture: await this.options.load(place, request.signal) };
    } catch {
      // Given up, or the link broke: whoever still wants it asks again.
      entry = undefined;
    }
    this.#flying.delete(key);
    if (entry === undefined || this.#closed) {
      if (entry?.picture !== undefined) this.options.drop(entry.picture);
      this.#wanted = this.#wanted.filter((each) => keyOf(each) !== key);
    } else {
      this.#kept.set(key, entry);
      for (const [oldest, { picture }] of this.#kept) {
        if (this.#kept.size <= this.#keep) break;
        this.#kept.delete(oldest);
        if (picture !== undefined) this.options.drop(picture);
      }
      this.options.arrived();
    }
    this.#fly();
  }
}

// The step itself on every camera, then outwards; further ahead while it plays.
export function neighbourhood(cameras: readonly string[], step: number, steps: number, playing: boolean): Place[] {
  const places: Place[] = [];
  const add = (at: number): void => {
    if (at >= 0 && at < steps) cameras.forEach((camera) => places.push({ camera, step: at }));
  };
  add(step);
  const ahead = playing ? 10 : 4;
  for (let by = 1; by <= ahead; by += 1) {
    add(step + by);
    if (!playing) add(step - by);
  }
  return places;
}
