import type { ProxySettings } from '../feed/network.js';

/**
 * The proxies that the environment names. As in curl and git lower case wins, and `ALL_PROXY` stands for both schemes.
 * @returns undefined if there are none
 */
export function proxySettings(env: Readonly<Record<string, string | undefined>>): ProxySettings | undefined {
  const find = (name: string): string | undefined => env[name.toLowerCase()] || env[name] || undefined;
  const all = find('ALL_PROXY');
  const http = find('HTTP_PROXY') ?? all;
  const https = find('HTTPS_PROXY') ?? all;
  return http === undefined && https === undefined ? undefined : { http, https, no: find('NO_PROXY') };
}
