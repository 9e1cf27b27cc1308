/** Where the reader writes: the box that grows with its text, the name, the draft that survives a reload. */
import { hueOf } from "../core/rows.js";
import { t } from "../core/words.js";
import { keep, kept } from "../kept.js";
import {
  COUNTER_FROM_CHARACTERS, COUNTER_SAID_FROM, DRAFTS_MAX, MESSAGE_BYTES_MAX, MESSAGE_CHARACTERS_MAX,
} from "../limits.js";

export class Composer {
  #form = document.getElementById("compose");
  #naming = document.getElementById("naming");
  #name = document.getElementById("name");
  #me = document.getElementById("me");
  #grow = document.getElementById("grow");
  #message = document.getElementById("message");
  #send = document.getElementById("send");
  #count = document.getElementById("count");
  #left = document.getElementById("left"); // what a screen reader says of the count, not at each key
  #handlers;
  #video = "";
  #author = kept("localStorage", "author"); // the name, "" for none; undefined: not asked yet
  #sendsWhenNamed = false;
  #last = null; // {key, name, text} that was written last
  #again = null; // the same of one that was given up: written again unchanged, it is the same post

  /** handlers: onWrite(name, text, key), which returns the post's key; onTakeBack(key), which returns whether it is back */
  constructor(handlers) {
    this.#handlers = handlers;
    this.#message.maxLength = MESSAGE_BYTES_MAX; // a UTF-16 unit is a byte at least; more would only make it slow
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#message.addEventListener("keydown", (event) => this.#key(event));
    this.#message.addEventListener("input", () => this.#changed());
    this.#me.addEventListener("click", () => (this.#naming.hidden ? this.#askName() : this.#named()));
    document.getElementById("named").addEventListener("click", () => this.#named());
    this.#name.addEventListener("keydown", (event) => {
      if (!isEnter(event) && event.key !== "Escape") return;
      event.preventDefault();
      event.stopPropagation();
      this.#named(event.key !== "Escape");
    });
    this.#showMe();
  }

  /** The reader's name; empty for none */
  get author() {
    return this.#author ?? "";
  }

  /** Shows the draft for that video. */
  open(video) {
    this.#video = video;
    this.#last = this.#again = null;
    this.#message.value = drafts().find((draft) => draft.video === video)?.text ?? "";
    this.#measure();
  }

  /** Puts a post that was given up back into the box, before what is there. */
  bring(post) {
    this.#again = post;
    const { value } = this.#message;
    this.#message.value = value ? `${post.text}\n${value}` : post.text;
    this.#changed();
    this.focus();
  }

  focus() {
    this.#message.focus();
  }

  #key(event) {
    if (event.key === "ArrowUp" && this.#message.value === "" && this.#last !== null) {
      event.preventDefault();
      const post = this.#last;
      this.#last = null;
      if (this.#handlers.onTakeBack(post.key)) this.bring(post);
      else this.bring({ ...post, key: undefined });
    } else if (isEnter(event) && !event.shiftKey) {
      event.preventDefault();
      this.#submit();
    }
  }

  #submit() {
    const text = this.#message.value.trim();
    if (!text || this.#send.disabled) return;
    if (this.#author === undefined) {
      this.#sendsWhenNamed = true;
      this.#askName();
      return;
    }
    const name = this.#author;
    const isSame = this.#again !== null && this.#again.text === text && this.#again.name === name;
    const key = this.#handlers.onWrite(name, text, isSame ? this.#again.key : undefined);
    this.#last = { key, name, text };
    this.#again = null;
    this.#message.value = "";
    this.#changed();
    this.focus();
  }

  #askName() {
    this.#naming.hidden = false;
    this.#me.setAttribute("aria-expanded", "true");
    this.#name.value = this.author;
    this.#name.focus();
    this.#name.select();
  }

  /** isMeant: false if the reader only wants to leave the box */
  #named(isMeant = true) {
    this.#naming.hidden = true;
    this.#me.setAttribute("aria-expanded", "false");
    if (isMeant) {
      this.#author = this.#name.value.trim();
      keep("localStorage", "author", this.#author);
      this.#showMe();
    }
    this.focus();
    const sends = isMeant && this.#sendsWhenNamed;
    this.#sendsWhenNamed = false;
    if (sends) this.#submit();
  }

  #showMe() {
    const name = this.author || t("anonymous");
    this.#me.firstElementChild.textContent = [...name][0].toUpperCase();
    this.#me.style.setProperty("--hue", hueOf(`guest:${this.author || "Anonymous"}`));
    this.#me.setAttribute("aria-label", t("name_change", { name }));
    this.#me.title = t("name_change", { name });
  }

  #changed() {
    const others = drafts().filter(({ video }) => video !== this.#video);
    const own = this.#message.value ? [{ video: this.#video, text: this.#message.value }] : [];
    keep("localStorage", "drafts", [...others, ...own].slice(-DRAFTS_MAX));
    this.#measure();
  }

  /** Fits the box to its text, and counts the characters that are left. */
  #measure() {
    const { value } = this.#message;
    this.#grow.dataset.text = value; // a hidden copy of the text gives the box its height, see style.css
    const text = value.trim();
    const left = MESSAGE_CHARACTERS_MAX - [...text].length;
    const isOver = left < 0 || new TextEncoder().encode(text).length > MESSAGE_BYTES_MAX;
    const isNear = MESSAGE_CHARACTERS_MAX - left >= COUNTER_FROM_CHARACTERS || isOver;
    setText(this.#count, isNear ? leftLabel(left) : "");
    this.#count.classList.toggle("over", isOver);
    setText(this.#left, isOver ? t("characters_over_said") : left <= COUNTER_SAID_FROM ? t("characters_few_said") : "");
    this.#message.setAttribute("aria-invalid", isOver);
    this.#send.disabled = !text || isOver;
  }
}

/**
 * False for the Enter that ends the composition of a Japanese or Chinese word. In Safari that one comes behind the
 * composition's end; keyCode 229 says that the input method has had it.
 */
function isEnter(event) {
  return event.key === "Enter" && !event.isComposing && event.keyCode !== 229;
}

/** What was begun for some videos, the oldest first: {video, text} */
function drafts() {
  return kept("localStorage", "drafts") ?? [];
}

function leftLabel(left) {
  if (left < 0) return t("characters_over", { n: -left });
  return left > 0 ? t("characters_left", { n: left }) : t("characters_none");
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
