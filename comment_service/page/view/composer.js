/** Posts comments. The text stays in the box until the service has it, and a retry never posts it twice. */
import { randomKey } from "../core/ids.js";
import { t } from "../core/words.js";
import { COUNTER_FROM_CHARACTERS, MESSAGE_BYTES_MAX, MESSAGE_CHARACTERS_MAX, POST_TIMEOUT_MS } from "../limits.js";
import { ServiceError, requestJson } from "../net/request.js";
import { countdown } from "./countdown.js";

export class Composer {
  #form = document.getElementById("compose");
  #name = document.getElementById("name");
  #message = document.getElementById("message");
  #send = document.getElementById("send");
  #count = document.getElementById("count");
  #problem = document.getElementById("problem");
  #video;
  #onPosted;
  #attempt = { body: "", key: "" };
  #sending = false;
  #waiting = false; // the service has sent a Retry-After

  /** video(): the video to post to. onPosted(comment): called when the service has accepted it. */
  constructor({ video, onPosted }) {
    this.#video = video;
    this.#onPosted = onPosted;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#message.addEventListener("keydown", (event) => {
      if (event.shiftKey || !isEnter(event)) return;
      event.preventDefault();
      this.#submit();
    });
    this.#name.addEventListener("keydown", (event) => {
      if (!isEnter(event)) return;
      event.preventDefault(); // Enter in the name box must not send the comment
      this.#message.focus();
    });
    this.#message.addEventListener("input", () => {
      if (!this.#waiting) this.#show("", "send");
      this.#measure();
    });
    this.#measure();
  }

  async #submit() {
    const text = this.#message.value.trim();
    if (!text || this.#send.disabled) return;
    const attempt = this.#attemptFor(text);
    this.#setSending(true);
    let comment;
    try {
      comment = await this.#post(attempt);
    } catch (error) {
      this.#setSending(false);
      this.#failed(error instanceof ServiceError ? error : new ServiceError(t("page_failed")));
      return;
    }
    this.#setSending(false);
    this.#accepted(comment);
  }

  /** The same text to the same video under the same name is a retry, and keeps its key. */
  #attemptFor(text) {
    const post = { liveVideoId: this.#video(), message: text };
    const name = this.#name.value.trim();
    if (name) post.author = { name };
    const body = JSON.stringify(post);
    if (this.#attempt.body !== body) this.#attempt = { body, key: randomKey() };
    return this.#attempt;
  }

  async #post({ body, key }) {
    const headers = { "content-type": "application/json", "idempotency-key": key };
    const options = { method: "POST", headers, body, timeoutMs: POST_TIMEOUT_MS };
    const comment = await requestJson("/comment/create", options);
    // Perhaps it was posted; the key makes a retry safe.
    if (typeof comment?.id !== "string") throw new ServiceError(t("answer_incomplete"));
    return comment;
  }

  #accepted(comment) {
    this.#attempt = { body: "", key: "" };
    this.#message.value = "";
    this.#show("", "send");
    this.#measure();
    this.#message.focus();
    this.#onPosted(comment);
  }

  #failed(error) {
    const label = error.isTemporary ? "retry" : "send";
    this.#show(t("text_kept", { reason: error.message }), label);
    this.#message.focus();
    if (error.retryAfterMs === 0) return;
    this.#waiting = true;
    this.#measure();
    const tick = (n) => (this.#send.textContent = t(`${label}_in`, { n }));
    countdown(error.retryAfterMs, tick, () => {
      this.#waiting = false;
      this.#send.textContent = t(label);
      this.#measure();
    });
  }

  #setSending(sending) {
    this.#sending = sending;
    this.#message.readOnly = sending;
    this.#measure();
  }

  #show(problem, label) {
    this.#problem.textContent = problem;
    this.#send.textContent = t(label);
  }

  /** Counts the characters that are left, and fits the box to its text. */
  #measure() {
    const text = this.#message.value.trim();
    const characters = [...text].length;
    const left = MESSAGE_CHARACTERS_MAX - characters;
    const tooLong = left < 0 || new TextEncoder().encode(text).length > MESSAGE_BYTES_MAX;
    this.#count.textContent = characters >= COUNTER_FROM_CHARACTERS || tooLong ? leftLabel(left) : "";
    this.#count.classList.toggle("over", tooLong);
    this.#send.disabled = !text || tooLong || this.#sending || this.#waiting;
    this.#message.style.height = "auto";
    this.#message.style.height = `${this.#message.scrollHeight}px`;
  }
}

/**
 * False for the Enter that ends the composition of a Japanese or Chinese word. In Safari that one comes behind the
 * composition's end; keyCode 229 says that the input method has had it.
 */
function isEnter(event) {
  return event.key === "Enter" && !event.isComposing && event.keyCode !== 229;
}

function leftLabel(left) {
  if (left < 0) return t("characters_over", { n: -left });
  return left > 0 ? t("characters_left", { n: left }) : t("characters_none");
}
