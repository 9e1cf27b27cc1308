/** Tells a person how long it still takes, once a second. */

/** Calls `show(seconds)` at once and each second until `ms` have passed, then `done()`. Returns a function that stops it. */
export function countdown(ms, show, done) {
  const dueMs = performance.now() + ms;
  let seconds = Math.ceil(ms / 1000);
  let timer = 0;
  function tick() {
    if (seconds <= 0) {
      done();
      return;
    }
    show(seconds);
    seconds -= 1;
    timer = setTimeout(tick, dueMs - seconds * 1000 - performance.now());
  }
  tick();
  return () => clearTimeout(timer);
}
