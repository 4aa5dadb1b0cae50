// The page's part in the conversation: what people do becomes messages, what the daemon says becomes
// the page's state.
import { Driver } from "../drive/driver";
import type { PadCommand } from "../drive/gamepad";
import { byJoints, controlsOf } from "../drive/jog";
import type { Viewpoint } from "../drive/jog";
import { LiveLink } from "../link/live_link";
import type { LinkOptions } from "../link/live_link";
import { Outbox } from "../link/outbox";
import type { Outcome } from "../link/outbox";
import { StopLatch, stopRepeatMs } from "../link/stop_latch";
import { Chime } from "../sound/chime";
import { parseFrame } from "../wire/frame";
import type { Frame } from "../wire/frame";
import { MessageIds, sessionPrefix } from "../wire/message_id";
import type { Ack, Act, DaemonMessage, IdentifiedAct, LabelValue, LogEvent, Meaning, Status } from "../wire/messages";
import { rollBackTarget } from "./lineage";
import { firstState } from "./page_state";
import { followEpisode } from "./live_strip";
import { preference, setPreference } from "./preferences";
import { robotWord, shortName } from "./robot_word";
import type { Mood } from "./robot_word";
import { Store } from "./store";
import { answered, changeWords, confirmed, newWords, takenBack, withWords } from "./words";
import type { SaidWords } from "./words";

type FrameHandler = (frame: Frame, at: number) => void;

const keptEvents = 60;
const noticeMs = 5000;
export const undoChoices = [1, 2, 3, 5, 10] as const;
const askedMs = 20_000; // then a question for control is forgotten

