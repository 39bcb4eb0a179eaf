// The same without drawing: a rectangle of the mask and the sides of the frame by numbers.

import { beyond, SIDES } from "./frame.js";
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
    const [left, right, top, bottom] = SIDES.map((side) => Math.round(this.#number(side) / grain) * grain);
    const width = Math.ceil((picture.width + left + right) / grain) * grain;
    const height = Math.ceil((picture.height + top + bottom) / grain) * grain;
    this.#workbench.setFrame(rect(-left, -top, width, height));
  }

  #reset() {
    const { grain, picture } = this.#workbench;
    const down = (length) => Math.floor(length / grain) * grain;
    this.#workbench.setFrame(rect(0, 0, down(picture.width), down(picture.height)));
  }
}
