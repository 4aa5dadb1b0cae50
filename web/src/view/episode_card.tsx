// The episode under way, and the labels for the newest one: what people press most.
import type { JSX } from "preact";
import { Back, Bin, Cross, Tick } from "./icons";
import { mayDrive, useSession, useShown } from "./seat";

export function EpisodeCard(): JSX.Element {
  const session = useSession();
  const now = useShown((state) => ({
    id: state.status?.episode.id ?? 0, autonomous: state.status?.episode.autonomous ?? 0,
    limit: state.status?.episode.limit ?? 0, takeovers: state.status?.episode.takeovers ?? 0,
    seconds: Math.round((state.status?.episode.seconds ?? 0) * 10) / 10,
    human: Math.round((state.status?.episode.humanSeconds ?? 0) * 10) / 10,
    able: mayDrive(state) && state.link === "open", playing: state.status?.weights.playing ?? 0,
  }));
  const done = now.limit > 0 ? Math.min(1, now.autonomous / now.limit) : 0;
  const outcome = useShown((state) => {
    const last = state.curves?.episodes.at(-1);
    return last === undefined ? "" : `Episode ${last.id}: ${outcomeWords[last.outcome]}`;
  });
  return (
    <section class="card episode" aria-label="Episode">
      <div class="episode-line">
        <h2>{now.id === 0 ? "No episode" : `Episode ${now.id}`}</h2>
        <span class="digits">{now.seconds.toFixed(1)} s</span>
        <span title="Version of the weights that act">weights v{now.playing || "–"}</span>
      </div>
      <progress max="1" value={done} aria-label="Steps of this episode that the policy has used" />
      <p class="quiet">
        <span class="digits">{now.takeovers}</span> {now.takeovers === 1 ? "takeover" : "takeovers"}{", "}
        <span class="digits">{now.human.toFixed(1)} s</span> by hand
        {outcome !== "" && <span class="last"> · {outcome}</span>}
      </p>
      <div class="labels" role="group" aria-label="How did it go?">
        <button type="button" class="button label-worked" disabled={!now.able} aria-keyshortcuts="1"
          onClick={() => session.label(0, "success")}><Tick />Worked <kbd>1</kbd></button>
        <button type="button" class="button label-failed" disabled={!now.able} aria-keyshortcuts="2"
          onClick={() => session.label(0, "failure")}><Cross />Failed <kbd>2</kbd></button>
        <button type="button" class="button" disabled={!now.able} aria-keyshortcuts="3"
          onClick={() => session.label(0, "discard")}><Bin />Discard <kbd>3</kbd></button>
        <button type="button" class="button" disabled={!now.able} aria-keyshortcuts="U"
          title="The last three seconds are never learned from"
          onClick={() => session.undo(3)}><Back />Undo 3 s <kbd>U</kbd></button>
      </div>
    </section>
  );
}

export const outcomeWords = {
  success: "worked", failure: "failed", discard: "discarded", none: "not labelled",
} as const;
