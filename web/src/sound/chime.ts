// Short sounds on a change of state, made here so that none is loaded. Rising: the robot will move
// by itself; falling: it holds; three low ones: something is wrong.
import type { Mood } from "../state/robot_word";

interface Note {
  hertz: number;
  at: number; // s after the first
  length: number; // s
}

// What is heard beside the states: the robot asks for a person, a person asks to drive, control was
// passed on, nothing is recorded any more.
export type Call = "help" | "asked" | "passed" | "unrecorded";

const tunes: Record<Mood | Call, Note[]> = {
  help: [
    { hertz: 880, at: 0, length: 0.12 }, { hertz: 1175, at: 0.16, length: 0.12 },
    { hertz: 880, at: 0.32, length: 0.12 }, { hertz: 1175, at: 0.48, length: 0.24 },
  ],
  asked: [{ hertz: 988, at: 0, length: 0.1 }, { hertz: 988, at: 0.16, length: 0.18 }],
  passed: [
    { hertz: 523, at: 0, length: 0.08 }, { hertz: 659, at: 0.09, length: 0.08 },
    { hertz: 784, at: 0.18, length: 0.16 },
  ],
  unrecorded: [{ hertz: 196, at: 0, length: 0.3 }, { hertz: 185, at: 0.34, length: 0.4 }],

  auto: [{ hertz: 523, at: 0, length: 0.09 }, { hertz: 784, at: 0.1, length: 0.16 }],
  hold: [{ hertz: 587, at: 0, length: 0.09 }, { hertz: 392, at: 0.1, length: 0.16 }],
  taking: [{ hertz: 659, at: 0, length: 0.07 }],
  human: [{ hertz: 659, at: 0, length: 0.07 }, { hertz: 880, at: 0.08, length: 0.12 }],
  handing: [{ hertz: 440, at: 0, length: 0.1 }],
  fault: [
    { hertz: 233, at: 0, length: 0.14 }, { hertz: 233, at: 0.2, length: 0.14 },
    { hertz: 233, at: 0.4, length: 0.14 },
  ],
  stopped: [{ hertz: 311, at: 0, length: 0.16 }, { hertz: 208, at: 0.16, length: 0.34 }],
  lost: [{ hertz: 294, at: 0, length: 0.1 }, { hertz: 294, at: 0.25, length: 0.1 }],
};

export class Chime {
  #context: AudioContext | undefined;
  muted = false;

  // Browsers allow sound only after a person has touched the page.
  wake(): void {
    if (typeof AudioContext === "undefined") return;
    this.#context ??= new AudioContext();
    if (this.#context.state === "suspended") void this.#context.resume();
  }

  play(tune: Mood | Call): void {
    const context = this.#context;
    if (this.muted || context === undefined || context.state !== "running") return;
    for (const note of tunes[tune]) {
      const start = context.currentTime + note.at;
      const tone = context.createOscillator();
      const volume = context.createGain();
      tone.type = "triangle";
      tone.frequency.value = note.hertz;
      volume.gain.setValueAtTime(0, start);
      volume.gain.linearRampToValueAtTime(0.16, start + 0.012);
      volume.gain.exponentialRampToValueAtTime(0.001, start + note.length);
      tone.connect(volume).connect(context.destination);
      tone.start(start);
      tone.stop(start + note.length + 0.02);
    }
  }
}
