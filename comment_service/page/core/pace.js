/**
 * Decides how many comments a second the page asks for: all of them, or, while more come than anybody can read, a rate
 * edition, of which the service says how many it leaves out. No clock in here: `nowMs` comes in.
 */
import { PACE_CALM_PER_S, PACE_FAST_PER_S, PACE_HOLD_MS, PACE_RATE_PER_S, PACE_WINDOW_MS } from "../limits.js";

export class Pace {
  /** Comments a second that the stream should bring at most; null: all */
  rate = null;

  #chance;
  #counts = []; // {atMs, shown, skipped} of each second of the window, the oldest first
  #changeMs = 0; // when the rate may change again

  /** chance: from 0 to 1, another for each viewer, so that they don't all open a new stream at the same time */
  constructor(chance, nowMs) {
    this.#chance = chance;
    this.#changeMs = nowMs + PACE_WINDOW_MS;
  }

  arrived(nowMs) {
    this.#now(nowMs).shown += 1;
  }

  skipped(count, nowMs) {
    this.#now(nowMs).skipped += count;
  }

  /** Comments a second: {shown, skipped} of late */
  perSecond(nowMs) {
    this.#forget(nowMs);
    const sum = (key) => this.#counts.reduce((total, one) => total + one[key], 0) / (PACE_WINDOW_MS / 1000);
    return { shown: Math.round(sum("shown")), skipped: Math.round(sum("skipped")) };
  }

  /** Call it every second or so. Returns true if `rate` has changed: then the stream is to be opened with it. */
  changes(nowMs) {
    const { shown, skipped } = this.perSecond(nowMs);
    const perS = shown + skipped;
    const wants = this.rate === null ? perS > PACE_FAST_PER_S : perS < PACE_CALM_PER_S;
    if (!wants) {
      this.#changeMs = Math.max(this.#changeMs, nowMs + PACE_HOLD_MS * this.#chance);
      return false;
    }
    if (nowMs < this.#changeMs) return false;
    this.rate = this.rate === null ? PACE_RATE_PER_S : null;
    this.#changeMs = nowMs + PACE_HOLD_MS * (1 + this.#chance);
    return true;
  }

  #now(nowMs) {
    const last = this.#counts.at(-1);
    if (last !== undefined && Math.abs(nowMs - last.atMs) < 1000) return last;
    this.#counts.push({ atMs: nowMs, shown: 0, skipped: 0 });
    this.#forget(nowMs);
    return this.#counts.at(-1);
  }

  #forget(nowMs) {
    this.#counts = this.#counts.filter(({ atMs }) => atMs > nowMs - PACE_WINDOW_MS);
  }
}
