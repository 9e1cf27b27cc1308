import assert from "node:assert/strict";
import { test } from "node:test";
import { Pace } from "../../../../comment_service/page/core/pace.js";

/** Runs `seconds` seconds with so many comments a second, and returns the rates asked for. */
function run(pace, fromS, seconds, perS) {
  const asked = [];
  for (let second = fromS; second < fromS + seconds; second += 1) {
    const shown = pace.rate === null ? perS : Math.min(perS, pace.rate);
    for (let number = 0; number < shown; number += 1) pace.arrived(second * 1000 + number);
    if (perS > shown) pace.skipped(perS - shown, second * 1000 + 999);
    if (pace.changes(second * 1000 + 999)) asked.push(pace.rate);
  }
  return asked;
}

test("what can be read comes whole", () => {
  assert.deepEqual(run(new Pace(0.5, 0), 0, 100, 12), []);
});

test("a flood is thinned, and what follows comes whole again", () => {
  const pace = new Pace(0.5, 0);
  assert.deepEqual(run(pace, 0, 30, 100), [10]);
  assert.deepEqual(pace.perSecond(29_999), { shown: 10, skipped: 90 });
  assert.deepEqual(run(pace, 30, 60, 3), [null]);
});

test("a rate near the bounds changes nothing", () => {
  const pace = new Pace(0.5, 0);
  run(pace, 0, 30, 100);
  assert.deepEqual(run(pace, 30, 100, 12), []);
});

test("a rate stays for a while", () => {
  const pace = new Pace(0, 0);
  let second = 0;
  while (pace.rate === null) run(pace, second++, 1, 100);
  assert.deepEqual(run(pace, second, 8, 1), []);
  assert.deepEqual(run(pace, second + 8, 10, 1), [null]);
});

test("a burst is no flood", () => {
  const pace = new Pace(1, 0);
  assert.deepEqual(run(pace, 0, 10, 1), []);
  assert.deepEqual(run(pace, 10, 1, 40), []);
  assert.deepEqual(run(pace, 11, 10, 1), []);
});

test("viewers don't change all at once", () => {
  const seconds = [0, 0.25, 0.5, 0.75, 1].map((chance) => {
    const pace = new Pace(chance, 0);
    run(pace, 0, 20, 5);
    let second = 20;
    while (pace.rate === null) run(pace, second++, 1, 100);
    return second;
  });
  assert.equal(new Set(seconds).size, 5);
});
