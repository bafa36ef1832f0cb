// One menu for the whole page: whoever opens it gives the place and the items.
import type { IconName } from "../parts/icons";

export interface MenuItem {
  label: string;
  icon?: IconName;
  note?: string;
  checked?: boolean;
  disabled?: boolean;
  danger?: boolean;
  run: () => void;
}

class Menu {
  anchor = $state.raw<HTMLElement | null>(null);
  items = $state.raw<MenuItem[]>([]);
  label = $state("");
  side = $state<"top" | "bottom">("bottom");

  open(anchor: HTMLElement, label: string, items: MenuItem[], side: "top" | "bottom" = "bottom"): void {
    this.items = items;
    this.label = label;
    this.side = side;
    this.anchor = anchor;
    anchor.setAttribute("aria-expanded", "true");
  }

  close(): void {
    this.anchor?.setAttribute("aria-expanded", "false");
    this.anchor = null;
  }
}

export const menu = new Menu();
