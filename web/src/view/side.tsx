// Panels behind tabs. On a phone driving is one of them.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ActivityPanel } from "./activity_panel";
import { EpisodesPanel } from "./episodes_panel";
import { ProgressPanel } from "./progress_panel";
import { WeightsPanel } from "./weights_panel";
import { WordsPanel } from "./words_panel";

export const tabs = ["drive", "progress", "words", "weights", "episodes", "activity"] as const;
export type Tab = (typeof tabs)[number];
const names: Record<Tab, string> = {
  drive: "Drive", progress: "Learning", words: "Words", weights: "Weights", episodes: "Episodes",
  activity: "Log",
};

export function Tabs(props: { tab: Tab; onTab: (tab: Tab) => void }): JSX.Element {
  const bar = useRef<HTMLDivElement>(null);
  const step = (event: KeyboardEvent): void => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (by === 0 || bar.current === null) return;
    event.preventDefault();
    const there = Array.from(bar.current.querySelectorAll<HTMLButtonElement>("button"))
      .filter((button) => button.offsetParent !== null);
    const at = there.findIndex((button) => button.dataset["tab"] === props.tab);
    const next = there[(at + by + there.length) % there.length];
    next?.focus();
    next?.click();
  };
  return (
    <div class="tabs" role="tablist" aria-label="Panels" ref={bar} onKeyDown={step}>
      {tabs.map((tab) => (
        <button key={tab} type="button" role="tab" id={`tab-${tab}`} data-tab={tab}
          {...(props.tab === tab ? { "aria-controls": tab === "drive" ? "deck" : "panel" } : {})}
          aria-selected={props.tab === tab} tabIndex={props.tab === tab ? 0 : -1}
          onClick={() => props.onTab(tab)}>{names[tab]}</button>
      ))}
    </div>
  );
}

export function Panel(props: { tab: Tab }): JSX.Element {
  return (
    <div class="panel-box" id="panel" key={props.tab} role="tabpanel" aria-labelledby={`tab-${props.tab}`} tabIndex={0}>
      {props.tab === "progress" && <ProgressPanel />}
      {props.tab === "words" && <WordsPanel active={props.tab === "words"} />}
      {props.tab === "weights" && <WeightsPanel />}
      {props.tab === "episodes" && <EpisodesPanel />}
      {props.tab === "activity" && <ActivityPanel />}
    </div>
  );
}

// True on screens too narrow for driving and a panel at once.
export function useNarrow(): boolean {
  const query = useRef(matchMedia("(max-width: 599px)"));
  const [narrow, setNarrow] = useState(query.current.matches);
  useEffect(() => {
    const change = (): void => setNarrow(query.current.matches);
    const { current } = query;
    current.addEventListener("change", change);
    return () => current.removeEventListener("change", change);
  }, []);
  return narrow;
}
