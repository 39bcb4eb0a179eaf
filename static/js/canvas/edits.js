// Changes of the mask that can be undone: whole ones (`apply`), and strokes that grow (`begin`, `grow`, then `commit` or
// `cancel`). Only the rectangle that was touched is kept.

import { union } from "./rect.js";

export class Edits {
  #before = null;
  #changed;
  #committed;
  #history;
  #mask;
  #touched = null;

  /** `changed(rect)` after each change, `committed()` after each that stays. */
  constructor(mask, history, { changed, committed }) {
    this.#mask = mask;
    this.#history = history;
    this.#changed = changed;
    this.#committed = committed;
  }

  get isOpen() {
    return this.#before !== null;
  }

  begin() {
    this.#before = this.#mask.bytes.slice();
    this.#touched = null;
  }

  /** Let `change(mask)` touch the mask; it returns the rectangle that it touched. */
  grow(change) {
    const area = change(this.#mask);
    if (!area) return;
    this.#touched = union(this.#touched, area);
    this.#changed(area);
  }

  commit() {
    const [area, before] = [this.#touched, this.#before];
    this.#before = null;
    if (!area) return;
    const bytes = cut(before, this.#mask.width, area);
    this.#history.push(this.#entry(area, bytes));
    this.#committed();
  }

  /** Take back what has been drawn since `begin`, as if it had never been. */
  cancel() {
    const [area, before] = [this.#touched, this.#before];
    this.#before = null;
    if (!area) return;
    this.#mask.write(area, cut(before, this.#mask.width, area));
    this.#changed(area);
    this.#committed(); // what was saved meanwhile is to be saved anew
  }

  apply(change) {
    this.begin();
    this.grow(change);
    this.commit();
  }

  #entry(area, bytes) {
    const swap = () => {
      const now = this.#mask.read(area);
      this.#changed(this.#mask.write(area, bytes));
      bytes = now;
      this.#committed();
    };
    return { bytes: bytes.length, swap };
  }
}

/** The bytes of `area` out of a whole mask of this width. */
function cut(whole, width, area) {
  const copy = new Uint8Array(area.width * area.height);
  for (let row = 0; row < area.height; row++) {
    const start = (area.y + row) * width + area.x;
    copy.set(whole.subarray(start, start + area.width), row * area.width);
  }
  return copy;
}
