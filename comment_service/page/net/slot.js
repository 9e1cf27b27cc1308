/**
 * Bounds the streams of a browser. Over HTTP/1.1 it opens six connections to one host, for all of its tabs together: six
 * streams let nothing else through, not even another tab's post. So each stream needs a slot, one of a few locks (Web
 * Locks), which the browser frees however its tab ends. A tab that finds none free asks the others, and those that are
 * hidden give theirs back: they catch up when they are seen. Over HTTP/2 the streams share one connection, and pages
 * without TLS have no locks: there each tab has a slot, and hidden ones give up their streams for one that can't open
 * its own.
 */
import { SLOTS, SLOT_ASK_MS } from "../limits.js";

export class Slot {
  #locks = sharesConnections() ? null : navigator.locks;
  #channel = "BroadcastChannel" in window ? new BroadcastChannel("livecomments-slots") : null;
  #asking = null; // an AbortController, until a lock is granted
  #giveBack = null; // frees the lock that is held

  /** onWanted(): called when another tab finds no slot */
  constructor(onWanted) {
    if (this.#channel) this.#channel.onmessage = onWanted;
  }

  get isHeld() {
    return !this.#locks || this.#giveBack !== null;
  }

  /** Waits for a slot, in place of any call before. onHeld(): it is held. onNone(): all are taken; called once. */
  take(onHeld, onNone) {
    this.release();
    const asking = new AbortController();
    this.#asking = asking;
    let asked = 0;
    const timer = setInterval(() => {
      this.ask(); // again and again: a hidden tab may have been granted what was given back
      asked += 1;
      if (asked === 2) onNone(); // nobody has answered the first time
    }, SLOT_ASK_MS);
    asking.signal.addEventListener("abort", () => clearInterval(timer));
    const held = () => {
      if (asking.signal.aborted) return null; // another one was granted just before: this one is freed again
      asking.abort();
      const end = new Promise((resolve) => (this.#giveBack = resolve));
      onHeld();
      return end;
    };
    for (let number = 0; number < SLOTS; number += 1) {
      const name = `livecomments-slot-${number}`;
      this.#locks.request(name, { signal: asking.signal }, held).catch(() => {
        if (asking.signal.aborted) return; // it is asked for no longer
        this.#locks = null; // a browser that has locks, and gives none to this page
        asking.abort();
        onHeld();
      });
    }
  }

  /** Asks the other tabs for a slot. */
  ask() {
    this.#channel?.postMessage("wanted");
  }

  release() {
    this.#asking?.abort();
    this.#giveBack?.();
    this.#giveBack = null;
  }

  /** Releases it for good. */
  stop() {
    this.release();
    this.#channel?.close();
  }
}

function sharesConnections() {
  return /^h[23]/.test(performance.getEntriesByType("navigation")[0]?.nextHopProtocol ?? "");
}
