/**
 * Has screen readers read live comments aloud. They would read every row that enters the list, also older ones that are
 * loaded above; so the list is silent, and what is to be read is written into a region of its own that nobody sees.
 */
import { ANNOUNCE_PER_S_MAX } from "../limits.js";

export class Announcer {
  #region = document.getElementById("announced");
  #waiting = [];
  #said = new Map(); // comment -> its element
  #arrivals = 0; // in the current second
  #calmTimer = 0;

  /** Call it for each live comment. */
  arrived(comment) {
    this.#waiting.push(comment);
    this.#arrivals += 1;
    this.#calmTimer ||= setTimeout(() => {
      this.#arrivals = this.#calmTimer = 0;
    }, 1000);
  }

  /** Writes what waits, if the reader is to hear it. isThere(comment): false once it was taken away. */
  say(hears, isThere) {
    for (const [comment, line] of this.#said) {
      if (isThere(comment)) continue;
      line.remove();
      this.#said.delete(comment);
    }
    const comments = this.#waiting.filter(isThere);
    this.#waiting = [];
    if (comments.length === 0 || !hears || this.#arrivals > ANNOUNCE_PER_S_MAX) return;
    this.#said = new Map(comments.map((comment) => [comment, lineFor(comment)]));
    this.#region.replaceChildren(...this.#said.values());
  }

  stop() {
    clearTimeout(this.#calmTimer);
    this.#region.replaceChildren();
  }
}

function lineFor(comment) {
  const line = document.createElement("p");
  line.textContent = `${comment.author.name}: ${comment.message}`;
  return line;
}
