document.documentElement.dataset.theme = darkWanted.matches ? "dark" : "light";
window.lossatlas = new ({ curves: CurvesPage, descent: DescentPage }[DATA.kind] ?? SurfacePage)();
