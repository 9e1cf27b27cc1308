/** The line above the talk: the video, the state of the connection with the reason if there is none, the viewers. */
import { State } from "../core/states.js";
import { t } from "../core/words.js";
import { countdown } from "./countdown.js";

const WORDS = {
  [State.CONNECTING]: "state_connecting",
  [State.LIVE]: "state_live",
  [State.RECONNECTING]: "state_reconnecting",
  [State.DOWN]: "state_down",
  [State.REFUSED]: "state_refused",
  [State.TOO_MANY_TABS]: "state_too_many_tabs",
};

export class Header {
  #title = document.getElementById("title");
  #pill = document.getElementById("state");
  #word = this.#pill.querySelector(".word");
  #seconds = this.#pill.querySelector(".seconds"); // hidden from screen readers, which would read every second aloud
  #reason = document.getElementById("reason");
  #viewers = document.getElementById("viewers");
  #stopCountdown = () => {};

  /** Another video is shown. */
  showVideo(video) {
    this.#title.textContent = video;
    document.title = t("page_of", { video });
    this.showViewers(null);
  }

  /** Takes what Stream reports to onState. */
  show({ state, reason, delayMs }) {
    this.#stopCountdown();
    this.#stopCountdown = () => {};
    this.#seconds.textContent = "";
    // A new attempt keeps the last reason on the screen: otherwise it would flicker.
    const keepsReason = state === State.CONNECTING && this.#reason.textContent !== "";
    if (!keepsReason) this.#reason.textContent = reason;
    this.#pill.dataset.state = state;
    const word = t(WORDS[state]);
    if (this.#word.textContent !== word) this.#word.textContent = word;
    if (delayMs < 1000) return;
    const tick = (n) => (this.#seconds.textContent = t(`${WORDS[state]}_in`, { n }));
    this.#stopCountdown = countdown(delayMs, tick, () => {});
  }

  showViewers(count) {
    this.#viewers.textContent = Number.isInteger(count) ? t("viewers", { n: count }) : "";
  }
}
