// The ring around the pointer that shows how much of the picture the brush covers.

const LEAST = 3; // stage pixels across

export class Ring {
  #element;
  #place = null;
  #workbench;

  constructor(element, workbench) {
    this.#element = element;
    this.#workbench = workbench;
  }

  /** The pointer is there now; null if it is nowhere, as a finger always is. */
  hover(place, event) {
    this.#place = event?.pointerType === "touch" ? null : place;
    this.update();
  }

  update() {
    const { settings, toolName, view } = this.#workbench;
    const isBrush = toolName === "brush" || toolName === "eraser";
    this.#element.hidden = !this.#place || !isBrush;
    if (this.#element.hidden) return;
    const across = Math.max(LEAST, settings.size * view.scale);
    const { style } = this.#element;
    style.inlineSize = style.blockSize = `${across}px`;
    style.transform = `translate(${this.#place.x - across / 2}px, ${this.#place.y - across / 2}px)`;
  }
}
