// The token comes in the fragment of the address, which browsers send to nobody. It is kept for this tab, and taken out
// of the address bar. aiomonitor's own pages send their requests by htmx: there it is added to each.
"use strict";
(() => {
  const KEY = "preemptio-token";
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(KEY, given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  document.addEventListener("htmx:configRequest", (event) => {
    event.detail.headers["X-Preemptio-Token"] = sessionStorage.getItem(KEY) ?? "";
  });
})();
