// The gate's figures as people say them.
import type { GateFigures } from "../wire/messages";

const percent = (share: number): string => `${Math.abs(100 * share).toFixed(Math.abs(share) < 0.1 ? 1 : 0)} %`;

export function gateWords(gate: GateFigures | undefined): string[] {
  if (gate === undefined) return ["No report of the gate."];
  const words: string[] = [];
  if (gate.heldOutChange === undefined) {
    words.push("No held-out corrections to judge it by yet.");
  } else {
    const { heldOutChange: change, heldOutEpisodes: episodes, heldOutBound: bound } = gate;
    const of = `${episodes} held-out ${episodes === 1 ? "episode" : "episodes"}`;
    const at_most = bound === undefined ? "" : `, at worst ${percent(bound)} ${bound > 0 ? "larger" : "smaller"}`;
    words.push(Math.abs(change) < 0.0005
      ? `The same error on ${of}.`
      : `${percent(change)} ${change < 0 ? "less" : "more"} error on ${of}${at_most}.`);
    if (!gate.enoughEvidence) words.push("Not enough evidence yet; the other checks decided.");
  }
  if (gate.demonstrationError !== undefined) {
    const before = gate.demonstrationReference;
    words.push(`Error on demonstrations ${gate.demonstrationError.toFixed(2)}` +
      `${before === undefined ? "" : `, ${before.toFixed(2)} before`}.`);
  }
  if (gate.largestChange !== undefined) words.push(`Its largest step: ${percent(gate.largestChange)} of a layer.`);
  if (gate.wildShare !== undefined) {
    words.push(gate.wildShare === 0 ? "No wild actions." : `${percent(gate.wildShare)} wild actions.`);
  }
  return words;
}
