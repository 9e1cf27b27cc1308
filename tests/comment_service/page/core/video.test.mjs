import assert from "node:assert/strict";
import { test } from "node:test";
import { State } from "../../../../comment_service/page/core/states.js";
import {
  clockText, isHls, isVideoId, recentOf, remembered, secondsToStart, shownState, videoOf,
} from "../../../../comment_service/page/core/video.js";

const RECORD = {
  id: "demo", title: "A talk", state: "planned", plannedAt: 61_000, startedAt: null, playbackUrl: "https://cdn.example/a.m3u8",
};

test("ids that would be read as another path are none", () => {
  for (const id of ["demo", "game:1", "a".repeat(128), "-_~."]) assert.ok(isVideoId(id), id);
  for (const id of ["", "..", ".", "a/b", "a b", "a".repeat(129), "ä", null, 3.5]) assert.ok(!isVideoId(id), `${id}`);
});

test("a record has only what the page uses", () => {
  assert.deepEqual(videoOf({ ...RECORD, owner: null, createdAt: 1, more: {} }), RECORD);
  for (const wrong of [null, 3, {}, { ...RECORD, id: ".." }, { ...RECORD, title: 3 }, { ...RECORD, state: "over" }]) {
    assert.equal(videoOf(wrong), null);
  }
});

test("a time or an address that can't be used costs only itself", () => {
  for (const url of ["javascript:alert(1)", "/a.mp4", "data:,x", 3, undefined]) {
    assert.deepEqual(videoOf({ ...RECORD, playbackUrl: url }), { ...RECORD, playbackUrl: null });
  }
  for (const plannedAt of ["soon", 1e300, undefined]) {
    assert.deepEqual(videoOf({ ...RECORD, plannedAt }), { ...RECORD, plannedAt: null });
  }
});

test("an ended video isn't live, and awaits no stream", () => {
  const ended = { ...RECORD, state: "ended" };
  for (const connection of [State.LIVE, State.CONNECTING, State.RECONNECTING]) {
    assert.equal(shownState(connection, ended), State.ENDED);
  }
  assert.equal(shownState(State.DOWN, ended), State.DOWN);
});

test("a planned one is told of where the connection is fine", () => {
  assert.equal(shownState(State.LIVE, RECORD), State.PLANNED);
  assert.equal(shownState(State.RECONNECTING, RECORD), State.RECONNECTING);
  assert.equal(shownState(State.LIVE, { ...RECORD, state: "live" }), State.LIVE);
  assert.equal(shownState(State.LIVE, null), State.LIVE);
});

test("whole seconds are counted to the beginning", () => {
  assert.equal(secondsToStart(RECORD, 59_500), 2);
  assert.equal(secondsToStart(RECORD, 61_000), null);
  assert.equal(secondsToStart({ ...RECORD, plannedAt: null }, 0), null);
  assert.equal(secondsToStart({ ...RECORD, state: "live" }, 0), null);
  assert.equal(secondsToStart(null, 0), null);
});

test("durations read as a clock shows them", () => {
  assert.deepEqual([0, 59, 61, 3661, 360_000].map(clockText), ["0:00", "0:59", "1:01", "1:01:01", "100:00:00"]);
});

test("a list of pieces needs a player of its own", () => {
  assert.ok(isHls("https://cdn.example/live/a.M3U8?token=x"));
  assert.ok(!isHls("https://cdn.example/a.mp4?list=a.m3u8"));
});

test("the last opened videos are remembered, each once, with the title that was known", () => {
  let recent = remembered([], "a", null);
  recent = remembered(recent, "b", "B");
  recent = remembered(recent, "a", "A");
  recent = remembered(recent, "b", null);
  assert.deepEqual(recent, [{ id: "b", title: "B" }, { id: "a", title: "A" }]);
  for (let n = 0; n < 100; n += 1) recent = remembered(recent, `v${n}`, null);
  assert.equal(recent.length, 8);
  assert.equal(recent[0].id, "v99");
});

test("what others have written in its place isn't shown", () => {
  for (const kept of [null, 3, "x", {}, [null, { id: "..", title: "" }, { id: "a" }]]) assert.deepEqual(recentOf(kept), []);
  assert.deepEqual(recentOf([{ id: "a", title: "A", more: 1 }]), [{ id: "a", title: "A" }]);
});
