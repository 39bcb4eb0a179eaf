// The tools that change the mask. Each takes points of the picture `{x, y, pressure}`: `start`, `move` any number of
// times, then `end`, or `cancel` as if nothing had been. `remove` says whether it wipes; the Alt key turns that round.

import { spanning } from "./rect.js";

const LEAST_PRESSURE = 0.15; // of the brush's radius, where a pen hardly touches
const LASSO_STEP = 1.5; // pixels of the picture, closer points are left out

/** Paints along the way. `settings` has `size` in pixels of the picture and `hardness` from 0 to 1. */
export class Brush {
  #edits;
  #last = null;
  #remove;
  #settings;
  #wipes = false;

  constructor(edits, settings, remove) {
    this.#edits = edits;
    this.#settings = settings;
    this.#remove = remove;
  }

  start(point, { alt }) {
    this.#wipes = this.#remove !== alt;
    this.#last = this.#dot(point);
    this.#edits.begin();
    this.#draw(this.#last);
  }

  move(point) {
    this.#draw(this.#dot(point));
  }

  end() {
    this.#edits.commit();
  }

  cancel() {
    this.#edits.cancel();
  }

  #dot({ x, y, pressure }) {
    return { x, y, radius: (this.#settings.size / 2) * (LEAST_PRESSURE + (1 - LEAST_PRESSURE) * pressure) };
  }

  /** Draw on to a dot, in pieces not much longer than wide, so that little is looked at in vain. */
  #draw(dot) {
    const last = this.#last;
    const pieces = Math.ceil(Math.hypot(dot.x - last.x, dot.y - last.y) / (2 * Math.max(dot.radius, last.radius, 8))) || 1;
    for (let piece = 0; piece < pieces; piece++) {
      const [from, to] = [between(last, dot, piece / pieces), between(last, dot, (piece + 1) / pieces)];
      this.#edits.grow((mask) => mask.line(from, to, this.#settings.hardness, this.#wipes));
    }
    this.#last = dot;
  }
}

function between(a, b, share) {
  const mix = (name) => a[name] + (b[name] - a[name]) * share;
  return { x: mix("x"), y: mix("y"), radius: mix("radius") };
}

/** A tool that shows an outline while it is drawn, and fills it at the end. */
class Shape {
  constructor(edits, settings, show) {
    this.edits = edits;
    this.settings = settings;
    this.show = show;
    this.points = [];
    this.wipes = false;
  }

  start(point, { alt }) {
    this.wipes = this.settings.remove !== alt;
    this.points = [point];
    this.show(this.points);
  }

  cancel() {
    this.points = [];
    this.show([]);
  }

  end() {
    const points = this.points;
    this.cancel();
    this.edits.apply((mask) => this.fill(mask, points));
  }
}

export class Rectangle extends Shape {
  move(point) {
    this.points = [this.points[0], point];
    const { x, y, width, height } = spanning(...this.points);
    this.show([{ x, y }, { x: x + width, y }, { x: x + width, y: y + height }, { x, y: y + height }]);
  }

  fill(mask, points) {
    if (points.length < 2) return null;
    const { x, y, width, height } = spanning(...points);
    const [left, top] = [Math.round(x), Math.round(y)];
    const area = { x: left, y: top, width: Math.round(x + width) - left, height: Math.round(y + height) - top };
    return mask.rectangle(area, this.wipes);
  }
}

export class Lasso extends Shape {
  move(point) {
    const last = this.points.at(-1);
    if (Math.hypot(point.x - last.x, point.y - last.y) < LASSO_STEP) return;
    this.points.push(point);
    this.show(this.points);
  }

  fill(mask, points) {
    return mask.polygon(points, this.wipes);
  }
}

/** Fills what the mask encloses around a point. */
export class Bucket extends Shape {
  move() {}

  fill(mask, [point]) {
    return point ? mask.flood(point.x, point.y, this.wipes) : null;
  }
}
