// Which colours the page has on, for what is drawn on a canvas: changes with the system's, and with the
// page's own choice (data-theme on the root).
import { useEffect, useState } from "preact/hooks";

const isDark = matchMedia("(prefers-color-scheme: dark)");
const themeNow = (): string => `${document.documentElement.dataset["theme"] ?? ""} ${isDark.matches ? "dark" : "light"}`;

export function useTheme(): string {
  const [theme, setTheme] = useState(themeNow);
  useEffect(() => {
    const change = (): void => setTheme(themeNow());
    const watch = new MutationObserver(change);
    watch.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    isDark.addEventListener("change", change);
    return () => {
      watch.disconnect();
      isDark.removeEventListener("change", change);
    };
  }, []);
  return theme;
}
