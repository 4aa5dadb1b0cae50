// The WebSocket to the daemon: opens it, opens it again when it is lost, measures its round trip.
import type { ClientMessage, DaemonMessage } from "../wire/messages";
import { parseDaemonMessage } from "../wire/parse";
import { BackOff } from "./back_off";
import type { PassKeeper } from "./pass";
import { RoundTrip } from "./round_trip";

export interface LinkEvents {
  opened: () => void; // the daemon has said hello
  message: (message: DaemonMessage) => void;
  binary: (bytes: ArrayBuffer, at: number) => void;
  lost: (detail: string, refused: boolean) => void; // refused: it is not tried again
  roundTrip: (ms: number | undefined, jitterMs: number) => void;
  silent: (silent: boolean) => void; // connected, but no status comes
}

export interface LinkOptions {
  base: string; // "http://127.0.0.1:8080"
  pass: PassKeeper;
  name: string;
}

const pingMs = 250;
const silentMs = 600; // a status comes every 50 ms
const deadMs = 3000; // then the connection is given up
const helloMs = 10_000; // or if no hello comes
const renewCheckMs = 15_000;
const takenOff = "This device is not on the list any more, or was away for too long. Pair it again.";

const revokedCode = 4401;
const closeReasons: Record<number, string> = {
  1008: "The daemon closed the link: this page broke one of its rules.",
  1009: "The daemon closed the link: a message was too long.",
  1013: "The daemon closed the link: this page did not keep up.",
};

export class LiveLink {
  #socket: WebSocket | undefined;
  #backOff = new BackOff();
  #roundTrip = new RoundTrip();
  #heard = 0; // anything
  #told = 0; // a status
  #greeted = false;
  #beaten = 0;
  #excused = false;
  #silent = false;
  #retry: number | undefined;

  constructor(private readonly options: LinkOptions, private readonly events: LinkEvents) {
    window.setInterval(() => this.#beat(), pingMs);
    window.setInterval(() => {
      if (options.pass.due) void options.pass.renew();
    }, renewCheckMs);
    // A network that has come back is used at once.
    window.addEventListener("online", () => this.#reconnectNow());
    this.#connect();
  }

  get open(): boolean {
    return this.#greeted;
  }

  // False: not connected; the message is gone.
  send(message: ClientMessage): boolean {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #connect(): void {
    this.#retry = undefined;
    const url = new URL("/api/v1/live", this.options.base);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.searchParams.set("name", this.options.name);
    const socket = new WebSocket(url, ["nudge.v1", `nudge.token.${this.options.pass.token}`]);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#heard = performance.now();
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => this.#receive(event.data);
    socket.onclose = (event) => {
      if (this.#socket === socket) this.#closed(event.code, event.reason);
    };
  }

  #receive(data: string | ArrayBuffer): void {
    const now = performance.now();
    this.#heard = now;
    if (typeof data !== "string") {
      this.events.binary(data, now);
      return;
    }
    const message = parseDaemonMessage(data);
    if (message === undefined) return;
    if (message.type === "pong") {
      this.#roundTrip.add(now - message.sent);
      this.events.roundTrip(this.#roundTrip.ms, this.#roundTrip.jitterMs);
      return;
    }
    if (message.type === "status") this.#told = now;
    if (this.#silent && message.type === "status") {
      this.#silent = false;
      this.events.silent(false);
    }
    this.events.message(message);
    if (message.type === "hello") {
      this.#greeted = true;
      this.#told = now;
      this.#backOff.reset();
      this.events.opened();
    }
  }

  #beat(): void {
    if (this.#socket === undefined) return;
    const now = performance.now();
    // After a pause of this page's own (a busy device, a laptop that slept), what has arrived
    // meanwhile is still waiting to be read: silence is judged at the next beat, and not excused twice.
    this.#excused = now - this.#beaten > 2 * pingMs && !this.#excused;
    this.#beaten = now;
    if (this.#excused) return;
    const quiet = now - this.#heard;
    if (quiet > (this.#greeted ? deadMs : helloMs)) {
      // A half-open connection would take minutes to be noticed by the system.
      const socket = this.#socket;
      this.#closed(1006, "");
      socket.close();
      return;
    }
    if (!this.#greeted) return;
    if (now - this.#told > silentMs && !this.#silent) {
      this.#silent = true;
      this.events.silent(true);
    }
    this.send({ type: "ping", sent: now });
  }

  #closed(code: number, reason: string): void {
    const greeted = this.#greeted;
    this.#socket = undefined;
    this.#greeted = false;
    this.#silent = false;
    this.#roundTrip.reset();
    this.events.roundTrip(undefined, 0);
    if (code === revokedCode) {
      this.events.lost("The daemon ended this device's access.", false);
      void this.#knockAgain();
      return;
    }
    this.events.lost(reason || closeReasons[code] || "", false);
    this.#retry = window.setTimeout(() => this.#connect(), this.#backOff.nextMs());
    if (!greeted) void this.#askWhy();
  }

  // The daemon does not take the token: perhaps it has expired.
  async #knockAgain(): Promise<void> {
    window.clearTimeout(this.#retry);
    this.#retry = undefined;
    const renewal = await this.options.pass.renew();
    if (renewal === "refused") {
      this.events.lost(takenOff, true);
    } else if (this.#socket === undefined) {
      this.#retry = window.setTimeout(() => this.#connect(), renewal === "renewed" ? 0 : this.#backOff.nextMs());
    }
  }

  #giveUp(detail: string): void {
    window.clearTimeout(this.#retry);
    this.#retry = undefined;
    this.events.lost(detail, true);
  }

  #reconnectNow(): void {
    if (this.#retry === undefined) return;
    window.clearTimeout(this.#retry);
    this.#connect();
  }

  // A browser does not tell a page why an upgrade was refused; a plain request does.
  async #askWhy(): Promise<void> {
    try {
      const answer = await fetch(new URL("/api/v1/status", this.options.base), {
        headers: { authorization: `Bearer ${this.options.pass.token}` },
        cache: "no-store",
      });
      if (answer.status === 401) {
        if (this.options.pass.renewable) void this.#knockAgain();
        else this.#giveUp("The daemon does not know this token.");
      } else if (answer.status === 403) {
        this.#giveUp("The daemon does not serve this address.");
      } else if (answer.status === 503) {
        this.events.lost("Too many people are connected.", false);
      }
    } catch {
      this.events.lost("Nothing answers at this address. Is the daemon running?", false);
    }
  }
}
