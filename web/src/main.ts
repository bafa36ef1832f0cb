import { mount } from "svelte";
import "./app.css";
import App from "./App.svelte";

if (import.meta.env.PROD && "serviceWorker" in navigator) addEventListener("load", () => void navigator.serviceWorker.register("/sw.js").catch(() => {}));

mount(App, { target: document.getElementById("app")! });
