import assert from "node:assert/strict";
import { test } from "node:test";
import { hueOf, placeOf } from "../../../../comment_service/page/core/rows.js";

const said = (id, createdAt) => ({ author: { id }, createdAt });

test("a run of one author has one name", () => {
  assert.deepEqual(placeOf(said("a", 1000), said("a", 0)), { continued: true, dated: false });
  assert.deepEqual(placeOf(said("a", 1000), said("b", 0)), { continued: false, dated: false });
  assert.deepEqual(placeOf(said("a", 1000), undefined), { continued: false, dated: false });
  assert.deepEqual(placeOf(said("a", 1000), { id: "1~gap", text: "…" }), { continued: false, dated: false });
});

test("time that has passed is shown, and ends a run", () => {
  assert.deepEqual(placeOf(said("a", 200_000), said("a", 0)), { continued: false, dated: false });
  assert.deepEqual(placeOf(said("a", 400_000), said("a", 0)), { continued: false, dated: true });
});

test("hues are spread", () => {
  const hues = Array.from({ length: 360 }, (_, number) => hueOf(`guest:${number}`));
  assert.ok(hues.every((hue) => Number.isInteger(hue) && hue >= 0 && hue < 360));
  assert.ok(new Set(hues).size > 150);
});
