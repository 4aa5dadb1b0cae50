// The session, for whatever part of the page needs it.
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { PageState } from "../state/page_state";
import { shortName } from "../state/robot_word";
import type { Session } from "../state/session";
import { usePart } from "../state/store";

export const Seat = createContext<Session | undefined>(undefined);

export function useSession(): Session {
  const session = useContext(Seat);
  if (session === undefined) throw new Error("no session around this part of the page");
  return session;
}

export function useShown<P>(part: (state: PageState) => P): P {
  return usePart(useSession().store, part);
}

export const mayDrive = (state: PageState): boolean => {
  const role = state.hello?.you.role;
  return role === "supervisor" || role === "engineer";
};

// The name of the person, other than this one, who has control; a program that helps out is none.
export const otherDriver = (state: PageState): string => {
  const holder = state.status?.lease.holder;
  if (holder === undefined || state.status?.lease.mine || holder.role === "script") return "";
  return shortName(holder.name);
};

export const isEngineer = (state: PageState): boolean => state.hello?.you.role === "engineer";
