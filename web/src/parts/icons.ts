// Line icons on a grid of 20, drawn for this page.
const icon = (path: string) =>
  `<svg viewBox="0 0 20 20" width="18" height="18" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">${path}</svg>`;

const icons = {
  plus: icon('<path d="M10 4v12M4 10h12"/>'),
  compose: icon('<path d="M9 4H5.5A1.5 1.5 0 0 0 4 5.5v9A1.5 1.5 0 0 0 5.5 16h9a1.5 1.5 0 0 0 1.5-1.5V11M15 3.5 16.5 5l-6 6H9V9.500z"/>'),
  clip: icon('<path d="m15.500 9.500-5.600 5.600a3.500 3.500 0 0 1-5-5l6-6a2.300 2.300 0 0 1 3.300 3.300l-5.800 5.800a1.150 1.150 0 0 1-1.600-1.600l5.300-5.300"/>'),
  file: icon('<path d="M6 3.500h5l3.500 3.500v9.500h-8.500zM11 3.500V7h3.500"/>'),
  search: icon('<circle cx="9" cy="9" r="5"/><path d="m13 13 3.500 3.500"/>'),
  sidebar: icon('<rect x="3.500" y="4" width="13" height="12" rx="2"/><path d="M8 4v12"/>'),
  up: icon('<path d="M10 16V4.500M5 9.500l5-5 5 5"/>'),
  down: icon('<path d="M10 4v11.500M5 10.500l5 5 5-5"/>'),
  stop: icon('<rect x="5.500" y="5.500" width="9" height="9" rx="1.500" fill="currentColor" stroke="none"/>'),
  copy: icon('<rect x="7" y="7" width="9" height="9" rx="1.500"/><path d="M13 7V5.500A1.500 1.500 0 0 0 11.500 4h-6A1.500 1.500 0 0 0 4 5.500v6A1.500 1.500 0 0 0 5.500 13H7"/>'),
  check: icon('<path d="m4.500 10.500 3.500 3.500 7.500-8"/>'),
  retry: icon('<path d="M15.500 8A6 6 0 1 0 16 10.500M16 4v4h-4"/>'),
  edit: icon('<path d="M12.500 4.500 15.500 7.500 8 15H5v-3z"/>'),
  more: icon('<g fill="currentColor" stroke="none"><circle cx="5" cy="10" r="1.300"/><circle cx="10" cy="10" r="1.300"/><circle cx="15" cy="10" r="1.300"/></g>'),
  left: icon('<path d="m12 5-5 5 5 5"/>'),
  right: icon('<path d="m8 5 5 5-5 5"/>'),
  chevron: icon('<path d="m6 8 4 4 4-4"/>'),
  pin: icon('<path d="M7.500 4h5l-.5 5 2 2.500h-8L8 9zM10 11.500V16"/>'),
  share: icon('<path d="M10 12V3.500M6.500 7 10 3.500 13.500 7M5 10v5.500A1.500 1.500 0 0 0 6.500 17h7a1.500 1.500 0 0 0 1.500-1.500V10"/>'),
  mic: icon('<rect x="7.500" y="3" width="5" height="9" rx="2.500"/><path d="M4.500 9.500a5.500 5.500 0 0 0 11 0M10 15v2.500"/>'),
  sound: icon('<path d="M4 8v4h2.500L10 15V5L6.500 8zM13 7.500a3.500 3.500 0 0 1 0 5M15 5a7 7 0 0 1 0 10"/>'),
  trash: icon('<path d="M4.500 6h11M8 6V4.500h4V6M6 6l.7 10h6.600L14 6"/>'),
  download: icon('<path d="M10 4v8.500M6 9l4 4 4-4M4.500 16h11"/>'),
  wrap: icon('<path d="M4 5.500h12M4 10h9.500a2.500 2.500 0 0 1 0 5H10m2-2-2 2 2 2M4 15h3"/>'),
  eye: icon('<path d="M2.500 10S5 5 10 5s7.500 5 7.500 5-2.500 5-7.500 5-7.500-5-7.500-5z"/><circle cx="10" cy="10" r="2"/>'),
  gear: icon('<path d="M4 6h7M15 6h1M4 14h1M9 14h7"/><circle cx="13" cy="6" r="2"/><circle cx="7" cy="14" r="2"/>'),
  close: icon('<path d="m5 5 10 10M15 5 5 15"/>'),
  ghost: icon('<path stroke-dasharray="2.500 2.500" d="M10 3.500a6.500 6.500 0 0 1 0 13H4l1.300-2.200A6.500 6.500 0 0 1 10 3.500z"/>'),
  keyboard: icon('<rect x="3" y="5.500" width="14" height="9" rx="1.500"/><path d="M6 8.500h.01M9 8.500h.01M12 8.500h.01M14 8.500h.01M7 11.500h6"/>'),
  title: icon('<path d="M5 6V4.500h10V6M10 4.500v11M8 15.500h4"/>'),
  play: icon('<path d="M7 5.500v9l7-4.500z"/>'),
  pause: icon('<path d="M7.500 5.500v9M12.500 5.500v9"/>'),
  alert: icon('<circle cx="10" cy="10" r="6.500"/><path d="M10 6.500v4.500M10 13.500h.01"/>'),
} as const;
export type IconName = keyof typeof icons;

const made = new Map<IconName, Node>();

// An icon's element. Copies cost a fraction of reading the text again, and a thread has hundreds.
export function drawn(name: IconName): Node {
  let icon = made.get(name);
  if (!icon) {
    const holder = document.createElement("div");
    holder.innerHTML = icons[name];
    made.set(name, (icon = holder.firstElementChild!));
  }
  return icon.cloneNode(true);
}
