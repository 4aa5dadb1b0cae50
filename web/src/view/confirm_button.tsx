// A button for what is not undone easily: held for a second, or pressed twice.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

const holdMs = 1000;
const armedMs = 3000;
const shortestMs = 120; // two presses within less are one slip of a finger

interface Props {
  class?: string;
  children: ComponentChildren;
  again: string; // what it says after the first press
  disabled?: boolean;
  title?: string;
  onConfirm: () => void;
}

export function ConfirmButton(props: Props): JSX.Element {
  const [armed, setArmed] = useState(false);
  const [holding, setHolding] = useState(false);
  const timer = useRef<number>();
  const armedAt = useRef(0);
  const fired = useRef(false);

  const clear = (): void => window.clearTimeout(timer.current);
  useEffect(() => clear, []);

  const confirm = (): void => {
    clear();
    fired.current = true;
    setArmed(false);
    setHolding(false);
    props.onConfirm();
  };
  const begin = (event: PointerEvent): void => {
    if (event.button !== 0) return;
    fired.current = false;
    setHolding(true);
    clear();
    timer.current = window.setTimeout(confirm, holdMs);
  };
  const end = (): void => {
    if (!holding) return;
    setHolding(false);
    clear();
    if (armed) timer.current = window.setTimeout(() => setArmed(false), armedMs);
  };
  const click = (): void => {
    if (fired.current) {
      fired.current = false;
      return;
    }
    const now = performance.now();
    if (armed && now - armedAt.current > shortestMs) {
      confirm();
      fired.current = false;
      return;
    }
    armedAt.current = now;
    setArmed(true);
    clear();
    timer.current = window.setTimeout(() => setArmed(false), armedMs);
  };

  return (
    <button type="button" disabled={props.disabled ?? false} title={props.title ?? ""}
      class={`button confirm ${props.class ?? ""} ${holding ? "holding" : ""} ${armed ? "armed" : ""}`}
      onPointerDown={begin} onPointerUp={end} onPointerLeave={end} onPointerCancel={end}
      onContextMenu={(event) => event.preventDefault()} onClick={click}>
      <span class="face" aria-hidden={armed}>{props.children}</span>
      <span class="face again" aria-hidden={!armed} aria-live="polite">{armed ? props.again : ""}</span>
    </button>
  );
}
