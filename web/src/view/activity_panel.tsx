// What happened, in words, newest first; an entry leads to its place in the timeline.
import type { JSX } from "preact";
import { eventWords } from "../state/event_words";
import { shortName } from "../state/robot_word";
import { useSession, useShown } from "./seat";

const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});

export function ActivityPanel(): JSX.Element {
  const session = useSession();
  const events = useShown((state) => state.events);
  return (
    <ol class="panel activity" aria-label="What happened, newest first">
      {events.map((event) => (
        <li key={event.sequence}>
          <button type="button" disabled={event.episode === 0} title={event.episode === 0 ? "" : "Show it in the timeline"}
            onClick={() => session.open(event.episode, event.step)}>
            <time class="digits">{clock.format(event.wallMs)}</time>
            <span>{eventWords(event)}</span>
            <small>{shortName(event.actor.name)}</small>
          </button>
        </li>
      ))}
      {events.length === 0 && <li class="nothing"><p>Nothing yet.</p></li>}
    </ol>
  );
}
