/** The pill that always says how the connection is, and the line that says why there is none. */
import { countdown } from "./countdown.js";

const WORDS = { connecting: "Connecting", live: "Live", reconnecting: "Reconnecting", down: "No server" };
const WAITS = { reconnecting: " in", down: ", again in" };

export class Status {
  #pill = document.getElementById("state");
  #word = this.#pill.querySelector(".word");
  #seconds = this.#pill.querySelector(".seconds"); // hidden from screen readers: nobody wants to hear each second
  #reason = document.getElementById("reason");
  #viewers = document.getElementById("viewers");
  #stop = () => {};

  /** As Stream's onState says it */
  show({ state, reason, delayMs }) {
    this.#stop();
    this.#stop = () => {};
    this.#seconds.textContent = "";
    // A try that follows on a reason keeps it in sight: it would only flicker.
    const trying = state === "connecting" && this.#reason.textContent !== "";
    if (!trying) this.#reason.textContent = reason;
    this.#pill.dataset.state = state;
    if (this.#word.textContent !== WORDS[state]) this.#word.textContent = WORDS[state];
    if (delayMs < 1000) return;
    this.#stop = countdown(delayMs, (seconds) => (this.#seconds.textContent = `${WAITS[state]} ${seconds} s`), () => {});
  }

  showViewers(count) {
    this.#viewers.textContent = Number.isInteger(count) ? `${count.toLocaleString()} watching` : "";
  }
}
