// Starts every behaviour. Each listens on the document and finds its elements by attribute, so that what htmx
// brings or takes away needs no wiring.

import "./aspect.js";
import "./autosize.js";
import "./cards.js";
import "./catch-up.js";
import "./connection.js";
import "./copy.js";
import "./dialog.js";
import "./dice.js";
import "./dismiss.js";
import "./drop.js";
import "./example.js";
import "./fault.js";
import "./focus.js";
import "./local-time.js";
import "./mirror.js";
import "./narrow.js";
import "./once.js";
import "./reveal.js";
import "./seed-lock.js";
import "./selection.js";
import "./shortcut.js";
import "./tally.js";
