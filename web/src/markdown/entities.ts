// In place of the table of all 2,231 names of characters that markdown-it brings along: the browser has it too. What is
// given is one reference, "&name;", found by markdown-it; a text area holds no elements, so nothing can come of it but text.
const area = document.createElement("textarea");

export function decodeHTML(reference: string): string {
  area.innerHTML = reference;
  return area.value;
}

export const decodeHTMLStrict = decodeHTML;  // the same, since the semicolon is always there
