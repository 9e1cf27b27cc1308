/** The dialog with the keys and the settings: colours and language. */
import { keep, kept } from "../kept.js";

const dialog = document.getElementById("help");
const theme = document.getElementById("theme");
const language = document.getElementById("language");

/** Applies the colours that the reader has chosen. Call it as early as possible. */
export function applyTheme() {
  const chosen = kept("localStorage", "theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
  else delete document.documentElement.dataset.theme;
}

/** languages: the codes of those that there are; current: the one that is spoken */
export function setUpHelp(languages, current) {
  theme.value = kept("localStorage", "theme") ?? "";
  theme.addEventListener("change", () => {
    keep("localStorage", "theme", theme.value || undefined);
    applyTheme();
  });
  for (const code of languages) {
    const own = new Intl.DisplayNames([code], { type: "language" }).of(code); // each in its own language
    language.add(new Option(own, code, false, code === current));
  }
  language.addEventListener("change", () => {
    keep("localStorage", "language", language.value);
    location.reload(); // drafts and posts survive that
  });
  document.getElementById("help-open").addEventListener("click", showHelp);
}

export function showHelp() {
  if (!dialog.open) dialog.showModal();
}
