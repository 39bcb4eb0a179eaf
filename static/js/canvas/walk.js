// The steps that led here, newest first: each can be gone back to, and what is made from there is a branch.

export class Walk {
  #list;
  #template;

  constructor(root, { go }) {
    this.#list = root.querySelector("ol");
    this.#template = root.querySelector("template");
    this.#list.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-image]");
      if (button && button.getAttribute("aria-current") !== "step") go(button.dataset.image);
    });
  }

  /** `images` as the server lists them: `{image_id, thumbnail_url, width, height, parent_id}`. */
  show(images, current) {
    const depths = depthsOf(images);
    const keep = document.activeElement?.dataset?.image;
    this.#list.replaceChildren(...images.map((image) => this.#item(image, image.image_id === current, depths, images)));
    if (keep) this.#list.querySelector(`[data-image="${keep}"]`)?.focus();
  }

  #item(image, isCurrent, depths, images) {
    const item = this.#template.content.firstElementChild.cloneNode(true);
    const button = item.querySelector("button");
    const parent = images.find(({ image_id: id }) => id === image.parent_id);
    const siblings = parent ? images.filter(({ parent_id: id }) => id === image.parent_id).length : 0;
    button.dataset.image = image.image_id;
    if (isCurrent) button.setAttribute("aria-current", "step");
    item.querySelector("img").src = image.thumbnail_url;
    const number = depths.get(image.image_id);
    item.querySelector("[data-name]").textContent = number ? `Step ${number}` : "The beginning";
    const notes = [`${image.width} × ${image.height}`, isCurrent && "now", siblings > 1 && "a branch"];
    item.querySelector("[data-note]").textContent = notes.filter(Boolean).join(" · ");
    const link = item.querySelector("a");
    link.href = `/images/${image.image_id}`;
    link.querySelector("[data-of]").textContent = number ? ` step ${number}` : " the beginning";
    return item;
  }
}

/** How many steps lie between each image and the first one that it comes from. */
function depthsOf(images) {
  const parents = new Map(images.map((image) => [image.image_id, image.parent_id]));
  const depth = (id, seen = 0) => (parents.has(parents.get(id)) && seen < images.length ? 1 + depth(parents.get(id), seen + 1) : 0);
  return new Map(images.map(({ image_id: id }) => [id, depth(id)]));
}
