import assert from "node:assert/strict";
import { test } from "node:test";
import { movedTo, reaches, replayAt, wanted, withPage } from "../../../../comment_service/page/core/replay.js";

const said = (...offsets) => offsets.map((offsetMs) => ({ id: `${offsetMs}`, offsetMs }));
const page = (nextCursor, ...offsets) => ({ comments: said(...offsets), nextCursor });
const offsetsOf = (comments) => comments.map((comment) => comment.offsetMs);

test("each comment comes once, when it was said", () => {
  let replay = withPage(replayAt(1_000), page("9", 1_000, 1_500, 3_000, 9_000));
  const seen = [];
  for (const positionMs of [1_250, 1_500, 2_999, 3_000, 3_001]) {
    const step = movedTo(replay, positionMs);
    replay = step.replay;
    seen.push(offsetsOf(step.said));
  }
  assert.deepEqual(seen, [[1_000], [1_500], [], [3_000], []]);
});

test("more is asked for before what lies ready is said, and sooner at a higher speed", () => {
  const begun = replayAt(1_000.7);
  assert.deepEqual(wanted(begun, 1), { fromMs: 1_000, cursor: null });
  const loaded = withPage(begun, page("c", 2_000, 20_000));
  assert.equal(wanted(loaded, 1), null);
  assert.deepEqual(wanted(loaded, 2), { fromMs: 1_000, cursor: "c" });
  assert.deepEqual(wanted(movedTo(loaded, 6_000).replay, 1), { fromMs: 6_000, cursor: "c" });
});

test("at the end nothing is asked for", () => {
  const whole = withPage(replayAt(0), page(null, 5_000));
  assert.equal(wanted(whole, 1), null);
  assert.equal(wanted(movedTo(whole, 9_000).replay, 1), null);
  assert.deepEqual(offsetsOf(movedTo(whole, 9_000).said), [5_000]);
});

test("a page that is empty, or came twice, does no harm", () => {
  let replay = withPage(replayAt(0), page("c", 1_000));
  replay = withPage(replay, page("d"));
  replay = withPage(replay, page("e", 1_000, 2_000));
  assert.deepEqual(offsetsOf(replay.ahead), [1_000, 2_000]);
});

test("a jump goes on with what lies ready, or begins anew", () => {
  const replay = withPage(replayAt(10_000), page("c", 11_000, 20_000));
  assert.ok(reaches(replay, 10_000));
  assert.ok(reaches(replay, 20_000));
  assert.ok(!reaches(replay, 20_001), "what lies between isn't known");
  assert.ok(!reaches(replay, 9_999), "back");
  assert.ok(reaches(withPage(replay, page(null)), 1e9), "all is known");
  assert.ok(!reaches(replayAt(0), 1), "nothing has come yet");
});
