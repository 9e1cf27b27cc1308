/** Shows the state of the connection, the reason if there is none, and the number of viewers. */
import { countdown } from "./countdown.js";
import { State } from "./stream.js";

const WORDS = {
  [State.CONNECTING]: "Connecting",
  [State.LIVE]: "Live",
  [State.RECONNECTING]: "Reconnecting",
  [State.DOWN]: "No server",
  [State.REFUSED]: "Refused",
  [State.TOO_MANY_TABS]: "Too many tabs",
};
const WAITS = { [State.RECONNECTING]: " in", [State.DOWN]: ", retry in" };

export class Status {
  #pill = document.getElementById("state");
  #word = this.#pill.querySelector(".word");
  #seconds = this.#pill.querySelector(".seconds"); // hidden from screen readers, which would read every second aloud
  #reason = document.getElementById("reason");
  #viewers = document.getElementById("viewers");
  #stopCountdown = () => {};

  /** Takes what Stream reports to onState. */
  show({ state, reason, delayMs }) {
    this.#stopCountdown();
    this.#stopCountdown = () => {};
    this.#seconds.textContent = "";
    // A new attempt keeps the last reason on the screen: otherwise it would flicker.
    const keepsReason = state === State.CONNECTING && this.#reason.textContent !== "";
    if (!keepsReason) this.#reason.textContent = reason;
    this.#pill.dataset.state = state;
    if (this.#word.textContent !== WORDS[state]) this.#word.textContent = WORDS[state];
    if (delayMs < 1000) return;
    const tick = (seconds) => (this.#seconds.textContent = `${WAITS[state]} ${seconds} s`);
    this.#stopCountdown = countdown(delayMs, tick, () => {});
  }

  showViewers(count) {
    this.#viewers.textContent = Number.isInteger(count) ? `${count.toLocaleString()} watching` : "";
  }
}
