// One value that components watch, each the part it shows.
import { useEffect, useRef, useState } from "preact/hooks";

export class Store<T extends object> {
  #value: T;
  #watchers = new Set<() => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  set(change: Partial<T>): void {
    this.#value = { ...this.#value, ...change };
    for (const watcher of this.#watchers) watcher();
  }

  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }
}

function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const left = a as Record<string, unknown>;
  const right = b as Record<string, unknown>;
  const keys = Object.keys(left);
  return keys.length === Object.keys(right).length &&
    keys.every((key) => Object.is(left[key], right[key]));
}

// Renders again only when the part has changed (one level deep).
export function usePart<T extends object, P>(store: Store<T>, part: (value: T) => P): P {
  const [, again] = useState(0);
  const now = part(store.value);
  const latest = useRef({ now, part });
  latest.current = { now, part };
  useEffect(
    () => store.watch(() => {
      const next = latest.current.part(store.value);
      if (!same(next, latest.current.now)) {
        latest.current.now = next;
        again((count) => count + 1);
      }
    }),
    [store],
  );
  return now;
}