export class Session {
  readonly store = new Store(firstState);
  readonly driver: Driver;
  readonly chime = new Chime();
  #link: LiveLink;
  #outbox = new Outbox();
  #stop = new StopLatch();
  #ids = new MessageIds(sessionPrefix((bytes) => crypto.getRandomValues(bytes)));
  #frames = new Map<number, FrameHandler>();
  #notices = 0;
  #newestSeen = 0; // episode: the curves tell of it once it has ended
  #mood: Mood | undefined;
  #plea = 0;
  #recording = true;
  #askedAt = Number.NEGATIVE_INFINITY;
  #askerAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: LinkOptions) {
    this.driver = new Driver({
      linked: () => this.#link.open,
      mayDrive: () => ["supervisor", "engineer"].includes(this.store.value.hello?.you.role ?? ""),
      askForLease: () => this.#askForLease(),
      send: (jog) => this.#link.send(jog),
      newestTick: () => this.store.value.status?.tick ?? 0,
      channels: () => this.store.value.hello?.robot.action ?? [],
      speed: () => this.store.value.speed,
      viewpoint: () => this.store.value.viewpoint,
      joint: () => controlsOf(this.store.value.hello?.robot.action ?? []).joints[this.store.value.joint],
      padCommand: (command) => this.#padCommand(command),
      padSeen: (pad) => this.store.set({ pad }),
      changed: () => this.#showDriving(),
    });
    this.#link = new LiveLink(options, {
      opened: () => this.#opened(),
      message: (message) => this.#receive(message),
      binary: (bytes, at) => {
        const frame = parseFrame(bytes);
        if (frame !== undefined) this.#frames.get(frame.camera)?.(frame, at);
      },
      lost: (detail, refused) => this.#lost(detail, refused),
      roundTrip: (roundTripMs, jitterMs) => this.store.set({ roundTripMs, jitterMs }),
      silent: (silent) => {
        if (silent) this.driver.deadMan.linkLost();
        this.store.set({ link: silent ? "lost" : "open", linkDetail: silent ? "Nothing is heard of the robot. If you were driving, it holds." : "" });
        this.#ring();
      },
    });
    window.setInterval(() => this.#repeatStop(), stopRepeatMs / 2);
    window.setInterval(() => {
      if (this.#link.open) this.#outbox.tick(performance.now());
    }, 500);
    this.store.set({
      speed: Number(preference("speed")) || firstState.speed,
      viewpoint: preference("viewpoint") === "behind" ? "behind" : "facing",
      muted: preference("muted") === "yes",
      undoSeconds: undoChoices.find((each) => String(each) === preference("undo")) ?? firstState.undoSeconds,
    });
    this.chime.muted = this.store.value.muted;
  }

  // ---- what people do ------------------------------------------------------------------------

  stop(): void {
    this.driver.dropAll();
    const due = this.#stop.press(this.#ids.next(), performance.now());
    this.store.set({ stopPending: true, stopTold: this.store.value.stopTold + 1 });
    due.forEach((id) => this.#sendStop(id));
  }

  start(): void {
    this.driver.dropAll();
    void this.#act({ type: "hand_back" });
  }

  hold(): void {
    this.driver.dropAll();
    void this.#act({ type: "hold" });
  }

  release(): void {
    this.driver.dropAll();
    void this.#act({ type: "release" });
  }

  // What B, the band's button and a gamepad's Start mean: Start, or hand back.
  startIfHeld(): void {
    const state = this.store.value.status?.state;
    if (state === "HOLD" || state === "HUMAN" || state === "TAKEOVER") this.start();
  }

  askToDrive(): void {
    const { holder } = this.store.value.status?.lease ?? {};
    if (holder === undefined) return;
    this.#askedAt = performance.now();
    this.store.set({ asking: true });
    this.#send(this.#identified({ type: "ask_to_drive" }), (outcome) => {
      const ok = outcome.kind === "ack" && outcome.ack.ok;
      if (!ok) this.store.set({ asking: false });
      this.#tell(ok ? "good" : "bad", ok ? `${shortName(holder.name)} was asked`
        : `The question did not reach ${shortName(holder.name)}. Ask in person.`);
    });
  }

  // One tap of whoever drives: control goes back, and the one who asked takes it by a press of their own.
  passControl(): void {
    this.store.set({ asker: "" });
    this.release();
  }

  keepControl(): void {
    this.store.set({ asker: "" });
  }

  declineHelp(): void {
    const help = this.store.value.status?.help?.id ?? 0;
    if (help === 0) return;
    this.store.set({ declinedHelp: help });
    this.#act({ type: "decline_help", help });
  }

  // Of a robot that is driven joint by joint.
  chooseJoint(by: number): void {
    const controls = controlsOf(this.store.value.hello?.robot.action ?? []);
    const { length } = controls.joints;
    if (!byJoints(controls)) return;
    // What a held key means must not change under the hand.
    this.driver.dropAll();
    this.store.set({ joint: (this.store.value.joint + by + length) % length });
  }

  resetStop(): void {
    void this.#act({ type: "reset_stop" });
  }

  resetFault(): void {
    void this.#act({ type: "reset_fault" });
  }

  // The episode that is on the screen, as a person who presses a label means it: the next one may
  // begin before the press arrives.
  labelShown(value: LabelValue): Promise<boolean> {
    const { status, curves } = this.store.value;
    return this.label(status?.episode.id || this.#newestSeen || curves?.episodes.at(-1)?.id || 0, value);
  }

  // `span` 0: the whole episode. True: it is stored.
  label(episode: number, value: LabelValue, span = 0): Promise<boolean> {
    const words: Record<LabelValue, string> = {
      success: "worked", failure: "failed", discard: "taken out of training", none: "no label",
    };
    const whole = episode === 0 ? "Episode" : `Episode ${episode}`;
    const which = span === 0 ? whole : `${whole}, correction ${span}`;
    return this.#act({ type: "label", episode, span, value }, `${which}: ${words[value]}`);
  }

  split(span: number, step: number): Promise<boolean> {
    return this.#act({ type: "split", span, step }, `The correction begins at step ${step}`);
  }

  endEpisode(): void {
    void this.#act({ type: "end_episode" }, "The episode is over; the robot holds");
  }

  undo(seconds: number): void {
    void this.#act({ type: "undo", seconds }, `The last ${seconds} s will not be learned from`);
  }

  setUndoSeconds(undoSeconds: number): void {
    setPreference("undo", String(undoSeconds));
    this.store.set({ undoSeconds });
  }

  say(text: string, meant: Meaning): void {
    const act = this.#identified({ type: "words", text, meant, view: this.store.value.viewpoint });
    this.store.set({ words: withWords(this.store.value.words, newWords(act.id, text, meant)) });
    this.#send(act, (outcome) => this.#change(act.id, (words) => outcome.kind === "ack"
      ? answered(words, outcome.ack, performance.now())
      : { ...words, state: "refused", echo: outcome.message }));
  }

  confirmWords(id: string): void {
    this.#askAboutWords("confirm_words", id, confirmed);
  }

  undoWords(id: string): void {
    this.#askAboutWords("undo_words", id, takenBack);
  }

  rollBack(): Promise<boolean> {
    const to = rollBackTarget(this.store.value.weights);
    return this.#act({ type: "roll_back" }, to === undefined ? "Rolled back" : `Rolled back to v${to}`);
  }

  promote(version: number): Promise<boolean> {
    return this.#act({ type: "promote", version }, `v${version} is confirmed, and acts next`);
  }

  resumeLearning(): void {
    void this.#act({ type: "resume_learning" }, "Learning goes on");
  }

  setSpeed(speed: number): void {
    const bounded = Math.min(1, Math.max(0.1, Math.round(speed * 20) / 20));
    setPreference("speed", String(bounded));
    this.store.set({ speed: bounded });
  }

  setViewpoint(viewpoint: Viewpoint): void {
    // What a held stick means must not turn round under the hand.
    this.driver.dropAll();
    setPreference("viewpoint", viewpoint);
    this.store.set({ viewpoint });
  }

  setMuted(muted: boolean): void {
    setPreference("muted", muted ? "yes" : "no");
    this.chime.muted = muted;
    this.store.set({ muted });
  }

  // ---- the past ------------------------------------------------------------------------------

  // Shows an episode in the timeline; without a step, its beginning or, under way, its newest.
  open(episode: number, step?: number): void {
    this.store.set({ opened: { episode, step } });
    document.querySelector<HTMLButtonElement>("#tab-episodes")?.click();
  }

  close(): void {
    this.store.set({ opened: undefined });
  }

  // A request of the REST surface with this page's token.
  get(path: string, signal?: AbortSignal): Promise<Response> {
    return fetch(new URL(path, this.options.base), {
      headers: { authorization: `Bearer ${this.options.pass.token}` }, ...(signal && { signal }),
    });
  }

  // ---- cameras -------------------------------------------------------------------------------

  onFrames(camera: number, handler: FrameHandler): () => void {
    this.#frames.set(camera, handler);
    return () => this.#frames.delete(camera);
  }

  frameSeen(camera: number, sequence: number): void {
    this.#link.send({ type: "frame_seen", camera, sequence });
  }

  // ---- the conversation ----------------------------------------------------------------------

  #opened(): void {
    const cameras = this.store.value.hello?.robot.cameras ?? [];
    this.#link.send({ type: "frames", cameras: cameras.map((camera) => camera.name) });
    const now = performance.now();
    for (const act of this.#outbox.forNewLink(now)) this.#link.send(act);
    this.#stop.newLink();
    this.#repeatStop();
  }

  #receive(message: DaemonMessage): void {
    switch (message.type) {
      case "hello":
        this.store.set({
          hello: message, link: "open", linkDetail: "", status: undefined, asker: "", asking: false,
          declinedHelp: 0,
        });
        break;
      case "status":
        this.driver.deadMan.observe(message);
        this.#newestSeen = message.episode.id || this.#newestSeen;
        this.store.set({
          status: message,
          strip: followEpisode(this.store.value.strip, message),
          busy: message.lease.holder === undefined || message.lease.mine ? "" : this.store.value.busy,
        });
        this.#hearPeople(message);
        this.#showDriving();
        this.#ring();
        break;
      case "asked_to_drive":
        this.#askerAt = performance.now();
        this.store.set({ asker: shortName(message.by.name) });
        this.chime.play("asked");
        this.#buzz([60, 60, 60]);
        break;
      case "event":
        this.#note(message);
        break;
      case "curves":
        this.store.set({ curves: message });
        break;
      case "weights":
        this.store.set({ weights: message });
        break;
      case "phrases":
        this.store.set({ phrases: message });
        break;
      case "learning":
        this.store.set({ learning: message });
        break;
      case "ack":
        if (this.#stop.acknowledged(message.id)) {
          this.store.set({ stopPending: this.#stop.pending });
          if (!message.ok) this.#tell("bad", `STOP was refused: ${message.message}`);
        } else {
          this.#outbox.acknowledged(message);
        }
        break;
      case "pong":
        break;
    }
  }

  #lost(detail: string, refused: boolean): void {
    this.driver.deadMan.linkLost();
    this.#outbox.linkLost();
    this.store.set({
      ...(refused ? { hello: undefined } : {}),
      link: refused ? "refused" : this.store.value.hello === undefined ? "connecting" : "lost",
      linkDetail: detail || this.store.value.linkDetail, busy: "",
    });
    this.#showDriving();
    this.#ring();
  }

  // Questions between people, and those of the robot.
  #hearPeople(status: Status): void {
    const now = performance.now();
    const { lease, help, recording } = status;
    if (this.store.value.asker !== "" && (!lease.mine || now - this.#askerAt > askedMs)) {
      this.store.set({ asker: "" });
    }
    if (this.store.value.asking) {
      if (lease.holder === undefined) {
        this.store.set({ asking: false });
        this.#tell("good", "Control is free: hold a stick or a key to drive");
        this.chime.play("passed");
      } else if (lease.mine || now - this.#askedAt > askedMs) {
        this.store.set({ asking: false });
      }
    }
    if (help !== undefined && help.id !== this.#plea) {
      this.#plea = help.id;
      this.chime.play("help");
      this.#buzz([120, 80, 120, 80, 240]);
    }
    if (this.#recording && !recording) this.chime.play("unrecorded");
    this.#recording = recording;
  }

  #padCommand(command: PadCommand): void {
    switch (command) {
      case "stop": return this.stop();
      case "start": return this.startIfHeld();
      case "hold": return this.hold();
      case "worked": return void this.labelShown("success");
      case "failed": return void this.labelShown("failure");
      case "previous": return this.chooseJoint(-1);
      case "next": return this.chooseJoint(1);
    }
  }

  #note(event: LogEvent): void {
    this.store.set({ events: [event, ...this.store.value.events].slice(0, keptEvents) });
    const you = this.store.value.hello?.you.name;
    if (event.kind === "words" && event.actor.name !== you) {
      const text = event.data["text"];
      const echo = event.data["understood_as"];
      const comment = event.data["use"] === 3 || event.data["use"] === "comment";
      this.store.set({
        words: withWords(this.store.value.words, {
          ...newWords(`event ${event.sequence}`, typeof text === "string" ? text : "", comment ? "comment" : "instruction"),
          who: shortName(event.actor.name), mine: false, state: "stored", echo: typeof echo === "string" ? echo : "",
        }),
      });
    }
    if (event.kind === "words_undone" && typeof event.data["words"] === "string") {
      this.#change(event.data["words"], (words) => ({ ...words, state: "undone", asking: "", problem: "" }));
    }
  }

  #change(id: string, change: (words: SaidWords) => SaidWords): void {
    this.store.set({ words: changeWords(this.store.value.words, id, change) });
  }

  #askAboutWords(
    type: "confirm_words" | "undo_words", words: string, then: (words: SaidWords, ack: Ack) => SaidWords,
  ): void {
    this.#change(words, (each) => ({ ...each, asking: type === "undo_words" ? "undo" : "confirm", problem: "" }));
    this.#send(this.#identified({ type, words }), (outcome) => this.#change(words, (each) =>
      outcome.kind === "ack" ? then(each, outcome.ack) : { ...each, asking: "", problem: outcome.message }));
  }

  #askForLease(): void {
    this.#send(this.#identified({ type: "takeover" }), (outcome) => {
      if (outcome.kind === "ack" && outcome.ack.ok) {
        this.driver.deadMan.granted(outcome.ack.epoch);
        this.store.set({ busy: "" });
      } else {
        this.driver.deadMan.refused();
        if (outcome.kind === "ack" && outcome.ack.holder !== "") {
          this.store.set({ busy: shortName(outcome.ack.holder) });
          this.#tell("bad", `Busy: ${shortName(outcome.ack.holder)} drives`);
        } else {
          this.#tell("bad", outcome.kind === "ack" ? outcome.ack.message : outcome.message);
        }
      }
      this.#showDriving();
    });
  }

  // True: done.
  #act(act: Act, done = ""): Promise<boolean> {
    return new Promise((resolve) => this.#send(this.#identified(act), (outcome) => {
      if (outcome.kind === "unanswered") {
        this.#tell("bad", `Not done: ${outcome.message}`);
      } else if (!outcome.ack.ok) {
        const holder = outcome.ack.holder === "" ? "" : ` (${shortName(outcome.ack.holder)} drives)`;
        this.#tell("bad", `${outcome.ack.message || outcome.ack.code}${holder}`);
      } else if (done !== "") {
        this.#tell("good", outcome.ack.echo || done);
      }
      resolve(outcome.kind === "ack" && outcome.ack.ok);
    }));
  }

  #identified(act: Act): IdentifiedAct {
    return { ...act, id: this.#ids.next() };
  }

  #send(act: IdentifiedAct, done: (outcome: Outcome) => void): void {
    this.#outbox.add(act, performance.now(), done);
    if (!this.#link.send(act) && !this.#link.open) this.#outbox.linkLost();
  }

  #repeatStop(): void {
    for (const id of this.#stop.due(performance.now())) this.#sendStop(id);
  }

  // Over the live connection, and where there is none over a request of its own.
  #sendStop(id: string): void {
    if (this.#link.open && this.#link.send({ type: "stop", id })) return;
    void fetch(new URL("/api/v1/feedback", this.options.base), {
      method: "POST",
      headers: {
        authorization: `Bearer ${this.options.pass.token}`, "content-type": "application/json",
      },
      body: JSON.stringify({ type: "stop", id }),
      keepalive: true,
    }).then((answer) => {
      if (answer.ok && this.#stop.acknowledged(id)) {
        this.store.set({ stopPending: this.#stop.pending });
      }
    }).catch(() => undefined); // asked again in 200 ms
  }

  #showDriving(): void {
    const phase = this.driver.deadMan.phase;
    const wish = this.driver.wish();
    const hands = this.driver.hands();
    const shown = this.store.value.drive;
    if (shown.phase === phase && shown.hands === hands && shown.wish.right === wish.right &&
        shown.wish.away === wish.away && shown.wish.up === wish.up && shown.wish.open === wish.open) {
      return;
    }
    this.store.set({ drive: { phase, wish, hands } });
  }

  #tell(tone: "good" | "bad", text: string): void {
    this.#notices += 1;
    const id = this.#notices;
    this.store.set({ notices: [...this.store.value.notices.slice(-2), { id, tone, text }] });
    window.setTimeout(() => {
      this.store.set({ notices: this.store.value.notices.filter((each) => each.id !== id) });
    }, noticeMs);
  }

  // Browsers complain of buzzing before anybody has touched the page.
  #buzz(pattern: number | number[]): void {
    if (navigator.userActivation?.hasBeenActive) navigator.vibrate?.(pattern);
  }

  // A change of state is heard and felt, and shows in the browser's tab.
  #ring(): void {
    const { mood, word } = robotWord(this.store.value.status, this.store.value.link);
    if (mood === this.#mood) return;
    document.title = `${word} · Nudge`;
    // The edge of an installed page shows the state as well.
    const ground = getComputedStyle(document.documentElement).getPropertyValue(`--${mood}`).trim();
    document.querySelector("meta[name=theme-color]")?.setAttribute("content", ground);
    if (this.#mood !== undefined) {
      this.chime.play(mood);
      if (mood !== "auto") this.#buzz(mood === "human" ? 25 : 70);
    }
    this.#mood = mood;
  }
}
