// Help: how to drive, and every key. Not a modal window: STOP stays within reach beside it.
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Cross } from "./icons";

const keys: [string, string][] = [
  ["S", "STOP, also with Ctrl from a text box"],
  ["Space", "take over and stand still, for as long as it is held"],
  ["← ↑ ↓ → or I J K L", "drive in the plane"],
  ["R F", "up, down"],
  ["O C", "open, close the gripper"],
  ["B", "start, or hand back"],
  ["H X", "hold; release control"],
  ["1 2 3", "worked, failed, discard"],
  ["U", "undo the last 3 s"],
  ["[ ]", "slower, faster"],
  ["V", "turn the left stick round"],
  ["T", "say something; Esc leaves the text"],
  ["M ?", "sounds; this help"],
];

export function Help(props: { onClose: () => void }): JSX.Element {
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
    <aside class="help" role="dialog" aria-label="Help">
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
      <p class="quiet">This STOP is software. It does not replace the robot's own emergency stop.</p>
    </aside>
  );
}
