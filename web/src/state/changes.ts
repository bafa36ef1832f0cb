// What other tabs and the server change. One tab of the browser holds the stream and tells the others, since a browser
// opens few connections to one server.
import type { Change } from "../api/client";
import { follow } from "../api/stream";

interface Listener { change: (change: Change) => void; reachable: (reachable: boolean) => void }
type News = { change: Change } | { reachable: boolean };

export function watchChanges(listener: Listener): void {
  const others = new BroadcastChannel("fathom-changes");
  const hear = (news: News) => {
    if ("change" in news) listener.change(news.change);
    else listener.reachable(news.reachable);
  };
  others.onmessage = (event: MessageEvent<News>) => hear(event.data);
  const tell = (news: News) => {
    hear(news);
    others.postMessage(news);
  };
  const hold = async () => {
    let lost = false;
    await follow({
      url: (position) => `/app/events${position ? `?from=${encodeURIComponent(position)}` : ""}`,
      position: "",
      signal: new AbortController().signal,
      state: (connected) => {
        if (connected && lost) tell({ change: { type: "reset" } });
        lost = !connected;
        tell({ reachable: connected });
      },
      take: (event) => {
        tell({ change: event.data as Change });
        return false;
      },
    });
  };
  if (navigator.locks) void navigator.locks.request("fathom-changes", hold);
  else void hold();
}
