// The same without drawing: a rectangle of the mask and the sides of the frame by numbers.

import { beyond, MAX_SIDE, MIN_SIDE, possible, SIDES } from "./frame.js";
import { rect } from "./rect.js";

const SIDE_NAMES = ["x", "y", "width", "height"];

export class Numbers {
  #root;
  #workbench;

  constructor(root, workbench) {
    this.#root = root;
    this.#workbench = workbench;
    root.addEventListener("click", (event) => {
      const act = event.target.closest("[data-numbers-act]")?.dataset.numbersAct;
      if (act === "frame") this.#setFrame();
      else if (act === "whole") this.#reset();
      else if (act) this.#rectangle(act);
    });
  }

  /** Show how far the frame goes now, but for the field that is being filled in. */
  update() {
    const { frame, picture, grain } = this.#workbench;
    for (const [side, pixels] of Object.entries(beyond(frame, picture))) {
      const field = this.#field(side);
      field.step = grain;
      if (field !== document.activeElement) field.value = pixels;
    }
  }

  #field(name) {
    return this.#root.querySelector(`[name=${name}]`);
  }

  #number(name) {
    return Math.round(Number(this.#field(name).value)) || 0;
  }

  #rectangle(act) {
    const area = rect(...SIDE_NAMES.map((name) => this.#number(`rectangle_${name}`)));
    this.#workbench.change((mask) => {
      if (act === "except") {
        mask.fill();
        mask.rectangle(area, true);
        return mask.area;
      }
      return mask.rectangle(area, act === "remove");
    });
  }

  #setFrame() {
    const { grain, picture } = this.#workbench;
    const asked = SIDES.map((side) => this.#number(side));
    const [left, right, top, bottom] = asked.map((pixels) => Math.round(pixels / grain) * grain);
    const width = Math.ceil((picture.width + left + right) / grain) * grain;
    const height = Math.ceil((picture.height + top + bottom) / grain) * grain;
    const frame = possible(rect(-left, -top, width, height), grain, picture);
    const got = beyond(frame, picture);
    this.#show(frame, SIDES.some((side, at) => got[side] !== asked[at]));
  }

  /** Show the whole of a new frame, and say so where it is not as asked. */
  #show(frame, isOther) {
    const { grain } = this.#workbench;
    const rule = `A side of the frame has ${MIN_SIDE} to ${MAX_SIDE} pixels in steps of ${grain}, and some of the picture is in it`;
    this.#root.querySelector("[data-numbers-note]").textContent = isOther ? `${rule}: it was set to ${frame.width} × ${frame.height}.` : "";
    this.#workbench.setFrame(frame);
    this.#workbench.fit();
  }

  #reset() {
    const { grain, picture } = this.#workbench;
    const down = (length) => Math.floor(length / grain) * grain;
    this.#show(possible(rect(0, 0, down(picture.width), down(picture.height)), grain, picture), false);
  }
}
