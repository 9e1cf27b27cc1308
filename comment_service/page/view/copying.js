/** What is copied from the talk reads as a talk: one line for each comment, "name: text". */

/** The listener for "copy". Within one message, what is selected is copied as it is. */
export function copyRows(event) {
  const range = getSelection().rangeCount > 0 ? getSelection().getRangeAt(0) : null;
  if (range === null || range.collapsed) return;
  const rows = [...document.querySelectorAll("#comments article")].filter((row) => range.intersectsNode(row));
  const message = rows.length === 1 ? rows[0].querySelector(".message") : null;
  if (rows.length === 0 || message?.contains(range.commonAncestorContainer)) return;
  const lines = rows.map((row) => {
    const [author, text] = [".author", ".message"].map((part) => row.querySelector(part).textContent);
    return `${author}: ${text}`;
  });
  event.clipboardData.setData("text/plain", lines.join("\n"));
  event.preventDefault();
}
