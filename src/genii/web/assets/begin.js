// The first questions, asked while the rest of the page is still on its way; app.js and store.js take the answers over.

(() => {
  const controller = new AbortController();
  const options = {cache: "no-store", credentials: "same-origin", headers: {"X-Genii-Page": "1"}};
  const begun = {
    session: fetch("/api/v1/session", options),
    live: fetch("/api/v1/live", {...options, signal: controller.signal}),
    controller,
  };
  // Whoever takes them over says what went wrong.
  begun.session.catch(() => {});
  begun.live.catch(() => {});
  window.begun = begun;
})();
