// Icons drawn here, in the colour of the text around them. Each state has a shape of its own, so that
// no meaning hangs on colour.
import type { JSX } from "preact";
import type { Mood } from "../state/robot_word";

function Icon(props: { children: JSX.Element | JSX.Element[] }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" fill="none" stroke="currentColor"
      stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round">
      {props.children}
    </svg>
  );
}

const hand = "M8 12V5.5a1.5 1.5 0 0 1 3 0V11m0-6.8a1.5 1.5 0 0 1 3 0V11m0-5a1.5 1.5 0 0 1 3 0v8.5" +
  "A6.5 6.5 0 0 1 10.5 21c-2.4 0-3.7-1-4.900-3l-2.300-3.900a1.500 1.500 0 0 1 2.500-1.600L8 15";

const moods: Record<Mood, JSX.Element> = {
  auto: <Icon><path d="M7 4.500v15l12-7.500z" fill="currentColor" /></Icon>,
  hold: <Icon><path d="M8 5v14M16 5v14" stroke-width="4" /></Icon>,
  taking: <Icon><path d="M3 12h11m-4-4 4 4-4 4" /><path d="M19 4v16" stroke-width="3" /></Icon>,
  human: <Icon><path d={hand} /></Icon>,
  handing: <Icon><path d="M21 12H10m4-4-4 4 4 4" /><path d="M5 4v16" stroke-width="3" /></Icon>,
  fault: <Icon><path d="M12 3.500 2.500 20h19z" /><path d="M12 10v4.500m0 2.700v.1" /></Icon>,
  stopped: <Icon>
    <path d="M8 2.500h8L21.500 8v8L16 21.500H8L2.500 16V8z" /><path d="M8 12h8" stroke-width="3" />
  </Icon>,
  lost: <Icon>
    <path d="M9 15 15 9M7 12l-2.500 2.500a3.500 3.500 0 0 0 5 5L12 17M12 7l2.500-2.500a3.500 3.500 0 0 1 5 5L17 12" />
    <path d="M3 3l4 4m10 10 4 4" />
  </Icon>,
};

export const MoodIcon = (props: { mood: Mood }): JSX.Element => moods[props.mood];

