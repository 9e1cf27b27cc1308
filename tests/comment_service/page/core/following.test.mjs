import assert from "node:assert/strict";
import { test } from "node:test";
import { follows } from "../../../../comment_service/page/core/following.js";

const at = (top, height = 1000, seen = 500) => ({ top, height, seen });

test("the reader's own way up ends it, however short", () => {
  assert.equal(follows(true, at(500), at(497)), false);
  assert.equal(follows(true, at(500), at(499)), true); // a pixel of rounding
});

test("down to the end, or nearly, begins it again", () => {
  assert.equal(follows(false, at(300), at(480)), true);
  assert.equal(follows(false, at(300), at(400)), false);
});

test("what the layout does is not the reader's way", () => {
  assert.equal(follows(true, at(500), at(480, 1000, 480)), true); // the box grew
  assert.equal(follows(true, at(500), at(440, 960, 500)), true); // a row was erased
  assert.equal(follows(false, at(300), at(280, 1000, 520)), false);
});
