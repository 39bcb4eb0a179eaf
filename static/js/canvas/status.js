// What the page says: how much is masked, what the frame does, whether all is saved, what went wrong. For the eyes on the
// page, for the ears in one live region.

import { inWords } from "./frame.js";

const WHOLE = "Nothing is masked, so the whole picture will be reworked, as far as the strength lets it.";
const QUIET_MS = 350; // several changes in a row are said once
const SAVED = {
  saved: "Saved",
  unsaved: "Not saved yet",
  saving: "Saving…",
  failed: "Not saved",
  conflict: "Changed elsewhere",
  gone: "Deleted",
};

export class Status {
  #hasFailed = false; // and not been saved since
  #heard = "";
  #root;
  #timer = 0;

  constructor(root) {
    this.#root = root;
  }

  /** Let a screen reader say this. */
  say(words) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#write("[data-said]", words), QUIET_MS);
  }

  describe({ mask, frame, picture, history }, { aloud, canUndo }) {
    const share = mask.coverage;
    const covers = coverageInWords(share);
    const reaches = inWords(frame, picture);
    this.#write("[data-about]", [`${picture.width} × ${picture.height}`, covers, reaches && `frame ${frame.width} × ${frame.height}`].filter(Boolean).join(" · "));
    this.#write("[data-effect]", effect(share, reaches, frame));
    this.#root.querySelector("[data-picture]").setAttribute("aria-label", `Picture, ${picture.width} by ${picture.height} pixels. ${covers}. ${reaches ? `The frame ${reaches}.` : ""}`);
    this.#root.querySelector("[data-act=undo]").disabled = !canUndo;
    this.#root.querySelector("[data-act=redo]").disabled = !history.canRedo;
    if (aloud) this.say([covers, reaches && `the frame ${reaches}`].filter(Boolean).join("; "));
  }

  /** What is looked at on the strip; said only when it changes, not at each step of a job. */
  candidate(words) {
    const known = words.replace(/, (step \d+ of \d+|starting|waiting)$/, "");
    if (known && known !== this.#heard) this.say(known);
    this.#heard = known;
  }

  saved(state, refusal) {
    const output = this.#root.querySelector("[data-saved]");
    output.dataset.state = state;
    output.querySelector("[data-saved-word]").textContent = SAVED[state];
    output.title = refusal?.message ?? "";
    for (const name of ["conflict", "gone"]) this.#root.querySelector(`[data-${name}]`).hidden = state !== name;
    if (state === "saved" && this.#hasFailed) this.refuse(null);
    this.#hasFailed = state === "failed" || (this.#hasFailed && state !== "saved");
    if (refusal) this.say(`${SAVED[state]}. ${refusal?.message ?? ""}`);
  }

  /** Where the picture of now is, for those who want it elsewhere. */
  links({ id, url }) {
    this.#root.querySelector("[data-link=open]").href = `/images/${id}`;
    this.#root.querySelector("[data-link=share]").href = `/images/${id}#share`;
    this.#root.querySelector("[data-link=download]").href = url;
  }

  /** Show why something was refused; null takes the notice away. */
  refuse(refusal, others = []) {
    const notice = this.#root.querySelector("[data-refusal]");
    notice.hidden = !refusal;
    if (!refusal) return;
    const words = others.length || !refusal.fields?.length ? [refusal.message, ...others].join(" ") : "Something in the form does not fit.";
    notice.querySelector("[data-refusal-words]").textContent = words;
  }

  #write(selector, words) {
    const element = this.#root.querySelector(selector);
    if (element.textContent !== words) element.textContent = words;
  }
}

function coverageInWords(share) {
  if (share === 0) return "Nothing is masked";
  if (share === 1) return "All is masked";
  const percent = share * 100;
  return `Mask covers ${percent < 1 ? "less than 1" : Math.round(percent)} %`;
}

/** What pressing Generate would do. */
function effect(share, reaches, { width, height }) {
  const lost = reaches.match(/cuts off .*/);
  const loss = lost ? ` The result, ${width} × ${height}, ${lost[0]}.` : "";
  const inside = share === 0 ? "" : share === 1 ? "paint the whole picture anew" : "paint the masked part anew and leave the rest untouched";
  const outside = reaches.includes("adds") ? "paint on beyond the edge" : "";
  const acts = [inside, outside].filter(Boolean).join(", and ");
  return (acts ? `This will ${acts}.` : WHOLE) + loss;
}
