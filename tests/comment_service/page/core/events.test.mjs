import assert from "node:assert/strict";
import { test } from "node:test";
import { EVENT_NAMES, commentOf, pageOf, payloadOf } from "../../../../comment_service/page/core/events.js";

const GOOD = {
  id: "0190000000000000",
  liveVideoId: "demo",
  author: { id: "guest:Ann", name: "Ann" },
  message: "hello",
  createdAt: 1_700_000_000_000,
};

const BAD = [
  null, 7, "hello", [], {}, { ...GOOD, id: 7 }, { ...GOOD, id: "0190" }, { ...GOOD, id: undefined },
  { ...GOOD, author: null }, { ...GOOD, author: { id: "a" } }, { ...GOOD, author: { id: 1, name: "Ann" } },
  { ...GOOD, message: ["hello"] }, { ...GOOD, message: undefined }, { ...GOOD, createdAt: "now" },
  { ...GOOD, createdAt: 1e300 }, { ...GOOD, createdAt: null },
];

test("a comment is taken over with the fields that the page knows", () => {
  assert.deepEqual(commentOf({ ...GOOD, badge: "new", author: { ...GOOD.author, level: 3 } }), GOOD);
});

test("what isn't a comment is null", () => {
  for (const bad of BAD) assert.equal(commentOf(bad), null, JSON.stringify(bad));
});

test("a page loses what isn't a comment, and nothing else", () => {
  assert.deepEqual(pageOf({ comments: [...BAD, GOOD], nextCursor: null }), { comments: [GOOD], nextCursor: null });
  for (const bad of [null, {}, { comments: {}, nextCursor: null }, { comments: [], nextCursor: 7 }, { comments: [] }]) {
    assert.equal(pageOf(bad), null, JSON.stringify(bad));
  }
});

test("no data makes any event throw", () => {
  const data = ["", "{", "null", "7", '"x"', "[]", "{}", '{"id":null,"from":7,"upTo":1}', '{"viewers":"many"}'];
  for (const name of EVENT_NAMES) for (const one of data) payloadOf(name, one);
  for (const one of data.slice(0, 5)) assert.equal(payloadOf("viewers", one), null);
});

test("events that are as agreed come through", () => {
  const { id } = GOOD;
  assert.deepEqual(payloadOf("deleted", `{"id":"${id}"}`), { id });
  assert.deepEqual(payloadOf("author_purged", `{"authorId":"a","upTo":"${id}"}`), { authorId: "a", upTo: id });
  assert.deepEqual(payloadOf("viewers", '{"viewers":19000}'), { viewers: 19000 });
  assert.deepEqual(payloadOf("gap", `{"from":"${id}","to":null,"reason":"x"}`), { from: id, to: null });
  assert.deepEqual(payloadOf("heartbeat", '{"every_ms":5000}'), { everyMs: 5000 });
  assert.deepEqual(payloadOf("heartbeat", "{}"), { everyMs: Infinity });
  assert.deepEqual(payloadOf("reconnect", '{"delay_ms":"soon"}'), { delayMs: 0 });
});
