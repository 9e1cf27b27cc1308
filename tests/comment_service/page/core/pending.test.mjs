/** The posts on their way, against a service that does anything a network allows, in any order. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Pending, Post } from "../../../../comment_service/page/core/pending.js";

const LATER = { reason: "No server answers.", temporary: true };
const NEVER = { reason: "Rude.", temporary: false };
const comment = (id, message, name = "Ann") => ({ id, message, author: { name } });
const texts = (pending) => pending.shown().map(({ text }) => text);

function sendNext(pending, nowMs = 0) {
  const { send } = pending.next(nowMs);
  pending.sending(send.key);
  return send;
}

test("a post is shown at once, until it is answered", () => {
  const pending = new Pending();
  pending.write("k", "Ann", "hello");
  assert.deepEqual(texts(pending), ["hello"]);
  sendNext(pending);
  assert.equal(pending.next(0), null);
  pending.answered("k", "a");
  assert.deepEqual(texts(pending), []);
});

test("posts are sent one after the other", () => {
  const pending = new Pending();
  for (const key of ["1", "2", "3"]) pending.write(key, "", key);
  for (const key of ["1", "2", "3"]) {
    assert.equal(sendNext(pending).key, key);
    pending.answered(key, key);
  }
  assert.equal(pending.next(0), null);
});

test("one that failed waits, and keeps the others behind it", () => {
  const pending = new Pending();
  pending.write("1", "", "a");
  pending.write("2", "", "b");
  sendNext(pending);
  pending.failed("1", { ...LATER, retryAfterMs: 7_000 }, 100);
  assert.deepEqual(pending.next(100), { waitMs: 7_000 });
  assert.equal(pending.next(7_100).send.key, "1");
});

test("after some tries the reader is asked, and the key stays", () => {
  const pending = new Pending();
  pending.write("1", "", "a");
  pending.write("2", "", "b");
  for (let nowMs = 0; pending.next(nowMs).send.key === "1"; nowMs += 100_000) {
    sendNext(pending, nowMs);
    pending.failed("1", LATER, nowMs);
  }
  assert.deepEqual(pending.shown().map(({ state }) => state), [Post.FAILED, Post.QUEUED]);
  pending.retry("1");
  assert.equal(sendNext(pending).key, "1");
});

test("a refusal is final until the reader says otherwise", () => {
  const pending = new Pending();
  pending.write("1", "", "a");
  sendNext(pending);
  pending.failed("1", NEVER, 0);
  assert.equal(pending.next(1e9), null);
  assert.deepEqual(pending.shown()[0].reason, "Rude.");
  assert.ok(pending.takeBack("1"));
  assert.deepEqual(texts(pending), []);
});

test("the stream may be first", () => {
  const pending = new Pending();
  pending.write("1", "", "gg");
  sendNext(pending);
  assert.ok(!pending.arrived(comment("a", "gg", "Bob")));
  assert.ok(pending.arrived(comment("b", "gg", "Anonymous")));
  assert.deepEqual(texts(pending), []);
  pending.failed("1", LATER, 0); // the answer was lost: it asks again, and shows nothing twice
  assert.deepEqual(texts(pending), []);
  for (let tries = 0; tries < 20; tries += 1) {
    sendNext(pending, 1e9 * (tries + 1));
    pending.failed("1", LATER, 1e9 * (tries + 1));
    assert.deepEqual(texts(pending), []);
    assert.ok(pending.next(1e9 * (tries + 1)).waitMs > 0, "not without a pause");
  }
});

test("somebody else's same words don't hide a refusal", () => {
  const pending = new Pending();
  pending.write("1", "Ann", "gg");
  sendNext(pending);
  pending.arrived(comment("a", "gg"));
  pending.failed("1", NEVER, 0);
  assert.deepEqual(texts(pending), ["gg"]);
});

/** Two posts of the same words: the first got no answer until it was given up, the second is on its way. */
function twins() {
  const pending = new Pending();
  for (const key of ["1", "2"]) pending.write(key, "Ann", "gg");
  sendNext(pending);
  for (let nowMs = 0; ; nowMs += 1e6) {
    pending.failed("1", LATER, nowMs);
    if (pending.shown()[0].state === Post.FAILED) break;
    pending.sending("1");
  }
  assert.equal(sendNext(pending).key, "2");
  return pending;
}

const keys = (pending) => pending.shown().map(({ key }) => key);

test("posts that were taken for each other's comments are exchanged", () => {
  const pending = twins();
  pending.arrived(comment("b", "gg")); // the second one's, as its answer says
  assert.deepEqual(keys(pending), ["2"]);
  pending.answered("2", "b");
  assert.deepEqual(keys(pending), ["1"]);
});

test("two comments of the same words stand for two posts", () => {
  const pending = twins();
  for (const id of ["a", "b"]) assert.ok(pending.arrived(comment(id, "gg")));
  assert.deepEqual(keys(pending), []);
});

test("what a refused post was taken for stands for the next one", () => {
  const pending = twins();
  pending.failed("2", LATER, 0); // it is stored, and its answer was lost
  pending.retry("1");
  sendNext(pending);
  pending.arrived(comment("b", "gg")); // the second one's
  pending.failed("1", NEVER, 0);
  assert.deepEqual(keys(pending), ["1"]);
});

test("what is on its way can't be taken back", () => {
  const pending = new Pending();
  pending.write("1", "", "a");
  pending.write("2", "", "b");
  sendNext(pending);
  assert.ok(!pending.takeBack("1"));
  assert.ok(pending.takeBack("2"));
  assert.deepEqual(texts(pending), ["a"]);
});

