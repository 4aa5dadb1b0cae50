// All that the page shows.
import type { DrivePhase } from "../drive/dead_man";
import type { Viewpoint, Wish } from "../drive/jog";
import { noWish } from "../drive/jog";
import type { Curves, Hello, Learning, LogEvent, Phrases, Status, Weights } from "../wire/messages";
import { noStrip } from "./live_strip";
import type { LiveStrip } from "./live_strip";
import type { LinkView } from "./robot_word";
import type { SaidWords } from "./words";

export interface Notice {
  id: number;
  tone: "good" | "bad";
  text: string;
}

export interface PageState {
  link: LinkView;
  linkDetail: string; // for people: why there is none
  hello: Hello | undefined;
  status: Status | undefined;
  curves: Curves | undefined;
  weights: Weights | undefined;
  learning: Learning | undefined;
  phrases: Phrases | undefined;
  strip: LiveStrip; // who was in control, in the episode under way
  opened: { episode: number; step: number | undefined } | undefined; // in the timeline
  events: LogEvent[]; // newest first
  words: SaidWords[]; // newest first
  notices: Notice[];
  roundTripMs: number | undefined;
  jitterMs: number;
  stopPending: boolean;
  stopTold: number; // counts presses, for the button's flash
  drive: { phase: DrivePhase; wish: Wish; hands: string };
  pad: string; // the gamepad in use; empty: none
  joint: number; // chosen, of a robot that is driven joint by joint
  asker: string; // who asks this page's driver for control; empty: nobody
  asking: boolean; // this page has asked whoever drives
  declinedHelp: number; // the plea that this person does not answer; 0: none
  busy: string; // who drives, when a press was refused; empty: nobody
  speed: number; // 0.1 to 1
  viewpoint: Viewpoint;
  muted: boolean;
  undoSeconds: number; // what one press takes back
}

export const firstState: PageState = {
  link: "connecting", linkDetail: "", hello: undefined, status: undefined, curves: undefined,
  weights: undefined, learning: undefined, phrases: undefined, strip: noStrip, opened: undefined, events: [], words: [], notices: [], roundTripMs: undefined, jitterMs: 0,
  stopPending: false, stopTold: 0, drive: { phase: "rest", wish: noWish, hands: "" }, busy: "",
  pad: "", joint: 0, asker: "", asking: false, declinedHelp: 0,
  speed: 0.6, viewpoint: "facing", muted: false, undoSeconds: 3,
};
