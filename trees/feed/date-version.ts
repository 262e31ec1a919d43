/** `2017.8.23`: a day as a version, UTC, for what says when it was made but not which version it is. */
export function dateVersion(secondsSince1970: number): string {
  const date = new Date(secondsSince1970 * 1000);
  return [date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate()].join('.');
}
