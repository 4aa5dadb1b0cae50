// All that the page shows.
import type { DrivePhase } from "../drive/dead_man";
import type { Viewpoint, Wish } from "../drive/jog";
import { noWish } from "../drive/jog";
import type { Curves, Hello, LogEvent, Meaning, Status, Weights } from "../wire/messages";
import type { LinkView } from "./robot_word";

export interface SaidWords {
  id: string;
  who: string;
  text: string;
  meant: Meaning;
  state: "sending" | "stored" | "refused";
  echo: string; // what was understood, or why not
}

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
}

export const firstState: PageState = {
  link: "connecting", linkDetail: "", hello: undefined, status: undefined, curves: undefined,
  weights: undefined, events: [], words: [], notices: [], roundTripMs: undefined, jitterMs: 0,
  stopPending: false, stopTold: 0, drive: { phase: "rest", wish: noWish, hands: "" }, busy: "",
  pad: "", joint: 0, asker: "", asking: false, declinedHelp: 0,
  speed: 0.6, viewpoint: "facing", muted: false,
};
