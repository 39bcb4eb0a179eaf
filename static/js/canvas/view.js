// How the plane is looked at: `scale` stage pixels for one pixel of the picture, whose corner stands at (`x`, `y`).
// Stage pixels are CSS pixels from the stage's corner. Knows no element.

const MAX_SCALE = 32;
const MIN_SCALE = 0.02;
const MARGIN = 40; // stage pixels that fitting leaves free on each side
const SMALL_MARGIN = 20; // the same on a small stage
const SMALL_STAGE = 480; // stage pixels

export class View {
  scale = 1;
  x = 0;
  y = 0;

  toPicture(point) {
    return { x: (point.x - this.x) / this.scale, y: (point.y - this.y) / this.scale };
  }

  toStage(point) {
    return { x: point.x * this.scale + this.x, y: point.y * this.scale + this.y };
  }

  /** A rectangle of the picture in stage pixels. */
  rectToStage({ x, y, width, height }) {
    return { ...this.toStage({ x, y }), width: width * this.scale, height: height * this.scale };
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
  }

  /** Zoom by `factor`; what is under `point` of the stage stays there. */
  zoom(factor, point) {
    const under = this.toPicture(point);
    this.scale = Math.min(MAX_SCALE, Math.max(MIN_SCALE, this.scale * factor));
    this.x = point.x - under.x * this.scale;
    this.y = point.y - under.y * this.scale;
  }

  /** Show the whole of `area` in a stage of this size, in its middle, not above `most`. */
  fit(area, stage, most = MAX_SCALE) {
    const margin = Math.min(stage.width, stage.height) < SMALL_STAGE ? SMALL_MARGIN : MARGIN;
    const across = Math.max(1, stage.width - 2 * margin) / area.width;
    const down = Math.max(1, stage.height - 2 * margin) / area.height;
    this.scale = Math.min(most, MAX_SCALE, Math.max(MIN_SCALE, Math.min(across, down)));
    this.centre(area, stage);
  }

  centre(area, stage) {
    this.x = stage.width / 2 - (area.x + area.width / 2) * this.scale;
    this.y = stage.height / 2 - (area.y + area.height / 2) * this.scale;
  }
}
