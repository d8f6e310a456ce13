import { userInfo } from "node:os";

/** Who this process runs as. */
export interface User {
  /** The number, where users have numbers; else the name. */
  readonly id: number | string;
  readonly name: string;
  readonly home: string | undefined;
}

/** The user of this process. In containers it may be a number that is nobody's in /etc/passwd, or there may be no such file. */
export function currentUser(): User {
  const uid = process.getuid?.();
  try {
    const { username, homedir } = userInfo();
    return { id: uid ?? username, name: username, home: homedir };
  } catch {
    return { id: uid ?? "unknown", name: `user ${uid ?? "unknown"}`, home: undefined };
  }
}
