// Short sounds on a change of state, made here so that none is loaded. Rising: the robot will move
// by itself; falling: it holds; three low ones: something is wrong.
import type { Mood } from "../state/robot_word";

interface Note {
  hertz: number;
  at: number; // s after the first
  length: number; // s
}

const tunes: Record<Mood, Note[]> = {
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

  play(mood: Mood): void {
    const context = this.#context;
    if (this.muted || context === undefined || context.state !== "running") return;
    for (const note of tunes[mood]) {
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
