// Cameras, as large as the screen allows, and what must not be missed above them.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { robotWord } from "../state/robot_word";
import { CameraView } from "./camera_view";
import { isEngineer, useSession, useShown } from "./seat";

function Banners(): JSX.Element {
  const session = useSession();
  const { recording, learning, detail, engineer, known, trouble, fault } = useShown((state) => ({
    known: state.status !== undefined, recording: state.status?.recording ?? true,
    learning: state.status?.learning.state ?? "", detail: state.status?.learning.detail ?? "",
    engineer: isEngineer(state), trouble: state.status?.robotTrouble ?? "",
    fault: state.status?.state === "FAULT_HOLD" ? state.status.fault : "",
  }));
  return (
    <div class="banners" role="alert">
      {known && !recording && (
        <p class="banner grave"><b>NOT RECORDING</b> <span>Nothing that happens now is stored or learned from.</span></p>
      )}
      {learning === "paused" && (
        <p class="banner warn">
          <b>LEARNING PAUSED</b> <span>{detail || "Weights were rolled back twice."}</span>
          {engineer
            ? <button type="button" class="button small" onClick={() => session.resumeLearning()}>Resume learning</button>
            : <span>An engineer resumes it.</span>}
        </p>
      )}
      {learning === "stale" && (
        <p class="banner warn"><b>NOT LEARNING</b> <span>{detail || "The learner has been gone for a minute."}</span></p>
      )}
      {fault !== "" && <p class="banner warn"><b>DETAIL</b> <span>{fault}</span></p>}
      {trouble !== "" && trouble !== fault && <p class="banner warn"><b>ROBOT</b> <span>{trouble}</span></p>}
    </div>
  );
}

function Notices(): JSX.Element {
  const notices = useShown((state) => state.notices);
  return (
    <div class="notices" role="status" aria-live="polite">
      {notices.map((notice) => <p key={notice.id} class={`notice ${notice.tone}`}>{notice.text}</p>)}
    </div>
  );
}

export function Stage(): JSX.Element {
  const cameras = useShown((state) => state.hello?.robot.cameras ?? []);
  const mood = useShown((state) => robotWord(state.status, state.link).mood);
  const episode = useShown((state) => state.status?.episode.instruction ?? "");
  const [chosen, setChosen] = useState(0);
  const large = chosen < cameras.length ? chosen : 0;
  return (
    <main class="stage" data-mood={mood} aria-label="Cameras">
      <div class="cameras" data-count={cameras.length}>
        {cameras.map((camera, index) => (
          <CameraView key={camera.name} index={index} camera={camera} large={index === large}
            onChoose={() => setChosen(cameras.length > 1 && index === large ? (index + 1) % cameras.length : index)} />
        ))}
        {cameras.length === 0 && <p class="no-camera">No cameras</p>}
      </div>
      {episode !== "" && <p class="task"><span>Task</span> {episode}</p>}
      <Banners />
      <Notices />
    </main>
  );
}
