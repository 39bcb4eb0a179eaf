"""The canvas's modules by themselves, in a real browser: masks, undo, the view, the frame, files of masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Route

from app.web.templating import STATIC
from tests.chromium import shared

pytestmark = pytest.mark.browser
ORIGIN = "http://canvas.test/"
Run = Callable[..., Any]


def serve(route: Route) -> None:
    """Answer with a file of `static/`; no server is needed for modules alone."""
    name = route.request.url.removeprefix(ORIGIN)
    if name:
        route.fulfill(path=STATIC / name, content_type="text/javascript")
    else:
        route.fulfill(body="<!doctype html>", content_type="text/html")


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Run the body of a function with modules of the canvas at hand, by the names of their files."""
    page = shared.get().new_page()
    page.route("**/*", serve)
    page.goto(ORIGIN)

    def run(body: str, *modules: str) -> Any:
        imports = ", ".join(f"import('/js/canvas/{name}.js')" for name in modules)
        return page.evaluate(f"async () => {{ const [{', '.join(modules)}] = await Promise.all([{imports}]); {body} }}")

    yield run
    page.close()


def test_undo_and_redo_give_each_mask_again_to_the_byte(run: Run) -> None:
    steps, undone, redone = run(
        """
        const made = new mask.Mask(150, 90);
        const undos = new history.History();
        const on_mask = new edits.Edits(made, undos, { changed() {}, committed() {} });
        let seed = 7;
        const random = (most) => (seed = (seed * 48271) % 2147483647) % most;
        const dot = () => ({ x: random(170) - 10, y: random(110) - 10, radius: 1 + random(30) });
        const area = () => ({ x: random(150), y: random(90), width: 1 + random(80), height: 1 + random(80) });
        const acts = [
          (m) => m.line(dot(), dot(), random(101) / 100, random(2) === 1),
          (m) => m.rectangle(area(), random(2) === 1),
          (m) => m.polygon([dot(), dot(), dot(), dot()], random(2) === 1),
          (m) => m.flood(random(150), random(90), random(2) === 1),
          (m) => m.invert(),
        ];
        const states = [made.bytes.slice()];
        for (let turn = 0; turn < 150; turn++) {
          let touched = null;
          on_mask.apply((m) => (touched = acts[random(acts.length)](m)));
          if (touched) states.push(made.bytes.slice());
        }
        const isAt = (step) => made.bytes.every((byte, at) => byte === states[step][at]);
        const undone = [], redone = [];
        for (let step = states.length - 2; undos.undo(); step--) undone.push(isAt(step));
        for (let step = 1; undos.redo(); step++) redone.push(isAt(step));
        return [states.length - 1, undone, redone];
        """,
        *("mask", "history", "edits"),
    )
    assert steps > 80
    assert undone == redone == [True] * steps


def test_what_a_cancelled_stroke_has_drawn_is_gone_and_nothing_can_be_undone(run: Run) -> None:
    assert run(
        """
        const made = new mask.Mask(64, 64);
        const undos = new history.History();
        let told = 0;
        const made_edits = new edits.Edits(made, undos, { changed() {}, committed: () => told++ });
        made.rectangle({ x: 5, y: 5, width: 20, height: 20 }, false);
        const before = made.bytes.slice();
        made_edits.begin();
        made_edits.grow((m) => m.line({ x: 0, y: 0, radius: 9 }, { x: 60, y: 60, radius: 9 }, 0.5, false));
        made_edits.cancel();
        return made.bytes.every((byte, at) => byte === before[at]) && !undos.canUndo && told === 1;
        """,
        *("mask", "history", "edits"),
    )


def test_the_oldest_steps_are_forgotten_beyond_the_cap(run: Run) -> None:
    assert run(
        """
        const undos = new history.History(100);
        const done = [];
        for (const name of [1, 2, 3, 4]) undos.push({ bytes: 40, swap: () => done.push(name) });
        while (undos.undo());
        undos.push({ bytes: 1000, swap: () => done.push("large") });
        undos.undo();
        return done;
        """,
        "history",
    ) == [4, 3, "large"]


