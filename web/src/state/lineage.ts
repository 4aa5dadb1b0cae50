// Where versions of the weights came from, as a small graph: rows newest first, lanes left to right.
import type { Weights, WeightsVersion } from "../wire/messages";

export interface Node {
  version: number;
  lane: number;
  row: number;
}

export interface Edge {
  from: Node; // the child, further up
  to: Node;
}

export interface Lineage {
  nodes: Node[];
  edges: Edge[];
  lanes: number;
}

// A row takes the leftmost lane that waits for it; its parent is then waited for on the same lane.
// A thorough version keeps to the left, so that the line of what may be booted is straight.
export function lineageOf(versions: readonly WeightsVersion[]): Lineage {
  const waiting: (number | undefined)[] = []; // lane -> version that it leads to
  const here = new Set(versions.map((each) => each.version));
  const nodes: Node[] = [];
  const parents = new Map<number, number>();
  versions.forEach((each, row) => {
    const lanes = waiting.flatMap((version, lane) => (version === each.version ? [lane] : []));
    let lane = lanes[0];
    if (each.kind === "full" && waiting[0] === undefined) {
      lane = 0;
    } else if (lane === undefined) {
      lane = 1;
      while (waiting[lane] !== undefined) lane += 1;
    }
    lanes.forEach((other) => (waiting[other] = undefined));
    nodes.push({ version: each.version, lane, row });
    if (each.parent > 0 && here.has(each.parent)) {
      parents.set(each.version, each.parent);
      waiting[lane] = each.parent;
    } else {
      waiting[lane] = undefined;
    }
  });
  const byVersion = new Map(nodes.map((node) => [node.version, node]));
  const edges = nodes.flatMap((from) => {
    const to = byVersion.get(parents.get(from.version) ?? 0);
    return to === undefined || to.row <= from.row ? [] : [{ from, to }];
  });
  return { nodes, edges, lanes: Math.max(1, ...nodes.map((node) => node.lane + 1)) };
}

// Where a rollback would lead, as the daemon decides it: to the confirmed version, and from there to
// the nearest one that was confirmed as well, of those that it comes from. Undefined: nowhere.
export function rollBackTarget(weights: Weights | undefined): number | undefined {
  if (weights === undefined || weights.confirmed === 0) return undefined;
  if (weights.live !== weights.confirmed) return weights.confirmed;
  const find = (version: number): WeightsVersion | undefined =>
    weights.versions.find((each) => each.version === version);
  let at = find(find(weights.confirmed)?.parent ?? 0);
  while (at !== undefined && at.state !== "confirmed") at = find(at.parent);
  return at?.version;
}
