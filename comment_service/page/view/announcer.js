/**
 * Has screen readers read live comments aloud. They would read every row that enters the list, also older ones that are
 * loaded above; so the list is silent, and what is to be read is written into a region of its own that nobody sees.
 */
import { Summary } from "../core/summary.js";
import { cleanName, cut } from "../core/text.js";
import { t } from "../core/words.js";
import { SAY_CHARACTERS_MAX } from "../limits.js";

export class Announcer {
  #region = document.getElementById("announced");
  #summary = new Summary();
  #timer = 0;
  #said = []; // the comments that the region's text is from

  /** Call it for each comment that is to be heard. isThere(comment): false once it was taken away */
  arrived(comment, isThere) {
    this.#summary.arrived(comment);
    this.#plan(isThere);
  }

  /** What was taken away isn't kept for whoever reads the region again. */
  forget(isThere) {
    if (!this.#said.every(isThere)) this.#show([], []);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#show([], []);
  }

  #plan(isThere) {
    const waitMs = this.#summary.waitMs(performance.now());
    if (waitMs !== null) this.#timer ||= setTimeout(() => this.#say(isThere), waitMs);
  }

  #say(isThere) {
    this.#timer = 0;
    const said = this.#summary.take(performance.now(), isThere);
    this.#plan(isThere); // a timer may come a little too early
    if (said === null) return;
    if (said.comments) this.#show(said.comments.map(lineOf), said.comments);
    else this.#show([t("said_many", { n: said.count, people: said.people, last: cut(lineOf(said.last), SAY_CHARACTERS_MAX) })], [said.last]);
  }

  #show(lines, comments) {
    this.#said = comments;
    this.#region.replaceChildren(
      ...lines.map((text) => {
        const line = document.createElement("p");
        line.textContent = text;
        return line;
      }),
    );
  }
}

function lineOf({ author, message }) {
  return `${cleanName(author.name)}: ${message}`;
}
