/** What the browser keeps for the page. Private windows of some keep nothing: then it lasts as long as the page. */

/** What was kept under that name, or undefined. storage: "localStorage", or "sessionStorage", which each tab has alone */
export function kept(storage, name) {
  try {
    return JSON.parse(window[storage].getItem(name)) ?? undefined;
  } catch {
    return undefined;
  }
}

/** Keeps the value; undefined removes it. */
export function keep(storage, name, value) {
  try {
    if (value === undefined) window[storage].removeItem(name);
    else window[storage].setItem(name, JSON.stringify(value));
  } catch {
    // There is no storage, or it is full.
  }
}
