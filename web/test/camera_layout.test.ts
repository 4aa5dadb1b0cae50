import assert from "node:assert/strict";
import { test } from "node:test";
import { layoutCameras } from "../src/state/camera_layout";
import type { Place } from "../src/state/camera_layout";

const inside = (place: Place, width: number, height: number): boolean =>
  place.left >= -1e-6 && place.top >= -1e-6 && place.left + place.width <= width + 1e-6 && place.top + place.height <= height + 1e-6;
const apart = (a: Place, b: Place): boolean =>
  a.left + a.width <= b.left || b.left + b.width <= a.left || a.top + a.height <= b.top || b.top + b.height <= a.top;

test("every picture keeps its shape, lies on the stage and covers no other", () => {
  for (const aspects of [[1], [1, 1], [16 / 9, 4 / 3], [1, 1, 1], [16 / 9, 16 / 9, 1, 0.75], [2, 1, 1, 1, 1, 1]]) {
    for (const [width, height] of [[868, 458], [374, 330], [1440, 720], [300, 700]] as const) {
      for (let large = 0; large < aspects.length; large += 1) {
        const places = layoutCameras(aspects, large, width, height);
        assert.equal(places.length, aspects.length);
        places.forEach((place, index) => {
          assert.ok(inside(place, width, height), JSON.stringify({ aspects, width, height, place }));
          assert.ok(Math.abs(place.width / place.height - (aspects[index] ?? 0)) < 1e-6);
          places.slice(index + 1).forEach((other) => assert.ok(apart(place, other)));
        });
      }
    }
  }
});

test("one camera fills the stage as far as its shape allows", () => {
  const [place] = layoutCameras([2], 0, 800, 600);
  assert.deepEqual([place?.width, place?.height, place?.left, place?.top], [800, 400, 0, 100]);
});

test("the large one is never smaller than the others, and none vanishes", () => {
  const places = layoutCameras([1, 1, 1], 1, 868, 458);
  const widths = places.map((place) => place.width);
  assert.equal(Math.max(...widths), widths[1]);
  assert.ok(Math.min(...widths) > 100);
});

test("a camera that says nothing of its size is taken for square", () => {
  const [place] = layoutCameras([Number.NaN], 0, 400, 300);
  assert.equal(place?.width, place?.height);
  assert.deepEqual(layoutCameras([1], 0, 0, 0), []);
});
