import { hostname, userInfo } from "node:os";

/** Who a decision or a replay is recorded for. A user without a name, as containers have, is known by its machine. */
export function userName(user: () => { readonly username: string } = userInfo): string {
  try {
    return `${user().username}@${hostname()}`;
  } catch {
    return hostname();
  }
}
