import assert from "node:assert/strict";
import { test } from "node:test";
import { timeText } from "../../../../comment_service/page/core/times.js";
import { setWords } from "../../../../comment_service/page/core/words.js";

const NOON = new Date(2026, 10, 30, 12, 5).getTime();

test("of today only the time is written, of other days the day, too", () => {
  setWords("en-GB", {});
  assert.equal(timeText(NOON, NOON), "12:05");
  assert.equal(timeText(NOON + 59_000, NOON), "12:05");
  assert.equal(timeText(NOON + 60_000, NOON), "12:06");
  assert.equal(timeText(NOON, NOON + 86_400_000), "30 Nov 2026, 12:05");
  assert.equal(timeText(NOON, NOON), "12:05");
});
