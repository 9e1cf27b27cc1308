/** The line above the talk: the video's title, its state or the connection's with the reason, the viewers. */
import { State } from "../core/states.js";
import { clockText, secondsToStart, shownState } from "../core/video.js";
import { t } from "../core/words.js";
import { countdown } from "./countdown.js";

const WORDS = {
  [State.CONNECTING]: "state_connecting",
  [State.LIVE]: "state_live",
  [State.RECONNECTING]: "state_reconnecting",
  [State.DOWN]: "state_down",
  [State.REFUSED]: "state_refused",
  [State.TOO_MANY_TABS]: "state_too_many_tabs",
  [State.NO_VIDEO]: "state_no_video",
  [State.PLANNED]: "state_planned",
  [State.ENDED]: "state_ended",
};

export class Header {
  #title = document.getElementById("title");
  #pill = document.getElementById("state");
  #word = this.#pill.querySelector(".word");
  #seconds = this.#pill.querySelector(".seconds"); // hidden from screen readers, which would read every second aloud
  #reason = document.getElementById("reason");
  #viewers = document.getElementById("viewers");
  #connection = { state: State.CONNECTING, reason: "", delayMs: 0 };
  #record = null;
  #stopCountdown = () => {};

  /** Another video is shown, of which only the id is known. */
  showVideo(video) {
    this.#connection = { state: State.CONNECTING, reason: "", delayMs: 0 };
    this.#reason.textContent = "";
    this.#name(video);
    this.showRecord(null);
    this.showViewers(null);
  }

  /** What is known of the video; null: nothing */
  showRecord(record) {
    this.#record = record;
    if (record) this.#name(record.title);
    this.#render();
  }

  /** Takes what Stream reports to onState. */
  show(connection) {
    // A new attempt keeps the last reason on the screen: otherwise it would flicker.
    const keepsReason = connection.state === State.CONNECTING && this.#reason.textContent !== "";
    if (!keepsReason) this.#reason.textContent = connection.reason;
    this.#connection = connection;
    this.#render();
  }

  showViewers(count) {
    this.#viewers.textContent = Number.isInteger(count) ? t("viewers", { n: count }) : "";
  }

  #name(title) {
    this.#title.textContent = title;
    document.title = t("page_of", { video: title });
  }

  #render() {
    this.#stopCountdown();
    this.#stopCountdown = () => {};
    this.#seconds.textContent = "";
    const state = shownState(this.#connection.state, this.#record);
    this.#pill.dataset.state = state;
    const word = t(WORDS[state]);
    if (this.#word.textContent !== word) this.#word.textContent = word;
    const toStart = state === State.PLANNED ? secondsToStart(this.#record, Date.now()) : null;
    if (toStart !== null) {
      this.#countDown(toStart * 1000, (n) => t("state_planned_in", { time: clockText(n) }));
    } else if (state === this.#connection.state && this.#connection.delayMs >= 1000) {
      this.#countDown(this.#connection.delayMs, (n) => t(`${WORDS[state]}_in`, { n }));
    }
  }

  #countDown(ms, text) {
    this.#stopCountdown = countdown(ms, (n) => (this.#seconds.textContent = text(n)), () => {
      this.#seconds.textContent = "";
    });
  }
}
