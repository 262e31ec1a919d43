/** Whole milliseconds of seconds; what is more than none is at least one. */
export function milliseconds(seconds: number): number {
  return seconds === 0 ? 0 : Math.max(1, Math.round(seconds * 1000));
}
