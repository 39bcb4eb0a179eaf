// The strip of candidates: one can be looked at in its place on the stage, and then be accepted or discarded. The first
// tile is the picture as it is.

import { tell } from "../under-way.js";

const WORDS = { queued: "waiting", failed: "failed", cancelled: "cancelled", done: "done" };
const isLost = (candidate) => candidate?.status === "failed" || candidate?.status === "cancelled";
const isAlive = ({ status }) => status === "queued" || status === "running";

export class Staging {
  #act;
  #candidates = [];
  #chosen = null; // the job of the candidate that is looked at
  #comparing = false;
  #onLook;
  #root;
  #tiles = new Map();

  /** `onLook()` after each change of what is to be seen; `act(what)` when a button is pressed. */
  constructor(root, { onLook, act }) {
    this.#root = root;
    this.#onLook = onLook;
    this.#act = act;
    root.addEventListener("click", (event) => this.#click(event));
    const compare = root.querySelector("[data-compare]");
    compare.addEventListener("pointerdown", () => this.compare(true));
    for (const end of ["pointerup", "pointercancel", "pointerleave", "blur"]) {
      compare.addEventListener(end, () => this.compare(false));
    }
    compare.addEventListener("keydown", ({ key }) => (key === " " || key === "Enter") && this.compare(true));
    compare.addEventListener("keyup", () => this.compare(false));
  }

  get count() {
    return this.#candidates.length;
  }

  /** The candidate that is looked at, null for the picture as it is. */
  get chosen() {
    return this.#candidates.find(({ job }) => job === this.#chosen) ?? null;
  }

  /** The candidate to paint now: none while its original is compared. */
  get seen() {
    return this.#comparing ? null : this.chosen;
  }

  get hasFocus() {
    return this.#root.contains(document.activeElement);
  }

  /** Give the focus to the tile of what is looked at. */
  focus() {
    this.#root.querySelector("[aria-pressed=true]").focus();
  }

  get inWords() {
    const place = this.#candidates.indexOf(this.chosen) + 1;
    if (!place) return this.count ? `${this.count} ${this.count === 1 ? "candidate" : "candidates"}` : "";
    if (this.#comparing) return `As it was, without candidate ${place}`;
    return `Candidate ${place} of ${this.count}${stateOf(this.chosen)}`;
  }

  /** Take over what the server says. A candidate that is new is looked at if `isFresh`. */
  update(candidates, { isFresh = false } = {}) {
    const known = new Set(this.#candidates.map(({ job }) => job));
    const place = this.#candidates.findIndex(({ job }) => job === this.#chosen);
    this.#candidates = candidates;
    tell(candidates.map(({ job, status }) => [job, status]));
    const fresh = candidates.find(({ job }) => !known.has(job));
    if (isFresh && fresh) this.#chosen = fresh.job;
    else if (this.#chosen && !this.chosen) this.#chosen = candidates[Math.min(place, this.count - 1)]?.job ?? null;
    this.#show();
  }

  /** Take over how far a job is. Returns whether it is one of ours. */
  progress({ job, step, steps, preview_version: version }) {
    const candidate = this.#candidates.find((one) => one.job === job);
    if (!candidate || !isAlive(candidate)) return Boolean(candidate);
    Object.assign(candidate, { status: "running", step, steps });
    if (version) candidate.preview_url = `/jobs/${job}/preview.png?v=${version}`;
    this.#show();
    return true;
  }

  choose(job) {
    this.#comparing = false;
    this.#chosen = job;
    this.#show();
  }

  /** Look at the candidate after (1) or before (-1) this one; the picture as it is counts as the first. */
  step(by) {
    if (!this.count) return;
    const around = [null, ...this.#candidates.map(({ job }) => job)];
    const here = around.indexOf(this.chosen?.job ?? null);
    this.choose(around[(here + by + around.length) % around.length]);
  }

  compare(comparing) {
    if (comparing === this.#comparing || (comparing && !this.chosen)) return;
    this.#comparing = comparing;
    this.#show();
  }

  #click(event) {
    const tile = event.target.closest("[data-job]");
    const button = event.target.closest("[data-strip]");
    if (tile) this.choose(tile.dataset.job || null);
    else if (button?.dataset.strip === "next") this.step(1);
    else if (button?.dataset.strip === "previous") this.step(-1);
    else if (button && event.detail < 2) this.#act(button.dataset.strip); // a double click is for one candidate
  }

  #show() {
    this.#root.hidden = !this.count;
    if (this.count) this.#root.dataset.seed = (this.chosen ?? this.#candidates.at(-1)).seed; // for the lock of the seed
    this.#arrange();
    this.#root.querySelector("[data-strip-words]").textContent = this.inWords;
    const { chosen } = this;
    const [accept, retry] = ["accept", "retry"].map((name) => this.#root.querySelector(`[data-strip=${name}]`));
    accept.disabled = !chosen?.image;
    retry.hidden = !isLost(chosen);
    accept.hidden = !retry.hidden;
    this.#root.querySelector("[data-strip=discard]").disabled = !chosen;
    this.#root.querySelector("[data-strip=keep]").disabled = this.#candidates.some(isAlive); // there is nothing yet to keep
    this.#root.querySelector("[data-compare]").disabled = !chosen;
    this.#root.querySelector("[data-strip-error]").textContent = errorOf(chosen);
    this.#onLook();
  }

  #arrange() {
    const list = this.#root.querySelector("[data-tiles]");
    for (const [job, item] of this.#tiles) {
      if (this.#candidates.some((one) => one.job === job)) continue;
      item.remove();
      this.#tiles.delete(job);
    }
    list.querySelector("[data-job='']").setAttribute("aria-pressed", String(!this.chosen));
    this.#candidates.forEach((candidate, at) => {
      const item = this.#tiles.get(candidate.job) ?? this.#add(list, candidate.job);
      paint(item, candidate, at + 1, candidate === this.chosen);
    });
  }

  #add(list, job) {
    const item = this.#root.querySelector("template").content.firstElementChild.cloneNode(true);
    item.querySelector("button").dataset.job = job;
    list.append(item);
    this.#tiles.set(job, item);
    return item;
  }
}

function paint(item, candidate, number, isChosen) {
  const [button, image, bar] = ["button", "img", "progress"].map((name) => item.querySelector(name));
  const url = candidate.image ? `/images/${candidate.image.id}/thumbnail.webp` : candidate.preview_url;
  if (url && image.getAttribute("src") !== url) image.src = url;
  image.hidden = !url;
  bar.hidden = !isAlive(candidate);
  bar.value = candidate.steps ? candidate.step / candidate.steps : 0;
  item.dataset.state = candidate.status;
  button.setAttribute("aria-pressed", String(isChosen));
  button.title = `Seed ${candidate.seed}`; // what follows its name for those who hear it
  item.querySelector("[data-seed-words]").textContent = candidate.seed;
  item.querySelector("[data-name]").textContent = `Candidate ${number}${stateOf(candidate)}`;
}

function stateOf({ status, step, steps }) {
  if (status === "running") return step ? `, step ${step} of ${steps}` : ", starting";
  return status === "done" ? "" : `, ${WORDS[status] ?? status}`;
}

function errorOf(candidate) {
  return isLost(candidate) ? (candidate.error?.message ?? "It was cancelled, so there is no picture.") : "";
}
