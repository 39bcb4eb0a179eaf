// Undo and redo. An entry is `{bytes, swap()}`: `swap` exchanges what is with what was, so the same entry undoes and
// redoes, and holds one copy only. The oldest go when all together hold more than the cap.

const CAP = 64 * 2 ** 20; // bytes

export class History {
  #cap;
  #done = [];
  #undone = [];

  constructor(cap = CAP) {
    this.#cap = cap;
  }

  get canUndo() {
    return this.#done.length > 0;
  }

  get canRedo() {
    return this.#undone.length > 0;
  }

  push(entry) {
    this.#undone = [];
    this.#done.push(entry);
    let held = this.#done.reduce((sum, { bytes }) => sum + bytes, 0);
    while (held > this.#cap && this.#done.length > 1) held -= this.#done.shift().bytes;
  }

  /** Returns whether there was something to undo. */
  undo() {
    return move(this.#done, this.#undone);
  }

  redo() {
    return move(this.#undone, this.#done);
  }

  forget() {
    this.#done = [];
    this.#undone = [];
  }
}

function move(from, to) {
  const entry = from.pop();
  if (!entry) return false;
  to.push(entry); // first: whoever hears of the change asks what can be undone now
  entry.swap();
  return true;
}
