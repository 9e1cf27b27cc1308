/** The keys that work wherever the keyboard is. */
import { showHelp } from "./help.js";

/** onLive(): the reader wants the newest comments. */
export function listenForKeys(onLive) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.altKey || event.metaKey) return;
    if (document.querySelector("dialog[open]") !== null) return; // it has its own
    if (event.key === "Escape") onLive();
    else if (event.key === "?" && !isWriting(event.target)) showHelp();
  });
}

function isWriting(element) {
  return element.matches("input, textarea, select") || element.isContentEditable;
}
