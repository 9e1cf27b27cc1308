/**
 * The video itself: beside the talk on wide screens, above it on phones; it can be put away. Files play in every
 * browser. Streams (HLS) play where the browser does it itself: Safari, Chrome and Edge. Elsewhere there is a link.
 */
import { isHls } from "../core/video.js";
import { t } from "../core/words.js";

const HLS_TYPE = "application/vnd.apple.mpegurl";

export class Player {
  #section = document.getElementById("player");
  #toggle = document.getElementById("watch");
  #handlers;
  #url = "";
  #video = null;

  /**
   * handlers: onMoved(positionMs, speed) while it plays, onSought(positionMs, speed) after a jump, onPlayed(positionMs)
   * whenever it begins to play.
   */
  constructor(handlers) {
    this.#handlers = handlers;
    this.#toggle.addEventListener("click", () => this.#show(this.#section.hidden));
  }

  /** Shows what plays at that address, in place of what was there; null: nothing. False: it is there, and plays on. */
  open(url) {
    if (url === this.#url) return false;
    this.close();
    if (url === null) return true;
    this.#url = url;
    const video = document.createElement("video");
    video.controls = true;
    video.playsInline = true;
    video.preload = "metadata";
    video.setAttribute("aria-label", t("player"));
    if (isHls(url) && !video.canPlayType(HLS_TYPE)) {
      this.#section.replaceChildren(unplayable(url));
    } else {
      this.#video = video;
      this.#section.replaceChildren(video);
      this.#listen(video);
      video.src = url;
    }
    this.#toggle.hidden = false;
    this.#show(true);
    return true;
  }

  close() {
    this.#url = "";
    this.#video?.removeAttribute("src"); // else it goes on loading
    this.#video?.load();
    this.#video = null;
    this.#section.replaceChildren();
    this.#toggle.hidden = true;
    this.#section.hidden = true;
    document.body.classList.remove("watching");
  }

  #show(isShown) {
    if (!isShown) this.#video?.pause();
    this.#section.hidden = !isShown;
    document.body.classList.toggle("watching", isShown);
    this.#toggle.setAttribute("aria-expanded", String(isShown));
  }

  #listen(video) {
    const options = { passive: true };
    const tell = (handler) => () => {
      if (video === this.#video) handler(video.currentTime * 1000, video.playbackRate);
    };
    const moved = tell((ms, speed) => video.seeking || this.#handlers.onMoved(ms, speed));
    video.addEventListener("timeupdate", moved, options);
    video.addEventListener("seeked", tell((ms, speed) => this.#handlers.onSought(ms, speed)), options);
    video.addEventListener("play", tell((ms) => this.#handlers.onPlayed(ms)), options);
    video.addEventListener("error", () => {
      if (video !== this.#video) return;
      this.#video = null;
      this.#section.replaceChildren(unplayable(this.#url));
    });
  }
}

function unplayable(url) {
  const link = document.createElement("a");
  link.href = url;
  link.target = "_blank";
  link.rel = "noopener";
  link.textContent = t("player_link");
  const words = document.createElement("p");
  words.append(t("player_unplayable"), " ", link);
  return words;
}
