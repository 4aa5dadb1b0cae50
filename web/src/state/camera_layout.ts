// Where each camera goes: one large, the others beside or below it, whichever leaves the large one
// the most room. Pictures keep their shape; nothing is cut off.

export interface Place {
  left: number;
  top: number;
  width: number;
  height: number;
}

const gap = 6;
const leastShare = 0.24; // of the stage, for the others: smaller ones say nothing

interface Sizes {
  large: [number, number];
  others: [number, number][];
}

// The others share a strip of the stage's `along` side; sizes are [width, height].
function beside(aspects: readonly number[], large: number, width: number, height: number): Sizes {
  const largeAspect = aspects[large] ?? 1;
  const others = aspects.filter((_aspect, index) => index !== large);
  const largeWidth = Math.min(height * largeAspect, others.length === 0 ? width : width * (1 - leastShare) - gap);
  // As wide as is left, and as lets them stand upon each other.
  const stacked = others.reduce((sum, aspect) => sum + 1 / aspect, 0);
  const room = (height - gap * (others.length - 1)) / Math.max(stacked, 1e-6);
  const otherWidth = Math.max(0, Math.min(width - gap - largeWidth, room));
  return {
    large: [largeWidth, largeWidth / largeAspect],
    others: others.map((aspect) => [otherWidth, otherWidth / aspect]),
  };
}

const area = (sizes: Sizes): number =>
  sizes.large[0] * sizes.large[1] + 0.5 * sizes.others.reduce((sum, [width, height]) => sum + width * height, 0);
const turned = ([width, height]: [number, number]): [number, number] => [height, width];

// One place for each camera, in their order, in pixels of the stage. `aspects`: width by height.
export function layoutCameras(
  aspects: readonly number[], large: number, width: number, height: number,
): Place[] {
  const sound = aspects.map((aspect) => (Number.isFinite(aspect) && aspect > 0 ? aspect : 1));
  if (sound.length === 0 || width <= 0 || height <= 0) return [];
  const right = beside(sound, large, width, height);
  const flipped = beside(sound.map((aspect) => 1 / aspect), large, height, width);
  const below: Sizes = { large: turned(flipped.large), others: flipped.others.map(turned) };
  const isBelow = area(below) > area(right);
  const sizes = isBelow ? below : right;

  // Along the way from the large one to the others, and across it.
  const along = isBelow ? 1 : 0;
  const across = isBelow ? 0 : 1;
  const stage: [number, number] = [width, height];
  const strip = Math.max(0, ...sizes.others.map((size) => size[along]));
  const used = sizes.large[along] + (sizes.others.length > 0 ? gap + strip : 0);
  const stack = sizes.others.reduce((sum, size) => sum + size[across], 0) + gap * Math.max(0, sizes.others.length - 1);
  const start = (stage[along] - used) / 2;
  let next = (stage[across] - stack) / 2;
  let other = 0;
  return sound.map((_aspect, index) => {
    const isLarge = index === large;
    const size = isLarge ? sizes.large : sizes.others[other++] ?? [0, 0];
    const at: [number, number] = [0, 0];
    at[along] = isLarge ? start : start + sizes.large[along] + gap;
    at[across] = isLarge ? (stage[across] - size[across]) / 2 : next;
    if (!isLarge) next += size[across] + gap;
    return { left: at[0], top: at[1], width: size[0], height: size[1] };
  });
}
