// What the theme leaves out for who uses a keyboard or a screen reader.
document$.subscribe(() => {
  document.querySelectorAll(".md-typeset__scrollwrap").forEach((wide) => {
    wide.tabIndex = 0; // a wide table is scrolled with the arrow keys
    wide.setAttribute("role", "group");
    wide.setAttribute("aria-label", "table");
  });
  document.querySelectorAll(".md-code__nav").forEach((nav, i) => nav.setAttribute("aria-label", `Code block ${i + 1}`));
  document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
});
