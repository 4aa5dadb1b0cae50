// Fields of JSON from outside. One that is missing or of the wrong type gets a value that claims nothing.

export type Fields = Record<string, unknown>;

export const fields = (value: unknown): Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};
export const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
export const text = (value: unknown): string => (typeof value === "string" ? value : "");
export const flag = (value: unknown): boolean => value === true;
// Undefined: not a finite number, which null says too.
export const known = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isFinite(value) ? value : undefined;
export const number = (value: unknown): number => known(value) ?? 0;
export const count = (value: unknown): number => Math.max(0, Math.floor(number(value)));
export const numbers = (value: unknown): number[] => list(value).map(number);

export function oneOf<T extends string>(value: unknown, allowed: readonly T[], otherwise: T): T {
  return allowed.find((item) => item === value) ?? otherwise;
}
