// Hold to speak. With the keyboard: Enter begins, Enter again ends.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Mic } from "./icons";
import { listen } from "./listening";

interface Props {
  disabled: boolean;
  onHeard: (text: string) => void;
  onSaid: (text: string) => void;
  onFailed: (why: string) => void;
}

export function TalkButton(props: Props): JSX.Element {
  const [on, setOn] = useState(false);
  const running = useRef<ReturnType<typeof listen>>();
  const latest = useRef(props);
  latest.current = props;

  const end = (): void => {
    running.current?.stop();
  };
  const begin = (): void => {
    if (running.current !== undefined || latest.current.disabled) return;
    setOn(true);
    const over = (): void => {
      running.current = undefined;
      setOn(false);
    };
    running.current = listen({
      heard: (text) => latest.current.onHeard(text),
      said: (text) => {
        over();
        latest.current.onSaid(text);
      },
      failed: (why) => {
        over();
        latest.current.onFailed(why);
      },
    });
  };
  useEffect(() => () => running.current?.abort(), []);

  return (
    <button type="button" class={`button talk ${on ? "on" : ""}`} disabled={props.disabled} aria-pressed={on}
      aria-label="Hold to speak" title="Hold to speak"
      onPointerDown={(event) => {
        if (event.button !== 0) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        begin();
      }}
      onPointerUp={end} onPointerCancel={end} onLostPointerCapture={end}
      onKeyDown={(event) => {
        if (event.code !== "Enter" || event.repeat) return;
        event.preventDefault();
        if (running.current === undefined) begin();
        else end();
      }}
      onContextMenu={(event) => event.preventDefault()}>
      <Mic />
      <span class="talk-word">{on ? "Listening" : "Hold to speak"}</span>
    </button>
  );
}
