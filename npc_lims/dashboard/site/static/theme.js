// Sets the remembered colours before anything is drawn. No module: those run only after the page was shown.
(() => {
  "use strict";
  try {
    const theme = localStorage.getItem("npc-lims-theme");
    if (theme === "light" || theme === "dark") {
      document.documentElement.dataset.theme = theme;
    }
  } catch {
    // a browser that keeps nothing for this site: the system's colours then
  }
})();
