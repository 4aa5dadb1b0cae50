// Push-to-talk: speech becomes text in the browser, where it can. What leaves the page is the text.

interface Alternative {
  transcript: string;
}
interface Heard extends Event {
  results: ArrayLike<ArrayLike<Alternative> & { isFinal: boolean }>;
}
interface Recognition extends EventTarget {
  lang: string;
  interimResults: boolean;
  continuous: boolean;
  onresult: ((event: Heard) => void) | null;
  onerror: ((event: Event & { error: string }) => void) | null;
  onend: (() => void) | null;
  start(): void;
  stop(): void;
  abort(): void;
}
type RecognitionMaker = new () => Recognition;

function maker(): RecognitionMaker | undefined {
  const here = window as unknown as Record<string, RecognitionMaker | undefined>;
  return here["SpeechRecognition"] ?? here["webkitSpeechRecognition"];
}

// Why nobody can speak here; empty: they can.
export function whyNoSpeech(): string {
  if (!window.isSecureContext) return "Speaking needs an https address; this one is not.";
  if (maker() === undefined) return "This browser does not recognise speech.";
  return "";
}

const reasons: Record<string, string> = {
  "not-allowed": "The browser may not use the microphone.",
  "service-not-allowed": "The browser may not use the microphone.",
  "no-speech": "Nothing was heard.", "audio-capture": "There is no microphone.",
  network: "This browser recognises speech over the internet, which it cannot reach.",
  "language-not-supported": "This browser recognises no English.",
};

export interface Listener {
  heard: (text: string) => void; // so far
  said: (text: string) => void; // all of it, once, when the button was let go
  failed: (why: string) => void;
}

// Gives what ends it: "stop" waits for the last words, "abort" throws them away.
export function listen(to: Listener): { stop: () => void; abort: () => void } {
  const Maker = maker();
  if (Maker === undefined) {
    to.failed(whyNoSpeech());
    return { stop: () => undefined, abort: () => undefined };
  }
  const recognition = new Maker();
  let text = "";
  let over = false;
  recognition.lang = "en";
  recognition.interimResults = true;
  recognition.continuous = true;
  recognition.onresult = (event) => {
    text = Array.from(event.results, (each) => each[0]?.transcript ?? "").join(" ").replace(/\s+/g, " ").trim();
    if (!over) to.heard(text);
  };
  recognition.onerror = (event) => {
    if (over || event.error === "aborted") return;
    over = true;
    to.failed(reasons[event.error] ?? `Speech was not recognised (${event.error}).`);
  };
  recognition.onend = () => {
    if (over) return;
    over = true;
    if (text === "") to.failed("Nothing was heard.");
    else to.said(text);
  };
  recognition.start();
  return {
    stop: () => recognition.stop(),
    abort: () => {
      over = true;
      recognition.abort();
    },
  };
}
