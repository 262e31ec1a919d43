/**
 * Where the library tells what it is doing. Everything here goes to stderr (or nowhere): results are returned, never
 * reported. Implementations: the terminal's in `cli/render/`, a silent one below for library users.
 */
export interface Reporter {
  /** Something the user must know although the work goes on. */
  warn(message: string): void;
  /** A milestone; hidden by `--quiet`. */
  info(message: string): void;
  /** Detail; shown with `--verbose`. */
  debug(message: string): void;
  /** Starts a unit of work that takes time. End it with `done` or `[Symbol.dispose]`. */
  task(title: string, options?: { total?: number; unit?: 'bytes' | 'items' }): Task;
}

export interface Task extends Disposable {
  /** Absolute progress, in the task's unit. */
  update(current: number, detail?: string): void;
  /** Ends the task; `summary` replaces its title in the log. */
  done(summary?: string): void;
}

const silentTask: Task = {
  update: () => undefined,
  done: () => undefined,
  [Symbol.dispose]: () => undefined,
};

/** Discards everything. */
export const silentReporter: Reporter = {
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
  task: () => silentTask,
};