def test_a_stroke_covers_what_lies_within_its_radius(run: Run) -> None:
    hard, soft, removed = run(
        """
        const row = (m) => [...m.read({ x: 0, y: 20, width: 60, height: 1 })];
        const hard = new mask.Mask(60, 40), soft = new mask.Mask(60, 40);
        hard.line({ x: 20, y: 20.5, radius: 10 }, { x: 40, y: 20.5, radius: 10 }, 1, false);
        soft.line({ x: 30, y: 20.5, radius: 20 }, { x: 30, y: 20.5, radius: 20 }, 0, false);
        const first = row(hard);
        hard.line({ x: 30, y: 0, radius: 2 }, { x: 30, y: 40, radius: 2 }, 1, true);
        return [first, row(soft), row(hard)];
        """,
        "mask",
    )
    assert [x for x, value in enumerate(hard) if value == 255] == list(range(10, 50))
    assert soft[30] > 230
    assert soft[10:30] == sorted(soft[10:30])
    assert soft[30:50] == sorted(soft[30:50], reverse=True)
    assert 100 < soft[20] < 155
    assert soft[8] == 0
    assert removed[28:32] == [0, 0, 0, 0]
    assert removed[26] == removed[33] == 255


def test_a_stroke_that_crosses_itself_adds_nothing_up(run: Run) -> None:
    once, twice = run(
        """
        const made = new mask.Mask(60, 60);
        const draw = () => made.line({ x: 10, y: 30, radius: 15 }, { x: 50, y: 30, radius: 5 }, 0.2, false);
        draw();
        const once = [...made.bytes];
        draw();
        return [once, [...made.bytes]];
        """,
        "mask",
    )
    assert once == twice


def test_filling_stops_at_what_encloses_it_and_leaves_no_pale_seam(run: Run) -> None:
    inside, outside, seam = run(
        """
        const made = new mask.Mask(100, 100);
        const corners = [[20, 20], [80, 20], [80, 80], [20, 80], [20, 20]].map(([x, y]) => ({ x, y, radius: 6 }));
        for (let at = 0; at < 4; at++) made.line(corners[at], corners[at + 1], 0.3, false);
        made.flood(50, 50, false);
        const column = made.read({ x: 50, y: 21, width: 1, height: 58 });
        return [made.bytes[50 * 100 + 50], made.bytes[5 * 100 + 5], Math.min(...column)];
        """,
        "mask",
    )
    assert (inside, outside, seam) == (255, 0, 255)


def test_a_lasso_fills_by_the_even_odd_rule(run: Run) -> None:
    count, corner, hole = run(
        """
        const made = new mask.Mask(40, 40);
        made.polygon([{ x: 0, y: 0 }, { x: 40, y: 0 }, { x: 0, y: 40 }], false);
        const count = made.bytes.filter((byte) => byte === 255).length;
        made.clear();
        const square = (from, to) => [[from, from], [to, from], [to, to], [from, to], [from, from]];
        made.polygon([...square(0, 40), ...square(10, 30)].map(([x, y]) => ({ x, y })), false);
        return [count, made.bytes[0], made.bytes[20 * 40 + 20]];
        """,
        "mask",
    )
    assert count == pytest.approx(800, abs=20)
    assert (corner, hole) == (255, 0)


def test_a_mask_comes_back_from_its_file_as_it_was(run: Run) -> None:
    assert run(
        """
        const made = new mask.Mask(256, 3), again = new mask.Mask(256, 3);
        made.write(made.area, Uint8Array.from({ length: 768 }, (_, at) => at % 256));
        const url = URL.createObjectURL(await png.encode(made));
        await png.load(again, url);
        return made.bytes.every((byte, at) => byte === again.bytes[at]);
        """,
        *("mask", "png"),
    )


def test_the_hatching_has_light_lines_and_dark_ones(run: Run) -> None:
    """Whatever the picture's colours are, one of them stands out."""
    light, dark, clear = run(
        """
        const tile = hatch.hatchTile("orange", 1.5);
        const { data } = tile.getContext("2d").getImageData(0, 0, tile.width, tile.height);
        const pixels = Array.from({ length: data.length / 4 }, (_, at) => data.slice(4 * at, 4 * at + 4));
        const share = (test) => pixels.filter(([r, g, b, a]) => test((r + g + b) / 3, a)).length / pixels.length;
        return [share((v, a) => v > 225 && a > 230), share((v, a) => v < 70 && a > 180), share((_, a) => a < 100)];
        """,
        "hatch",
    )
    assert light > 0.1
    assert dark > 0.1
    assert clear > 0.3, "the picture is to be seen through it"


