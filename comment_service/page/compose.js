/** Posting: the text stays in the box until the service has it; trying again can never post it twice. */
import { Refusal, ask, refusalOf } from "./answers.js";
import { countdown } from "./countdown.js";
import { randomKey } from "./ids.js";
import { COUNTER_FROM_CHARACTERS, MESSAGE_BYTES_MAX, MESSAGE_CHARACTERS_MAX, POST_TIMEOUT_MS } from "./limits.js";

export class Compose {
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
  #waiting = false; // the service has asked for patience

  /** video(): the video to post to. onPosted(comment): it is accepted. */
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
      event.preventDefault(); // the name is not the post
      this.#message.focus();
    });
    this.#message.addEventListener("input", () => {
      if (!this.#waiting) this.#say("", "Send");
      this.#measure();
    });
    this.#measure();
  }

  async #submit() {
    const text = this.#message.value.trim();
    if (!text || this.#send.disabled) return;
    const request = this.#request(text);
    this.#busy(true);
    let answer;
    try {
      answer = await this.#post(request);
    } catch (refusal) {
      answer = refusal;
    }
    this.#busy(false);
    if (answer instanceof Refusal) this.#refused(answer);
    else this.#accepted(answer);
  }

  /** The same text to the same video under the same name is the same post, and carries the same key. */
  #request(text) {
    const post = { liveVideoId: this.#video(), message: text };
    const name = this.#name.value.trim();
    if (name) post.author = { name };
    const body = JSON.stringify(post);
    if (this.#attempt.body !== body) this.#attempt = { body, key: randomKey() };
    return this.#attempt;
  }

  async #post({ body, key }) {
    const headers = { "content-type": "application/json", "idempotency-key": key };
    const response = await ask("/comment/create", { method: "POST", headers, body, timeoutMs: POST_TIMEOUT_MS });
    if (!response.ok) throw await refusalOf(response);
    try {
      return await response.json();
    } catch {
      throw new Refusal("The answer broke off."); // it may be posted; the key makes the retry safe
    }
  }

  #accepted(comment) {
    this.#attempt = { body: "", key: "" };
    this.#message.value = "";
    this.#say("", "Send");
    this.#measure();
    this.#message.focus();
    this.#onPosted(comment);
  }

  #refused(refusal) {
    const label = refusal.isPassing ? "Retry" : "Send";
    this.#say(`${refusal.message} Your text is kept.`, label);
    this.#message.focus();
    if (refusal.retryAfterMs === 0) return;
    this.#waiting = true;
    this.#measure();
    const show = (seconds) => (this.#send.textContent = `${label} in ${seconds} s`);
    countdown(refusal.retryAfterMs, show, () => {
      this.#waiting = false;
      this.#send.textContent = label;
      this.#measure();
    });
  }

  #busy(busy) {
    this.#sending = busy;
    this.#message.readOnly = busy;
    this.#measure();
  }

  #say(problem, label) {
    this.#problem.textContent = problem;
    this.#send.textContent = label;
  }

  /** Counts what is left, and fits the box to its text. */
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

/** Not the Enter that ends the composition of a Japanese or Chinese word */
function isEnter(event) {
  return event.key === "Enter" && !event.isComposing;
}

function leftLabel(left) {
  if (left < 0) return `${-left} too many`;
  return left > 0 ? `${left} left` : "Full";
}
