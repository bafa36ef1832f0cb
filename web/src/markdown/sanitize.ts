// The last step before the page: whatever the steps before it made, only this gets in.
import DOMPurify from "dompurify";

const kLink = /^(https?:|mailto:)/i;
const kValue = /^(?:(?:https?|mailto):|[^a-z]|[a-z+.-]+(?:[^a-z+.\-:]|$))/i;  // of any attribute: no other scheme

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName !== "A") return;
  if (!kLink.test(node.getAttribute("href") ?? "")) node.removeAttribute("href");
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer nofollow");
});

// Set once: the lists are long, and a streamed answer asks a hundred times a second. In place: no document for each call.
DOMPurify.setConfig({
  IN_PLACE: true,
  USE_PROFILES: { html: true, mathMl: true, svg: true },  // KaTeX draws roots and braces as SVG
  ALLOWED_URI_REGEXP: kValue,
  FORBID_TAGS: ["style", "form", "input", "button", "textarea", "select", "option", "img", "image", "picture", "source",
    "video", "audio", "track", "use", "animate", "filter", "dialog", "map", "area"],
  FORBID_ATTR: ["id", "name", "src", "srcset", "poster", "background", "ping", "autofocus", "contenteditable"],
});

const inert = document.implementation.createHTMLDocument("");  // nothing in it loads or runs

export function safe(html: string): DocumentFragment {
  const holder = inert.createElement("div");
  holder.innerHTML = html;
  DOMPurify.sanitize(holder);
  const fragment = document.createDocumentFragment();
  fragment.append(...holder.childNodes);
  return fragment;
}
