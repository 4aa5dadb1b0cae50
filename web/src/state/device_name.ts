// What others see of this device: what a person called it, or what kind it is.
import { preference } from "./preferences";

// Without a #, which sets off what the daemon puts behind names.
export const isDeviceName = (name: string): boolean => /^[\x21\x22\x24-\x7e][\x20-\x22\x24-\x7e]{0,39}$/.test(name);

export function deviceName(): string {
  const chosen = preference("name");
  if (chosen !== undefined && isDeviceName(chosen)) return chosen;
  if (!matchMedia("(pointer: coarse)").matches) return "desktop";
  return Math.min(screen.width, screen.height) < 600 ? "phone" : "tablet";
}