export const Tick = (): JSX.Element => <Icon><path d="M4.500 12.500 10 18 19.500 7" /></Icon>;
export const Cross = (): JSX.Element => <Icon><path d="M6 6l12 12M18 6 6 18" /></Icon>;
export const Bin = (): JSX.Element => (
  <Icon><path d="M4 7h16M9 7V4h6v3m-8.500 0 1 13h9l1-13" /></Icon>
);
export const Back = (): JSX.Element => <Icon><path d="M4 10h11a5 5 0 0 1 0 10h-3M8 6l-4 4 4 4" /></Icon>;
export const Sound = (): JSX.Element => (
  <Icon><path d="M4 9.500v5h3.500L12 19V5L7.500 9.500z" /><path d="M15.500 9a4 4 0 0 1 0 6M18 6a8 8 0 0 1 0 12" /></Icon>
);
export const Muted = (): JSX.Element => (
  <Icon><path d="M4 9.500v5h3.500L12 19V5L7.500 9.500z" /><path d="m16 9.500 5 5m0-5-5 5" /></Icon>
);
export const Question = (): JSX.Element => (
  <Icon><path d="M8.500 9a3.500 3.500 0 1 1 5 3.200c-1 .5-1.500 1.100-1.500 2.300m0 3.500v.1" /></Icon>
);
export const Up = (): JSX.Element => <Icon><path d="M12 19V6m-6 6 6-6 6 6" /></Icon>;
export const Down = (): JSX.Element => <Icon><path d="M12 5v13m-6-6 6 6 6-6" /></Icon>;
export const Clockwise = (): JSX.Element => <Icon><path d="M5 13a7 7 0 1 1 3.500 5.500M12 6l3.500-3M12 6l3.500 3" /></Icon>;
export const Sun = (): JSX.Element => (
  <Icon><path d="M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2.500v2m0 15v2M2.500 12h2m15 0h2M5.300 5.300l1.400 1.400m10.600 10.600 1.400 1.400M5.300 18.700l1.400-1.400M17.300 6.700l1.400-1.400" /></Icon>
);
export const Moon = (): JSX.Element => <Icon><path d="M19.500 14.500A8 8 0 0 1 9.500 4.500a8 8 0 1 0 10 10z" /></Icon>;
export const Pad = (): JSX.Element => (
  <Icon>
    <path d="M7.500 7h9a5 5 0 0 1 5 5.500c-.3 3-1.300 5-3 5-2 0-2.500-3-4.500-3h-4c-2 0-2.500 3-4.500 3-1.700 0-2.700-2-3-5A5 5 0 0 1 7.500 7z" />
    <path d="M8 9.500v3M6.500 11h3m6.500-.5v.1m1.500 1.400v.1" />
  </Icon>
);
export const Unlocked = (): JSX.Element => (
  <Icon><path d="M5.500 11h13v9.500h-13zM8.500 11V7.500a3.500 3.500 0 0 1 6.800-1.200M12 14.500v2.500" /></Icon>
);
export const Raised = (): JSX.Element => (
  <Icon><path d="M10 4.500a3.700 3.700 0 1 0 0 7.400 3.700 3.700 0 0 0 0-7.400zM3 20.500c.4-3.600 3-5.600 7-5.600s6.600 2 7 5.600" /><path d="M20 4v6m0 3.500v.1" stroke-width="2.800" /></Icon>
);
export const Turn = (): JSX.Element => (
  <Icon><path d="M4 12a8 8 0 0 1 14-5.300L20 9m0-5v5h-5M20 12a8 8 0 0 1-14 5.300L4 15m0 5v-5h5" /></Icon>
);
export const Mic = (): JSX.Element => (
  <Icon><path d="M12 3a3 3 0 0 1 3 3v5a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3z" /><path d="M5.500 11a6.500 6.500 0 0 0 13 0M12 17.500V21" /></Icon>
);
export const Speech = (): JSX.Element => <Icon><path d="M4 5h16v11h-8l-5 4v-4H4z" /></Icon>;
export const Play = (): JSX.Element => <Icon><path d="M7 4.500v15l12-7.500z" fill="currentColor" /></Icon>;
export const Pause = (): JSX.Element => <Icon><path d="M8.500 5v14M15.500 5v14" stroke-width="3.500" /></Icon>;
export const Earlier = (): JSX.Element => <Icon><path d="M15 5.500 8.500 12l6.500 6.500" /></Icon>;
export const Later = (): JSX.Element => <Icon><path d="m9 5.500 6.500 6.500L9 18.500" /></Icon>;
export const Split = (): JSX.Element => (
  <Icon><path d="M12 3v18" stroke-dasharray="3 3" /><path d="M8.500 8 4 12l4.500 4M15.500 8 20 12l-4.500 4" /></Icon>
);
export const Layers = (): JSX.Element => <Icon><path d="m12 3.500 9 5-9 5-9-5zM3.500 13l8.500 4.800 8.500-4.800" /></Icon>;
export const Flag = (): JSX.Element => <Icon><path d="M6 21V4h11l-2.500 4 2.500 4H6" /></Icon>;
export const Warning = (): JSX.Element => <Icon><path d="M12 4 3 19.500h18z" /><path d="M12 10v4.500m0 2.300v.1" /></Icon>;
export const More = (): JSX.Element => <Icon><path d="M9 4H4v5M15 20h5v-5M4 4l6 6m10 10-6-6" /></Icon>;
export const Less = (): JSX.Element => <Icon><path d="M4 10h6V4M20 14h-6v6M10 10 4 4m10 10 6 6" /></Icon>;
export const List = (): JSX.Element => <Icon><path d="M9 6h11M9 12h11M9 18h11M4.500 6h.1M4.500 12h.1M4.500 18h.1" /></Icon>;
export const Target = (): JSX.Element => <Icon><circle cx="12" cy="12" r="8.500" /><circle cx="12" cy="12" r="3" fill="currentColor" /></Icon>;