test("a page that is loaded anew goes on with them, under their keys", () => {
  const before = new Pending();
  before.write("1", "Ann", "a");
  before.write("2", "Ann", "b");
  sendNext(before);
  before.failed("1", NEVER, 0);
  const after = new Pending(JSON.parse(JSON.stringify(before.kept())));
  assert.deepEqual(after.shown().map(({ key, state }) => [key, state]), [["1", Post.FAILED], ["2", Post.QUEUED]]);
  assert.ok(after.arrived(comment("x", "b"))); // it had been stored
  assert.equal(after.next(0).send.key, "2");
});

/**
 * A service that stores each key once, answers or loses the answer, refuses or is away; a stream that brings what is
 * stored at any time; other people who write the same words; a reader who retries and gives up. The timeline is a map
 * by id, as in the page.
 */
class World {
  constructor(seed) {
    this.state = seed;
    this.pending = new Pending();
    this.stored = new Map(); // key -> comment
    this.unstreamed = [];
    this.timeline = new Map();
    this.written = [];
    this.mayFail = true;
    this.nowMs = 0;
    this.ids = 0;
    this.keys = 0;
    this.flying = null;
  }

  chance(below) {
    this.state = (this.state * 48271) % 2147483647;
    return this.state % below;
  }

  store(text, key = null) {
    const stored = { ...comment(`id${String((this.ids += 1)).padStart(4, "0")}`, text), key };
    this.unstreamed.push(stored);
    if (key) this.stored.set(key, stored);
    return stored;
  }

  stream() {
    const [one] = this.unstreamed.splice(this.chance(3), 1);
    if (one === undefined || this.timeline.has(one.id)) return;
    this.timeline.set(one.id, one);
    this.pending.arrived(one);
  }

  step() {
    this.nowMs += this.chance(3_000);
    const action = this.chance(this.mayFail ? 7 : 4);
    if (action === 0) this.send();
    else if (action <= 2) this.answer();
    else if (action === 3) this.stream();
    else if (action === 4) this.write();
    else if (action === 5) this.store("gg"); // somebody else, under the same name
    else this.giveUp();
  }

  write() {
    const key = `key${(this.keys += 1)}`;
    const text = ["gg", "lol", "hello"][this.chance(3)];
    this.written.push({ key, text });
    this.pending.write(key, "Ann", text);
  }

  send() {
    const next = this.pending.next(this.nowMs);
    if (next?.waitMs) this.nowMs += next.waitMs;
    if (!next?.send) {
      const failed = this.pending.shown().find(({ state }) => state === Post.FAILED);
      if (failed) this.pending.retry(failed.key);
      return;
    }
    assert.equal(this.flying, null, "one at a time");
    this.pending.sending(next.send.key);
    const lost = this.mayFail && this.chance(4) === 0;
    const refused = this.mayFail && this.chance(6) === 0 && !this.stored.has(next.send.key);
    if (!lost && !refused && !this.stored.has(next.send.key)) this.store(next.send.text, next.send.key);
    this.flying = { key: next.send.key, refused };
  }

  answer() {
    if (this.flying === null) return;
    const { key, refused } = this.flying;
    this.flying = null;
    if (refused) this.pending.failed(key, NEVER, this.nowMs);
    else if (!this.stored.has(key) || (this.mayFail && this.chance(3) === 0)) this.pending.failed(key, LATER, this.nowMs);
    else {
      this.pending.answered(key, this.stored.get(key).id);
      this.timeline.set(this.stored.get(key).id, this.stored.get(key));
    }
  }

  giveUp() {
    const shown = this.pending.shown();
    if (shown.length === 0) return;
    const { key } = shown[this.chance(shown.length)];
    if (this.pending.takeBack(key)) this.written = this.written.filter((post) => post.key !== key);
  }

  /** Each of the reader's words is on the screen at least once for each time they were written */
  check() {
    for (const text of ["gg", "lol", "hello"]) {
      const wanted = this.written.filter((post) => post.text === text).length;
      const shown = this.pending.shown().filter((post) => post.text === text).length;
      const there = [...this.timeline.values()].filter(({ message }) => message === text).length;
      assert.ok(shown + there >= wanted, `${text}: ${shown} + ${there} of ${wanted}`);
      // Only one that failed, and was stored all the same, may be shown beside its comment: never one on its way.
      const own = [...this.timeline.values()].filter(({ message, key }) => message === text && key).length;
      const failed = this.pending.shown().filter((post) => post.text === text && post.tries > 0).length;
      if (text !== "gg") assert.ok(own + shown - failed <= wanted + this.givenUp(text), `${text} twice`);
    }
  }

  givenUp(text) {
    return [...this.stored.values()].filter((one) => one.message === text && !this.written.some(({ key }) => key === one.key))
      .length;
  }
}

test("whatever comes in whatever order, nothing is lost, and in the end each is there once", () => {
  for (let seed = 1; seed <= 2_000; seed += 1) {
    const world = new World(seed);
    for (let steps = 0; steps < 60; steps += 1) {
      world.step();
      world.check();
    }
    world.mayFail = false;
    for (let steps = 0; steps < 2_000 && (world.pending.kept().length || world.unstreamed.length); steps += 1) world.step();
    assert.deepEqual(world.pending.kept(), [], `seed ${seed}`);
    for (const { key, text } of world.written) {
      const found = [...world.timeline.values()].filter((one) => one.key === key);
      assert.deepEqual(found.map(({ message }) => message), [text], `seed ${seed}`);
    }
  }
});
