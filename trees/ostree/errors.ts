/**
 * A failure reported by libostree (a `GError`).
 *
 * `domain` and `code` are GLib's: `g-io-error-quark` with the numbers of `GIOErrorEnum` covers nearly everything,
 * `ostree-gpg-error-quark` and friends the rest. {@link ostreeErrorCode} names the ones worth matching.
 */
export class OstreeError extends Error {
  override readonly name = 'OstreeError';
  readonly domain: string;
  readonly code: number;

  constructor(message: string, domain: string, code: number) {
    super(message);
    this.domain = domain;
    this.code = code;
  }
}

export const IO_ERROR_DOMAIN = 'g-io-error-quark';

/** Values of `OstreeError.code` in the domain `g-io-error-quark` (`GIOErrorEnum`, gio/gioenums.h). */
export const ostreeErrorCode = {
  failed: 0,
  notFound: 1,
  exists: 2,
  notDirectory: 4,
  notRegularFile: 6,
  noSpace: 12,
  invalidArgument: 13,
  permissionDenied: 14,
  notSupported: 15,
  cancelled: 19,
  readOnly: 21,
  timedOut: 24,
  busy: 26,
  wouldBlock: 27,
  invalidData: 35,
  messageTooLarge: 46,
} as const;

/** True when `error` is an {@link OstreeError} of GLib's I/O domain with one of the named codes. */
export function isOstreeError(error: unknown, ...codes: Array<keyof typeof ostreeErrorCode>): error is OstreeError {
  return (
    error instanceof OstreeError &&
    error.domain === IO_ERROR_DOMAIN &&
    codes.some((name) => ostreeErrorCode[name] === error.code)
  );
}
