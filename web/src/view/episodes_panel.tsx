// Past episodes: how each went, who drove, and labels that come late. One of them opens as a timeline.
import type { JSX } from "preact";
import { memo } from "./memo";
import type { EpisodeRow, LabelValue } from "../wire/messages";
import { outcomeWords } from "./episode_card";
import { Bin, Cross, Later, Tick } from "./icons";
import { mayDrive, useSession, useShown } from "./seat";
import { Timeline } from "./timeline";

const shown = 60;
const choices: { value: LabelValue; name: string; icon: () => JSX.Element }[] = [
  { value: "success", name: "worked", icon: Tick },
  { value: "failure", name: "failed", icon: Cross },
  { value: "discard", name: "take out of training", icon: Bin },
];

const Row = memo((props: { row: EpisodeRow; able: boolean }): JSX.Element => {
  const session = useSession();
  const { row } = props;
  const human = row.steps > 0 ? row.humanSteps / row.steps : 0;
  const shownBy = row.takeovers === 0 ? "policy alone" : `${Math.round(100 * human)} % by hand`;
  return (
    <li class="past" data-outcome={row.outcome} data-purpose={row.purpose}>
      <button type="button" class="about" title="Open its timeline" onClick={() => session.open(row.id)}>
        <b>Episode <span class="digits">{row.id}</span> <span class="outcome" data-outcome={row.outcome}>{outcomeWords[row.outcome]}</span></b>
        <small>
          <span class="digits">{row.seconds.toFixed(1)} s</span> ·{" "}
          {row.purpose === "demonstration" ? "demonstration" : `${shownBy} · v${row.weights}`}
        </small>
        <span class="share" aria-hidden="true"><i style={{ width: `${100 * human}%` }} /></span>
      </button>
      <span class="late-labels">
        {choices.map(({ value, name, icon: Shape }) => (
          <button key={value} type="button" class="button" disabled={!props.able} data-value={value}
            aria-pressed={row.outcome === value} aria-label={`Episode ${row.id}: ${name}`} title={name}
            onClick={() => void session.label(row.id, row.outcome === value ? "none" : value)}>
            <Shape />
          </button>
        ))}
      </span>
    </li>
  );
});

export function EpisodesPanel(): JSX.Element {
  const session = useSession();
  const { rows, able, opened, now, steps } = useShown((state) => ({
    rows: state.curves?.episodes, able: mayDrive(state) && state.link === "open", opened: state.opened,
    now: state.status?.episode.id ?? 0, steps: state.status?.episode.step ?? 0,
  }));
  const ids = (rows ?? []).map((row) => row.id);
  if (now > 0 && !ids.includes(now)) ids.push(now);
  if (opened !== undefined) {
    const later = ids.find((id) => id > opened.episode);
    const earlier = ids.filter((id) => id < opened.episode).pop();
    return <Timeline id={opened.episode} at={opened.step} earlier={earlier} later={later} />;
  }
  const newest = (rows ?? []).filter((row) => row.id !== now).slice(-shown).reverse();
  return (
    <ol class="panel episodes" aria-label="Episodes, newest first">
      {now > 0 && (
        <li>
          <button type="button" class="under-way" onClick={() => session.open(now)}>
            <i aria-hidden="true" /><b>Episode <span class="digits">{now}</span></b>
            <small>under way, step <span class="digits">{steps}</span></small><Later />
          </button>
        </li>
      )}
      {newest.map((row) => <Row key={row.id} row={row} able={able} />)}
      {newest.length === 0 && <li class="nothing"><p>No episode has ended yet.</p></li>}
    </ol>
  );
}
