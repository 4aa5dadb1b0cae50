// Help: how to drive, and every key. Not a modal window: STOP stays within reach beside it.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { chooseTheme, chosenTheme, themes } from "../state/theme";
import { Cross } from "./icons";

const keys: [string, string][] = [
  ["S", "STOP, also with Ctrl from a text box"],
  ["Space", "take over and stand still, for as long as it is held"],
  ["← ↑ ↓ → or I J K L", "drive in the plane"],
  ["R F", "up, down"],
  ["O C", "open, close the gripper"],
  ["Q E", "turn the tool, where the robot can"],
  ["Y N , .", "tilt and roll it"],
  ["B", "start, or hand back"],
  ["H X", "hold; release control"],
  ["P", "ask to drive, or pass control to whoever asks"],
  ["0", "not now, when the robot asks for help"],
  ["1 2 3", "worked, failed, discard"],
  ["U", "undo the last seconds"],
  ["[ ]", "slower, faster"],
  ["V", "turn the left stick round"],
  ["T", "say something; Esc leaves the text"],
  ["M ?", "sounds; this help"],
];

const themeWords = { auto: "As the device", light: "Light", dark: "Dark" } as const;

export function Help(props: { onClose: () => void }): JSX.Element {
  const [theme, setTheme] = useState(chosenTheme());
  const close = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    close.current?.focus();
    const escape = (event: KeyboardEvent): void => {
      if (event.key === "Escape") props.onClose();
    };
    document.addEventListener("keydown", escape);
    return () => document.removeEventListener("keydown", escape);
  }, [props.onClose]);
  return (
    <div class="help" role="dialog" aria-label="Help">
      <button ref={close} type="button" class="button small close" aria-label="Close help" onClick={props.onClose}>
        <Cross />
      </button>
      <h2>Hold to drive</h2>
      <p>Put a thumb on a stick, or hold a key: the robot comes to rest and is yours. Let go, and it holds.
        Touch again to go on. <b>Hand back</b> lets the policy drive again; nothing else does.</p>
      <dl>
        {keys.map(([key, what]) => (
          <div key={key}>
            <dt>{key.split(" ").map((each) => each === "or" ? " or " : <kbd key={each}>{each}</kbd>)}</dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <h2>Gamepad</h2>
      <p>Hold a shoulder button to drive: left stick in the plane, right stick up and down and turn, triggers close
        and open. A failed, Y worked, B hold, Start hands back, Select is STOP.</p>
      <div class="colours" role="radiogroup" aria-label="Colours">
        <h2>Colours</h2>
        {themes.map((each) => (
          <label key={each} class={`button small ${each === theme ? "chosen" : ""}`}>
            <input type="radio" name="theme" checked={each === theme} onChange={() => {
              chooseTheme(each);
              setTheme(each);
            }} />
            {themeWords[each]}
          </label>
        ))}
      </div>
      <p class="quiet">This STOP is software. It does not replace the robot's own emergency stop.</p>
    </div>
  );
}
