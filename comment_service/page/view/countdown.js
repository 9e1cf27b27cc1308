/** Counts down whole seconds for a person. */

/** Calls `show(seconds)` at once and every second until `ms` have passed, then `done()`. Returns a stop function. */
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
