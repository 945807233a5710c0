document.documentElement.dataset.theme = darkWanted.matches ? "dark" : "light";
window.lossatlas = DATA.kind === "curves" ? new CurvesPage() : new SurfacePage();
