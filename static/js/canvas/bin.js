// What was discarded of late, as the server says it. A notice offers the last one back for some seconds; Undo does so for
// as long as the server has it.

const SHOWN_MS = 12_000;

export class Bin {
  #jobs = [];
  #notice;
  #timer = 0;
  isNewest = false; // nothing else was done since something was discarded

  constructor(notice) {
    this.#notice = notice;
    for (const kind of ["pointerenter", "focusin"]) notice.addEventListener(kind, () => clearTimeout(this.#timer));
    for (const kind of ["pointerleave", "focusout"]) notice.addEventListener(kind, () => this.#hideLater());
  }

  /** The job that would be brought back first, null if there is none. */
  get last() {
    return this.#jobs.at(-1) ?? null;
  }

  get hasFocus() {
    return this.#notice.contains(document.activeElement);
  }

  focus() {
    this.#notice.querySelector("button").focus();
  }

  /** Take over what the server says; what was not there before is offered. */
  show(jobs) {
    const isMore = jobs.some((job) => !this.#jobs.includes(job));
    this.#jobs = jobs;
    this.#notice.querySelector("[data-bin-words]").textContent = jobs.length > 1 ? `${jobs.length} discarded.` : "Discarded.";
    if (!jobs.length) this.#notice.hidden = true;
    if (!isMore) return;
    this.isNewest = true;
    this.#notice.hidden = false;
    this.#hideLater();
  }

  #hideLater() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => (this.#notice.hidden = true), SHOWN_MS);
  }
}
