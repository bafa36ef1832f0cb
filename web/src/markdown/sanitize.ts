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

export function safe(html: string): DocumentFragment {
  return DOMPurify.sanitize(html, {
    RETURN_DOM_FRAGMENT: true,
    USE_PROFILES: { html: true, mathMl: true, svg: true },  // KaTeX draws roots and braces as SVG
    ALLOWED_URI_REGEXP: kValue,
    FORBID_TAGS: ["style", "form", "input", "button", "textarea", "select", "option", "img", "image", "picture", "source",
      "video", "audio", "track", "use", "animate", "filter", "dialog", "map", "area"],
    FORBID_ATTR: ["id", "name", "src", "srcset", "poster", "background", "ping", "autofocus", "contenteditable"],
  });
}
