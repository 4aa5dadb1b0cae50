// A panel that needs more room than a column: the layout gives it some (room.css) while it is shown.
import { useEffect } from "preact/hooks";

export function useRoom(wanted: boolean): void {
  useEffect(() => {
    if (!wanted) return undefined;
    document.documentElement.dataset["room"] = "wide";
    return () => {
      delete document.documentElement.dataset["room"];
    };
  }, [wanted]);
}
