import type { DebianApp } from './debian-rig.js';

/** Three programs that need each other, as their Debian packages have them. */

const site = `pid /tmp/nginx.pid;
error_log stderr;
events {}
http {
  access_log /dev/stdout;
  server {
    listen 127.0.0.1:8080;
    root /srv;
    location / {
      include /etc/nginx/fastcgi_params;
      fastcgi_param SCRIPT_FILENAME /srv/index.php;
      fastcgi_pass unix:/tmp/php.sock;
    }
  }
}
`;

const pool = `[global]
error_log = /dev/stderr
pid = /tmp/php.pid
[www]
user = www-data
group = www-data
listen = /tmp/php.sock
listen.mode = 0666
pm = static
pm.max_children = 1
`;

/** Answers with what redis answers. */
const page = `<?php
$redis = fsockopen('127.0.0.1', 6379);
fwrite($redis, "INCR visits\\r\\n");
echo 'visit ', substr(trim(fgets($redis)), 1);
`;

const starting = (name: string, command: string): string[] => ['sh', '-c', `echo ${name} starts; exec ${command}`];
/** Soon, and not all at once. */
const restart = { policy: 'on-failure', delay: 0.3, maxDelay: 5 };

export const stack: DebianApp = {
  packages: ['nginx-light', 'php8.2-fpm', 'redis-server'],
  files: [
    { path: '/srv', directory: true },
    { path: '/srv/index.php', content: page },
    { path: '/etc/nginx/stack.conf', content: site },
    { path: '/etc/php/8.2/fpm/stack.conf', content: pool },
  ],
  run: {
    services: {
      redis: {
        exec: starting('redis', "redis-server --save '' --daemonize no --bind 127.0.0.1"),
        user: 'redis:redis',
        workdir: '/tmp',
        ready: 'health',
        health: {
          exec: ['redis-cli', 'ping'],
          interval: 0.3,
          timeout: 1,
          retries: 2,
          onFailure: 'restart',
        },
        restart,
      },
      php: {
        exec: starting('php', 'php-fpm8.2 --nodaemonize --fpm-config /etc/php/8.2/fpm/stack.conf'),
        after: ['redis'],
        ready: 'health',
        health: { unix: '/tmp/php.sock', interval: 0.3 },
        restart,
        stopSignal: 'QUIT',
      },
      nginx: {
        exec: starting('nginx', "nginx -c /etc/nginx/stack.conf -g 'daemon off;'"),
        after: ['php', 'redis'],
        ready: 'health',
        health: { http: 'http://127.0.0.1:8080/', interval: 0.3 },
        restart,
        stopSignal: 'QUIT',
        main: true,
      },
    },
  },
};