def test_a_photograph_that_is_too_large_is_made_smaller_unless_it_is_marked(run: Run) -> None:
    assert run(
        """
        const canvas = new OffscreenCanvas(16900, 1000);
        canvas.getContext("2d");
        const content = await canvas.convertToBlob({ type: "image/jpeg" });
        const large = new File([content], "a.jpg", { type: "image/jpeg" });
        const mark = "digitalsourcetype/trainedAlgorithmicMedia";
        const marked = new File([content, mark], "b.jpg", { type: "image/jpeg" });
        const words = new File(["a"], "c.png", { type: "image/png" });
        const { width, height } = await createImageBitmap(await shrink.shrunk(large));
        const same = [marked, words].map(async (file) => (await shrink.shrunk(file)) === file);
        return [width, height, ...(await Promise.all(same))];
        """,
        "shrink",
    ) == [2048, 121, True, True]


def test_zooming_keeps_what_is_under_the_pointer(run: Run) -> None:
    moved, there, back = run(
        """
        const seen = new view.View();
        seen.fit({ x: -50, y: 0, width: 400, height: 300 }, { width: 1000, height: 700 });
        const point = { x: 321, y: 123 };
        const before = seen.toPicture(point);
        for (const factor of [1.3, 0.2, 7, 3, 0.5]) seen.zoom(factor, point);
        const after = seen.toPicture(point);
        const round = seen.toStage(seen.toPicture({ x: 12.5, y: -7 }));
        return [Math.hypot(after.x - before.x, after.y - before.y), seen.scale, [round.x, round.y]];
        """,
        "view",
    )
    assert moved < 1e-6
    assert 0.02 <= there <= 32
    assert back == pytest.approx([12.5, -7])


def test_the_frame_snaps_and_keeps_to_what_the_server_takes(run: Run) -> None:
    wide, small, far, huge, possible, words = run(
        """
        const picture = { width: 256, height: 250 };
        const whole = { x: 0, y: 0, width: 256, height: 248 };
        const wide = frame.resized(whole, "top left", -61, -3, 8, picture);
        const small = frame.resized(whole, "right", -999, 0, 16, picture);
        const far = frame.moved(whole, 9999, -9999, 8, picture);
        const huge = frame.resized(frame.resized(whole, "right", 9999, 0, 8, picture), "bottom", 0, 9999, 8, picture);
        const asked = [[-5000, 0, 5256, 256], [400, -9000, 8, 12000], [-9000, 900, 8, 8], [-8, -8, 272, 264]];
        const possible = asked.map(([x, y, width, height]) => frame.possible({ x, y, width, height }, 8, picture));
        const words = frame.inWords(frame.resized(whole, "left", -64, 0, 8, picture), picture);
        return [wide, small, far, huge, possible, words];
        """,
        "frame",
    )
    assert possible == [
        {"x": -1792, "y": 0, "width": 2048, "height": 256},
        {"x": 248, "y": -1792, "width": 160, "height": 2048},
        {"x": -1792, "y": 240, "width": 1800, "height": 668},
        {"x": -8, "y": -8, "width": 272, "height": 264},
    ]
    assert wide == {"x": -64, "y": 0, "width": 320, "height": 248}
    assert small["width"] == 64
    assert far == {"x": 248, "y": -240, "width": 256, "height": 248}
    assert huge["width"] * huge["height"] <= 4_200_000
    assert max(huge["width"], huge["height"]) <= 2048
    assert words == "adds 64 on the left; cuts off 2 at the bottom"


def test_what_changes_the_canvas_waits_for_what_was_begun_before(run: Run) -> None:
    assert run(
        """
        const order = [];
        const saving = new saver.Saver({ mask: async () => order.push("mask") }, () => {});
        const wait = () => new Promise((resolve) => setTimeout(resolve, 5));
        const act = (name) => async () => {
          order.push(`${name} from ${saving.version}`);
          await wait();
          saving.version++;
          if (name === "b") throw new Error("refused");
          return name;
        };
        const asked = ["a", "b", "c"].map((name) => saving.during(act(name)));
        saving.touch("mask");
        const answers = await Promise.allSettled(asked);
        return [order, answers.map(({ value }) => value ?? null), saving.isClean];
        """,
        "saver",
    ) == [["mask", "a from 1", "b from 2", "c from 3"], ["a", None, "c"], True]
