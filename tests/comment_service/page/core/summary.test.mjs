import assert from "node:assert/strict";
import { test } from "node:test";
import { Summary } from "../../../../comment_service/page/core/summary.js";

const by = (name, message = "hello") => ({ author: { id: name, name }, message });
const all = () => true;

test("the first is said at once, the next a few seconds later", () => {
  const summary = new Summary();
  assert.equal(summary.waitMs(0), null);
  const [ann, bo] = [by("Ann"), by("Bo")];
  summary.arrived(ann);
  assert.equal(summary.waitMs(0), 0);
  assert.deepEqual(summary.take(0, all), { comments: [ann] });
  summary.arrived(bo);
  assert.equal(summary.waitMs(1_000), 4_000);
  assert.equal(summary.take(1_000, all), null);
  assert.deepEqual(summary.take(5_000, all), { comments: [bo] });
});

test("of many it is said how many, and none is lost without a word", () => {
  const summary = new Summary();
  let told = 0;
  for (let ms = 0; ms < 60_000; ms += 10) {
    summary.arrived(by(`n${ms % 7}`));
    const said = summary.take(ms, all);
    told += said?.comments?.length ?? said?.count ?? 0;
  }
  const { count, people } = summary.take(61_000, all);
  assert.equal(people, 7);
  assert.equal(told + count, 6_000);
});

test("a long one is summed up, too", () => {
  const summary = new Summary();
  summary.arrived(by("Ann", "x".repeat(300)));
  assert.equal(summary.take(0, all).count, 1);
});

test("what was taken away is not said", () => {
  const summary = new Summary();
  summary.arrived(by("Ann"));
  assert.equal(summary.take(0, () => false), null);
  summary.arrived(by("Ann"));
  summary.drop();
  assert.equal(summary.waitMs(0), null);
});
