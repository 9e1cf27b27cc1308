/** The reader's posts that are on their way, or have failed, below the comments. */
import { Post } from "../core/pending.js";
import { hueOf } from "../core/rows.js";
import { cleanName } from "../core/text.js";
import { t } from "../core/words.js";

export class Posts {
  #list = document.getElementById("posts");
  #problem = document.getElementById("problem"); // what a screen reader reads
  #handlers;
  #rows = new Map(); // key -> {element, state}

  /** handlers: onRetry(key), onGiveUp(post) */
  constructor(handlers) {
    this.#handlers = handlers;
  }

  /** posts: as Pending.shown gives them */
  show(posts) {
    const keys = new Set(posts.map(({ key }) => key));
    for (const [key, { element }] of this.#rows) {
      if (keys.has(key)) continue;
      element.remove();
      this.#rows.delete(key);
    }
    for (const post of posts) {
      const row = this.#rows.get(post.key) ?? this.#add(post);
      const state = `${post.state} ${post.reason}`;
      if (row.state === state) continue;
      row.state = state;
      this.#update(row.element, post);
    }
    const failed = posts.findLast(({ state }) => state === Post.FAILED);
    const problem = failed ? t("post_failed", { reason: failed.reason }) : "";
    if (this.#problem.textContent !== problem) this.#problem.textContent = problem;
  }

  clear() {
    this.show([]);
  }

  #add({ key, name, text }) {
    const element = document.createElement("div");
    element.className = "post";
    element.dir = "auto";
    element.dataset.key = key;
    const author = document.createElement("bdi");
    author.className = "author";
    author.textContent = cleanName(name || t("anonymous"));
    const message = document.createElement("span");
    message.className = "message";
    message.textContent = text;
    element.style.setProperty("--hue", hueOf(`guest:${name || "Anonymous"}`));
    element.append(author, " ", message, document.createElement("span"));
    this.#list.append(element);
    const row = { element, state: "" };
    this.#rows.set(key, row);
    return row;
  }

  #update(element, post) {
    const isFailed = post.state === Post.FAILED;
    element.classList.toggle("failed", isFailed);
    const notes = element.lastElementChild;
    notes.className = "notes";
    if (!isFailed) {
      notes.textContent = post.reason ? t("post_again", { reason: post.reason }) : t("post_sending");
      return;
    }
    const retry = button("retry", () => this.#handlers.onRetry(post.key));
    const giveUp = button("give_up", () => this.#handlers.onGiveUp(post));
    notes.replaceChildren(t("post_failed", { reason: post.reason }), " ", retry, " ", giveUp);
  }
}

function button(key, run) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = t(key);
  made.addEventListener("click", run);
  return made;
}
