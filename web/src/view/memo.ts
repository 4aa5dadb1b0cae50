// A component that renders again only when one of its properties has changed.
import { Component, h } from "preact";
import type { FunctionComponent } from "preact";

export function memo<P extends object>(inner: FunctionComponent<P>): FunctionComponent<P> {
  class Memo extends Component<P> {
    override shouldComponentUpdate(next: P): boolean {
      const now = this.props as Record<string, unknown>;
      return Object.entries(next).some(([key, value]) => !Object.is(now[key], value));
    }
    override render(): ReturnType<typeof h> {
      return h(inner as FunctionComponent, this.props);
    }
  }
  return (props) => h(Memo, props as never);
}
