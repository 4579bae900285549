// Formulas that are wider than the page scroll in their own box; then they can be reached and scrolled by the keyboard, too.
(() => {
  "use strict";
  const update = () => {
    for (const formula of document.querySelectorAll('math[display="block"]')) {
      if (formula.scrollWidth > formula.clientWidth) formula.setAttribute("tabindex", "0");
      else formula.removeAttribute("tabindex");
    }
  };
  window.addEventListener("load", update);
  window.addEventListener("resize", update);
})();
