// `[data-dismiss]` takes away the nearest `[data-dismissable]`.

import { on } from "./on.js";

on("click", "[data-dismiss]", (button) => button.closest("[data-dismissable]")?.remove());
