// Starts redis-commander with the environment that its own image documents: REDIS_HOSTS or REDIS_HOST, REDIS_PORT,
// REDIS_DB, REDIS_USERNAME, REDIS_PASSWORD(_FILE), REDIS_LABEL, HTTP_USER, HTTP_PASSWORD(_FILE).
'use strict';

const fs = require('fs');

const environment = process.env;

for (const name of ['REDIS_PASSWORD', 'HTTP_PASSWORD', 'HTTP_PASSWORD_HASH']) {
  const file = environment[`${name}_FILE`];
  if (file) environment[name] = fs.readFileSync(file, 'utf8').trimEnd();
}

// label:host:port:database:password, where all but the host may be left out from the right; a lone word is a host.
function connection(text) {
  const parts = text.split(':');
  const [label, host, port = '6379', database = '0', ...password] = parts.length === 1 ? [text, text] : parts;
  return { label, host, port, dbIndex: Number(database), password: password.join(':') };
}

let connections = [];
if (environment.REDIS_HOSTS) {
  connections = environment.REDIS_HOSTS.split(',').map((text) => connection(text.trim()));
} else if (environment.REDIS_HOST) {
  connections = [{
    label: environment.REDIS_LABEL || 'local',
    host: environment.REDIS_HOST,
    port: environment.REDIS_PORT || '6379',
    dbIndex: Number(environment.REDIS_DB || 0),
    username: environment.REDIS_USERNAME || '',
    password: environment.REDIS_PASSWORD || '',
  }];
}

// In the environment of this process and nowhere on the disk: passwords are in it, and the root may be read-only.
environment.NODE_CONFIG = JSON.stringify({ noSave: true, connections });

require('redis-commander/bin/redis-commander.js');
