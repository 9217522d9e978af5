// A stream of events from the server, as long as somebody looks.

/**
 * Opens the stream at a URL. handlers are called by the names of events, with
 * their data parsed; "reset" is called without data before the first one of
 * each connection. The element that tells whether the page is live is kept up
 * to date. While the page is hidden there is no connection.
 */
export function follow(url, live, handlers) {
  let source = null;
  const say = (text, on) => {
    live.textContent = text;
    live.toggleAttribute("data-on", on);
  };
  const open = () => {
    if (source || document.hidden) return;
    source = new EventSource(url);
    source.onopen = () => {
      say("Live", true);
      handlers.reset?.();
    };
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) {
        say("The connection is lost. Trying again …", false);
        return;
      }
      close(); // An answer that is no stream, to which a browser does not come back by itself.
      say("The dashboard refuses the connection. Reload the page if that stays so.", false);
      setTimeout(open, 10000);
    };
    source.addEventListener("over", (e) => {
      close();
      const over = JSON.parse(e.data);
      say(over.text, false);
      if (over.login) location.reload();
    });
    for (const [name, handle] of Object.entries(handlers)) {
      if (name !== "reset") source.addEventListener(name, (e) => handle(JSON.parse(e.data)));
    }
  };
  const close = () => {
    source?.close();
    source = null;
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
}
