// The page that the data asks for.

import { SurfacePage } from "./app.js";
import { CurvesPage } from "./curves.js";
import { DATA } from "./data.js";
import { DescentPage } from "./descent.js";
import { darkWanted } from "./theme.js";

document.documentElement.dataset.theme = darkWanted.matches ? "dark" : "light";
window.lossatlas = new ({ curves: CurvesPage, descent: DescentPage }[DATA.kind] ?? SurfacePage)();
