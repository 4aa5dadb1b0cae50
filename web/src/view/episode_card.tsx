// The episode under way, and the labels for the newest one: what people press most.
import type { JSX } from "preact";
import { undoChoices } from "../state/session";
import { Back, Bin, Cross, Tick } from "./icons";
import { mayDrive, useSession, useShown } from "./seat";
import { ControlStrip } from "./control_strip";

export function EpisodeCard(): JSX.Element {
  const session = useSession();
  const now = useShown((state) => ({
    id: state.status?.episode.id ?? 0, limit: state.status?.episode.limit ?? 0,
    takeovers: state.status?.episode.takeovers ?? 0,
    seconds: Math.round((state.status?.episode.seconds ?? 0) * 10) / 10,
    human: Math.round((state.status?.episode.humanSeconds ?? 0) * 10) / 10,
    able: mayDrive(state) && state.link === "open", playing: state.status?.weights.playing ?? 0,
    undoSeconds: state.undoSeconds,
  }));
  const strip = useShown((state) => state.strip);
  const outcome = useShown((state) => {
    const last = state.curves?.episodes.at(-1);
    return last === undefined ? "" : `Episode ${last.id}: ${outcomeWords[last.outcome]}`;
  });
  return (
    <section class="card episode" aria-label="Episode">
      <div class="episode-line">
        <h2>{now.id === 0 ? "No episode" : `Episode ${now.id}`}</h2>
        <span class="digits">{now.seconds.toFixed(1)} s</span>
        <button type="button" class="button" disabled={!now.able || now.id === 0}
          title="This episode is over: the robot holds" onClick={() => session.endEpisode()}>End</button>
        <select aria-label="Seconds that Undo takes back" title="Seconds that Undo takes back" value={String(now.undoSeconds)}
          onChange={(event) => session.setUndoSeconds(Number(event.currentTarget.value))}>
          {undoChoices.map((each) => <option key={each} value={String(each)}>undo {each} s</option>)}
        </select>
      </div>
      <button type="button" class="strip-button" disabled={now.id === 0} title="Open the timeline of this episode"
        aria-label="Open the timeline of this episode" onClick={() => session.open(now.id)}>
        <ControlStrip who={strip.who} of={Math.max(now.limit, strip.who.length)} small />
      </button>
      <p class="quiet">
        <span title="Version of the weights that act">v{now.playing || "–"}</span>{" · "}
        <span class="digits">{now.takeovers}</span> {now.takeovers === 1 ? "takeover" : "takeovers"}{", "}
        <span class="digits">{now.human.toFixed(1)} s</span> by hand
        {outcome !== "" && <span class="last"> · {outcome}</span>}
      </p>
      <div class="labels" role="group" aria-label="How did it go?">
        <button type="button" class="button label-worked" disabled={!now.able} aria-keyshortcuts="1"
          onClick={() => void session.labelShown("success")}><Tick />Worked <kbd>1</kbd></button>
        <button type="button" class="button label-failed" disabled={!now.able} aria-keyshortcuts="2"
          onClick={() => void session.labelShown("failure")}><Cross />Failed <kbd>2</kbd></button>
        <button type="button" class="button" disabled={!now.able} aria-keyshortcuts="3"
          onClick={() => void session.labelShown("discard")}><Bin />Discard <kbd>3</kbd></button>
        <button type="button" class="button" disabled={!now.able} aria-keyshortcuts="U"
          title={`The last ${now.undoSeconds} s are never learned from`}
          onClick={() => session.undo(now.undoSeconds)}><Back />Undo {now.undoSeconds} s <kbd>U</kbd></button>
      </div>
    </section>
  );
}

export const outcomeWords = {
  success: "worked", failure: "failed", discard: "taken out", none: "not labelled",
} as const;
