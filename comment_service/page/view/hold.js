/**
 * Tells when the talk should stand still under a reader who follows it: while text in it is selected, while a pointer is
 * pressed or has just moved on it, and while the keyboard is at a link in it.
 */
import { HOVER_HOLD_MS } from "../limits.js";

export class Hold {
  #scroller;
  #onChange;
  #reasons = new Set();
  #timer = 0;
  #at = ""; // where the mouse was: browsers report a move, too, when something moves below it

  /** onChange(): called when `isHeld` has changed */
  constructor(scroller, onChange, signal) {
    this.#scroller = scroller;
    this.#onChange = onChange;
    const on = (target, name, listener) => target.addEventListener(name, listener, { signal, passive: true });
    on(scroller, "pointermove", (event) => this.#moved(event));
    on(scroller, "pointerleave", () => this.#set("hover", false));
    on(scroller, "pointerdown", () => this.#set("press", true));
    for (const name of ["pointerup", "pointercancel", "blur"]) on(window, name, () => this.#set("press", false));
    on(document, "selectionchange", () => this.#set("selection", this.#hasSelection()));
    on(scroller, "focusin", (event) => this.#set("focus", event.target !== scroller));
    on(scroller, "focusout", () => this.#set("focus", false));
    signal.addEventListener("abort", () => clearTimeout(this.#timer));
  }

  get isHeld() {
    return this.#reasons.size > 0;
  }

  /** The reader wants to go on: what can be let go is. */
  release() {
    if (this.#reasons.has("selection")) getSelection().removeAllRanges();
    this.#reasons.clear();
    clearTimeout(this.#timer);
  }

  #moved(event) {
    const at = `${event.clientX} ${event.clientY}`;
    if (event.pointerType !== "mouse" || at === this.#at) return;
    this.#at = at;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#set("hover", false), HOVER_HOLD_MS);
    this.#set("hover", true);
  }

  #hasSelection() {
    const selection = getSelection();
    return !selection.isCollapsed && this.#scroller.contains(selection.anchorNode);
  }

  #set(reason, holds) {
    const before = this.isHeld;
    if (holds) this.#reasons.add(reason);
    else this.#reasons.delete(reason);
    if (this.isHeld !== before) this.#onChange();
  }
}
