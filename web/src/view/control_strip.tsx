// Who was in control, as a strip: colour, pattern and letter each say it alone.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { runsOf } from "../state/timeline";
import type { Who } from "../state/timeline";
import { memo } from "./memo";

export const whoWords: Record<Who, string> = {
  policy: "policy", human: "person", nudge: "nudge", script: "program", hold: "hold", lost: "not recorded",
};
const letters: Record<Who, string> = { policy: "P", human: "H", nudge: "N", script: "S", hold: "–", lost: "?" };

export const percentOf = (steps: number, of: number): string => `${of > 0 ? (100 * steps) / of : 0}%`;

// The width of an element in pixels, as it changes.
export function useWidth<T extends HTMLElement>(): [preact.RefObject<T>, number] {
  const place = useRef<T>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const watch = new ResizeObserver(() => setWidth(element.clientWidth));
    watch.observe(element);
    setWidth(element.clientWidth);
    return () => watch.disconnect();
  }, []);
  return [place, width];
}

const plainLetterPx = 16;

export const ControlStrip = memo((props: { who: readonly Who[]; of: number; small?: boolean }): JSX.Element => {
  const [place, width] = useWidth<HTMLSpanElement>();
  return (
    <span class={`control-strip ${props.small ? "small" : ""}`} ref={place} aria-hidden="true">
      {runsOf(props.who).map((run) => {
        const steps = run.last - run.first + 1;
        const roomy = (width * steps) / Math.max(1, props.of) >= plainLetterPx;
        return (
          <span key={run.first} class="run" data-who={run.value}
            style={{ left: percentOf(run.first, props.of), width: percentOf(steps, props.of) }}>
            {roomy && !props.small ? letters[run.value] : ""}
          </span>
        );
      })}
    </span>
  );
});

export function ControlKey(props: { who: readonly Who[] }): JSX.Element {
  const there = (["policy", "human", "nudge", "script", "hold", "lost"] as const).filter((each) => props.who.includes(each));
  return (
    <ul class="control-key" aria-label="Who was in control">
      {there.map((each) => (
        <li key={each}><span class="run" data-who={each} aria-hidden="true">{letters[each]}</span>{whoWords[each]}</li>
      ))}
    </ul>
  );
}
