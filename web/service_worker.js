// The service worker, as the build makes it of this file: the page itself opens while the server is away. Conversations
// are not its affair (state/kept.ts); what the server answers goes past it.
/* global __NAME__, __FILES__ */
const kCache = __NAME__;  // of these files: other ones, another cache
const kFiles = __FILES__;

addEventListener("install", (event) => {
  event.waitUntil(caches.open(kCache).then((cache) => cache.addAll(kFiles)));
});

addEventListener("activate", (event) => {
  event.waitUntil(caches.keys().then((names) => Promise.all(
    names.filter((name) => name.startsWith("page-") && name !== kCache).map((name) => caches.delete(name)))));
});

addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin) return;
  const isPage = request.mode === "navigate" && !/^\/(app|v1|api)\/|\./.test(url.pathname);
  // The page's own file from the server, so that a new version is there at once; hashed files are what they are.
  if (isPage) event.respondWith(fetch(request).catch(() => caches.match("/", { cacheName: kCache })));
  else if (kFiles.includes(url.pathname)) event.respondWith(caches.match(url.pathname, { cacheName: kCache }).then((kept) => kept ?? fetch(request)));
});
