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
  // What decides is not kept in the rendered state: a busy device renders late.
  const armedAt = useRef<number>();
  const fired = useRef(false);
  const holdTimer = useRef<number>();
  const armTimer = useRef<number>();

  const disarm = (): void => {
    window.clearTimeout(armTimer.current);
    armedAt.current = undefined;
    setArmed(false);
  };
  const letGo = (): void => {
    window.clearTimeout(holdTimer.current);
    setHolding(false);
  };
  useEffect(() => () => {
    window.clearTimeout(holdTimer.current);
    window.clearTimeout(armTimer.current);
  }, []);

  const confirm = (): void => {
    letGo();
    disarm();
    props.onConfirm();
  };
  const begin = (event: PointerEvent): void => {
    if (event.button !== 0) return;
    letGo();
    fired.current = false;
    setHolding(true);
    holdTimer.current = window.setTimeout(() => {
      fired.current = true; // the click that follows is the same press
      confirm();
    }, holdMs);
  };
  const click = (): void => {
    letGo();
    if (fired.current) {
      fired.current = false;
      return;
    }
    const now = performance.now();
    if (armedAt.current !== undefined && now - armedAt.current > shortestMs) {
      confirm();
      return;
    }
    armedAt.current = now;
    setArmed(true);
    window.clearTimeout(armTimer.current);
    armTimer.current = window.setTimeout(disarm, armedMs);
  };

  return (
    <button type="button" disabled={props.disabled ?? false} title={props.title ?? ""}
      class={`button confirm ${props.class ?? ""} ${holding ? "holding" : ""} ${armed ? "armed" : ""}`}
      onPointerDown={begin} onPointerUp={letGo} onPointerLeave={letGo} onPointerCancel={letGo}
      onContextMenu={(event) => event.preventDefault()} onClick={click}>
      <span class="face" aria-hidden={armed}>{props.children}</span>
      <span class="face again" aria-hidden={!armed} aria-live="polite">{armed ? props.again : ""}</span>
    </button>
  );
}
