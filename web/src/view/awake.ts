// Keeps a tablet's screen on while the page is looked at, where the browser allows it.

export function stayAwake(): void {
  const ask = (): void => {
    if (document.visibilityState !== "visible" || !("wakeLock" in navigator)) return;
    navigator.wakeLock.request("screen").catch(() => undefined); // a low battery may forbid it
  };
  document.addEventListener("visibilitychange", ask);
  ask();
}
