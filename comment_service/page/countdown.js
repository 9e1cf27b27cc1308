/** Tells a person how long it still takes, once a second. */

/** Calls `show(seconds)` at once and each second until `ms` have passed, then `done()`. Returns a function that stops it. */
export function countdown(ms, show, done) {
  const dueMs = performance.now() + ms;
  let timer = 0;
  function tick() {
    const leftMs = dueMs - performance.now();
    if (leftMs <= 0) {
      done();
      return;
    }
    const seconds = Math.ceil(leftMs / 1000);
    show(seconds);
    timer = setTimeout(tick, leftMs - (seconds - 1) * 1000);
  }
  tick();
  return () => clearTimeout(timer);
}
