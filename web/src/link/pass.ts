// What lets this page in. Two kinds: a token from the address that the program printed, which lasts as
// long as the tab; and the token of a paired device, which is renewed before it expires and lasts
// until somebody takes the device off the list.
import { isToken, tokenFromHash } from "./token";

export interface Pass {
  token: string;
  refresh: string; // empty: cannot be renewed
  expiresMs: number; // of this machine's wall clock; 0: not known
  lifeMs: number; // from when it was given; 0: not known
}

export type Renewal = "renewed" | "refused" | "unreachable";

type Shelf = Pick<Storage, "getItem" | "setItem" | "removeItem">;

export interface PassPlaces {
  tab: Shelf; // sessionStorage
  device: Shelf; // localStorage
  // `attempt`: the same for what is the same act, so that one whose answer was lost is not done twice.
  post: (path: string, body: unknown, attempt?: string) => Promise<{ status: number; body: unknown }>;
  alone: <T>(work: () => Promise<T>) => Promise<T>; // one page of this device at a time
  nowMs: () => number; // wall clock
}

const tabKey = "nudge.token";
const deviceKey = "nudge.pass";
const renewShare = 0.3; // of its life is left when it is renewed
const codeShape = /^[0-9A-Z]{4}-?[0-9A-Z]{4}$/;

// As people type it: any case, with or without the dash. Undefined: no code.
export function pairingCode(text: string): string | undefined {
  const plain = text.trim().toUpperCase().replaceAll(/[\s-]/g, "");
  return codeShape.test(plain) ? `${plain.slice(0, 4)}-${plain.slice(4)}` : undefined;
}

export function codeFromHash(hash: string): string | undefined {
  const value = new URLSearchParams(hash.replace(/^#/, "")).get("pair");
  return value === null ? undefined : pairingCode(value);
}

function passOf(answer: unknown, nowMs: number): Pass | undefined {
  if (typeof answer !== "object" || answer === null) return undefined;
  // Not `expires_ms`: the robot's clock and this one's need not agree.
  const { token, refresh, life_ms: life } = answer as Record<string, unknown>;
  if (typeof token !== "string" || !isToken(token)) return undefined;
  const lifeMs = typeof life === "number" && Number.isFinite(life) ? Math.max(0, life) : 0;
  return {
    token, refresh: typeof refresh === "string" ? refresh : "",
    expiresMs: lifeMs > 0 ? nowMs + lifeMs : 0, lifeMs,
  };
}

export class PassKeeper {
  #pass: Pass | undefined;

  constructor(private readonly places: PassPlaces) {}

  get token(): string {
    return this.#pass?.token ?? "";
  }

  // True: there is a pass, from the address, the tab or the device.
  take(hash: string, cleanAddress: () => void): boolean {
    const given = tokenFromHash(hash);
    if (given !== undefined) {
      this.places.tab.setItem(tabKey, given);
      cleanAddress();
    }
    const ofTab = given ?? this.places.tab.getItem(tabKey);
    if (ofTab !== null && ofTab !== "") this.#pass = { token: ofTab, refresh: "", expiresMs: 0, lifeMs: 0 };
    else this.#pass = this.#stored();
    return this.#pass !== undefined;
  }

  // Empty: paired. Else why not, for people.
  async pair(code: string, name: string): Promise<string> {
    try {
      const answer = await this.places.post("/api/v1/pair", { code, name }, code);
      if (answer.status === 403) return "This code is wrong, used up or too old. Ask for a new one.";
      if (answer.status === 429) return "Too many tries. Wait a minute, then ask for a new code.";
      if (answer.status === 404) return "This program pairs no devices. Open the address that it printed.";
      const pass = answer.status === 200 ? passOf(answer.body, this.places.nowMs()) : undefined;
      if (pass === undefined) return `The program did not accept the code (${answer.status}).`;
      this.places.tab.removeItem(tabKey);
      this.#store(pass);
      return "";
    } catch {
      return "Nothing answers at this address. Is the program running?";
    }
  }

  get renewable(): boolean {
    return (this.#pass?.refresh ?? "") !== "";
  }

  // Due before it expires, so that a link that breaks then comes back at once.
  get due(): boolean {
    const pass = this.#pass;
    return pass !== undefined && pass.refresh !== "" && pass.expiresMs > 0 &&
      this.places.nowMs() > pass.expiresMs - renewShare * pass.lifeMs;
  }

  // A refresh is used up by its use: another tab of this device may have been first.
  renew(): Promise<Renewal> {
    return this.places.alone(async () => {
      const before = this.#pass;
      if (before === undefined || before.refresh === "") return "refused";
      const stored = this.#stored();
      if (stored !== undefined && stored.token !== before.token) {
        this.#pass = stored;
        return "renewed";
      }
      try {
        const answer = await this.places.post("/api/v1/token", { refresh: before.refresh });
        const pass = answer.status === 200 ? passOf(answer.body, this.places.nowMs()) : undefined;
        if (pass !== undefined) {
          this.#store({ ...pass, refresh: pass.refresh || before.refresh });
          return "renewed";
        }
        if (answer.status === 401 || answer.status === 403) return "refused";
      } catch {
        // Nobody answers: asked again later.
      }
      return "unreachable";
    });
  }

  forget(): void {
    this.#pass = undefined;
    this.places.tab.removeItem(tabKey);
    this.places.device.removeItem(deviceKey);
  }

  #stored(): Pass | undefined {
    try {
      const it = JSON.parse(this.places.device.getItem(deviceKey) ?? "null") as Partial<Pass> | null;
      if (it === null || typeof it.token !== "string" || !isToken(it.token)) return undefined;
      return {
        token: it.token, refresh: String(it.refresh ?? ""), expiresMs: Number(it.expiresMs) || 0,
        lifeMs: Number(it.lifeMs) || 0,
      };
    } catch {
      return undefined;
    }
  }

  #store(pass: Pass): void {
    this.#pass = pass;
    this.places.device.setItem(deviceKey, JSON.stringify(pass));
  }
}
