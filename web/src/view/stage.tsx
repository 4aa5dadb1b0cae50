// Cameras, as large as the screen allows, and what must not be missed above them.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { byJoints, controlsOf } from "../drive/jog";
import { layoutCameras } from "../state/camera_layout";
import { robotWord } from "../state/robot_word";
import { CameraView } from "./camera_view";
import { Gauge } from "./gauge";
import { Questions, pleaOf } from "./questions";
import { isEngineer, useSession, useShown } from "./seat";

function Banners(): JSX.Element {
  const session = useSession();
  const { recording, learning, detail, engineer, known, trouble, caution, alarm, storage, fault } = useShown((state) => ({
    known: state.status !== undefined, recording: state.status?.recording ?? true,
    learning: state.status?.learning.state ?? "", detail: state.status?.learning.detail ?? "",
    engineer: isEngineer(state), trouble: state.status?.robotTrouble ?? "", caution: state.status?.caution ?? "",
    alarm: state.status?.alarm ?? "", storage: state.status?.storage ?? "",
    fault: state.status?.state === "FAULT_HOLD" ? state.status.fault : "",
  }));
  return (
    <div class="banners" role="alert">
      {known && !recording && (
        <p class="banner grave"><b>NOT RECORDING</b> <span>Nothing that happens now is stored or learned from.</span></p>
      )}
      {alarm !== "" && <p class="banner grave"><b>LOG DAMAGED</b> <span>{alarm}</span></p>}
      {storage !== "" && <p class="banner warn"><b>DISK</b> <span>{storage}</span></p>}
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
      {caution !== "" && <p class="banner warn"><b>LATE</b> <span>{caution}</span></p>}
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

// The task, and on the other side what goes on with the data: a quiet line while all is well.
function Headings(props: { narrow: boolean }): JSX.Element {
  const { task, recording, known, learning, done, speed, unsure } = useShown((state) => ({
    task: state.status?.episode.instruction ?? "", recording: state.status?.recording ?? false,
    known: state.status !== undefined && state.link === "open", learning: state.status?.learning.state ?? "",
    done: state.status !== undefined && state.status.learning.total > 0
      ? Math.round((100 * state.status.learning.done) / state.status.learning.total) : 0,
    speed: Math.round(100 * (state.status?.speed ?? 1)),
    unsure: state.status?.state === "AUTO" && state.status.uncertainty !== undefined
      ? Math.round(20 * state.status.uncertainty) * 5 : undefined,
  }));
  return (
    <div class="headings">
      {task !== "" && <p class="pill task"><span>Task</span> {task}</p>}
      {speed !== 100 && <p class="pill slowed"><b>{speed} %</b> speed, as told</p>}
      <span class="spring" />
      {known && unsure !== undefined && (
        <p class="pill doubt"><span>Unsure</span> <meter min="0" max="100" value={unsure} aria-label="How unsure the policy is">{unsure} %</meter></p>
      )}
      {known && learning === "training" && <p class="pill"><i class="spin" aria-hidden="true" /><span>Learning</span> <b class="digits">{done} %</b></p>}
      {known && recording && <p class="pill"><i class="rec" aria-hidden="true" /> {props.narrow ? "Rec" : "Recording"}</p>}
      {known && !recording && <p class="pill unrecorded"><i aria-hidden="true" /> Not recording</p>}
    </div>
  );
}

// `drives`: the sticks are on the screen.
export function Stage(props: { narrow: boolean; drives: boolean }): JSX.Element {
  const cameras = useShown((state) => state.hello?.robot.cameras ?? []);
  const mood = useShown((state) => robotWord(state.status, state.link).mood);
  const pleads = useShown((state) => pleaOf(state) !== 0);
  const joints = useShown((state) => byJoints(controlsOf(state.hello?.robot.action ?? [])));
  const asked = useShown((state) => state.asker !== "");
  const [chosen, setChosen] = useState(0);
  const [size, setSize] = useState({ width: 0, height: 0 });
  const area = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const box = area.current;
    if (box === null) return undefined;
    const measure = (): void => setSize({ width: box.clientWidth, height: box.clientHeight });
    const watch = new ResizeObserver(measure);
    watch.observe(box);
    measure();
    return () => watch.disconnect();
  }, []);

  const large = chosen < cameras.length ? chosen : 0;
  const places = layoutCameras(cameras.map((camera) => camera.width / camera.height), large, size.width, size.height);
  const place = places[large];
  return (
    <main class={`stage ${pleads ? "pleads" : ""} ${pleads || asked ? "asks" : ""}`} data-mood={mood} aria-label="Cameras">
      <div class="cameras" ref={area}>
        {cameras.map((camera, index) => (
          <CameraView key={camera.name} index={index} camera={camera} large={index === large} place={places[index]}
            onChoose={() => setChosen(cameras.length > 1 && index === large ? (index + 1) % cameras.length : index)} />
        ))}
        {cameras.length === 0 && <p class="no-camera">No cameras</p>}
        {props.narrow && props.drives && !joints && place !== undefined && <div class="on-large" style={{ ...place }}><Gauge /></div>}
      </div>
      <div class="above">
        <Headings narrow={props.narrow} />
        <Banners />
      </div>
      <div class="beneath">
        <Notices />
        <Questions />
      </div>
    </main>
  );
}
