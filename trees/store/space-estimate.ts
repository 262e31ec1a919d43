export interface SpaceEstimate {
  /** Bytes that the whole operation needs at its peak. */
  readonly needed: number;
  /** Bytes that this user may still write to the file system. */
  readonly free: number;
  /** The same for files: how many will be made, and how many more there can be; undefined where there is no limit. */
  readonly files: { readonly needed: number; readonly free: number | undefined };
}

/** Whether it will do, as far as can be told before. */
export function isEnough({ needed, free, files }: SpaceEstimate): boolean {
  return needed <= free && !tooFewFiles(files);
}

/** Whether there are too few inodes for it. */
export function tooFewFiles({ needed, free }: SpaceEstimate['files']): boolean {
  return free !== undefined && needed > free;
}
