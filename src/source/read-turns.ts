/** Fewer leave Redis idle while replies are taken in; of more, each reply meets colder memory. */
const readsAtATime = 4;
/**
 * Over a slow link most of an exchange is waiting, which reads may do side by side: as many as four for each 20 ms that an answer takes. One
 * that is never answered holds up the others for no longer.
 */
const longestTurnMs = 20;

/**
 * Lets four of a member's reads begin at a time, in the order in which they come. Redis makes the whole of a reply before it sends any of
 * it, and what is sent lies in the sockets until it is taken in: of many replies at a time, each part has left the processor's caches
 * whenever the next one comes to it.
 */
export class ReadTurns {
  private free = readsAtATime;
  private readonly waiting: (() => void)[] = [];

  /** Reads when its turn has come; a turn ends with the read, or before it when it takes too long. */
  async take<T>(read: () => Promise<T>): Promise<T> {
    if (this.free > 0) this.free--;
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
    let isOver = false;
    const end = (): void => {
      if (isOver) return;
      isOver = true;
      const next = this.waiting.shift();
      if (next === undefined) this.free++;
      else next();
    };
    const timer = setTimeout(end, longestTurnMs);
    try {
      return await read();
    } finally {
      clearTimeout(timer);
      end();
    }
  }
}
