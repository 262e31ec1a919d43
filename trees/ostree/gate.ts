/**
 * Many readers or one writer, first come first served. libostree lets threads share a repository object, except while
 * a transaction begins or ends, the configuration is reloaded, or objects are deleted: those pass alone.
 */
export class Gate {
  #running = 0;
  #alone = false;
  readonly #waiting: Array<{ readonly alone: boolean; readonly start: () => void }> = [];

  /** Runs `work` beside other shared work. */
  shared<T>(work: () => Promise<T>): Promise<T> {
    return this.#run(false, work);
  }

  /** Runs `work` while nothing else runs. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    return this.#run(true, work);
  }

  async #run<T>(alone: boolean, work: () => Promise<T>): Promise<T> {
    if (this.#waiting.length > 0 || this.#alone || (alone && this.#running > 0)) {
      await new Promise<void>((start) => {
        this.#waiting.push({ alone, start });
      });
    } else {
      this.#enter(alone);
    }
    try {
      return await work();
    } finally {
      this.#leave();
    }
  }

  #enter(alone: boolean): void {
    this.#running += 1;
    this.#alone = alone;
  }

  #leave(): void {
    this.#running -= 1;
    this.#alone = false;
    // Entering on the waiter's behalf, here, keeps a newcomer from slipping in before the waiter's microtask runs.
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (this.#alone || (next.alone && this.#running > 0)) return;
      this.#waiting.shift();
      this.#enter(next.alone);
      next.start();
    }
  }
}
